//! Prints the changes of all open jobs, line by line.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use uuid::Uuid;

use crate::app::jobs::{self, Status};
use crate::app::overview;
use crate::cli::exit::Exit;
use crate::cli::follow;
use crate::cli::signals::Signals;
use crate::store::Store;

/// The polling interval.
const POLL: Duration = Duration::from_millis(500);

/// Jobs of each group that are followed at a time, at most.
const MOST: u64 = 1000;

/// Prints each open job and each change of one, until a signal or the deadline.
pub async fn print_changes(store: &Store, deadline: Option<Instant>, json: bool) -> Result<Exit> {
    let mut signals = Signals::listen()?;
    let mut printed: BTreeMap<Uuid, String> = BTreeMap::new();
    loop {
        print_open(store, &mut printed, json).await?;
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = signals.next() => return Ok(Exit::Done),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Prints what changed since the last call: open jobs, and jobs that are open no more.
async fn print_open(store: &Store, printed: &mut BTreeMap<Uuid, String>, json: bool) -> Result<()> {
    let open = overview::read(store, MOST).await?;
    let held = open.held.into_iter().map(|held| held.status);
    let open: Vec<Status> = open.working.into_iter().chain(held).collect();
    let mut before = std::mem::take(printed);
    for status in open {
        let line = follow::describe(&status, json);
        if before.remove(&status.job.id).as_ref() != Some(&line) {
            follow::print_status(&line)?;
        }
        printed.insert(status.job.id, line);
    }
    for ended in before.into_keys() {
        if let Some(status) = jobs::status(store, ended).await? {
            follow::print_status(&follow::describe(&status, json))?;
        }
    }
    Ok(())
}
