//! The present columns of a table. The host may have changed it since a job took its snapshots, or since the catalog was read.

use std::collections::{BTreeMap, HashSet};

use super::restored::RestoreOutcome;
use crate::catalog::{Column, Family, Reference, Spelling, TableName, TimeForm};
use crate::contract::SkipReason;
use crate::store::dialect::sql::{ColumnArray, INT64, MATERIALIZED, Sql, TEXT};
use crate::store::dialect::{ROW_SNAPSHOTS, Type};
use crate::store::driver;
use crate::store::host::row_codec::{BEFORE, id_table};
use crate::store::{Error, Result, Session};

const COMPARING: &str = "comparing snapshots with their table";

/// The present columns of a table.
pub struct CurrentColumns {
    /// The columns that take values.
    pub written: Vec<Column>,
    generated: Vec<String>,
}

/// The fit between snapshots and their table.
#[derive(Default)]
pub struct SnapshotFit {
    /// Snapshots that hold a value of a column that is gone.
    pub unfit: HashSet<i64>,
    /// The others, by the columns that they lack, as a JSON array.
    pub by_lacking: BTreeMap<String, HashSet<i64>>,
}

impl CurrentColumns {
    /// Reads them. A table that is gone has none.
    pub async fn read(session: &Session, name: &TableName) -> Result<CurrentColumns> {
        let (mut written, mut generated) = (Vec::new(), Vec::new());
        for column in driver::current_columns(session, name).await? {
            match column.is_generated {
                true => generated.push(column.name),
                false => written.push(Column {
                    name: column.name,
                    cast: column.cast,
                    family: Family::Other,
                    spelling: Spelling::One,
                    time: TimeForm::OfType,
                }),
            }
        }
        Ok(CurrentColumns { written, generated })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(|column| column.name.as_str()).chain(self.generated.iter().map(String::as_str))
    }

    /// Compares snapshots with the table. Columns that a snapshot lacks were added since: the database fills them.
    pub async fn fit(&self, session: &Session, copies: &[i64]) -> Result<SnapshotFit> {
        let mut sql = session.sql("");
        self.add_comparison(&mut sql, copies);
        let mut fit = SnapshotFit::default();
        for row in session.all(COMPARING, sql).await? {
            let copy: i64 = row.get("copy_id")?;
            match row.get::<i64>("gone")? {
                0 => fit.by_lacking.entry(row.get("lacking")?).or_default().insert(copy),
                _ => fit.unfit.insert(copy),
            };
        }
        Ok(fit)
    }

    fn add_comparison(&self, sql: &mut Sql, copies: &[i64]) {
        let names = sql.table("n", vec![ColumnArray::new(Type::Text, "name", self.names().map(Some))]);
        let ids = id_table(sql, copies);
        let dialect = sql.dialect();
        sql.add(&format!(
            "WITH n AS {MATERIALIZED}(SELECT name FROM {names}) \
             SELECT CAST(c.id AS {INT64}) AS copy_id, \
               COALESCE(CAST((SELECT {list} FROM n WHERE NOT {is_known}) AS {TEXT}), '[]') AS lacking, \
               CAST(CASE WHEN EXISTS (SELECT 1 FROM {fields} WHERE e.value IS NOT NULL AND e.key <> '{BEFORE}' \
                 AND e.key NOT IN (SELECT name FROM n)) THEN 1 ELSE 0 END AS {INT64}) AS gone \
             FROM {ids} JOIN {ROW_SNAPSHOTS} c ON c.id = i.id",
            list = dialect.json_array_of_texts("n.name"),
            is_known = dialect.json_has("c.content", "n.name"),
            fields = dialect.json_fields("c.content", "e"),
        ));
    }

    /// Returns the columns that snapshots know which lack some.
    pub fn known_without(&self, lacking: &str) -> Result<Vec<Column>> {
        let lacking: Vec<String> =
            serde_json::from_str(lacking).map_err(|error| Error::unexpected(COMPARING, error.to_string()))?;
        Ok(self.written.iter().filter(|column| !lacking.contains(&column.name)).cloned().collect())
    }
}

/// Skips everything if a column is gone that the reference needs to bring any of it back.
pub async fn skip_all_if_changed<'r>(
    session: &Session,
    reference: &'r Reference,
    more: impl IntoIterator<Item = &'r Column>,
    count: usize,
) -> Result<Option<RestoreOutcome>> {
    let current = CurrentColumns::read(session, &reference.table).await?;
    let names: HashSet<&str> = current.names().collect();
    let keys = reference.key.iter().filter(|_| !reference.keyless);
    let touched = reference.disposition.touch().into_iter().chain(&reference.version_column);
    let mut needed = keys.chain([&reference.user]).chain(touched).chain(more);
    let is_complete = needed.all(|column| names.contains(column.name.as_str()));
    Ok((!is_complete).then(|| RestoreOutcome::all_skipped(SkipReason::TableChanged, count)))
}
