//! The reasons why a row of a bulk file is not done: faults of the file, and reasons of its request.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cells::RowFault;
use crate::app::dead_letters::DeadLetterView;
use crate::contract::{DeadLetterCode, JobId, Reason, ReasonCode, Subject, named_enum};
use crate::job::State;

/// The reason why a row is not done.
pub type RowReason = Reason<RowCode>;

/// The schema of a [`RowReason`] under a name of its own: all kinds of [`Reason`] have the same.
pub struct RowReasonSchema;

impl JsonSchema for RowReasonSchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RowReason".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        RowReason::json_schema(generator)
    }
}

/// The value of a cell, or the reason why it has none.
pub type Read<T> = std::result::Result<T, Box<RowReason>>;

/// The code of a row's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RowCode {
    /// The row is faulty.
    Row(FileCode),
    /// The row makes a request that cannot be read.
    Unreadable(DeadLetterCode),
    /// The row makes a request that is refused.
    Refused(ReasonCode),
}

named_enum! {
    /// A fault of a row or a cell.
    pub enum FileCode: "code of a bulk file" {
        /// A required cell is empty.
        MissingCell = "missing_cell",
        /// The cell says neither yes nor no.
        NotUnderstood = "not_understood",
        /// The cell names another requester or organization than the token.
        OtherPrincipal = "other_principal",
        /// The email address belongs to another user than the id.
        OtherUser = "other_user",
        /// The email address belongs to several users.
        AmbiguousAddress = "ambiguous_address",
        /// The email address belongs to nobody.
        UnknownAddress = "unknown_address",
        /// The cell holds no time, or one that is past or too far in the future.
        InvalidTime = "invalid_time",
        /// The cell holds a date or time, and its time zone is not known.
        MissingTimeZone = "missing_time_zone",
        /// The cell holds a formula whose value is not stored.
        FormulaWithoutValue = "formula_without_value",
        /// The cell holds an error.
        CellError = "cell_error",
        /// The cell holds a number that the spreadsheet has rounded.
        InexactNumber = "inexact_number",
        /// The row has fewer cells than the file has columns.
        TooFewCells = "too_few_cells",
        /// The row has more cells than the file has columns.
        TooManyCells = "too_many_cells",
        /// The cell is merged into another one.
        MergedCell = "merged_cell",
        /// The spreadsheet does not show the row.
        HiddenRow = "hidden_row",
        /// Several rows name the same leaver.
        DuplicateUser = "duplicate_user",
        /// The row was sent before, and its job was undone or cancelled since.
        UndoneSince = "undone_since",
        /// The row was sent before, its job is completed, and its user is active again.
        ActiveAgain = "active_again",
        /// The row was sent before, and its request was rejected.
        RejectedBefore = "rejected_before",
        /// The broker set the request aside.
        SetAside = "set_aside",
        /// A successor leaves in the same file.
        SuccessorLeavesInFile = "successor_leaves_in_file",
    }
}

impl RowCode {
    /// Returns the name that reports use.
    pub fn name(self) -> &'static str {
        match self {
            RowCode::Row(code) => code.name(),
            RowCode::Unreadable(code) => code.name(),
            RowCode::Refused(code) => code.name(),
        }
    }
}

impl fmt::Display for RowCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<FileCode> for RowCode {
    fn from(code: FileCode) -> RowCode {
        RowCode::Row(code)
    }
}

impl From<DeadLetterCode> for RowCode {
    fn from(code: DeadLetterCode) -> RowCode {
        RowCode::Unreadable(code)
    }
}

impl From<ReasonCode> for RowCode {
    fn from(code: ReasonCode) -> RowCode {
        RowCode::Refused(code)
    }
}

fn reason(code: impl Into<RowCode>, concerning: Subject, message: String, hint: impl Into<String>) -> RowReason {
    Reason { code: code.into(), concerning, message, hint: hint.into() }
}

/// Returns the reason for a cell that does not hold what its column needs.
pub fn cell(code: impl Into<RowCode>, column: &str, cause: &str, hint: &str) -> Box<RowReason> {
    Box::new(reason(code, Subject::default(), format!("column `{column}`: {cause}"), hint))
}

/// Returns the reason for a cell that names another requester or organization than the door has established.
pub fn other_principal(column: &str) -> Box<RowReason> {
    let what = "it names another requester or organization than the token";
    cell(FileCode::OtherPrincipal, column, what, "leave the cell empty: the token says it")
}

/// Returns the reason for a row that cannot be done as a whole. `columns`: the number of columns of the head.
pub fn row(fault: RowFault, columns: usize) -> RowReason {
    let (code, message, hint) = match fault {
        RowFault::TooFewCells(cells) => (
            FileCode::TooFewCells,
            format!("the row has {cells} of {columns} cells"),
            "write a separator for every column, also for empty cells, and use that of the head; or save the table as .xlsx",
        ),
        RowFault::TooManyCells(cells) => (
            FileCode::TooManyCells,
            format!("the row has {cells} cells and the file {columns} columns"),
            "put quotation marks around a cell that holds the separator",
        ),
        RowFault::OutsideTable => (
            FileCode::TooManyCells,
            "the row has a cell outside the columns of the head".to_owned(),
            "delete the cell, or give its column a name",
        ),
        RowFault::Hidden => (
            FileCode::HiddenRow,
            "the spreadsheet does not show the row: a filter or a person hides it".to_owned(),
            "show the row if its user leaves; otherwise delete it",
        ),
    };
    reason(code, Subject::default(), message, hint)
}

/// Returns the reason for several rows with the same leaver; none of them is done.
pub fn duplicate_user(user: &str, rows: u64) -> RowReason {
    let concerning = Subject { user_id: Some(user.into()), ..Subject::default() };
    let message = format!("the user {user} leaves in {rows} rows of the file");
    reason(FileCode::DuplicateUser, concerning, message, "leave one of the rows")
}

/// Returns the reason for a successor who leaves in the same file.
pub fn successor_leaves_in_file(kind: &str, user: &str) -> RowReason {
    let concerning = Subject { kind: Some(kind.into()), user_id: Some(user.into()), ..Subject::default() };
    let message = format!("the successor {user} for `{kind}` leaves in the same file");
    reason(FileCode::SuccessorLeavesInFile, concerning, message, "name a user who stays")
}

/// Returns the reason for a request id that was used for another request.
pub fn request_id_taken(request_id: &str, job: JobId) -> RowReason {
    let concerning = Subject { job_id: Some(job.to_string()), ..Subject::default() };
    let message = format!("the request id {request_id} was used before for another request, which made the job {job}");
    let hint = "give the row another `request_id`";
    reason(DeadLetterCode::Conflict, concerning, message, hint)
}

/// Says how a row that was sent before becomes a new request.
const NEW_REQUEST: &str = "if the user leaves again, give the row a `request_id` of its own, such as `leaving-2`";

/// Returns the reason for a row whose job was undone, or is being undone.
pub fn undone_since(user: &str, job: JobId, state: State) -> RowReason {
    let message = format!("the row was sent before, and its job {job} is {state}");
    reason(FileCode::UndoneSince, of_job(user, job), message, NEW_REQUEST)
}

/// Returns the reason for a row whose user came back.
pub fn active_again(user: &str, job: JobId) -> RowReason {
    let message = format!("the row was sent before, its job {job} is completed, and the user {user} is active again");
    reason(FileCode::ActiveAgain, of_job(user, job), message, NEW_REQUEST)
}

/// Returns the reason for a row whose request was rejected. The reasons of the job follow.
pub fn rejected_before(user: &str, job: JobId) -> RowReason {
    let message = format!("the row was sent before, and its job {job} was rejected");
    let hint = "fix the cause, and give the row a `request_id` of its own";
    reason(FileCode::RejectedBefore, of_job(user, job), message, hint)
}

fn of_job(user: &str, job: JobId) -> Subject {
    Subject { user_id: Some(user.into()), job_id: Some(job.to_string()), ..Subject::default() }
}

/// Returns the reason for a request that was set aside.
pub fn set_aside(dead_letter: &DeadLetterView) -> RowReason {
    let code: RowCode = match dead_letter.reason.parse::<DeadLetterCode>() {
        Ok(code) => code.into(),
        // One of the broker's own reasons.
        Err(_) => FileCode::SetAside.into(),
    };
    let concerning = Subject { path: dead_letter.path.clone(), ..Subject::default() };
    let message = format!("the request was set aside: {}", dead_letter.detail);
    let hint = dead_letter.hint.as_deref().unwrap_or("see `handover dead show`");
    reason(code, concerning, message, hint)
}

/// Returns the reason for a request that could not be checked or sent.
pub fn failed(error: &str) -> RowReason {
    let hint = "fix the cause and run the command again";
    reason(DeadLetterCode::Failed, Subject::default(), error.to_owned(), hint)
}
