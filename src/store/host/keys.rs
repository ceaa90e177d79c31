//! Reading the keys of rows.

use super::item::Key;
use crate::catalog::Reference;
use crate::store::{Result, Row};

/// Reads the key of a row that was selected with [`crate::store::dialect::sql::as_texts`].
pub fn read_key(reference: &Reference, row: &Row) -> Result<Key> {
    (0..reference.key.len()).map(|index| row.get(format!("k{index}").as_str())).collect()
}
