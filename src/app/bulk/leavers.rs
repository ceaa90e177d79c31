//! Counts the leavers of a file.

use std::collections::HashMap;

use anyhow::{Result, bail};

use super::cells::{Row, Rows};
use super::row_reader::RowReader;
use super::table::Table;
use crate::contract::UserId;
use crate::store::Store;

/// Rows per batch.
const BATCH: usize = 200;

/// The leavers of a file.
#[derive(Debug, Default)]
pub struct Leavers {
    /// The number of rows of each.
    rows: HashMap<UserId, u64>,
    /// The number of rows of the file.
    count: usize,
}

impl Leavers {
    /// Reads a file's leavers. Fails if the file has no row.
    pub async fn read(store: &Store, table: &Table, reader: &RowReader<'_>) -> Result<Leavers> {
        let mut leavers: HashMap<UserId, u64> = HashMap::new();
        let mut count = 0_usize;
        let mut rows = table.rows()?;
        loop {
            let batch = next_batch(&mut rows)?;
            if batch.is_empty() {
                break;
            }
            count += batch.len();
            let directory = reader.directory(store, &batch).await?;
            let is_leaver = |row: &&Row| reader.is_requested(row) && reader.fault(row).is_none();
            for row in batch.iter().filter(is_leaver) {
                // If there are several, all have left already.
                if let Ok([user]) = reader.leavers(row, &directory).as_deref() {
                    *leavers.entry(user.clone()).or_default() += 1;
                }
            }
        }
        if count == 0 {
            bail!("the file holds no row below its head");
        }
        Ok(Leavers { rows: leavers, count })
    }

    /// Returns the number of rows of the file, except empty ones.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns true if a user leaves in the file.
    pub(super) fn contains(&self, user: &UserId) -> bool {
        self.rows.contains_key(user)
    }

    /// Returns the number of rows in which a user leaves.
    pub(super) fn rows(&self, user: &UserId) -> u64 {
        self.rows.get(user).copied().unwrap_or(0)
    }
}

/// Reads the next batch of rows; an empty one is the end.
pub fn next_batch(rows: &mut Rows) -> Result<Vec<Row>> {
    rows.by_ref().take(BATCH).collect()
}
