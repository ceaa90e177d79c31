//! `handover run`: the worker.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::{open, systemd};
use crate::catalog::Rights;
use crate::config::{Http, Settings};
use crate::http::ops::{Listener, Parts};
use crate::stages;
use crate::telemetry::otlp;
use crate::worker::{self, Role};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Stages to run; all of them where none is named. Mover and finalizer share the queue of steps: to run one of them
    /// is to run both.
    #[arg(long = "stage", value_enum, value_delimiter = ',')]
    stages: Vec<Role>,
}

/// How deep the stacks of a worker's threads are. A header table of a message may hold another, as deep as there is room in
/// a frame (128 KiB, five bytes a level), and who reads AMQP goes down as deep: with the usual two megabytes a message of a
/// few thousand bytes would end every worker that it is given to. Only what is used of a stack takes memory.
const STACK: &str = "1073741824";

/// Where Rust looks for that size, once, before the first thread begins.
const STACK_VARIABLE: &str = "RUST_MIN_STACK";

/// Begins the worker's process again with deep stacks, as the same process. Comes back where it has them, and where it
/// cannot have them.
pub fn with_deep_stacks() {
    if std::env::var_os(STACK_VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1)).env(STACK_VARIABLE, STACK);
    let error = again.exec();
    tracing::warn!(%error, "the worker has shallow stacks: a message with deeply nested headers can end it");
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    // Listened for from the beginning: a signal that comes while connecting ends the worker too.
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let told_twice = async {
        signals.next().await;
        stop.cancel();
        signals.next().await;
    };
    tokio::select! {
        ended = work(arguments, settings, stop.clone()) => ended,
        // As after a crash: what was not committed is undone, and what was not acknowledged comes again.
        () = told_twice => {
            tracing::warn!("told to stop a second time: what is not finished will be done again elsewhere");
            Ok(Exit::Failed)
        }
    }
}

async fn work(arguments: Arguments, settings: Settings, stop: CancellationToken) -> Result<Exit> {
    let export = otlp::start(&settings.telemetry.otlp)?;
    let ended = serve(arguments, settings, stop).await;
    if let Some(export) = export {
        export.finish().await;
    }
    ended
}

async fn serve(arguments: Arguments, settings: Settings, stop: CancellationToken) -> Result<Exit> {
    let listener = listener(settings.http).await?;
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store.clone()).await?;
    check_rights(&context).await?;
    let broker = open::broker(&settings, &store).await?;
    let roles = if arguments.stages.is_empty() { Role::ALL.to_vec() } else { arguments.stages };
    let parts = Parts { store: store.clone(), broker: broker.clone(), draining: stop.clone() };
    let _serving = listener.map(|listener| listener.serve(parts));
    worker::run(context, broker, &roles, settings.worker, systemd::until(stop.cancelled())).await?;
    store.close().await;
    tracing::info!("the worker has stopped");
    Ok(Exit::Done)
}

/// Taken before anything else: of two workers with one address the second must not begin to work.
async fn listener(http: Http) -> Result<Option<Listener>> {
    let Some(address) = http.listen else { return Ok(None) };
    let listener = Listener::bind(address).await.with_context(|| {
        format!(
            "`http.listen` {address} cannot be listened on: set another address, port 0 for any free one, or an empty text"
        )
    })?;
    Ok(Some(listener))
}

/// A right that is missing would only show in the midst of a job.
async fn check_rights(context: &stages::Context) -> Result<()> {
    let rights = Rights::of(&context.catalogs.current());
    let (role, missing) = context.store.missing_rights(&rights).await?;
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "the role {role} lacks {}; run, as the owner of the tables, what `handover catalog grants --role {role}` prints",
        missing.join("; ")
    )
}

/// What tells a worker to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
