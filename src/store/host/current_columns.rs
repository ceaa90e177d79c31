//! What a table is like now: the host may have changed it since a job's copies were made, or since the catalog was read.

use std::collections::{BTreeMap, HashSet};

use super::row_codec::path_of;
use super::undo::RestoreOutcome;
use crate::catalog::{Column, Disposition, Engine, Family, Reference, TableName};
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql};
use crate::store::driver;
use crate::store::{Error, Result, Session};

/// Why a row does not come back that the table has no room for any more, or that has nothing for what it must hold now.
pub const TABLE_CHANGED: &str = "table_changed";

/// The columns of a table as they are now.
pub struct CurrentColumns {
    /// Those that somebody writes.
    pub written: Vec<Column>,
    generated: Vec<String>,
}

impl CurrentColumns {
    /// Reads them; of a table that is gone, none.
    pub async fn of(session: &Session, name: &TableName) -> Result<CurrentColumns> {
        let mut live = CurrentColumns { written: Vec::new(), generated: Vec::new() };
        for column in driver::current_columns(session, name).await? {
            match column.is_generated {
                true => live.generated.push(column.name),
                false => {
                    let (name, cast) = (column.name, column.cast);
                    live.written.push(Column { name, cast, family: Family::Other });
                }
            }
        }
        Ok(live)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(|column| column.name.as_str()).chain(self.generated.iter().map(String::as_str))
    }

    /// Which of these copies hold something that the table has no column for any more, and for the others the columns that
    /// they know: what is new since is the database's to fill.
    pub async fn fits(&self, session: &Session, copies: &[i64]) -> Result<Fits> {
        let doing = "comparing copies with their table";
        let mut sql = session.sql("");
        let names: Vec<&str> = self.names().collect();
        let known = self.asked(&mut sql, &names, copies);
        sql.add(&known);
        let mut fits = Fits::default();
        for row in session.all(doing, sql).await? {
            let read = || -> std::result::Result<(i64, String, i64), sea_orm::DbErr> {
                Ok((row.try_get("", "copy_id")?, row.try_get("", "lacks")?, row.try_get("", "gone")?))
            };
            let (copy, lacks, gone) = read().map_err(|error| Error::unexpected(doing, error.to_string()))?;
            match gone {
                0 => fits.lacking.entry(lacks).or_default().insert(copy),
                _ => fits.unfit.insert(copy),
            };
        }
        Ok(fits)
    }

    fn asked(&self, sql: &mut Sql, names: &[&str], copies: &[i64]) -> String {
        let paths = names.iter().map(|name| Some(path_of(name)));
        let arrays = vec![
            ColumnArray::new(Type::Text, "name", names.iter().map(Some)),
            ColumnArray::new(Type::Text, "path", paths),
        ];
        let (names, ids) = (
            sql.table("n", arrays),
            sql.table("i", vec![ColumnArray::new(Type::Int64, "id", copies.iter().map(Some))]),
        );
        let (list, is_known, each) = match sql.engine() {
            Engine::Postgres => ("jsonb_agg(n.name)", "jsonb_exists(c.content, n.name)", "jsonb_each_text(c.content)"),
            Engine::Sqlite => {
                ("json_group_array(n.name)", "json_type(c.content, n.path) IS NOT NULL", "json_each(c.content)")
            }
        };
        format!(
            "WITH n AS MATERIALIZED (SELECT name, path FROM {names}) \
             SELECT CAST(c.id AS bigint) AS copy_id, \
               COALESCE(CAST((SELECT {list} FROM n WHERE NOT {is_known}) AS text), '[]') AS lacks, \
               CAST(CASE WHEN EXISTS (SELECT 1 FROM {each} e WHERE e.value IS NOT NULL AND e.key <> '$before' \
                 AND e.key NOT IN (SELECT name FROM n)) THEN 1 ELSE 0 END AS bigint) AS gone \
             FROM {ids} JOIN handover.row_snapshots c ON c.id = i.id"
        )
    }

    /// The columns that copies know which lack some.
    pub fn known(&self, lacks: &str) -> Vec<Column> {
        let lacks: Vec<String> = serde_json::from_str(lacks).unwrap_or_default();
        self.written.iter().filter(|column| !lacks.contains(&column.name)).cloned().collect()
    }
}

/// How copies fit their table.
#[derive(Default)]
pub struct Fits {
    /// Copies that it has no room for.
    pub unfit: HashSet<i64>,
    /// The others, by the columns that they lack.
    pub lacking: BTreeMap<String, HashSet<i64>>,
}

/// Everything left alone, where a column is gone that the reference needs to bring any of it back.
pub async fn skip_all_if_changed<'r>(
    session: &Session,
    reference: &'r Reference,
    more: impl IntoIterator<Item = &'r Column>,
    count: usize,
) -> Result<Option<RestoreOutcome>> {
    let live = CurrentColumns::of(session, &reference.table).await?;
    let names: HashSet<&str> = live.names().collect();
    let touch = match &reference.disposition {
        Disposition::Transfer { touch, .. } => touch.as_ref(),
        _ => None,
    };
    let keys = reference.key.iter().filter(|_| !reference.keyless);
    let mut needed = keys.chain([&reference.user]).chain(touch).chain(&reference.version_column).chain(more);
    if needed.all(|column| names.contains(column.name.as_str())) {
        return Ok(None);
    }
    let mut returned = RestoreOutcome::default();
    (0..count).for_each(|place| returned.skip(TABLE_CHANGED, place));
    Ok(Some(returned))
}
