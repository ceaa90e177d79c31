//! A row of a report: as cells of a file, as JSON, and as lines for people.

use anyhow::Result;
use serde::Serialize;

use crate::app::bulk::{RowReason, RowResult};
use crate::cli::output;
use crate::contract::{Reason, RequestType, printable};

/// A row, and where it is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReportLine<'l> {
    /// The file.
    pub file: &'l str,
    /// The sheet, if the file is a workbook.
    pub sheet: Option<&'l str>,
    /// The row.
    #[serde(flatten)]
    pub row: &'l RowResult,
}

/// The number of columns.
const COLUMNS: usize = 16;

/// Returns the names of the columns. `submits`: true if rows are sent, not only evaluated.
pub fn head(submits: bool) -> [&'static str; COLUMNS] {
    let records = if submits { "records_moved" } else { "records_to_move" };
    [
        "file",
        "sheet",
        "row",
        "user",
        "name",
        "email",
        "type",
        "starts",
        "returns",
        "successors",
        "outcome",
        "codes",
        "messages",
        "hints",
        "job_id",
        records,
    ]
}

impl ReportLine<'_> {
    /// Returns the cells, which are harmless in a spreadsheet and on a terminal.
    pub fn cells(&self) -> [String; COLUMNS] {
        let row = self.row;
        let understood = &row.understood;
        let joined = |text: fn(&RowReason) -> &str| row.reasons.iter().map(text).collect::<Vec<&str>>().join("; ");
        let at_once = understood.kind.map_or("", |_| "at once");
        let cells = [
            self.file.to_owned(),
            self.sheet.unwrap_or_default().to_owned(),
            row.row.to_string(),
            understood.user.clone(),
            understood.name.clone().unwrap_or_default(),
            understood.email.clone().unwrap_or_default(),
            understood.kind.map_or("", RequestType::name).to_owned(),
            understood.starts.clone().unwrap_or_else(|| at_once.to_owned()),
            understood.returns.clone().unwrap_or_default(),
            understood.successors.join("; "),
            row.outcome.name().to_owned(),
            joined(|reason| reason.code.name()),
            row.note.clone().unwrap_or_else(|| joined(|reason| &reason.message)),
            joined(|reason| &reason.hint),
            row.job_id.map(|job| job.to_string()).unwrap_or_default(),
            row.records.map(|records| records.to_string()).unwrap_or_default(),
        ];
        cells.map(|cell| harmless(&cell))
    }

    /// Prints the row for people, if it needs their attention.
    pub fn print(&self) -> Result<()> {
        let RowResult { row, understood, outcome, reasons, .. } = self.row;
        if reasons.is_empty() {
            return Ok(());
        }
        let name = understood.name.as_ref().map(|name| format!(" ({})", printable(name))).unwrap_or_default();
        let outcome = outcome.name().replace('_', " ");
        output::line(format!("row {row}, user {}{name}: {outcome}", printable(&understood.user)))?;
        let spelled = |reason: &RowReason| Reason { message: printable(&reason.message), ..reason.clone() };
        output::reasons(&reasons.iter().map(spelled).collect::<Vec<_>>())
    }
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
