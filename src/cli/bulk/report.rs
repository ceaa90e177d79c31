//! The report of a bulk run: a file next to the one that was read, and a summary.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::app::bulk::{RowOutcome, RowReason, RowResult};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::contract::{Reason, printable};
use crate::job::State;

/// The report, written row by row.
pub struct Report {
    file: PathBuf,
    writer: csv::Writer<File>,
    /// The position of the notes, if there are any.
    notes_begin: Option<u64>,
    sent: bool,
    json: bool,
    counts: BTreeMap<&'static str, u64>,
    worst: Exit,
}

impl Report {
    /// Creates the report next to the file that is read. `sent`: true if rows are sent, not only evaluated.
    pub fn create(file: &Path, sent: bool, json: bool) -> Result<Report> {
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

    /// Notes the state of rows that are being processed, in case the run is cut off. The next note or addition replaces it.
    pub fn note(&mut self, lines: &[RowResult]) -> Result<()> {
        self.remove_notes()?;
        self.notes_begin = Some(self.writer.get_ref().stream_position().with_context(|| self.unwritable())?);
        self.write(lines)
    }

    fn remove_notes(&mut self) -> Result<()> {
        let Some(begin) = self.notes_begin.take() else { return Ok(()) };
        let mut file = self.writer.get_ref();
        let removed = file.set_len(begin).and_then(|()| file.seek(SeekFrom::Start(begin)));
        removed.map(drop).with_context(|| self.unwritable())
    }

    fn write(&mut self, lines: &[RowResult]) -> Result<()> {
        for line in lines {
            self.writer.write_record(cells(line).map(|cell| harmless(&cell)))?;
        }
        self.writer.flush().with_context(|| self.unwritable())
    }

    fn unwritable(&self) -> String {
        format!("the report {} cannot be written", self.file.display())
    }

    /// Adds the final results of rows, and writes them to disk.
    pub fn add(&mut self, lines: &[RowResult]) -> Result<()> {
        self.remove_notes()?;
        self.write(lines)?;
        for line in lines {
            *self.counts.entry(line.outcome.name()).or_default() += 1;
            self.worst = self.worst.max(exit(line.outcome));
            match self.json {
                true => output::json_line(line)?,
                false => print(line)?,
            }
        }
        Ok(())
    }

    /// Prints the summary.
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

fn exit(outcome: RowOutcome) -> Exit {
    match outcome {
        RowOutcome::Rejected => Exit::Rejected,
        RowOutcome::Failed => Exit::Failed,
        // Undone while its job was followed.
        RowOutcome::Job(State::Reverting | State::Reverted | State::Cancelled) => Exit::Rejected,
        RowOutcome::Job(state) => Exit::of_state(state),
        RowOutcome::Ok | RowOutcome::Skipped | RowOutcome::SentBefore | RowOutcome::Sending | RowOutcome::Sent => {
            Exit::Done
        }
    }
}

/// Prints a row for people, if it needs their attention.
fn print(line: &RowResult) -> Result<()> {
    if line.reasons.is_empty() {
        return Ok(());
    }
    output::line(format!("row {}, user {}: {}", line.row, printable(&line.user), line.outcome.name()))?;
    let spelled = |reason: &RowReason| Reason { message: printable(&reason.message), ..reason.clone() };
    output::reasons(&line.reasons.iter().map(spelled).collect::<Vec<_>>())
}

fn cells(line: &RowResult) -> [String; 8] {
    let joined = |text: fn(&RowReason) -> &str| line.reasons.iter().map(text).collect::<Vec<&str>>().join("; ");
    let messages = line.note.clone().unwrap_or_else(|| joined(|reason| &reason.message));
    [
        line.row.to_string(),
        line.user.clone(),
        line.outcome.name().to_owned(),
        joined(|reason| reason.code.name()),
        messages,
        joined(|reason| &reason.hint),
        line.job_id.map(|job| job.to_string()).unwrap_or_default(),
        line.records.map(|records| records.to_string()).unwrap_or_default(),
    ]
}

/// Makes a cell harmless: no spreadsheet reads it as a formula, and no terminal as a control sequence.
fn harmless(cell: &str) -> String {
    let spelled = printable(cell);
    // Chinese and Japanese spreadsheets also accept the full-width forms.
    let begins = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    match spelled.starts_with(begins) {
        true => format!("'{spelled}"),
        false => spelled,
    }
}
