//! Works with catalogs: checks one, scans the schema for gaps, drafts a new one, and collects the rights that it needs.

mod contained;
mod draft;
mod evidence;
mod in_use;
mod publish;
mod rights;
mod scan;
mod values;

pub use self::draft::{DraftError, draft};
pub use self::in_use::{CatalogInUse, in_use};
pub use self::publish::{Published, publish};
pub use self::rights::{Grants, grants};
pub use self::scan::{Scan, SuspectedColumn, scan};
pub use self::values::values_of_no_row;
