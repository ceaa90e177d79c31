//! `handover run`: runs the worker.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::process::{Patience, until_stopped};
use super::{open, serve, systemd};
use crate::app;
use crate::catalog::Rights;
use crate::config::Settings;
use crate::http::ops::Parts;
use crate::http::{self, Listener, ops};
use crate::stages;
use crate::store::Store;
use crate::telemetry::otlp;
use crate::worker::{self, Role};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The stages to run. Default: all. Mover and finalizer share the queue of steps: naming one runs both.
    #[arg(long = "stage", value_enum, value_delimiter = ',')]
    stages: Vec<Role>,
    /// Wait at most this long at the start for a database, a ledger or a broker that is not there yet: `60s`.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    wait_for: Duration,
    /// Serve the HTTP API too, on `api.listen`.
    #[arg(long)]
    serve: bool,
}

/// The stack size of a worker's threads, in bytes. Header tables of AMQP messages nest as deep as a frame allows (128 KiB,
/// five bytes a level), and the AMQP parser recurses. With the default of 2 MiB, a message of a few thousand bytes would
/// crash every worker that receives it. Only the used part of a stack takes memory.
const STACK: &str = "1073741824";

/// The variable from which Rust reads the stack size, once, before the first thread starts.
const STACK_VARIABLE: &str = "RUST_MIN_STACK";

/// Restarts the worker's process in place, with deep stacks. Returns if the stacks are deep already, or cannot be.
pub fn with_deep_stacks() {
    if std::env::var_os(STACK_VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1)).env(STACK_VARIABLE, STACK);
    let error = again.exec();
    tracing::warn!(%error, "the worker has shallow stacks: a message with deeply nested headers can crash it");
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    until_stopped(async |stop| work(arguments, settings, stop).await).await
}

async fn work(arguments: Arguments, settings: Settings, stop: CancellationToken) -> Result<Exit> {
    let export = otlp::start(&settings.telemetry.otlp)?;
    let exit = run_worker(arguments, settings, stop).await;
    if let Some(export) = export {
        export.finish().await;
    }
    exit
}

async fn run_worker(arguments: Arguments, settings: Settings, stop: CancellationToken) -> Result<Exit> {
    let listener = listener(&settings.http).await?;
    let api = if arguments.serve { serve::bind(&settings, Some(&settings.worker)).await? } else { None };
    let patience = Patience { until: Instant::now() + arguments.wait_for };
    let store = patience.wait_for("opening the database", &stop, async || store(&settings).await).await?;
    let context = open::context(&settings, store.clone()).await?;
    check_rights(&context).await?;
    let connect = async || open::broker(&settings, &store).await;
    let broker = patience.wait_for("connecting to the broker", &stop, connect).await?;
    let roles = if arguments.stages.is_empty() { Role::ALL.to_vec() } else { arguments.stages };
    let parts = Parts { store: store.clone(), broker: broker.clone(), draining: stop.clone() };
    let _serving = listener.map(|listener| serve_ops(listener, parts));
    let api = api.map(|api| serve::start(api, &settings, context.clone(), Some(broker.clone()), stop.clone()));
    worker::run(context, broker, &roles, settings.worker, systemd::until(stop.cancelled())).await?;
    if let Some(api) = api {
        api.stop().await;
    }
    store.close().await;
    tracing::info!("the worker has stopped");
    Ok(Exit::Done)
}

fn serve_ops(listener: Listener, parts: Parts) -> http::Serving {
    if let Ok(address) = listener.address() {
        tracing::info!(%address, "serving metrics and health");
    }
    listener.serve(ops::router(parts))
}

/// Opens the database and checks its ledger. Logs what the worker works with.
async fn store(settings: &Settings) -> Result<Store> {
    let store = app::open::store_for_work(&settings.database).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database = store.label(),
        ledger = store.ledger_label().await?,
        catalog = settings.catalog,
        broker = settings.broker.label(),
        prefix = settings.broker.prefix(),
        "worker starting"
    );
    app::open::check_ledger(&store).await?;
    Ok(store)
}

/// Binds the address before anything else: of two workers with one address, the second must not start.
async fn listener(http: &http::Settings) -> Result<Option<Listener>> {
    let Some(address) = http.listen else { return Ok(None) };
    let listener = Listener::bind(address, &http.hosts).await.with_context(|| {
        format!(
            "cannot listen on `http.listen` {address}: set another address, port 0 for a free one, or an empty text"
        )
    })?;
    Ok(Some(listener))
}

/// Checks the role's rights: a missing one would otherwise show in the middle of a job.
async fn check_rights(context: &stages::Context) -> Result<()> {
    let rights = Rights::of(&context.catalogs.current());
    let (role, missing) = context.store.missing_rights(&rights).await?;
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "the role {role} lacks {}; as the owner of the tables, run what `handover catalog grants --role {role}` prints",
        missing.join("; ")
    )
}
