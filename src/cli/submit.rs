//! `handover submit`: sends requests to the queue.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::exit::Exit;
use super::{open, output, watch};
use crate::app::submit;
use crate::broker::Broker;
use crate::config::Settings;
use crate::contract::{Request, read_request};
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Arguments {
    /// A file with one request, or one per line; `-` is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Follow the jobs to their end. Exit code 3 if one is rejected, 1 if one needs attention.
    #[arg(long)]
    wait: bool,
    /// Print the job ids as JSON, one per line.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let requests = read_requests(&arguments.file)?;
    let store = open::ledger(&settings).await?;
    let broker = open::broker(&settings, &store).await?;
    send(&store, broker.as_ref(), &requests, arguments.wait, arguments.json).await
}

/// Sends requests, prints the ids of their jobs, and follows the jobs to their end if `wait` is true.
pub async fn send(store: &Store, broker: &dyn Broker, requests: &[Request], wait: bool, json: bool) -> Result<Exit> {
    for (request, result) in requests.iter().zip(submit::publish(broker, requests).await) {
        let request_id = request.header().request_id;
        result.with_context(|| format!("the request {request_id} could not be sent"))?;
        let job = request.job_id();
        match json {
            true => output::json_line(&serde_json::json!({ "request_id": request_id, "job_id": job }))?,
            false => output::line(job.to_string())?,
        }
    }
    broker.close().await;
    match wait {
        true => watch::wait_for_requests(store, requests, json).await,
        false => Ok(Exit::Done),
    }
}

/// Reads the requests of a file: one JSON value over any number of lines, or one per line. One faulty request fails the
/// whole file.
pub fn read_requests(file: &Path) -> Result<Vec<Request>> {
    let text = read_file(file)?;
    let is_one_value = serde_json::from_str::<serde_json::Value>(&text).is_ok();
    let pieces: Vec<(usize, &str)> = match is_one_value {
        true => vec![(1, text.as_str())],
        false => text.lines().enumerate().map(|(index, line)| (index + 1, line)).collect(),
    };
    let pieces: Vec<_> = pieces.into_iter().filter(|(_, piece)| !piece.trim().is_empty()).collect();
    if pieces.is_empty() {
        bail!("{} holds no request", file.display());
    }
    let read = |(line, piece): &(usize, &str)| {
        read_request(piece.as_bytes()).with_context(|| format!("{}, line {line}: nothing was sent", file.display()))
    };
    pieces.iter().map(read).collect()
}

/// Reads a file's text; `-` is standard input.
pub fn read_file(file: &Path) -> Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}
