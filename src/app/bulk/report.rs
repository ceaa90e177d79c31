//! A row of a report, as cells of a file.

use serde::Serialize;

use super::outcome::RowResult;
use super::reason::RowReason;
use crate::contract::{RequestType, printable};

/// The mark by which spreadsheets recognize UTF-8.
pub const MARK_OF_UTF_8: &[u8] = "\u{feff}".as_bytes();

/// The number of columns.
const COLUMNS: usize = 16;

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
