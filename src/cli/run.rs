//! `handover run`: the worker.

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Ended, open};
use crate::config::Settings;
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
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store.clone()).await?;
    let broker = open::broker(&settings, &store).await?;
    let roles = if arguments.stages.is_empty() { Role::ALL.to_vec() } else { arguments.stages };
    worker::run(context, broker, &roles, settings.worker, shutdown).await?;
    store.close().await;
    tracing::info!("the worker has stopped");
    Ok(Ended::Done)
}
