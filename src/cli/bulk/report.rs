//! What became of each row: a file beside the one that was read, and a summary.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::reason::RowReason;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::contract::{JobId, Reason, printable};

/// What became of a row.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Where it stands in the file: the head is 1.
    pub row: u64,
    /// The user: the id where it is known, else what the row says.
    pub user: String,
    /// `ok`: it would be done; `skipped`: it does not ask for it; `sent_before`; `rejected`; `failed`; else the state that
    /// the row's job is in. In the report of a run that was cut off: `sending`, it may have been sent; `sent`, it was, and
    /// what became of it is not known here.
    pub outcome: String,
    /// Every reason why it was not done.
    pub reasons: Vec<RowReason>,
    /// The job, where there is one, or would be.
    pub job_id: Option<JobId>,
    /// Records that went to successors; of a row that is only judged: that would.
    pub records: Option<u64>,
}

impl Line {
    /// How bad it is.
    pub fn ended(&self) -> Exit {
        match self.outcome.as_str() {
            "rejected" => Exit::Rejected,
            "failed" | "needs_attention" | "paused" => Exit::Failed,
            _ => Exit::Done,
        }
    }
}

/// The report, written row by row.
pub struct Report {
    file: PathBuf,
    writer: csv::Writer<File>,
    /// Where what is only noted begins, if anything is.
    notes_begin: Option<u64>,
    sent: bool,
    json: bool,
    counts: BTreeMap<String, u64>,
    worst: Exit,
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
        writer.write_record(["row", "user", "outcome", "codes", "messages", "to_fix_it", "job_id", records])?;
        writer.flush()?;
        Ok(Report { file, writer, notes_begin: None, sent, json, counts: BTreeMap::new(), worst: Exit::Done })
    }

    /// Notes how rows stand that are under way, for whoever finds the report of a run that was cut off. What is noted or
    /// added next takes the place of it.
    pub fn note(&mut self, lines: &[Line]) -> Result<()> {
        self.forget_notes()?;
        self.notes_begin = Some(self.writer.get_ref().stream_position().with_context(|| self.unwritable())?);
        self.write(lines)
    }

    fn forget_notes(&mut self) -> Result<()> {
        let Some(begin) = self.notes_begin.take() else { return Ok(()) };
        let mut file = self.writer.get_ref();
        let forgotten = file.set_len(begin).and_then(|()| file.seek(SeekFrom::Start(begin)));
        forgotten.map(drop).with_context(|| self.unwritable())
    }

    fn write(&mut self, lines: &[Line]) -> Result<()> {
        for line in lines {
            self.writer.write_record(cells(line).map(|cell| harmless(&cell)))?;
        }
        self.writer.flush().with_context(|| self.unwritable())
    }

    fn unwritable(&self) -> String {
        format!("the report {} cannot be written", self.file.display())
    }

    /// Adds rows, and has them on the disk before the next are worked on.
    pub fn add(&mut self, lines: &[Line]) -> Result<()> {
        self.forget_notes()?;
        self.write(lines)?;
        for line in lines {
            *self.counts.entry(line.outcome.clone()).or_default() += 1;
            self.worst = match (self.worst, line.ended()) {
                (Exit::Failed, _) | (_, Exit::Failed) => Exit::Failed,
                (Exit::Rejected, _) | (_, Exit::Rejected) => Exit::Rejected,
                _ => Exit::Done,
            };
            match self.json {
                true => output::json_line(line)?,
                false => print(line)?,
            }
        }
        Ok(())
    }

    /// Tells how it ended.
    pub fn end(self) -> Result<Exit> {
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
    output::line(format!("row {}, user {}: {}", line.row, printable(&line.user), line.outcome))?;
    let told = |reason: &RowReason| Reason { message: printable(&reason.message), ..reason.clone() };
    output::reasons(&line.reasons.iter().map(told).collect::<Vec<_>>())
}

fn cells(line: &Line) -> [String; 8] {
    let joined = |text: fn(&RowReason) -> &str| line.reasons.iter().map(text).collect::<Vec<&str>>().join("; ");
    [
        line.row.to_string(),
        line.user.clone(),
        line.outcome.clone(),
        joined(|reason| reason.code.name()),
        joined(|reason| &reason.message),
        joined(|reason| &reason.hint),
        line.job_id.map(|job| job.to_string()).unwrap_or_default(),
        line.records.map(|records| records.to_string()).unwrap_or_default(),
    ]
}

/// A cell that no spreadsheet takes for a formula, and no terminal for an order.
fn harmless(cell: &str) -> String {
    let spelled = printable(cell);
    // The wide forms are taken for the others where Chinese or Japanese is written.
    let begins = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    match spelled.starts_with(begins) {
        true => format!("'{spelled}"),
        false => spelled,
    }
}
