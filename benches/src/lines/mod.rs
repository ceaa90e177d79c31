//! The lines of the table, a file a subject.

mod beside;
mod big;
mod embedded;
mod estimate;
mod gentle;
mod locked;
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
    /// A million contacts of one leaver, beside one bare UPDATE and hand-written chunks.
    Big,
    /// 5,000 small leavers over RabbitMQ, beside pgbench.
    Small,
    /// One small leaver on an idle system.
    Idle,
    /// From a hundred thousand records to ten million.
    Growth,
    /// How long rows are locked during a big move.
    Locked,
    /// What a foreground load notices of a big move.
    Gentle,
    /// How long small jobs wait beside a giant, and without it.
    Beside,
    /// A preview's estimates beside what jobs take.
    Estimate,
    /// A hundred thousand contacts in SQLite.
    Embedded,
    /// Two workers beside one.
    Workers,
    /// How soon a worker is ready.
    Start,
}

impl Line {
    pub fn title(self) -> &'static str {
        match self {
            Line::Big => "big moves",
            Line::Small => "small jobs: 5,000 leavers",
            Line::Idle => "one small job on an idle system",
            Line::Growth => "growth",
            Line::Locked => "rows locked",
            Line::Gentle => "gentle: a foreground load beside a big move",
            Line::Beside => "small jobs beside a giant",
            Line::Estimate => "estimates",
            Line::Embedded => "embedded",
            Line::Workers => "two workers",
            Line::Start => "start-up",
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
        Line::Big => big::dense_and_sparse(server, scale, report).await,
        Line::Small => small::many(server, scale, report).await,
        Line::Idle => small::idle(server, scale, report).await,
        Line::Growth => big::growth(server, scale, report).await,
        Line::Locked => locked::during_a_big_move(server, scale, report).await,
        Line::Gentle => gentle::foreground(server, scale, report).await,
        Line::Beside => beside::a_giant(server, scale, report).await,
        Line::Estimate => estimate::of_ten_jobs(server, scale, report).await,
        Line::Embedded => embedded::sqlite(scale, report).await,
        Line::Workers => big::two_workers(server, scale, report).await,
        Line::Start => embedded::start_up(server, scale, report).await,
    }
}
