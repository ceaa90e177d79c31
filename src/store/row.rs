//! A row that a statement returned, read by the names of its columns.

use std::sync::Arc;

use sea_orm::{ColIdx, FromQueryResult, QueryResult, TryGetable, TryGetableMany};

use super::error::{Error, Result};

/// A row, with what was being done when it was read: so that an error says it.
#[derive(Debug)]
pub struct Row {
    row: QueryResult,
    doing: Arc<str>,
}

impl Row {
    pub(super) fn all(doing: &str, rows: Vec<QueryResult>) -> Vec<Row> {
        let doing: Arc<str> = doing.into();
        rows.into_iter().map(|row| Row { row, doing: doing.clone() }).collect()
    }

    /// Returns the value of a column: by its name, or by its place counted from 0.
    pub fn get<T: TryGetable>(&self, column: impl ColIdx) -> Result<T> {
        self.row.try_get_by(column).map_err(|error| Error::of(&self.doing, &error))
    }

    /// Returns a number that cannot be negative, such as a count.
    pub fn count(&self, column: impl ColIdx) -> Result<u64> {
        let number: i64 = self.get(column)?;
        u64::try_from(number).map_err(|_| self.invalid(format!("a count is negative: {number}")))
    }

    /// Returns the row as an entity whose columns have this prefix.
    pub fn entity<M: FromQueryResult>(&self, prefix: &str) -> Result<M> {
        M::from_query_result(&self.row, prefix).map_err(|error| Error::of(&self.doing, &error))
    }

    /// Returns the values of the columns, by their places.
    pub fn tuple<T: TryGetableMany>(&self) -> Result<T> {
        T::try_get_many_by_index(&self.row).map_err(|error| Error::of(&self.doing, &error.into()))
    }

    /// Returns the row as an entity whose columns have this prefix, if it is there: of an outer join it may be missing.
    pub fn optional_entity<M: FromQueryResult>(&self, prefix: &str) -> Result<Option<M>> {
        M::from_query_result_optional(&self.row, prefix).map_err(|error| Error::of(&self.doing, &error))
    }

    /// Returns the error of a value that makes no sense.
    pub fn invalid(&self, what: impl Into<String>) -> Error {
        Error::unexpected(&*self.doing, what)
    }
}
