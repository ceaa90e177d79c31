//! A plain HTTP client for the endpoints of workers and Prometheus.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::World;
use super::process::{WorkerProcess, borrowed, settings};
use super::server::until;
use super::world::LIMIT;

/// Requests a path. Returns status and body, or nothing if no one answers.
pub fn get(address: &str, path: &str) -> Option<(u16, String)> {
    get_as(address, path, address)
}

/// Requests a path of a host that may have another name.
pub fn get_as(address: &str, path: &str, host: &str) -> Option<(u16, String)> {
    let mut line = TcpStream::connect(address).ok()?;
    line.set_read_timeout(Some(LIMIT)).ok()?;
    line.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(line, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").ok()?;
    let mut answer = String::new();
    line.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// A worker process with HTTP endpoints and a log file.
pub struct ObservedWorker {
    pub worker: WorkerProcess,
    pub address: String,
    log: PathBuf,
}

impl ObservedWorker {
    /// Starts a worker on a free port with more settings. It logs to a file in the folder.
    pub fn start(world: &World, folder: &Path, more: &[(&str, &str)]) -> ObservedWorker {
        let log = folder.join("worker.log");
        let file = std::fs::File::create(&log).expect("a log");
        let settings = settings(world);
        let environment = [borrowed(&settings), vec![("HANDOVER_HTTP__LISTEN", "127.0.0.1:0")], more.to_vec()].concat();
        let worker = WorkerProcess::start_with_log(&environment, file);
        let address = || Some(line_of(&log, "serving metrics and health")?["address"].as_str()?.to_owned());
        until("the worker says where it listens and that it runs", || {
            address().is_some() && line_of(&log, "worker started").is_some()
        });
        let address = address().expect("an address");
        ObservedWorker { worker, address, log }
    }

    /// Returns the answer to a path.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(&self.address, path).expect("an answer")
    }

    /// Returns the answer to a path as JSON.
    pub fn json(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.get(path);
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// Returns the value of a metric with its labels, as in a scrape: `handover_jobs{state="moving"}`.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (_, body) = self.get("/metrics");
        body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Returns the log so far.
    pub fn log(&self) -> Vec<Value> {
        lines(&self.log)
    }
}

/// Returns the lines of a log.
pub fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).expect("a log");
    // The last line may be incomplete.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns the first line of a log with a message.
pub fn line_of(log: &Path, message: &str) -> Option<Value> {
    lines(log).into_iter().find(|line| line["message"] == message)
}
