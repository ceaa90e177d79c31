//! What became of each row: a file beside the one that was read, and a summary.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::{Ended, output};
use crate::contract::{JobId, Rejection, printable_lines};

/// What became of a row.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Where it stands in the file: the head is 1.
    pub row: u64,
    /// The user: the id where it is known, else what the row says.
    pub user: String,
    /// `ok`: it would be done; `skipped`: it does not ask for it; `sent_before`; `rejected`; `failed`; else the state that
    /// the row's job is in.
    pub outcome: String,
    /// Every reason why it was not done.
    pub reasons: Vec<Rejection>,
    /// The job, where there is one, or would be.
    pub job_id: Option<JobId>,
    /// Records that went to successors; of a row that is only judged: that would.
    pub records: Option<u64>,
}

impl Line {
    /// How bad it is.
    pub fn ended(&self) -> Ended {
        match self.outcome.as_str() {
            "rejected" => Ended::Rejected,
            "failed" | "needs_attention" | "paused" => Ended::Failed,
            _ => Ended::Done,
        }
    }
}

/// The report, written row by row.
pub struct Report {
    file: PathBuf,
    writer: csv::Writer<File>,
    sent: bool,
    json: bool,
    counts: BTreeMap<String, u64>,
    worst: Ended,
}

impl Report {
    /// Begins a report beside the file that is read. `sent`: whether rows are sent, and not only judged.
    pub fn beside(file: &Path, sent: bool, json: bool) -> Result<Report> {
        let mut name = file.as_os_str().to_owned();
        name.push(".report.csv");
        let file = PathBuf::from(name);
        let mut writer = csv::Writer::from_path(&file)
            .with_context(|| format!("the report {} cannot be written: nothing was sent", file.display()))?;
        let records = if sent { "records_moved" } else { "records_to_move" };
        writer.write_record(["row", "user", "outcome", "codes", "messages", "to_mend_it", "job_id", records])?;
        Ok(Report { file, writer, sent, json, counts: BTreeMap::new(), worst: Ended::Done })
    }

    /// Adds rows, and has them on the disk before the next are worked on.
    pub fn add(&mut self, lines: &[Line]) -> Result<()> {
        for line in lines {
            *self.counts.entry(line.outcome.clone()).or_default() += 1;
            self.worst = match (self.worst, line.ended()) {
                (Ended::Failed, _) | (_, Ended::Failed) => Ended::Failed,
                (Ended::Rejected, _) | (_, Ended::Rejected) => Ended::Rejected,
                _ => Ended::Done,
            };
            self.writer.write_record(cells(line).map(|cell| harmless(&cell)))?;
            match self.json {
                true => output::json_line(line)?,
                false => print(line)?,
            }
        }
        self.writer.flush().with_context(|| format!("the report {} cannot be written", self.file.display()))
    }

    /// Tells how it ended.
    pub fn end(self) -> Result<Ended> {
        if self.json {
            let file = self.file.display().to_string();
            output::json_line(&serde_json::json!({ "summary": self.counts, "report": file }))?;
            return Ok(self.worst);
        }
        let counts: Vec<String> = self.counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        output::line(format!("rows: {}", counts.join(", ")))?;
        output::line(format!("report: {}", self.file.display()))?;
        if !self.sent {
            output::line("nothing was sent: add --submit to send the rows that are ok")?;
        }
        Ok(self.worst)
    }
}

/// For people only what they have to look at.
fn print(line: &Line) -> Result<()> {
    if line.reasons.is_empty() {
        return Ok(());
    }
    output::line(format!("row {}, user {}: {}", line.row, line.user, line.outcome))?;
    output::reasons(&line.reasons)
}

fn cells(line: &Line) -> [String; 8] {
    let joined = |text: fn(&Rejection) -> &str| line.reasons.iter().map(text).collect::<Vec<&str>>().join("; ");
    [
        line.row.to_string(),
        line.user.clone(),
        line.outcome.clone(),
        joined(|reason| &reason.code),
        joined(|reason| &reason.message),
        joined(|reason| &reason.mend),
        line.job_id.map(|job| job.to_string()).unwrap_or_default(),
        line.records.map(|records| records.to_string()).unwrap_or_default(),
    ]
}

/// A cell that no spreadsheet takes for a formula, and no terminal for an order.
fn harmless(cell: &str) -> String {
    let spelled = printable_lines(cell);
    match spelled.starts_with(['=', '+', '-', '@', '\t', '\n']) {
        true => format!("'{spelled}"),
        false => spelled,
    }
}
