//! The lines of a live view.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use crate::app::jobs::Status;
use crate::app::overview::{Held, Overview};
use crate::broker::{Channel, Depth};
use crate::cli::output;
use crate::contract::{counted, grouped, printable};
use crate::job::State;
use crate::store::ledger::chunks::ChunkCounts;

/// The state that a view shows.
pub enum View {
    /// Nothing was read yet.
    Nothing,
    /// All open jobs.
    AllJobs(AllJobs),
    /// One job.
    OneJob(Box<OneJob>),
}

/// All open jobs.
pub struct AllJobs {
    /// The jobs.
    pub jobs: Overview,
    /// Records per second, by job.
    pub rates: BTreeMap<Uuid, f64>,
    /// The queues.
    pub queues: Queues,
}

/// One job.
pub struct OneJob {
    /// The job and its chunks.
    pub status: Status,
    /// Records per second.
    pub rate: Option<f64>,
    /// The chunks of each kind.
    pub kinds: Vec<(String, ChunkCounts)>,
    /// The queues.
    pub queues: Queues,
}

/// The queues and how they change.
pub struct Queues {
    /// The queues, or why they cannot be read.
    pub depths: Result<Vec<Depth>, String>,
    /// The change of each, in messages per second.
    pub rates: BTreeMap<Channel, f64>,
}

/// Returns the first lines: the database, the time, and a problem if there is one.
pub fn head(database: &str, problem: Option<&str>) -> Vec<String> {
    let time = OffsetDateTime::now_utc().format(format_description!("[hour]:[minute]:[second]")).unwrap_or_default();
    let head = format!("{time} UTC  {database}  (q ends the view)");
    [head].into_iter().chain(problem.map(|problem| format!("! {problem}"))).collect()
}

/// Returns the lines of a view, within this size.
pub fn lines(head: &[String], view: &View, columns: usize, lines: usize) -> Vec<String> {
    let room = lines.saturating_sub(head.len());
    let below = match view {
        View::Nothing => Vec::new(),
        View::AllJobs(all) => of_all(all, columns, room),
        View::OneJob(one) => of_one(one, columns),
    };
    let all = head.iter().chain(&below).take(lines);
    all.map(|line| output::cut(&printable(line), columns)).collect()
}

/// Returns the lines about all jobs. What needs a person comes first, and the jobs that work now take the rest of the room.
fn of_all(AllJobs { jobs, rates, queues }: &AllJobs, columns: usize, room: usize) -> Vec<String> {
    let total: f64 = rates.values().sum();
    let counts = jobs.open.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(state, count)| format!("{} {state}", grouped(*count))).collect();
    let counts = if counts.is_empty() { "none is open".to_owned() } else { counts.join(", ") };
    let mut lines = vec![format!("jobs    {counts}; {}", per_second(total)), of_queues(queues)];
    let attention = attention(&jobs.held, &jobs.open, queues);
    if !attention.is_empty() {
        lines.extend([String::new(), "needs attention".to_owned()]);
        // Half of the room: the jobs that work now must be seen as well.
        let fitting = (room / 2).saturating_sub(lines.len()).max(2);
        lines.extend(attention.into_iter().take(fitting));
    }
    if !jobs.working.is_empty() {
        lines.push(String::new());
        let rows: Vec<Vec<String>> = jobs.working.iter().map(|status| row(status, rates)).collect();
        let head = ["job", "user", "state", "done", "of", "per second", "left"];
        let table = output::table_lines(&head, &rows, &[false, true, false, false, false, false, false], columns);
        let rest = room.saturating_sub(lines.len());
        lines.extend(table.into_iter().take(rest));
    }
    lines
}

fn row(Status { job, chunks }: &Status, rates: &BTreeMap<Uuid, f64>) -> Vec<String> {
    let rate = rates.get(&job.id).copied();
    // More may be cut, so there is no total yet.
    let total = if job.state == State::Cutting { String::new() } else { grouped(chunks.records) };
    let left = if job.state == State::Cutting { None } else { left(*chunks, rate) };
    let rate = rate.map(|rate| grouped(rate.round() as u64)).unwrap_or_default();
    let state = job.state.name().to_owned();
    vec![job.id.to_string(), job.user_id.clone(), state, grouped(chunks.done), total, rate, left.unwrap_or_default()]
}

/// Returns the lines about what a person must do, each with its hint.
fn attention(held: &[Held], open: &[(State, u64)], queues: &Queues) -> Vec<String> {
    let mut lines = Vec::new();
    let depths = || queues.depths.iter().flatten();
    let idle = depths().filter(|depth| depth.channel != Channel::Dead && depth.consumers == Some(0));
    let idle: Vec<&str> = idle.map(|depth| depth.channel.name()).collect();
    if !idle.is_empty() {
        lines.push(format!("no worker takes from {}: run `handover run`", idle.join(" and ")));
    }
    for dead in depths().filter(|depth| depth.channel == Channel::Dead && depth.messages > 0) {
        let letters = counted(dead.messages, "dead letter");
        lines.push(format!("{letters}: `handover dead list` gives the reasons"));
    }
    for Held { status: Status { job, .. }, reasons } in held {
        let reason = reasons.first();
        let why = reason.map_or_else(String::new, |reason| format!("  {}: {}", reason.code, reason.message));
        lines.push(format!("{}  user {}  {}{why}", job.id, job.user_id, job.state));
        lines.extend(reason.map(|reason| format!("    to fix it: {}", reason.hint)));
    }
    let is_held = |state: State| state.is_held();
    let all: u64 = open.iter().filter(|(state, _)| is_held(*state)).map(|(_, count)| count).sum();
    if all > held.len() as u64 {
        lines.push(format!("{} more", counted(all - held.len() as u64, "job")));
    }
    lines
}

fn of_queues(Queues { depths, rates }: &Queues) -> String {
    let depth = |depth: &Depth| {
        let change = rates.get(&depth.channel).map(|rate| rate.round()).filter(|rate| *rate != 0.0);
        let change = change.map(|rate| format!(" ({rate:+}/s)")).unwrap_or_default();
        format!("{} {}{change}", depth.channel.name(), grouped(depth.messages))
    };
    match depths {
        Ok(depths) => format!("queues  {}", depths.iter().map(depth).collect::<Vec<_>>().join(", ")),
        Err(why) => format!("queues  not available: {why}"),
    }
}

fn of_one(OneJob { status, rate, kinds, queues }: &OneJob, columns: usize) -> Vec<String> {
    let Status { job, chunks } = status;
    let mut lines = vec![
        format!("job     {}  {} of user {}", job.id, job.kind, job.user_id),
        format!("state   {}", job.state),
        of_queues(queues),
        String::new(),
        progress(job.state, *chunks, *rate),
    ];
    if !kinds.is_empty() {
        let row = |(kind, chunks): &(String, ChunkCounts)| {
            let counts = [chunks.records, chunks.done, chunks.closed, chunks.open, chunks.failed];
            [kind.clone()].into_iter().chain(counts.map(|count| count.to_string())).collect()
        };
        let rows: Vec<Vec<String>> = kinds.iter().map(row).collect();
        lines.push(String::new());
        let head = ["chunks of", "records", "done", "closed", "open", "failed"];
        lines.extend(output::table_lines(&head, &rows, &[true, false, false, false, false, false], columns));
    }
    lines
}

fn progress(state: State, chunks: ChunkCounts, rate: Option<f64>) -> String {
    let speed = per_second(rate.unwrap_or_default());
    if state == State::Cutting || chunks.records == 0 {
        return format!("{} done; {speed}", counted(chunks.done, "record"));
    }
    let percent = chunks.done.saturating_mul(100) / chunks.records;
    let bar = "#".repeat((percent / 5) as usize);
    let left = left(chunks, rate).map(|left| format!(", {left} left")).unwrap_or_default();
    let (done, records) = (grouped(chunks.done), counted(chunks.records, "record"));
    format!("[{bar:20}] {percent} %: {done} of {records}, {speed}{left}")
}

fn per_second(rate: f64) -> String {
    format!("{} per second", counted(rate.max(0.0).round() as u64, "record"))
}

/// Returns the time that is left at this rate.
fn left(chunks: ChunkCounts, rate: Option<f64>) -> Option<String> {
    let rest = chunks.records.saturating_sub(chunks.done + chunks.changed);
    let seconds = rest as f64 / rate.filter(|rate| *rate >= 1.0)?;
    Some(humantime::format_duration(Duration::from_secs(seconds.ceil() as u64)).to_string())
}
