//! A row of a report, as lines for people.

use anyhow::Result;

use crate::app::bulk::{RowReason, RowResult};
use crate::cli::output;
use crate::contract::{Reason, printable};

/// Prints a row for people, if it needs their attention.
pub fn print(result: &RowResult) -> Result<()> {
    let RowResult { row, understood, outcome, reasons, .. } = result;
    if reasons.is_empty() {
        return Ok(());
    }
    let name = understood.name.as_ref().map(|name| format!(" ({})", printable(name))).unwrap_or_default();
    let outcome = outcome.name().replace('_', " ");
    output::line(format!("row {row}, user {}{name}: {outcome}", printable(&understood.user)))?;
    let spelled = |reason: &RowReason| Reason { message: printable(&reason.message), ..reason.clone() };
    output::reasons(&reasons.iter().map(spelled).collect::<Vec<_>>())
}
