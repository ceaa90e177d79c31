//! Benchmarks Handover against the SQL that a DBA would write: `make bench`.
//!
//! Every comparison is interleaved: a round runs each contestant once, each on a fresh copy of the same database, after a
//! checkpoint. Ratios are computed within a round. The servers are those of `deploy/services`, with durability on. The table is
//! printed and, with a plot, written to `target/bench/`.

mod api;
mod crm;
mod data;
mod echo;
mod lines;
mod measure;
mod peer;
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

/// Benchmarks Handover against plain SQL, on the servers of `deploy/services`.
#[derive(Debug, Parser)]
struct Arguments {
    /// The lines to run; all by default.
    #[arg(value_enum)]
    lines: Vec<lines::Line>,
    /// The number of rounds of each comparison.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Divides the sizes: 10 makes 100,000 records of a million.
    #[arg(long, default_value_t = 1)]
    divide: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.rounds > 0 && arguments.divide > 0, "--rounds and --divide must be at least 1");
    let server = Server::from_environment().await?;
    server.require_durability().await?;
    let mut report = Report::new(server.describe().await?, arguments.rounds);
    for line in lines::selected(&arguments.lines) {
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
