//! A worker: the real binary in its own process.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The settings of a worker.
pub struct Setup<'s> {
    pub database: &'s str,
    pub broker: &'s str,
    pub prefix: &'s str,
    pub catalog: &'s str,
    pub extra: &'s [(&'s str, String)],
}

impl Setup<'_> {
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null());
        command.env("HANDOVER_DATABASE__URL", self.database).env("HANDOVER_BROKER__URL", self.broker);
        command.env("HANDOVER_BROKER__PREFIX", self.prefix).env("HANDOVER_CATALOG", self.catalog);
        command.env("HANDOVER_HTTP__LISTEN", "");
        command.env("HANDOVER_LOG__FORMAT", "json").env("HANDOVER_LOG__FILTER", "info");
        command.envs(self.extra.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<()> {
        let output = self.command(arguments).output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// Returns the binary in the folder of this one.
pub fn binary() -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name("handover")
}

/// A running worker. Dropping it stops it.
pub struct Worker {
    process: Child,
    /// The time from its start until it was ready.
    pub start_up: Duration,
}

impl Worker {
    /// Starts a worker and waits until it logs that it is ready.
    pub fn start(setup: &Setup<'_>) -> Result<Worker> {
        Worker::spawn(setup.command(&["run"]), "worker started")
    }

    /// Starts a worker that serves the HTTP API, too.
    pub fn start_serving(setup: &Setup<'_>) -> Result<Worker> {
        Worker::spawn(setup.command(&["run", "--serve"]), "worker started")
    }

    /// Starts a process and waits until its log has a line with this text.
    pub fn spawn(mut command: Command, ready: &str) -> Result<Worker> {
        let began = Instant::now();
        let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let stderr = process.stderr.take().context("its standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut log = Vec::new();
        loop {
            match lines.next().transpose()? {
                Some(line) if line.contains(ready) => break,
                Some(line) => log.push(line),
                None => bail!("the worker did not start: {}", log.join("\n")),
            }
        }
        let start_up = began.elapsed();
        let is_shown = std::env::var_os("HANDOVER_BENCH_LOG").is_some();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                if is_shown {
                    eprintln!("{line}")
                }
            })
        });
        Ok(Worker { process, start_up })
    }

    /// Returns its peak memory, in megabytes.
    pub fn peak_memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(PathBuf::from(format!("/proc/{}/status", self.process.id())))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM")).context("VmHWM")?;
        let kilobytes: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Stops it by its process id, and waits until it has ended.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.process.try_wait()?.is_none() {
            Command::new("kill").arg(self.process.id().to_string()).status()?;
            self.process.wait()?;
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("cannot stop a worker: {error}");
        }
    }
}
