//! The peer: a Celery worker of our own, as a good team would write it. `benches/peer` has its code.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::server::Database;
use crate::worker::Worker;

const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/clients");

/// An installed Celery worker.
pub struct Peer {
    folder: PathBuf,
}

impl Peer {
    /// Installs the worker into a folder of its own. Returns nothing, with a message, where Python is missing.
    pub fn install() -> Result<Option<Peer>> {
        let output = Command::new(INSTALL).arg("peer").stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            eprintln!("  the Celery worker is skipped: {}", reason.trim());
            return Ok(None);
        }
        let clients = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Ok(Some(Peer { folder: clients.join("peer") }))
    }

    /// Starts the worker with this many processes, and waits until it consumes.
    pub fn start(
        &self,
        database: &Database,
        amqp: &str,
        prefix: &str,
        has_follows: bool,
        processes: u64,
    ) -> Result<Worker> {
        let mut command = Command::new(self.folder.join("venv/bin/celery"));
        command.args(["--app=worker", "worker", "--pool=prefork", "-Ofair", "--loglevel=WARNING"]);
        command.args(["--without-gossip", "--without-mingle", "--without-heartbeat"]);
        command.arg(format!("--concurrency={processes}")).arg(format!("--hostname={prefix}@localhost"));
        command.env("PEER_DATABASE", &database.url).env("PEER_BROKER", amqp).env("PEER_PREFIX", prefix);
        command.env("PEER_FOLLOWS", if has_follows { "1" } else { "0" });
        command.current_dir(&self.folder).stdin(Stdio::null());
        Worker::spawn(command, "peer is ready")
    }
}
