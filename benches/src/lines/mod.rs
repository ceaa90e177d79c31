//! The lines of the table, a file a subject.

mod small;

use anyhow::Result;
use clap::ValueEnum;

use crate::report::Report;
use crate::server::Server;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub rounds: usize,
    pub divide: u64,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Line {
    /// 5,000 small leavers over RabbitMQ, beside pgbench.
    Small,
    /// One small leaver on an idle system.
    Idle,
}

impl Line {
    pub fn title(self) -> &'static str {
        match self {
            Line::Small => "small jobs: 5,000 leavers",
            Line::Idle => "one small job on an idle system",
        }
    }
}

pub fn chosen(named: &[Line]) -> Vec<Line> {
    match named.is_empty() {
        true => Line::value_variants().to_vec(),
        false => named.to_vec(),
    }
}

pub async fn run(line: Line, server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    match line {
        Line::Small => small::many(server, scale, report).await,
        Line::Idle => small::idle(server, scale, report).await,
    }
}
