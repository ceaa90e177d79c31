//! `handover serve`: serves the HTTP API without a worker; and the API of a worker that serves it too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
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
use crate::http::{self, Listener, Serving, Tls, api};
use crate::stages::Context;
use crate::telemetry::otlp;
use crate::worker::{self, host_activity};

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
    let listener = bind(settings, None).await?.context("`api.listen` is empty: there is nothing to serve")?;
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

/// Binds the address of the API; nothing if the settings name none. `worker`: the one in the same process.
pub async fn bind(settings: &Settings, worker: Option<&worker::Settings>) -> Result<Option<Listener>> {
    let api = &settings.api;
    let Some(address) = api.listen else { return Ok(None) };
    let (most, left) = (settings.database.max_connections, connections(settings, worker));
    let needed = worker.map_or(0, worker::Settings::connections).saturating_add(api::FEWEST_CONNECTIONS);
    ensure!(
        left >= api::FEWEST_CONNECTIONS,
        "`database.max_connections` is {most}, with which requests that end access might wait for others: set it to {needed} or more{}",
        if worker.is_some() { ", or lower `worker.movers` or `worker.planners`" } else { "" }
    );
    let listener = Listener::bind(address, &api.host_names()).await.with_context(|| {
        format!("cannot listen on `api.listen` {address}: set another address, or port 0 for a free one")
    })?;
    Ok(Some(match api.tls() {
        Some(files) => listener.with_tls(Tls::open(files).await?),
        None => listener,
    }))
}

/// Returns the connections to the database that a worker in the same process leaves the API.
fn connections(settings: &Settings, worker: Option<&worker::Settings>) -> u32 {
    settings.database.max_connections.saturating_sub(worker.map_or(0, worker::Settings::connections))
}

/// Starts to serve the API. `broker`: that of a worker in the same process. Without it, one is opened when it is needed.
pub fn start(
    listener: Listener,
    settings: &Settings,
    context: Context,
    broker: Option<Arc<dyn Broker>>,
    draining: CancellationToken,
) -> Serving {
    let address = listener.address().ok();
    if let Some(address) = address {
        tracing::info!(%address, tls = settings.api.tls().is_some(), "serving the API");
    }
    let worker = broker.is_some().then_some(&settings.worker);
    let connections = connections(settings, worker);
    let surroundings =
        Process { context: context.clone(), settings: settings.broker.clone(), broker: OnceCell::new_with(broker) };
    listener.serve(http::router(api::Parts {
        surroundings: Arc::new(surroundings),
        capacity: capacity(settings.worker),
        carries_events: settings.broker.is_external(),
        connections,
        trusted_proxies: settings.api.trusted_proxies.clone(),
        public_url: settings.api.public_url_at(address),
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
