//! Rows without a key, found again by what they looked like when they were left, and taken back.
//!
//! A row is recognized when every column is as it was; of rows that are equal in all of them as many are taken back as were
//! changed, whichever they are. One that was changed since is not recognized, and left alone.
//!
//! Locks: the rows that are recognized, until the caller commits. What another holds is waited for, and looked for again.

use std::collections::{BTreeSet, HashMap};

use sea_orm::DbErr;

use super::current_columns::{CurrentColumns, skip_all_if_changed};
use super::predicates::{Key, as_text, has_key, key_columns, keys_as, raise_version, user_column};
use super::row_codec::{columns_json, copied_value, json_path};
use super::selection::picked_keys;
use super::transfer::touch;
use super::undo::{RestoreOutcome, RestoreWrite};
use crate::catalog::{Column, Disposition, Engine, Reference, SetValue};
use crate::contract::UserId;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, cast, quoted, table};
use crate::store::{Error, Locking, Result, Row, Session};

/// Gives rows that were moved back to the leaver, by their copies.
pub async fn give_back(
    session: &Session,
    reference: &Reference,
    leaver: &UserId,
    copies: &[i64],
) -> Result<RestoreOutcome> {
    ContentMatch::moved(reference, leaver, copies).restore(session).await
}

/// Which rows could be given back, as they stand now.
pub async fn preview_give_back(
    session: &Session,
    reference: &Reference,
    leaver: &UserId,
    copies: &[i64],
) -> Result<RestoreOutcome> {
    ContentMatch::moved(reference, leaver, copies).preview(session).await
}

/// Rows that are looked for, by their copies, and what is taken back of them.
pub struct ContentMatch<'a> {
    reference: &'a Reference,
    copies: &'a [i64],
    what: What<'a>,
}

enum What<'a> {
    /// Who they belong to.
    User(&'a UserId),
    /// What columns held.
    Values(&'a [(Column, SetValue)]),
}

/// Where rows are that were recognized, by the numbers of their copies: good for this transaction.
pub type Found = HashMap<i64, Key>;

impl<'a> ContentMatch<'a> {
    fn moved(reference: &'a Reference, leaver: &'a UserId, copies: &'a [i64]) -> Self {
        ContentMatch { reference, copies, what: What::User(leaver) }
    }

    /// Rows that were set.
    pub fn set(reference: &'a Reference, values: &'a [(Column, SetValue)], copies: &'a [i64]) -> Self {
        ContentMatch { reference, copies, what: What::Values(values) }
    }

    /// Takes back what is recognized.
    pub async fn restore(&self, session: &Session) -> Result<RestoreOutcome> {
        if let Some(all) = skip_all_if_changed(session, self.reference, self.values(), self.copies.len()).await? {
            return Ok(all);
        }
        let looks = self.looks(session).await?;
        let mut found = Found::new();
        loop {
            let missing: Vec<i64> = self.copies.iter().copied().filter(|copy| !found.contains_key(copy)).collect();
            let seen = self.look(session, &looks, &missing, &found).await?;
            let locked = self.lock(session, &looks, &seen).await?;
            let is_all = locked.len() == seen.len();
            found.extend(seen.into_iter().filter(|(copy, _)| locked.contains(copy)));
            if is_all {
                break;
            }
        }
        let mut returned = self.told(session, &looks, &found).await?;
        let there = std::mem::take(&mut returned.restored);
        RestoreWrite::Recognized { sought: self, found: &found }.isolated(session, there, &mut returned).await?;
        Ok(returned)
    }

    /// What could be taken back, as it stands now.
    pub async fn preview(&self, session: &Session) -> Result<RestoreOutcome> {
        if let Some(all) = skip_all_if_changed(session, self.reference, self.values(), self.copies.len()).await? {
            return Ok(all);
        }
        let looks = self.looks(session).await?;
        let found = self.look(session, &looks, self.copies, &Found::new()).await?;
        self.told(session, &looks, &found).await
    }

    /// The columns that were set.
    fn values(&self) -> impl Iterator<Item = &Column> {
        let values = match self.what {
            What::User(_) => &[],
            What::Values(values) => values,
        };
        values.iter().map(|(column, _)| column)
    }

    /// The statement that takes some of them back, by their places among the copies.
    pub fn back(&self, session: &Session, found: &Found, places: &[usize]) -> Sql {
        let (reference, engine) = (self.reference, session.engine());
        let mut sql = session.sql("");
        let some = places.iter().filter_map(|place| found.get_key_value(&self.copies[*place]));
        let rows = row_table(&mut sql, reference, some);
        let (assign, copies) = match &self.what {
            What::User(leaver) => {
                let to = sql.host(&reference.user, leaver.as_str());
                (format!("{} = {to}{}", user_column(reference), touch(reference, engine, "t")), String::new())
            }
            What::Values(values) => {
                let old = |(set, _): &(Column, SetValue)| {
                    format!("{} = {}", quoted(&set.name), copied_value(engine, "(c.content -> 'was')", set))
                };
                let assign: Vec<String> = values.iter().map(old).collect();
                let copies = " JOIN handover.row_snapshots c ON c.id = x.copy_id".to_owned();
                (assign.join(", ") + &raise_version(reference, "t"), copies)
            }
        };
        sql.add(&format!(
            "UPDATE {host} AS t SET {assign} FROM {rows}{copies} WHERE {has_key}",
            host = table(&reference.table),
            has_key = has_key(reference, "t", "x"),
        ));
        sql
    }

    /// The columns to compare: where the host has added or dropped one since, the others.
    async fn looks(&self, session: &Session) -> Result<ComparedColumns> {
        let doing = "reading what a row looked like";
        let mut sql = session.sql("");
        let first = sql.bind(self.copies.first().copied());
        let kept = self.kept("c");
        sql.add(&format!("SELECT {} AS image FROM handover.row_snapshots c WHERE c.id = {first}", as_text(&kept)));
        let row = session.one(doing, sql).await?;
        let text: Option<String> = row.map(|row| row.try_get("", "image")).transpose().map_err(failed(doing))?;
        let kept: serde_json::Map<String, serde_json::Value> = text
            .map_or(Ok(serde_json::Map::new()), |text| serde_json::from_str(&text))
            .map_err(|error| Error::unexpected(doing, error.to_string()))?;
        let now = CurrentColumns::of(session, &self.reference.table).await?.written;
        let shared = now.iter().filter(|column| kept.contains_key(&column.name)).cloned().collect();
        let dropped = kept.keys().filter(|name| !now.iter().any(|column| column.name == **name)).cloned().collect();
        Ok(ComparedColumns { shared, dropped })
    }

    /// What a copy says its row looked like.
    fn kept(&self, alias: &str) -> String {
        match self.what {
            What::User(_) => format!("{alias}.content"),
            What::Values(_) => format!("({alias}.content -> 'is')"),
        }
    }

    /// Columns that the change itself has made what they are: they say nothing of whether the row is the same.
    fn changed_columns(&self) -> Vec<String> {
        let mut columns: Vec<&Column> = match (&self.what, &self.reference.disposition) {
            (What::Values(values), _) => values.iter().map(|(column, _)| column).collect(),
            (What::User(_), Disposition::Transfer { touch, .. }) => {
                std::iter::once(&self.reference.user).chain(touch).collect()
            }
            (What::User(_), _) => vec![&self.reference.user],
        };
        columns.extend(&self.reference.version_column);
        columns.into_iter().map(|column| column.name.clone()).collect()
    }

    /// Who has the rows now, if nobody has touched them.
    fn holder(&self) -> &'static str {
        match self.what {
            What::User(_) => "c.other_user",
            What::Values(_) => "c.from_user",
        }
    }

    /// Where rows are that look as copies say, each once; rows that are found already are passed over.
    async fn look(&self, session: &Session, looks: &ComparedColumns, copies: &[i64], found: &Found) -> Result<Found> {
        let doing = "looking for rows by what they look like";
        if copies.is_empty() {
            return Ok(Found::new());
        }
        let (reference, engine) = (self.reference, session.engine());
        let mut sql = session.sql("");
        let ids = sql.table("i", vec![ColumnArray::new(Type::Int64, "id", copies.iter().map(Some))]);
        let others = others(&mut sql, reference, found);
        let then = looks.of_copy(engine, &self.kept("c"), &[]);
        let now = looks.of_row(engine, &[]);
        let keys: Vec<String> =
            (0..reference.key.len()).map(|index| format!("{} AS k{index}", as_text(&format!("h.k{index}")))).collect();
        sql.add(&format!(
            "WITH w AS MATERIALIZED (SELECT c.id AS copy_id, {holder} AS holder, {then} AS image, \
               row_number() OVER (PARTITION BY {then} ORDER BY c.id) AS n FROM {ids} JOIN handover.row_snapshots c ON c.id = i.id), \
             s AS MATERIALIZED (SELECT {keys_as}, {now} AS image FROM {host} t \
               WHERE t.{user} IN (SELECT {holder_is} FROM w){others}), \
             h AS (SELECT s.*, row_number() OVER (PARTITION BY s.image ORDER BY {picked}) AS n FROM s \
               WHERE s.image IN (SELECT w.image FROM w)) \
             SELECT CAST(w.copy_id AS bigint) AS copy_id, {keys} FROM w JOIN h ON h.image = w.image AND h.n = w.n",
            holder = self.holder(),
            keys_as = keys_as(reference, "t"),
            host = table(&reference.table),
            user = user_column(reference),
            holder_is = cast("w.holder", &reference.user.cast),
            picked = picked_keys(reference, "s"),
            keys = keys.join(", "),
        ));
        let rows = session.all(doing, sql).await?;
        rows.iter().map(|row| read_found(row, reference.key.len()).map_err(failed(doing))).collect()
    }

    /// Locks rows that still look so; the numbers of their copies. SQLite has one writer.
    async fn lock(&self, session: &Session, looks: &ComparedColumns, seen: &Found) -> Result<BTreeSet<i64>> {
        let doing = "locking rows that were recognized";
        let engine = session.engine();
        if seen.is_empty() || !Locking::Locked.applies(session.capabilities()) {
            return Ok(seen.keys().copied().collect());
        }
        let reference = self.reference;
        let mut sql = session.sql("");
        let rows = row_table(&mut sql, reference, seen);
        sql.add(&format!(
            "SELECT x.copy_id AS copy_id FROM {rows} JOIN handover.row_snapshots c ON c.id = x.copy_id \
             JOIN {host} t ON {has_key} WHERE {now} = {then} ORDER BY {order} FOR UPDATE OF t",
            host = table(&reference.table),
            has_key = has_key(reference, "t", "x"),
            now = looks.of_row(engine, &[]),
            then = looks.of_copy(engine, &self.kept("c"), &[]),
            order = key_columns(reference, "t"),
        ));
        read_copies(session, doing, sql).await
    }

    /// What is recognized, and the others by why they were not: one that looks the same but for what was changed has been
    /// changed again; else nothing is left that looks like it.
    async fn told(&self, session: &Session, looks: &ComparedColumns, found: &Found) -> Result<RestoreOutcome> {
        let missing: Vec<i64> = self.copies.iter().copied().filter(|copy| !found.contains_key(copy)).collect();
        let changed = self.changed_since(session, looks, &missing, found).await?;
        let mut returned = RestoreOutcome::default();
        for (place, copy) in self.copies.iter().enumerate() {
            match (found.contains_key(copy), changed.contains(copy)) {
                (true, _) => returned.restored.push(place),
                (false, true) => returned.skip("changed", place),
                (false, false) => returned.skip("gone", place),
            }
        }
        Ok(returned)
    }

    async fn changed_since(
        &self,
        session: &Session,
        looks: &ComparedColumns,
        missing: &[i64],
        found: &Found,
    ) -> Result<BTreeSet<i64>> {
        let doing = "looking for rows that were changed";
        if missing.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (reference, engine) = (self.reference, session.engine());
        let mut sql = session.sql("");
        let ids = sql.table("i", vec![ColumnArray::new(Type::Int64, "id", missing.iter().map(Some))]);
        let others = others(&mut sql, reference, found);
        let but = self.changed_columns();
        // What is the leaver's again is theirs, whoever gave it back.
        let of_others = match self.what {
            What::User(leaver) => {
                let leaver = sql.host(&reference.user, leaver.as_str());
                format!("t.{} IS DISTINCT FROM {leaver}", user_column(reference))
            }
            What::Values(_) => "TRUE".to_owned(),
        };
        sql.add(&format!(
            "SELECT CAST(c.id AS bigint) AS copy_id FROM {ids} JOIN handover.row_snapshots c ON c.id = i.id \
             WHERE {then} IN (SELECT {now} FROM {host} t WHERE {of_others}{others})",
            then = looks.of_copy(engine, &self.kept("c"), &but),
            now = looks.of_row(engine, &but),
            host = table(&reference.table),
        ));
        read_copies(session, doing, sql).await
    }
}

/// The columns that copies and rows have in common, and those that only copies have.
struct ComparedColumns {
    shared: Vec<Column>,
    dropped: Vec<String>,
}

impl ComparedColumns {
    /// What a row `t` looks like now, but for some columns.
    fn of_row(&self, engine: Engine, but: &[String]) -> String {
        let columns: Vec<&Column> = self.shared.iter().filter(|column| !but.contains(&column.name)).collect();
        columns_json(engine, &columns, "t")
    }

    /// What a copy says it looked like, but for these.
    fn of_copy(&self, engine: Engine, kept: &str, but: &[String]) -> String {
        let without: Vec<&String> = self.dropped.iter().chain(but).collect();
        if without.is_empty() {
            return kept.to_owned();
        }
        match engine {
            Engine::Postgres => {
                let names: Vec<String> = without.iter().map(|name| format!("'{}'", name.replace('\'', "''"))).collect();
                format!("({kept} - ARRAY[{}]::text[])", names.join(", "))
            }
            Engine::Sqlite => {
                let paths: Vec<String> = without.iter().map(|name| json_path(name)).collect();
                format!("json_remove({kept}, {})", paths.join(", "))
            }
        }
    }
}

/// Rows that were recognized as a table `x`: the number of the copy, and where the row is.
fn row_table<'f>(sql: &mut Sql, reference: &Reference, found: impl IntoIterator<Item = (&'f i64, &'f Key)>) -> String {
    let (ids, places): (Vec<&i64>, Vec<&Key>) = found.into_iter().unzip();
    let mut arrays = vec![ColumnArray::new(Type::Int64, "copy_id", ids.into_iter().map(Some))];
    for (index, key) in reference.key.iter().enumerate() {
        let values: Vec<Option<String>> = places.iter().map(|place| place.get(index).cloned()).collect();
        arrays.push(ColumnArray::of_some(&format!("k{index}"), key, values));
    }
    sql.table("x", arrays)
}

/// That a row `t` is none of those found.
fn others(sql: &mut Sql, reference: &Reference, found: &Found) -> String {
    if found.is_empty() {
        return String::new();
    }
    let rows = row_table(sql, reference, found);
    format!(" AND ({}) NOT IN (SELECT {} FROM {rows})", key_columns(reference, "t"), picked_keys(reference, "x"))
}

/// What rows looked like, in the order of their copies.
pub async fn images(session: &Session, copies: &[i64]) -> Result<Vec<Key>> {
    let doing = "reading what rows looked like";
    let mut sql = session.sql("");
    let ids = sql.table("i", vec![ColumnArray::new(Type::Int64, "id", copies.iter().map(Some))]);
    sql.add(&format!(
        "SELECT CAST(c.id AS bigint) AS copy_id, CAST(c.content AS text) AS k0 FROM {ids} \
         JOIN handover.row_snapshots c ON c.id = i.id"
    ));
    let rows = session.all(doing, sql).await?;
    let found: Result<Found> = rows.iter().map(|row| read_found(row, 1).map_err(failed(doing))).collect();
    let mut found = found?;
    Ok(copies.iter().filter_map(|copy| found.remove(copy)).collect())
}

fn read_found(row: &Row, columns: usize) -> std::result::Result<(i64, Key), DbErr> {
    let key: std::result::Result<Key, DbErr> =
        (0..columns).map(|index| row.try_get("", &format!("k{index}"))).collect();
    Ok((row.try_get("", "copy_id")?, key?))
}

async fn read_copies(session: &Session, doing: &str, sql: Sql) -> Result<BTreeSet<i64>> {
    let rows = session.all(doing, sql).await?;
    rows.iter().map(|row| row.try_get("", "copy_id").map_err(failed(doing))).collect()
}

fn failed(doing: &str) -> impl Fn(DbErr) -> Error + '_ {
    move |error| Error::unexpected(doing, error.to_string())
}
