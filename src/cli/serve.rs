//! `handover serve`: serves the HTTP API without a worker; and the API of a worker that serves it too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use clap::Args;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::preview::capacity;
use super::process::{Patience, until_stopped};
use super::{open, systemd};
use crate::app;
use crate::broker::Broker;
use crate::config::Settings;
use crate::http::{ApiSettings, Listener, Serving, api};
use crate::stages::Context;
use crate::telemetry::otlp;
use crate::worker::host_activity;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Wait at most this long at the start for a database or a ledger that is not there yet: `60s`.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    wait_for: Duration,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    until_stopped(async |stop| {
        let export = otlp::start(&settings.telemetry.otlp)?;
        let exit = serve(&arguments, &settings, stop).await;
        if let Some(export) = export {
            export.finish().await;
        }
        exit
    })
    .await
}

async fn serve(arguments: &Arguments, settings: &Settings, stop: CancellationToken) -> Result<Exit> {
    let listener = bind(&settings.api).await?.context("`api.listen` is empty: there is nothing to serve")?;
    let patience = Patience { until: Instant::now() + arguments.wait_for };
    let open = async || {
        let store = app::open::store_for_work(&settings.database).await?;
        app::open::check_ledger(&store).await?;
        Ok(store)
    };
    let store = patience.wait_for("opening the database", &stop, open).await?;
    let context = open::context(settings, store.clone()).await?;
    let serving = start(listener, settings, context, None, stop.clone());
    systemd::until(stop.cancelled()).await;
    serving.stop().await;
    store.close().await;
    tracing::info!("the server has stopped");
    Ok(Exit::Done)
}

/// Binds the address of the API; nothing if the settings name none.
pub async fn bind(settings: &ApiSettings) -> Result<Option<Listener>> {
    let Some(address) = settings.listen else { return Ok(None) };
    let listener = Listener::bind(address, &settings.hosts).await.with_context(|| {
        format!("cannot listen on `api.listen` {address}: set another address, or port 0 for a free one")
    })?;
    Ok(Some(listener))
}

/// Starts to serve the API. Without a broker of the process, one is opened when it is needed.
pub fn start(
    listener: Listener,
    settings: &Settings,
    context: Context,
    broker: Option<Arc<dyn Broker>>,
    draining: CancellationToken,
) -> Serving {
    if let Ok(address) = listener.address() {
        tracing::info!(%address, "serving the API");
    }
    let surroundings =
        Process { context: context.clone(), settings: settings.broker.clone(), broker: OnceCell::new_with(broker) };
    listener.serve(api::router(api::Parts {
        surroundings: Arc::new(surroundings),
        capacity: capacity(settings.worker),
        carries_events: settings.broker.is_external(),
        connections: settings.database.max_connections,
        trusted_proxies: settings.api.trusted_proxies.clone(),
        context,
        draining,
    }))
}

/// The facts that the API asks its process for.
struct Process {
    context: Context,
    settings: crate::broker::Settings,
    broker: OnceCell<Arc<dyn Broker>>,
}

#[async_trait]
impl api::Surroundings for Process {
    async fn is_host_active(&self) -> bool {
        // It only refines an estimate: a failed look must not fail the preview.
        host_activity::is_active(&self.context.store).await.unwrap_or(false)
    }

    async fn broker(&self) -> Result<Arc<dyn Broker>, String> {
        let open = async || crate::broker::open(&self.settings, &self.context.store).await;
        self.broker.get_or_try_init(open).await.cloned().map_err(|error| error.to_string())
    }
}
