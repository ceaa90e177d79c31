//! The rows that a change removes, and those that follow them. Their snapshots in the ledger are the set: rows are added until
//! no more rows point at one of it, in any table and at any depth.
//!
//! A row of the set is locked before rows that point at it are looked for. So a row that the host inserts below it is either
//! found, or waits for the commit and fails by its foreign key.

use super::journal_rows::{JournalIds, take_snapshots};
use crate::catalog::{Column, Family, Following, Link, Place, Retention};
use crate::store::dialect::sql::{INT64, Sql, TEXT, UpdateFrom, cast, column, table};
use crate::store::dialect::{JOURNAL, ROW_SNAPSHOTS, RowLock, Type};
use crate::store::host::journal_write::{JournalRow, Journaled, RETURNED, run_journaled};
use crate::store::host::row_codec::{LEFT, row_json, snapshot_json, snapshot_value};
use crate::store::host::row_snapshots::{SnapshotSource, snapshot_insert, written_columns};
use crate::store::host::statements::RowChange;
use crate::store::{Error, Result, Session};

/// The snapshots of one change, in the transaction that takes them.
pub struct WorkingSet<'c> {
    change: &'c RowChange<'c>,
    /// The last snapshot before those of the set.
    start: i64,
    retention: Retention,
}

impl<'c> WorkingSet<'c> {
    /// Begins the set with the journaled rows of the reference's own table, which are locked. `content` and `joined` are those
    /// of [`take_snapshots`].
    pub async fn begin(
        session: &Session,
        change: &'c RowChange<'c>,
        (journaled, ids): (&Journaled, JournalIds),
        (content, other_user): (&str, &str),
        joined: &str,
    ) -> Result<WorkingSet<'c>> {
        let retention = change.kept().unwrap_or(Retention::Journal);
        let sql = session.sql(&format!("SELECT CAST(COALESCE(max(id), 0) AS {INT64}) AS n FROM {ROW_SNAPSHOTS}"));
        let start = session.one("reading the last snapshot", sql).await?.map_or(Ok(0), |row| row.get("n"))?;
        let taken = take_snapshots(session, change, (retention, ids), (content, other_user), joined).await?;
        if taken != journaled.records() {
            return Err(Error::contention(&change.doing(), "rows have changed meanwhile"));
        }
        Ok(WorkingSet { change, start, retention })
    }

    /// Adds every row that follows, and then the rows that are emptied.
    pub async fn complete(&self, session: &Session) -> Result<()> {
        let links: Vec<&Link> = self.change.links(Following::Removed).collect();
        let (leaves, others): (Vec<&Link>, Vec<&Link>) =
            links.into_iter().partition(|link| self.is_keyless(link.child));
        let mut frontier = self.start;
        loop {
            let last = self.last(session).await?;
            let mut added = 0;
            for link in &others {
                added += self.add_removed(session, link, (frontier, last)).await?;
            }
            if added == 0 {
                break;
            }
            frontier = last;
        }
        for (place, link) in leaves.iter().enumerate() {
            self.add_leaves(session, link, &leaves[..place]).await?;
        }
        for link in self.change.links(Following::Emptied) {
            self.add_emptied(session, link).await?;
        }
        Ok(())
    }

    /// Deletes the rows of the set, those that point before those that they point at.
    pub async fn delete(&self, session: &Session) -> Result<()> {
        for place in self.deletion_order() {
            match self.is_keyless(place) {
                true => self.delete_leaves(session, place).await?,
                false => self.delete_keyed(session, place).await?,
            }
        }
        for link in self.change.links(Following::Emptied) {
            self.note_left(session, link).await?;
        }
        Ok(())
    }

    /// Journals the rows that followed, and removes the snapshots again if none are kept.
    pub async fn finish(&self, session: &Session) -> Result<Vec<JournalRow>> {
        let RowChange { reference, items, action, .. } = self.change;
        let doing = format!("journaling what follows {}", reference.kind);
        let mut sql = session.sql("");
        let emptied: Vec<String> = (self.change.links(Following::Emptied))
            .map(|link| sql.bind(reference.emptied_kind(reference.table_at(link.child), link)))
            .collect();
        let removed: Vec<String> = (self.change.links(Following::Removed))
            .map(|link| sql.bind(reference.removed_kind(reference.table_at(link.child))))
            .collect();
        let kinds = [emptied.as_slice(), removed.as_slice()].concat();
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let action = match emptied.is_empty() {
            true => format!("'{action}'"),
            false => format!("CASE WHEN s.kind IN ({}) THEN 'set' ELSE '{action}' END", emptied.join(", ")),
        };
        let of_set = self.test(&mut sql, "s");
        let at = sql.bind(items.first().map(|item| item.at));
        let null = sql.dialect().cast("NULL", &Type::Json);
        sql.add(&format!(
            "INSERT INTO {JOURNAL} (job_id, chunk, kind, action, from_user, to_user, records, keys, at) \
             SELECT s.job_id, s.chunk, s.kind, {action}, s.from_user, CAST(NULL AS {TEXT}), count(*), {null}, {at} \
             FROM {ROW_SNAPSHOTS} s WHERE {of_set} AND s.kind IN ({kinds}) \
             GROUP BY s.job_id, s.chunk, s.kind, s.from_user{returning}",
            kinds = kinds.join(", "),
            returning = sql.dialect().returning(RETURNED),
        ));
        let rows = run_journaled(session, &doing, sql, items).await?.rows;
        if self.change.kept().is_none() {
            let mut sql = session.sql("");
            let of_set = self.test(&mut sql, "s");
            let kinds: Vec<String> = self.kinds().iter().map(|kind| sql.bind(kind.as_str())).collect();
            sql.add(&format!("DELETE FROM {ROW_SNAPSHOTS} AS s WHERE {of_set} AND s.kind IN ({})", kinds.join(", ")));
            session.run(&doing, sql).await?;
        }
        Ok(rows)
    }

    /// Returns the kinds of the set's snapshots.
    fn kinds(&self) -> Vec<String> {
        let reference = self.change.reference;
        let removed =
            self.change.links(Following::Removed).map(|link| reference.removed_kind(reference.table_at(link.child)));
        let emptied = self.change.links(Following::Emptied);
        let emptied = emptied.map(|link| reference.emptied_kind(reference.table_at(link.child), link));
        std::iter::once(reference.kind.clone()).chain(removed).chain(emptied).collect()
    }

    fn is_keyless(&self, place: Place) -> bool {
        let follower = place.and_then(|place| self.change.reference.disposition.followers()?.tables.get(place));
        follower.is_some_and(|follower| follower.keyless)
    }

    /// Returns the number of the last snapshot of the set.
    async fn last(&self, session: &Session) -> Result<i64> {
        let mut sql = session.sql("");
        let of_set = self.test(&mut sql, "s");
        sql.add(&format!("SELECT CAST(COALESCE(max(s.id), 0) AS {INT64}) AS n FROM {ROW_SNAPSHOTS} s WHERE {of_set}"));
        session.one("reading the last snapshot", sql).await?.map_or(Ok(0), |row| row.get("n"))
    }

    /// Tests that a snapshot is of the set. Other movers take snapshots of the same job at the same time, of other chunks.
    fn test(&self, sql: &mut Sql, alias: &str) -> String {
        let start = sql.bind(self.start);
        let jobs: Vec<String> = self.change.items.iter().map(|item| sql.bind(item.job)).collect();
        let chunk = self.change.items.first().and_then(|item| item.chunk);
        let chunk = match chunk {
            Some(chunk) => format!("= {}", sql.bind(chunk)),
            None => "IS NULL".to_owned(),
        };
        format!("{alias}.id > {start} AND {alias}.job_id IN ({}) AND {alias}.chunk {chunk}", jobs.join(", "))
    }

    /// Tests that a snapshot of the set is of a row of the table at a place that is removed.
    fn of_table(&self, sql: &mut Sql, place: Place, alias: &str) -> String {
        let reference = self.change.reference;
        let of_set = self.test(sql, alias);
        let removed = sql.bind(reference.removed_kind(reference.table_at(place)));
        match place {
            Some(_) => format!("{of_set} AND {alias}.kind = {removed}"),
            None => {
                let own = sql.bind(reference.kind.as_str());
                format!("{of_set} AND {alias}.kind IN ({own}, {removed})")
            }
        }
    }

    /// Returns the parents that a link points at as a table `p`: the columns of their snapshots, and `a0`, `a1` and so on.
    fn parents(&self, sql: &mut Sql, link: &Link, between: Option<(i64, i64)>) -> String {
        let mut test = self.of_table(sql, link.parent, "s");
        if let Some((after, until)) = between {
            let (after, until) = (sql.bind(after), sql.bind(until));
            test.push_str(&format!(" AND s.id > {after} AND s.id <= {until}"));
        }
        let at = pointed_at(sql, link);
        format!("(SELECT s.job_id, s.chunk, s.from_user, {at} FROM {ROW_SNAPSHOTS} s WHERE {test}) p")
    }

    /// Returns the keys of the set's rows of a table, as a query.
    fn keys(&self, sql: &mut Sql, place: Place) -> String {
        let test = self.of_table(sql, place, "s");
        let keys = values(sql, self.change.reference.key_at(place), "k");
        format!("SELECT {keys} FROM {ROW_SNAPSHOTS} s WHERE {test}")
    }

    async fn add_removed(&self, session: &Session, link: &Link, between: (i64, i64)) -> Result<u64> {
        let reference = self.change.reference;
        let child = reference.table_at(link.child);
        let mut sql = session.sql("");
        let parents = self.parents(&mut sql, link, Some(between));
        let known =
            format!("({}) NOT IN ({})", columns("c", reference.key_at(link.child)), self.keys(&mut sql, link.child));
        let content = row_json(sql.dialect(), &snapshot_columns(session, self.change, link.child).await?, "c");
        self.add(session, sql, link, (&reference.removed_kind(child), &content, &parents, &known)).await
    }

    /// Adds rows without keys, at which no other rows point. `before` are the links whose rows are in the set already.
    async fn add_leaves(&self, session: &Session, link: &Link, before: &[&Link]) -> Result<u64> {
        let reference = self.change.reference;
        let child = reference.table_at(link.child);
        let mut sql = session.sql("");
        let parents = self.parents(&mut sql, link, None);
        let mut known = vec!["TRUE".to_owned()];
        for other in before.iter().filter(|other| other.child == link.child) {
            known.push(format!("({}) IS NOT TRUE", self.points_at_parent(&mut sql, other)));
        }
        let content = row_json(sql.dialect(), &snapshot_columns(session, self.change, link.child).await?, "c");
        self.add(session, sql, link, (&reference.removed_kind(child), &content, &parents, &known.join(" AND "))).await
    }

    /// Adds the keys and the old values of rows whose link is emptied, unless the rows themselves are removed.
    async fn add_emptied(&self, session: &Session, link: &Link) -> Result<u64> {
        let reference = self.change.reference;
        let child = reference.table_at(link.child);
        let mut sql = session.sql("");
        let parents = self.parents(&mut sql, link, None);
        let key = reference.key_at(link.child);
        let known = format!("({}) NOT IN ({})", columns("c", key), self.keys(&mut sql, link.child));
        let kept: Vec<&Column> = key.iter().chain(&link.points).collect();
        let content = snapshot_json(sql.dialect(), &kept, "c");
        self.add(session, sql, link, (&reference.emptied_kind(child, link), &content, &parents, &known)).await
    }

    /// Takes snapshots of the rows that point along a link at these parents, and locks the rows.
    async fn add(
        &self,
        session: &Session,
        mut sql: Sql,
        link: &Link,
        (kind, content, parents, test): (&str, &str, &str, &str),
    ) -> Result<u64> {
        let reference = self.change.reference;
        let child = reference.table_at(link.child);
        let points: Vec<String> = (link.points.iter().enumerate())
            .map(|(index, points)| format!("{} = p.a{index}", column("c", &points.name)))
            .collect();
        let lock = sql.dialect().row_lock(RowLock::Wait, Some("c"));
        let select = format!("SELECT p.job_id, p.chunk, p.from_user, {content}, CAST(NULL AS {TEXT})");
        let from = format!(
            "FROM {parents} JOIN {host} c ON {points} WHERE {test}{lock}",
            host = table(child),
            points = points.join(" AND ")
        );
        let source = SnapshotSource { kind, table: child, select: &select, from: &from };
        let insert = snapshot_insert(&mut sql, self.change.items, self.retention, &source);
        sql.add(&insert);
        session.run(&format!("taking snapshots of {child} with {}", reference.kind), sql).await
    }

    /// Tests that a row `c` points along a link at a row of the set.
    fn points_at_parent(&self, sql: &mut Sql, link: &Link) -> String {
        let test = self.of_table(sql, link.parent, "s");
        let at = pointed_at(sql, link);
        format!("({}) IN (SELECT {at} FROM {ROW_SNAPSHOTS} s WHERE {test})", columns("c", &link.points))
    }

    /// Returns the tables in an order in which rows that point are deleted before those that they point at, as far as there is
    /// one.
    fn deletion_order(&self) -> Vec<Place> {
        let links: Vec<&Link> =
            self.change.links(Following::Removed).filter(|link| link.child != link.parent).collect();
        let mut open: Vec<Place> = vec![None];
        for place in links.iter().map(|link| link.child) {
            if !open.contains(&place) {
                open.push(place);
            }
        }
        let mut order = Vec::new();
        while !open.is_empty() {
            let waits = |place: &Place| links.iter().any(|link| link.parent == *place && open.contains(&link.child));
            let next = open.iter().position(|place| !waits(place)).unwrap_or(open.len() - 1);
            order.push(open.remove(next));
        }
        order
    }

    /// Deletes the rows of the set in one statement, so that rows of a tree may point at each other.
    async fn delete_keyed(&self, session: &Session, place: Place) -> Result<()> {
        let reference = self.change.reference;
        let name = reference.table_at(place);
        let doing = format!("removing {name} with {}", reference.kind);
        let of_set = |verb: &str| {
            let mut sql = session.sql(verb);
            let keys = self.keys(&mut sql, place);
            sql.add(&format!(
                " FROM {host} AS c WHERE ({key}) IN ({keys})",
                host = table(name),
                key = columns("c", reference.key_at(place)),
            ));
            sql
        };
        let deleted = session.run(&doing, of_set("DELETE")).await?;
        match session.one(&doing, of_set("SELECT 1 AS n")).await? {
            None => Ok(()),
            Some(_) => Err(Error::ignored(&doing, deleted, deleted + 1)),
        }
    }

    async fn delete_leaves(&self, session: &Session, place: Place) -> Result<()> {
        let reference = self.change.reference;
        let name = reference.table_at(place);
        let doing = format!("removing {name} with {}", reference.kind);
        let of_set = |verb: &str| {
            let mut sql = session.sql(verb);
            let links = self.change.links(Following::Removed).filter(|link| link.child == place);
            let points: Vec<String> = links.map(|link| self.points_at_parent(&mut sql, link)).collect();
            sql.add(&format!(" FROM {} AS c WHERE {}", table(name), points.join(" OR ")));
            sql
        };
        let mut sql = session.sql("");
        let test = self.of_table(&mut sql, place, "s");
        sql.add(&format!("SELECT CAST(count(*) AS {INT64}) AS n FROM {ROW_SNAPSHOTS} s WHERE {test}"));
        let taken = session.one(&doing, sql).await?.map_or(Ok(0), |row| row.count("n"))?;
        match session.run(&doing, of_set("DELETE")).await? {
            deleted if deleted == taken => Ok(()),
            deleted if deleted > taken => Err(Error::contention(&doing, "rows have been added meanwhile")),
            deleted => Err(Error::ignored(&doing, deleted, taken)),
        }
    }

    /// Adds to snapshots of emptied rows what the database has left in the columns: NULL, a default, or what a trigger says.
    async fn note_left(&self, session: &Session, link: &Link) -> Result<()> {
        let reference = self.change.reference;
        let child = reference.table_at(link.child);
        let key = reference.key_at(link.child);
        let mut sql = session.sql("");
        let kind = sql.bind(reference.emptied_kind(child, link));
        let of_set = self.test(&mut sql, "s");
        let dialect = sql.dialect();
        let left = snapshot_json(dialect, &link.points.iter().collect::<Vec<_>>(), "c");
        let same: Vec<String> = (key.iter())
            .map(|key| format!("{} = {}", column("c", &key.name), snapshot_value(dialect, "s.content", key)))
            .collect();
        let update = dialect.update_from(&UpdateFrom {
            table: &ROW_SNAPSHOTS.to_string(),
            alias: "s",
            assignments: &format!("content = {}", dialect.json_with("s.content", LEFT, &left)),
            from: &format!("{} c", table(child)),
            condition: &format!("{of_set} AND s.kind = {kind} AND {}", same.join(" AND ")),
        });
        sql.add(&update);
        session.run(&format!("taking snapshots of {child} with {}", reference.kind), sql).await?;
        Ok(())
    }
}

/// Returns the columns that the set's snapshots of a table hold: all that the table has now; if none are kept, only those that
/// the set needs.
pub async fn snapshot_columns(session: &Session, change: &RowChange<'_>, place: Place) -> Result<Vec<Column>> {
    let reference = change.reference;
    if change.kept().is_some() {
        return written_columns(session, reference.table_at(place)).await;
    }
    let pointed_at = change.links(Following::Removed).chain(change.links(Following::Emptied));
    let pointed_at = pointed_at.filter(|link| link.parent == place).flat_map(|link| &link.at);
    let mut columns: Vec<Column> = Vec::new();
    for column in reference.key_at(place).iter().chain(pointed_at) {
        if !columns.iter().any(|known| known.name == column.name) {
            columns.push(column.clone());
        }
    }
    Ok(columns)
}

/// Returns what a link points at in a snapshot `s`, as `a0`, `a1` and so on. Without a foreign key, the types may differ.
fn pointed_at(sql: &Sql, link: &Link) -> String {
    let is_comparable =
        |a: Family, b: Family| a == b || matches!((a, b), (Family::Integer { .. }, Family::Integer { .. }));
    let value = |(index, (at, points)): (usize, (&Column, &Column))| {
        let value = snapshot_value(sql.dialect(), "s.content", at);
        match is_comparable(at.family, points.family) {
            true => format!("{value} AS a{index}"),
            false => format!("{} AS a{index}", cast(&value, &points.cast)),
        }
    };
    link.at.iter().zip(&link.points).enumerate().map(value).collect::<Vec<_>>().join(", ")
}

/// Returns the values of columns in a snapshot `s`, as `a0`, `a1` and so on for the prefix `a`.
fn values(sql: &Sql, of: &[Column], prefix: &str) -> String {
    let value = |(index, column): (usize, &Column)| {
        format!("{} AS {prefix}{index}", snapshot_value(sql.dialect(), "s.content", column))
    };
    of.iter().enumerate().map(value).collect::<Vec<_>>().join(", ")
}

fn columns(alias: &str, of: &[Column]) -> String {
    of.iter().map(|one| column(alias, &one.name)).collect::<Vec<_>>().join(", ")
}
