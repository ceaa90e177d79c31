//! What Handover takes, beside the SQL that a DBA would type: `make bench`.
//!
//! A benchmark, not a test. Every comparison is interleaved: a round runs each contestant once, each on a fresh copy of the
//! same database, behind a checkpoint; ratios are formed pair by pair, within a round. The servers are those of
//! `deploy/services`, with durability on. The table goes to standard output and, with a plot, to `target/bench/`.

mod data;
mod lines;
mod measure;
mod report;
mod server;
mod traffic;
mod watch;
mod worker;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::report::Report;
use crate::server::Server;

/// Measures Handover beside bare SQL, on the servers of `deploy/services`.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which lines; all of them if none is named.
    #[arg(value_enum)]
    lines: Vec<lines::Line>,
    /// How often each comparison is run.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How much smaller than the goals' sizes: 10 makes 100,000 records of a million.
    #[arg(long, default_value_t = 1)]
    divide: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.rounds > 0 && arguments.divide > 0, "--rounds and --divide are at least 1");
    let server = Server::of_environment().await?;
    server.insist_on_durability().await?;
    let mut report = Report::new(server.describe().await?, arguments.rounds);
    for line in lines::chosen(&arguments.lines) {
        eprintln!("{}", line.title());
        lines::run(line, &server, &arguments.scale(), &mut report).await.with_context(|| line.title().to_owned())?;
    }
    report.write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench"))
}

impl Arguments {
    fn scale(&self) -> lines::Scale {
        lines::Scale { rounds: self.rounds, divide: self.divide }
    }
}
