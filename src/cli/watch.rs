//! `handover watch`: follows one job to its end, or all open jobs and queues. A terminal shows one view that is redrawn in place;
//! elsewhere there is a line for each change.

mod all_jobs;
mod frame;
mod live;
mod rates;
mod screen;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use uuid::Uuid;

use self::live::{Ended, Live};
use self::screen::Screen;
use super::exit::Exit;
use super::follow::Follower;
use super::{job_id, open};
use crate::app::jobs;
use crate::broker::{self, Broker, BrokerError};
use crate::config::Settings;
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The job to follow to its end. Without a job: all open jobs and the queues, until you press q or Ctrl-C.
    #[arg(value_parser = job_id::parse)]
    id: Option<Uuid>,
    /// Stop watching after this time: `30s`, `10m`. The jobs go on. Exit code 1 if a job was to be followed.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Print as JSON, one line per change.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let Arguments { id, timeout, json } = arguments;
    let store = open::ledger(&settings).await?;
    if let Some(id) = id
        && jobs::find(&store, id).await?.is_none()
    {
        bail!("there is no job {id} (yet): `handover jobs` lists all jobs");
    }
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let broker = broker(&settings, &store).await;
    let exit = match Screen::is_possible() && !json {
        true => live(&store, &broker, id, deadline).await,
        false => plain(&store, &broker, id, deadline, json).await,
    };
    if let Ok(broker) = broker {
        broker.close().await;
    }
    exit
}

/// Opens the broker. Jobs can be watched while it is away; the view says why there are no queues.
async fn broker(settings: &Settings, store: &Store) -> std::result::Result<Arc<dyn Broker>, BrokerError> {
    let opened = broker::open(&settings.broker, store).await;
    opened.inspect_err(|error| tracing::warn!(%error, "the queues cannot be shown"))
}

type Opened = std::result::Result<Arc<dyn Broker>, BrokerError>;

async fn plain(
    store: &Store,
    broker: &Opened,
    id: Option<Uuid>,
    deadline: Option<Instant>,
    json: bool,
) -> Result<Exit> {
    let broker = broker.as_ref().ok().map(AsRef::as_ref);
    let follower = Follower { store, broker, json, deadline };
    match id {
        Some(id) => follower.known_job(id).await,
        None => all_jobs::print_changes(store, deadline, json).await,
    }
}

async fn live(store: &Store, broker: &Opened, id: Option<Uuid>, deadline: Option<Instant>) -> Result<Exit> {
    // The view restores the terminal before the job is printed.
    let ended = Live::new(store, broker, id).run(deadline).await?;
    match ended {
        Ended::Job(job) => {
            let follower = Follower { store, broker: None, json: false, deadline };
            follower.print_end(&job).await
        }
        Ended::Quit => Ok(Exit::Done),
        Ended::TimedOut => Ok(if id.is_some() { Exit::Failed } else { Exit::Done }),
    }
}
