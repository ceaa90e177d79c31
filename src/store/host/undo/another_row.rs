//! Rows that have the key of a record, but are other rows: a key may be used again after its row is deleted.

use crate::catalog::{Column, Reference};
use crate::store::dialect::sql::column;
use crate::store::dialect::{SharedDialect, Type};

/// Tests that a row `t` was created after the ledger's time `at`, at which the record with its key was there. Without the
/// column that says when a row was created, nothing shows that a key was used again.
pub fn is_another(dialect: SharedDialect, reference: &Reference, at: &str) -> String {
    let test = |created: &Column| dialect.is_later(&column("t", &created.name), &Type::of(created), created.time, at);
    reference.created.as_ref().map_or("FALSE".to_owned(), test)
}
