//! Counts the leavers of a file.

use std::collections::HashMap;

use anyhow::{Result, bail};

use super::cells::{Row, Rows};
use super::row_reader::RowReader;
use super::table::Table;
use crate::app;
use crate::contract::UserId;
use crate::store::Store;

/// Rows per batch.
pub const BATCH: usize = 200;

/// The fault of a file without rows.
pub const NO_ROW: &str = "the file holds no row below its head";

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
        let mut leavers = Leavers::default();
        let mut rows = table.rows()?;
        loop {
            let batch = next_batch(&mut rows)?;
            if batch.is_empty() {
                break;
            }
            leavers.add(store, &batch, reader).await?;
        }
        if leavers.count == 0 {
            bail!("{NO_ROW}");
        }
        Ok(leavers)
    }

    /// Returns the leavers of rows that are held in memory.
    pub async fn of(store: &Store, rows: &[Row], reader: &RowReader<'_>) -> app::Result<Leavers> {
        let mut leavers = Leavers::default();
        for batch in rows.chunks(BATCH) {
            leavers.add(store, batch, reader).await?;
        }
        Ok(leavers)
    }

    async fn add(&mut self, store: &Store, batch: &[Row], reader: &RowReader<'_>) -> app::Result<()> {
        self.count += batch.len();
        let directory = reader.directory(store, batch).await?;
        let is_leaver = |row: &&Row| reader.is_requested(row) && reader.fault(row).is_none();
        for row in batch.iter().filter(is_leaver) {
            // If there are several, all have left already.
            if let Ok([user]) = reader.leavers(row, &directory).as_deref() {
                *self.rows.entry(user.clone()).or_default() += 1;
            }
        }
        Ok(())
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
