//! A worker: the real binary, as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How a worker is set up.
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

/// The binary that was built beside this one.
fn binary() -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name("handover")
}

/// A worker that runs; ended when it goes out of scope.
pub struct Worker {
    process: Child,
    /// From its start until it took work.
    pub start_up: Duration,
}

impl Worker {
    /// Starts a worker and waits until it says that it runs.
    pub fn start(setup: &Setup<'_>) -> Result<Worker> {
        let began = Instant::now();
        let mut process = setup.command(&["run"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let stderr = process.stderr.take().context("its standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        loop {
            match lines.next().transpose()? {
                Some(line) if line.contains("worker started") => break,
                Some(line) => said.push(line),
                None => bail!("the worker did not start: {}", said.join("\n")),
            }
        }
        let start_up = began.elapsed();
        let shows = std::env::var_os("HANDOVER_BENCH_LOG").is_some();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                if shows {
                    eprintln!("{line}")
                }
            })
        });
        Ok(Worker { process, start_up })
    }

    /// The most memory that it has held, in megabytes.
    pub fn peak_memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(PathBuf::from(format!("/proc/{}/status", self.process.id())))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM")).context("VmHWM")?;
        let kilobytes: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Tells it to stop, by its id, and waits until it has.
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
            eprintln!("a worker could not be stopped: {error}");
        }
    }
}
