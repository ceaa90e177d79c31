//! Rows without a key, matched by what they looked like when the job left them, and taken back.
//!
//! A row matches its snapshot if every column is as it was. Of rows that are equal in all columns, as many are taken back as
//! were changed, no matter which. A row that was changed since does not match, and is left alone.
//!
//! Locks: the rows that match, until the caller commits. Rows that another transaction has locked are waited for, and
//! matched again.

use std::collections::{BTreeSet, HashMap};

use super::bisect_writes::{RestoreWrite, bisect};
use super::current_columns::{CurrentColumns, skip_all_if_changed};
use super::restored::RestoreOutcome;
use crate::catalog::{Column, Reference, SetValue};
use crate::contract::{SkipReason, UserId};
use crate::store::dialect::sql::{
    ColumnArray, INT64, MATERIALIZED, Sql, UpdateFrom, as_text, cast, column, quoted, table,
};
use crate::store::dialect::{ROW_SNAPSHOTS, RowLock, SharedDialect, Type};
use crate::store::host::item::Key;
use crate::store::host::keys::read_key;
use crate::store::host::predicates::{has_key, key_columns, keys_as, picked_keys, raise_version, touch, user_column};
use crate::store::host::row_codec::{id_table, snapshot_json, snapshot_value};
use crate::store::host::user_match::{in_one_form, points_at};
use crate::store::{Error, Result, Session};

/// Gives rows that were moved back to the leaver, by their snapshots.
pub async fn give_back(
    session: &Session,
    reference: &Reference,
    leaver: &UserId,
    copies: &[i64],
) -> Result<RestoreOutcome> {
    ContentMatch::moved(reference, leaver, copies).restore(session).await
}

/// Returns which rows could be given back now.
pub async fn preview_give_back(
    session: &Session,
    reference: &Reference,
    leaver: &UserId,
    copies: &[i64],
) -> Result<RestoreOutcome> {
    ContentMatch::moved(reference, leaver, copies).preview(session).await
}

/// A search for rows by their snapshots, and what is taken back of them.
pub struct ContentMatch<'a> {
    reference: &'a Reference,
    copies: &'a [i64],
    change: Change<'a>,
}

enum Change<'a> {
    /// The rows were moved from this user.
    Moved(&'a UserId),
    /// Columns were set.
    Set(&'a [(Column, SetValue)]),
}

/// The addresses of rows that match, by their snapshots. They are good for this transaction.
type MatchedRows = HashMap<i64, Key>;

impl<'a> ContentMatch<'a> {
    fn moved(reference: &'a Reference, leaver: &'a UserId, copies: &'a [i64]) -> Self {
        ContentMatch { reference, copies, change: Change::Moved(leaver) }
    }

    /// Searches for rows that were set.
    pub fn set(reference: &'a Reference, values: &'a [(Column, SetValue)], copies: &'a [i64]) -> Self {
        ContentMatch { reference, copies, change: Change::Set(values) }
    }

    /// Takes back the rows that match.
    pub async fn restore(&self, session: &Session) -> Result<RestoreOutcome> {
        if let Some(all) = skip_all_if_changed(session, self.reference, self.set_columns(), self.copies.len()).await? {
            return Ok(all);
        }
        let compared = self.compared_columns(session).await?;
        let mut matched = MatchedRows::new();
        loop {
            let missing: Vec<i64> = self.copies.iter().copied().filter(|copy| !matched.contains_key(copy)).collect();
            let found = self.find(session, &compared, &missing, &matched).await?;
            let locked = self.lock(session, &compared, &found).await?;
            let is_all = locked.len() == found.len();
            matched.extend(found.into_iter().filter(|(copy, _)| locked.contains(copy)));
            if is_all {
                break;
            }
        }
        let mut outcome = self.classify(session, &compared, &matched).await?;
        let places = std::mem::take(&mut outcome.restored);
        bisect(session, &TakeBack { search: self, matched: &matched }, places, &mut outcome).await?;
        Ok(outcome)
    }

    /// Returns which rows could be taken back now.
    pub async fn preview(&self, session: &Session) -> Result<RestoreOutcome> {
        if let Some(all) = skip_all_if_changed(session, self.reference, self.set_columns(), self.copies.len()).await? {
            return Ok(all);
        }
        let compared = self.compared_columns(session).await?;
        let matched = self.find(session, &compared, self.copies, &MatchedRows::new()).await?;
        self.classify(session, &compared, &matched).await
    }

    /// Returns the columns that were set.
    fn set_columns(&self) -> impl Iterator<Item = &Column> {
        let values = match self.change {
            Change::Moved(_) => &[],
            Change::Set(values) => values,
        };
        values.iter().map(|(column, _)| column)
    }

    /// Reads the columns to compare: those that the table has now, and had when the snapshots were taken.
    async fn compared_columns(&self, session: &Session) -> Result<ComparedColumns> {
        let doing = "reading what a row looked like";
        let mut sql = session.sql("");
        let first = sql.bind(self.copies.first().copied());
        let image = as_text(&self.image(sql.dialect(), "c"));
        sql.add(&format!("SELECT {image} AS image FROM {ROW_SNAPSHOTS} c WHERE c.id = {first}"));
        let text: Option<String> = session.one(doing, sql).await?.map(|row| row.get("image")).transpose()?;
        let image: serde_json::Map<String, serde_json::Value> = text
            .map_or(Ok(serde_json::Map::new()), |text| serde_json::from_str(&text))
            .map_err(|error| Error::unexpected(doing, error.to_string()))?;
        let now = CurrentColumns::read(session, &self.reference.table).await?.written;
        let shared = now.iter().filter(|column| image.contains_key(&column.name)).cloned().collect();
        let dropped = image.keys().filter(|name| !now.iter().any(|column| column.name == **name)).cloned().collect();
        Ok(ComparedColumns { shared, dropped })
    }

    /// Returns the image of the row in a snapshot.
    fn image(&self, dialect: SharedDialect, alias: &str) -> String {
        let content = format!("{alias}.content");
        match self.change {
            Change::Moved(_) => content,
            Change::Set(_) => format!("({})", dialect.json_member(&content, "is")),
        }
    }

    /// Returns the columns that the change itself has written. They do not show if a row is the same.
    fn changed_columns(&self) -> Vec<&str> {
        let mut columns: Vec<&Column> = match &self.change {
            Change::Set(values) => values.iter().map(|(column, _)| column).collect(),
            Change::Moved(_) => {
                std::iter::once(&self.reference.user).chain(self.reference.disposition.touch()).collect()
            }
        };
        columns.extend(&self.reference.version_column);
        columns.into_iter().map(|column| column.name.as_str()).collect()
    }

    /// Returns the column of a snapshot `c` that names the user who has the row, if nobody has touched it.
    fn holder(&self) -> &'static str {
        match self.change {
            Change::Moved(_) => "c.other_user",
            Change::Set(_) => "c.from_user",
        }
    }

    /// Finds rows that look as snapshots say. Rows that are matched already are left out.
    ///
    /// Equal images are numbered on both sides, and the n-th snapshot of an image gets the n-th row. Example: two snapshots
    /// and three rows with the image A, one snapshot with the image B and no row. The snapshots get the first two rows of
    /// A, and B gets none:
    ///
    /// | snapshot | image | n | row | image | n |
    /// |---|---|---|---|---|---|
    /// | 7 | A | 1 | r1 | A | 1 |
    /// | 8 | A | 2 | r2 | A | 2 |
    /// | 9 | B | 1 | r3 | A | 3 |
    async fn find(
        &self,
        session: &Session,
        compared: &ComparedColumns,
        copies: &[i64],
        matched: &MatchedRows,
    ) -> Result<MatchedRows> {
        if copies.is_empty() {
            return Ok(MatchedRows::new());
        }
        let reference = self.reference;
        let mut sql = session.sql("");
        let ids = id_table(&mut sql, copies);
        let others = not_matched(&mut sql, reference, matched);
        let then = compared.of_snapshot(sql.dialect(), &self.image(sql.dialect(), "c"), &[]);
        let keys: Vec<String> =
            (0..reference.key.len()).map(|index| format!("{} AS k{index}", as_text(&format!("h.k{index}")))).collect();
        sql.add(&format!(
            "WITH w AS {MATERIALIZED}(SELECT c.id AS copy_id, {noted} AS holder, {then} AS image, \
               row_number() OVER (PARTITION BY {then} ORDER BY c.id) AS n FROM {ids} JOIN {ROW_SNAPSHOTS} c ON c.id = i.id), \
             s AS {MATERIALIZED}(SELECT {keys_as}, {now} AS image FROM {host} t \
               WHERE {holder} IN (SELECT {holder_key} FROM w){others}), \
             h AS (SELECT s.*, row_number() OVER (PARTITION BY s.image ORDER BY {picked}) AS n FROM s \
               WHERE s.image IN (SELECT w.image FROM w)) \
             SELECT CAST(w.copy_id AS {INT64}) AS copy_id, {keys} FROM w JOIN h ON h.image = w.image AND h.n = w.n",
            noted = self.holder(),
            keys_as = keys_as(reference, "t"),
            now = compared.of_row(sql.dialect(), &[]),
            host = table(&reference.table),
            holder = in_one_form(&column("t", &reference.user.name), reference.user.spelling),
            holder_key = in_one_form(&cast("w.holder", &reference.user.cast), reference.user.spelling),
            picked = picked_keys(reference, "s"),
            keys = keys.join(", "),
        ));
        let rows = session.all("looking for rows by what they look like", sql).await?;
        rows.iter().map(|row| Ok((row.get("copy_id")?, read_key(reference, row)?))).collect()
    }

    /// Locks rows that still look the same, and returns their snapshots. A database without row locks has one writer.
    async fn lock(&self, session: &Session, compared: &ComparedColumns, found: &MatchedRows) -> Result<BTreeSet<i64>> {
        if found.is_empty() || !session.capabilities().row_locks {
            return Ok(found.keys().copied().collect());
        }
        let reference = self.reference;
        let mut sql = session.sql("");
        let rows = row_table(&mut sql, reference, found);
        let dialect = sql.dialect();
        sql.add(&format!(
            "SELECT x.copy_id AS copy_id FROM {rows} JOIN {ROW_SNAPSHOTS} c ON c.id = x.copy_id \
             JOIN {host} t ON {has_key} WHERE {now} = {then} ORDER BY {order}{lock}",
            host = table(&reference.table),
            has_key = has_key(reference, "t", "x"),
            now = compared.of_row(dialect, &[]),
            then = compared.of_snapshot(dialect, &self.image(dialect, "c"), &[]),
            order = key_columns(reference, "t"),
            lock = dialect.row_lock(RowLock::Wait, Some("t")),
        ));
        read_copies(session, "locking rows that match", sql).await
    }

    /// Returns the outcome: a row that looks the same except for what the job changed has been changed again; otherwise no row
    /// is left that looks like the snapshot.
    async fn classify(
        &self,
        session: &Session,
        compared: &ComparedColumns,
        matched: &MatchedRows,
    ) -> Result<RestoreOutcome> {
        let missing: Vec<i64> = self.copies.iter().copied().filter(|copy| !matched.contains_key(copy)).collect();
        let changed = self.changed_since(session, compared, &missing, matched).await?;
        let mut outcome = RestoreOutcome::default();
        for (place, copy) in self.copies.iter().enumerate() {
            match (matched.contains_key(copy), changed.contains(copy)) {
                (true, _) => outcome.restored.push(place),
                (false, true) => outcome.skip(SkipReason::Changed, place),
                (false, false) => outcome.skip(SkipReason::Gone, place),
            }
        }
        Ok(outcome)
    }

    async fn changed_since(
        &self,
        session: &Session,
        compared: &ComparedColumns,
        missing: &[i64],
        matched: &MatchedRows,
    ) -> Result<BTreeSet<i64>> {
        if missing.is_empty() {
            return Ok(BTreeSet::new());
        }
        let reference = self.reference;
        let mut sql = session.sql("");
        let ids = id_table(&mut sql, missing);
        let others = not_matched(&mut sql, reference, matched);
        let but = self.changed_columns();
        // A row that is the leaver's again came back by another hand.
        let of_others = match self.change {
            Change::Moved(leaver) => {
                let leaver = sql.host(&reference.user, leaver.as_str());
                format!("({}) IS NOT TRUE", points_at(&reference.user, "t", &leaver))
            }
            Change::Set(_) => "TRUE".to_owned(),
        };
        sql.add(&format!(
            "SELECT CAST(c.id AS {INT64}) AS copy_id FROM {ids} JOIN {ROW_SNAPSHOTS} c ON c.id = i.id \
             WHERE {then} IN (SELECT {now} FROM {host} t WHERE {of_others}{others})",
            then = compared.of_snapshot(sql.dialect(), &self.image(sql.dialect(), "c"), &but),
            now = compared.of_row(sql.dialect(), &but),
            host = table(&reference.table),
        ));
        read_copies(session, "looking for rows that were changed", sql).await
    }
}

/// The statement that takes rows back.
struct TakeBack<'a> {
    search: &'a ContentMatch<'a>,
    matched: &'a MatchedRows,
}

impl RestoreWrite for TakeBack<'_> {
    fn doing(&self) -> &'static str {
        "taking back rows that match"
    }

    fn statement(&self, session: &Session, places: &[usize]) -> Sql {
        let ContentMatch { reference, copies, change } = self.search;
        let mut sql = session.sql("");
        let dialect = sql.dialect();
        let some = places.iter().filter_map(|place| self.matched.get_key_value(&copies[*place]));
        let rows = row_table(&mut sql, reference, some);
        let (assign, snapshots) = match change {
            Change::Moved(leaver) => {
                let to = sql.host(&reference.user, leaver.as_str());
                (format!("{} = {to}{}", user_column(reference), touch(dialect, reference, "t")), String::new())
            }
            Change::Set(values) => {
                let was = format!("({})", dialect.json_member("c.content", "was"));
                let old = |(set, _): &(Column, SetValue)| {
                    format!("{} = {}", quoted(&set.name), snapshot_value(dialect, &was, set))
                };
                let assign: Vec<String> = values.iter().map(old).collect();
                let snapshots = format!(" JOIN {ROW_SNAPSHOTS} c ON c.id = x.copy_id");
                (assign.join(", ") + &raise_version(reference, "t"), snapshots)
            }
        };
        let update = dialect.update_from(&UpdateFrom {
            table: &table(&reference.table),
            alias: "t",
            assignments: &assign,
            from: &(rows + &snapshots),
            condition: &has_key(reference, "t", "x"),
        });
        sql.add(&update);
        sql
    }
}

/// The columns that snapshots and rows have in common, and those that only snapshots have.
struct ComparedColumns {
    shared: Vec<Column>,
    dropped: Vec<String>,
}

impl ComparedColumns {
    /// Returns what a row `t` looks like now, without some columns.
    fn of_row(&self, dialect: SharedDialect, without: &[&str]) -> String {
        let columns: Vec<&Column> =
            self.shared.iter().filter(|column| !without.contains(&column.name.as_str())).collect();
        snapshot_json(dialect, &columns, "t")
    }

    /// Returns what a row looked like by its snapshot, without these columns.
    fn of_snapshot(&self, dialect: SharedDialect, image: &str, without: &[&str]) -> String {
        let without: Vec<&str> = self.dropped.iter().map(String::as_str).chain(without.iter().copied()).collect();
        match without.is_empty() {
            true => image.to_owned(),
            false => dialect.json_without(image, &without),
        }
    }
}

/// Returns rows that match as a table `x`: the snapshot, and the address of the row.
fn row_table<'f>(sql: &mut Sql, reference: &Reference, rows: impl IntoIterator<Item = (&'f i64, &'f Key)>) -> String {
    let (ids, places): (Vec<&i64>, Vec<&Key>) = rows.into_iter().unzip();
    let mut arrays = vec![ColumnArray::new(Type::Int64, "copy_id", ids.into_iter().map(Some))];
    for (index, key) in reference.key.iter().enumerate() {
        let values: Vec<Option<String>> = places.iter().map(|place| place.get(index).cloned()).collect();
        arrays.push(ColumnArray::of_some(&format!("k{index}"), key, values));
    }
    sql.table("x", arrays)
}

/// Tests that a row `t` is none of those that match.
fn not_matched(sql: &mut Sql, reference: &Reference, matched: &MatchedRows) -> String {
    if matched.is_empty() {
        return String::new();
    }
    let rows = row_table(sql, reference, matched);
    format!(" AND ({}) NOT IN (SELECT {} FROM {rows})", key_columns(reference, "t"), picked_keys(reference, "x"))
}

async fn read_copies(session: &Session, doing: &str, sql: Sql) -> Result<BTreeSet<i64>> {
    session.all(doing, sql).await?.iter().map(|row| row.get("copy_id")).collect()
}
