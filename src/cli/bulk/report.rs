//! The report of a bulk run: a file with a line per row, and a summary.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

use super::progress;
use super::report_line;
use crate::app::bulk::report::{MARK_OF_UTF_8, ReportLine, head};
use crate::app::bulk::table::Table;
use crate::app::bulk::{RowOutcome, RowResult};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::job::State;

/// The content and the destination of a report.
pub struct Plan<'p> {
    /// The file that is read.
    pub input: &'p Path,
    /// The table in it.
    pub table: &'p Table,
    /// The number of its rows.
    pub rows: usize,
    /// The file of the report; if there is none, a file next to the one that is read.
    pub file: Option<PathBuf>,
    /// The separator of its columns.
    pub separator: u8,
    /// True if rows are sent, not only evaluated.
    pub submits: bool,
    /// True if JSON is printed.
    pub json: bool,
}

/// The report, written row by row.
pub struct Report<'p> {
    plan: Plan<'p>,
    file: PathBuf,
    writer: csv::Writer<File>,
    /// The notes at the end of the file, if there are any.
    notes: Option<Notes>,
    counts: BTreeMap<&'static str, u64>,
    starts: Starts,
    worst: Exit,
    bar: ProgressBar,
}

/// The rows that are being processed.
#[derive(Debug, Clone, Copy)]
struct Notes {
    /// Their position in the file.
    begin: u64,
    /// The rows that were sent.
    sent: usize,
    /// The rows that are being sent.
    sending: usize,
}

/// The number of rows by their start.
#[derive(Debug, Default)]
struct Starts {
    rows: BTreeMap<String, u64>,
    others: u64,
}

/// The most times that a summary lists.
const LISTED_STARTS: usize = 5;

impl Report<'_> {
    /// Creates the file.
    pub fn create(plan: Plan<'_>) -> Result<Report<'_>> {
        let file = plan.file.clone().unwrap_or_else(|| next_to(plan.input));
        let is_input = |file: &Path| Some(file.canonicalize().ok()? == plan.input.canonicalize().ok()?);
        if is_input(&file) == Some(true) {
            bail!("the report would overwrite {}: name another file with --report", plan.input.display());
        }
        let unwritable =
            || format!("the report {} cannot be written: nothing was sent; name a file with --report", file.display());
        let mut content = File::create(&file).with_context(unwritable)?;
        content.write_all(MARK_OF_UTF_8).with_context(unwritable)?;
        let mut writer = csv::WriterBuilder::new().delimiter(plan.separator).from_writer(content);
        writer.write_record(head(plan.submits))?;
        writer.flush().with_context(unwritable)?;
        let bar = progress::bar(plan.rows, if plan.submits { "sending" } else { "evaluating" });
        let (counts, starts, worst) = (BTreeMap::new(), Starts::default(), Exit::Done);
        Ok(Report { plan, file, writer, notes: None, counts, starts, worst, bar })
    }

    /// Notes the state of rows that are being processed, in case the run is cut off. The next note or addition replaces it.
    pub fn note(&mut self, rows: &[RowResult]) -> Result<()> {
        self.remove_notes()?;
        let begin = self.writer.get_ref().stream_position().with_context(|| self.unwritable())?;
        let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
        self.notes = Some(Notes { begin, sent: count(RowOutcome::Sent), sending: count(RowOutcome::Sending) });
        self.write(rows)
    }

    fn remove_notes(&mut self) -> Result<()> {
        let Some(Notes { begin, .. }) = self.notes.take() else { return Ok(()) };
        let mut file = self.writer.get_ref();
        let removed = file.set_len(begin).and_then(|()| file.seek(SeekFrom::Start(begin)));
        removed.map(drop).with_context(|| self.unwritable())
    }

    fn write(&mut self, rows: &[RowResult]) -> Result<()> {
        for row in rows {
            let cells = line(&self.plan, row).cells();
            self.writer.write_record(cells)?;
        }
        self.writer.flush().with_context(|| self.unwritable())
    }

    fn unwritable(&self) -> String {
        format!("the report {} cannot be written", self.file.display())
    }

    /// Adds the final results of rows, and writes them to disk.
    pub fn add(&mut self, rows: &[RowResult]) -> Result<()> {
        self.remove_notes()?;
        self.write(rows)?;
        for row in rows {
            *self.counts.entry(row.outcome.name()).or_default() += 1;
            self.starts.count(row);
            self.worst = self.worst.max(exit(row.outcome));
        }
        let print = |row| match self.plan.json {
            true => output::json_line(&line(&self.plan, row)),
            false => report_line::print(row),
        };
        self.bar.suspend(|| rows.iter().try_for_each(print))?;
        self.bar.inc(rows.len() as u64);
        Ok(())
    }

    /// Prints the summary.
    pub fn end(self) -> Result<Exit> {
        self.bar.finish_and_clear();
        if self.plan.json {
            let file = self.file.display().to_string();
            output::json_line(&serde_json::json!({ "summary": self.counts, "report": file }))?;
            return Ok(self.worst);
        }
        let words = |outcome: &str| outcome.replace('_', " ");
        let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{count} {}", words(name))).collect();
        output::line(format!("rows: {}", counts.join(", ")))?;
        if let Some(starts) = self.starts.text() {
            output::line(format!("starts: {starts}"))?;
        }
        output::line(format!("report: {}", self.file.display()))?;
        if !self.plan.submits {
            output::line("nothing was sent: add --submit to send the rows that are ok")?;
        }
        Ok(self.worst)
    }

    /// Says why the run was cut off, and what was sent before.
    pub fn cut_off(self, why: &str) -> Exit {
        self.bar.finish_and_clear();
        let ended: u64 = self.counts.values().sum();
        let mut text = format!("{why}: {ended} of {} rows are done with", self.plan.rows);
        match self.notes {
            Some(Notes { sent, sending, .. }) => {
                text.push_str(&format!(
                    "; {sent} more were sent, and go on without being followed; {sending} more may have been sent"
                ));
            }
            None if self.plan.submits => text.push_str("; no other row was sent"),
            None => text.push_str("; nothing was sent"),
        }
        let file = self.file.display();
        output::note(format!("{text}. Report: {file}. Run the command again to continue: no row is done twice."));
        Exit::Failed
    }
}

fn line<'l>(plan: &'l Plan<'_>, row: &'l RowResult) -> ReportLine<'l> {
    ReportLine { file: &plan.table.name, sheet: plan.table.sheet.as_deref(), row }
}

/// Returns the file of a report that is given none.
fn next_to(input: &Path) -> PathBuf {
    let mut name = match input == Path::new("-") {
        true => "standard-input".into(),
        false => input.as_os_str().to_owned(),
    };
    name.push(".report.csv");
    PathBuf::from(name)
}

impl Starts {
    /// Counts a row, unless it is not done.
    fn count(&mut self, row: &RowResult) {
        match row.outcome {
            RowOutcome::Skipped | RowOutcome::Rejected | RowOutcome::Failed => return,
            RowOutcome::Ok | RowOutcome::SentBefore | RowOutcome::Sending | RowOutcome::Sent | RowOutcome::Job(_) => {}
        }
        let at = row.understood.starts.clone().unwrap_or_else(|| "at once".to_owned());
        match self.rows.contains_key(&at) || self.rows.len() < LISTED_STARTS {
            true => *self.rows.entry(at).or_default() += 1,
            false => self.others += 1,
        }
    }

    /// Returns the times, if any row has one.
    fn text(&self) -> Option<String> {
        let mut texts: Vec<String> = self.rows.iter().map(|(at, count)| format!("{count} {at}")).collect();
        texts.extend((self.others > 0).then(|| format!("{} at other times", self.others)));
        self.rows.keys().any(|at| at != "at once").then(|| texts.join(", "))
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
