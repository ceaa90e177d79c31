//! Deactivates users from a file with one leaver per row.
//!
//! The planner's own code evaluates every row. A caller reads the file twice: first for its [`Leavers`], then in batches,
//! each of which is evaluated, submitted, followed to its end and reported. So memory does not grow with the file.

mod answers;
mod cells;
mod column_names;
pub mod columns;
mod content;
mod csv_file;
mod csv_guard;
mod decision;
pub mod directory;
mod evaluate;
mod format;
mod head;
mod known;
mod leavers;
mod named_users;
mod outcome;
mod reading;
mod reason;
pub mod report;
pub mod row_reader;
mod sheets;
mod submit;
pub mod table;
mod time_fault;
pub mod times;
mod wait;
mod wording;
mod xlsx_file;
mod xlsx_limits;
mod xlsx_marks;

pub use self::cells::{Cell, CellFault, Row, RowFault, Rows};
pub use self::decision::{EvaluatedRow, RowDecision};
pub use self::evaluate::Evaluator;
pub use self::head::Head;
pub use self::leavers::{BATCH, Leavers, NO_ROW, next_batch};
pub use self::outcome::{RowOutcome, RowResult, Understood};
pub use self::reason::{FileCode, RowCode, RowReason};
pub use self::submit::{Followed, Stopped, Submission, accepted, before_sending, result_of_sent};
pub use self::wait::{Notice, Notify, retry_while_unavailable};
