//! The lines of the table, one file for each subject.

mod big;
mod contention;
mod crm;
mod embedded;
mod estimate;
mod gentle;
mod http;
mod locked;
mod small;

use anyhow::Result;
use clap::ValueEnum;

use crate::report::Report;
use crate::server::Server;

/// The size of the benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub rounds: usize,
    pub divide: u64,
}

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Line {
    /// A million contacts of one leaver, against a plain UPDATE and hand-written chunks.
    Big,
    /// 5,000 small leavers over RabbitMQ, against pgbench.
    Small,
    /// One small leaver on an idle system.
    Idle,
    /// From a hundred thousand records to ten million.
    Growth,
    /// The time that rows are locked during a big move.
    Locked,
    /// The effect of a big move on a foreground load.
    Gentle,
    /// The time that small jobs wait while a giant runs, and without it.
    Contention,
    /// 5,000 small leavers over HTTP, against RabbitMQ.
    HttpJobs,
    /// Previews and lock-outs over HTTP, idle and during a move of ten million records.
    HttpLatency,
    /// The memory of a server with a thousand readers, and the size of the binary.
    HttpReaders,
    /// A preview's estimates against the actual times.
    Estimate,
    /// A hundred thousand contacts in SQLite.
    Embedded,
    /// Two workers against one.
    Workers,
    /// The start-up time of a worker.
    Start,
    /// A big leaver of the second host, against hand-written chunks and a Celery worker.
    CrmBig,
    /// A team whose members follow each other, against pgbench and a Celery worker.
    CrmTeam,
    /// One job of the second host on an idle system, against its floor and a Celery worker.
    CrmIdle,
}

impl Line {
    pub fn title(self) -> &'static str {
        match self {
            Line::Big => "big moves",
            Line::Small => "small jobs: 5,000 leavers",
            Line::Idle => "one small job on an idle system",
            Line::Growth => "growth",
            Line::Locked => "rows locked",
            Line::Gentle => "gentle: a foreground load during a big move",
            Line::Contention => "small jobs while a giant runs",
            Line::HttpJobs => "HTTP: small jobs",
            Line::HttpLatency => "HTTP: previews and lock-outs",
            Line::HttpReaders => "HTTP: readers of events",
            Line::Estimate => "estimates",
            Line::Embedded => "embedded",
            Line::Workers => "two workers",
            Line::Start => "start-up",
            Line::CrmBig => "second host: one big leaver",
            Line::CrmTeam => "second host: a team that leaves",
            Line::CrmIdle => "second host: one job on an idle system",
        }
    }
}

pub fn selected(named: &[Line]) -> Vec<Line> {
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
        Line::Contention => contention::small_jobs(server, scale, report).await,
        Line::HttpJobs => http::small_jobs(server, scale, report).await,
        Line::HttpLatency => http::latency(server, scale, report).await,
        Line::HttpReaders => http::memory(server, scale, report).await,
        Line::Estimate => estimate::of_ten_jobs(server, scale, report).await,
        Line::Embedded => embedded::sqlite(scale, report).await,
        Line::Workers => big::two_workers(server, scale, report).await,
        Line::Start => embedded::start_up(server, scale, report).await,
        Line::CrmBig => crm::big(server, scale, report).await,
        Line::CrmTeam => crm::team(server, scale, report).await,
        Line::CrmIdle => crm::idle(server, scale, report).await,
    }
}
