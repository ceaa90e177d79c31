//! `handover run`: the worker.

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Ended, open};
use crate::catalog::Rights;
use crate::config::Settings;
use crate::stages;
use crate::worker::{self, Role};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Stages to run; all of them where none is named. Mover and finalizer share the queue of steps: to run one of them
    /// is to run both.
    #[arg(long = "stage", value_enum, value_delimiter = ',')]
    stages: Vec<Role>,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Ended> {
    // Listened for from the beginning: a signal that comes while connecting ends the worker too.
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let told_twice = async {
        signals.next().await;
        stop.cancel();
        signals.next().await;
    };
    tokio::select! {
        ended = work(arguments, settings, stop.cancelled()) => ended,
        // As after a crash: what was not committed is undone, and what was not acknowledged comes again.
        () = told_twice => {
            tracing::warn!("told to stop a second time: what is not finished will be done again elsewhere");
            Ok(Ended::Failed)
        }
    }
}

async fn work(arguments: Arguments, settings: Settings, shutdown: impl Future<Output = ()>) -> Result<Ended> {
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store.clone()).await?;
    check_rights(&context).await?;
    let broker = open::broker(&settings, &store).await?;
    let roles = if arguments.stages.is_empty() { Role::ALL.to_vec() } else { arguments.stages };
    worker::run(context, broker, &roles, settings.worker, shutdown).await?;
    store.close().await;
    tracing::info!("the worker has stopped");
    Ok(Ended::Done)
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
