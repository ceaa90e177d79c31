//! Where chunks begin and end.

use std::collections::HashSet;

use sea_orm::DbErr;

use super::predicates::{Key, behind, between, key_columns, tests};
use crate::catalog::{Column, Engine, Reference};
use crate::store::dialect::sql::{Sql, as_texts, cast, column, table};
use crate::store::{Error, Result, Row, Session};

/// A range of keys and how many of the leaver's rows it holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub first: Key,
    /// The last key.
    pub last: Key,
    /// How many rows.
    pub records: u64,
}

/// Cuts the leaver's rows behind a key, in key order, into at most `chunks` ranges of `rows` rows. Records of `except`
/// take no place. Fewer ranges than asked for, or a last one that is not full: nothing is behind it.
///
/// Takes no locks. Where an index gives the keys of a user in order, reads at most `chunks * rows` of its entries; where none
/// does, the database sorts what is behind the key, once. Only the keys at the ranges' ends leave it.
pub async fn cut(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    after: Option<&Key>,
    except: &[String],
    chunks: u64,
    rows: u64,
) -> Result<Vec<KeyRange>> {
    let mut cuts = match session.engine() {
        Engine::Postgres => Vec::new(),
        Engine::Sqlite => full_ranges(session, reference, leaver, after, except, (chunks, rows)).await?,
    };
    let left = chunks - cuts.len() as u64;
    if left > 0 {
        let after = cuts.last().map(|cut| &cut.last).or(after);
        let mut sql = session.sql("");
        let tests = tests_behind(&mut sql, reference, after, except);
        cuts.extend(cut_rows(session, reference, leaver, sql, &tests, left, rows).await?);
    }
    Ok(cuts)
}

fn tests_behind(sql: &mut Sql, reference: &Reference, after: Option<&Key>, except: &[String]) -> String {
    let mut tests = tests(sql, reference, "t");
    if let Some(after) = after {
        tests.push_str(&behind(sql, reference, "t", after));
    }
    tests + &not_excepted(sql, reference, except)
}

/// SQLite: the ranges that are full, found from end to end by steps in the index, where the key is of one column and an index
/// gives it in order: else each step would sort all rows anew. To number all rows takes it many times as long.
async fn full_ranges(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    after: Option<&Key>,
    except: &[String],
    (chunks, rows): (u64, u64),
) -> Result<Vec<KeyRange>> {
    let [key] = reference.key.as_slice() else { return Ok(Vec::new()) };
    let doing = format!("cutting {}", reference.kind);
    let ranges = |sql: Sql| ranges_in_order(sql, reference, key, leaver, after, except, (chunks, rows));
    if sorts(session, &doing, ranges(session.sql("EXPLAIN QUERY PLAN "))).await? {
        return Ok(Vec::new());
    }
    let read = |row: &Row| Ok::<_, DbErr>((row.try_get("", "f")?, row.try_get("", "l")?));
    let found = session.all(&doing, ranges(session.sql(""))).await?;
    let ends = found.iter().map(read).collect::<std::result::Result<Vec<(String, String)>, _>>();
    let ends = ends.map_err(|error| Error::unexpected(&doing, error.to_string()))?;
    Ok(ends.into_iter().map(|(first, last)| KeyRange { first: vec![first], last: vec![last], records: rows }).collect())
}

/// Whether a statement that SQLite explains would sort rows.
async fn sorts(session: &Session, doing: &str, explained: Sql) -> Result<bool> {
    for step in session.all(doing, explained).await? {
        let step: String = step.try_get("", "detail").map_err(|error| Error::unexpected(doing, error.to_string()))?;
        if step.contains("TEMP B-TREE") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds the query of the ends of full ranges, `f` and `l`, one range behind the other.
fn ranges_in_order(
    mut sql: Sql,
    reference: &Reference,
    key: &Column,
    leaver: &str,
    after: Option<&Key>,
    except: &[String],
    (chunks, rows): (u64, u64),
) -> Sql {
    let user = sql.host(&reference.user, leaver);
    let tests = tests_behind(&mut sql, reference, after, except);
    let (chunks, to_the_last) = (sql.bind(chunks as i64), sql.bind(rows as i64 - 1));
    let of_theirs = |behind: &str, offset: &str| {
        format!(
            "(SELECT {key} FROM {table} t WHERE t.{column} = {user}{tests}{behind} ORDER BY {key} LIMIT 1 OFFSET {offset})",
            key = column("t", &key.name),
            table = table(&reference.table),
            column = super::predicates::user_column(reference),
        )
    };
    let behind = format!(" AND {} > r.l", column("t", &key.name));
    sql.add(&format!(
        "WITH RECURSIVE r(f, l) AS (SELECT {}, {} UNION ALL SELECT {}, {} FROM r WHERE r.l IS NOT NULL LIMIT {chunks}) \
         SELECT {} AS f, {} AS l FROM r WHERE r.l IS NOT NULL",
        of_theirs("", "0"),
        of_theirs("", &to_the_last),
        of_theirs(&behind, "0"),
        of_theirs(&behind, &to_the_last),
        cast("r.f", "text"),
        cast("r.l", "text"),
    ));
    sql
}

/// Cuts what a range holds now into ranges of so many rows as is said of their number, at least one.
pub async fn cut_between(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    (first, last): (&Key, &Key),
    except: &[String],
    rows: impl FnOnce(u64) -> u64,
) -> Result<Vec<KeyRange>> {
    let doing = format!("cutting a chunk of {}", reference.kind);
    let mut sql = session.sql("");
    let inside = inside_range(&mut sql, reference, (first, last), except);
    let user = sql.host(&reference.user, leaver);
    sql.add(&format!(
        "SELECT count(*) AS n FROM {table} t WHERE t.{column} = {user}{inside}",
        table = table(&reference.table),
        column = super::predicates::user_column(reference),
    ));
    let row = session.one(&doing, sql).await?;
    let found: Option<i64> = row
        .map(|row| row.try_get("", "n"))
        .transpose()
        .map_err(|error| Error::unexpected(&doing, error.to_string()))?;
    let found = found.unwrap_or(0).max(0) as u64;
    let rows = rows(found).max(1);
    let mut sql = session.sql("");
    let tests = inside_range(&mut sql, reference, (first, last), except);
    cut_rows(session, reference, leaver, sql, &tests, found.div_ceil(rows), rows).await
}

/// Rows next to each other in key order, all of which somebody else holds locked, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRun {
    /// The rows.
    pub range: KeyRange,
    /// Whether they are locked.
    pub is_locked: bool,
}

/// PostgreSQL: what a range holds now, by which rows others hold locked. The rest is locked by this until its transaction
/// ends. Reads the keys of a chunk.
pub async fn lock_runs(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    (first, last): (&Key, &Key),
    except: &[String],
) -> Result<Vec<LockRun>> {
    let doing = format!("looking for locked rows of {}", reference.kind);
    let mut keys = [Vec::new(), Vec::new()];
    for (keys, locking) in keys.iter_mut().zip(["FOR NO KEY UPDATE OF t SKIP LOCKED", ""]) {
        let mut sql = session.sql("");
        let inside = inside_range(&mut sql, reference, (first, last), except);
        let user = sql.host(&reference.user, leaver);
        sql.add(&format!(
            "SELECT {texts} FROM {table} t WHERE t.{column} = {user}{inside} ORDER BY {order} {locking}",
            texts = as_texts(&reference.key, "t"),
            table = table(&reference.table),
            column = super::predicates::user_column(reference),
            order = key_columns(reference, "t"),
        ));
        for row in session.all(&doing, sql).await? {
            keys.push(read_key(&doing, reference, &row)?);
        }
    }
    let [free, all] = keys;
    let free: HashSet<Key> = free.into_iter().collect();
    let mut lock_runs: Vec<LockRun> = Vec::new();
    for key in all {
        let is_locked = !free.contains(&key);
        match lock_runs.last_mut().filter(|run| run.is_locked == is_locked) {
            Some(run) => {
                run.range.records += 1;
                run.range.last = key;
            }
            None => {
                lock_runs.push(LockRun { range: KeyRange { first: key.clone(), last: key, records: 1 }, is_locked })
            }
        }
    }
    Ok(lock_runs)
}

fn inside_range(sql: &mut Sql, reference: &Reference, (first, last): (&Key, &Key), except: &[String]) -> String {
    let mut tests = tests(sql, reference, "t");
    tests.push_str(&between(sql, reference, "t", first, last));
    tests.push_str(&not_excepted(sql, reference, except));
    tests
}

/// That a row is not one of those that go another way.
fn not_excepted(sql: &mut Sql, reference: &Reference, except: &[String]) -> String {
    match (reference.key.as_slice(), except.is_empty()) {
        ([key], false) => {
            let list = sql.host_list(key, except.iter().map(String::as_str));
            format!(" AND {} NOT IN {list}", column("t", &key.name))
        }
        _ => String::new(),
    }
}

async fn cut_rows(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    mut sql: Sql,
    tests: &str,
    chunks: u64,
    rows: u64,
) -> Result<Vec<KeyRange>> {
    let doing = format!("cutting {}", reference.kind);
    let leaver = sql.host(&reference.user, leaver);
    let keys = key_columns(reference, "t");
    let most = sql.bind((chunks * rows) as i64);
    let rows_each = sql.bind(rows as i64);
    let texts = as_texts(&reference.key, "s");
    sql.add(&format!(
        "WITH s AS (SELECT {keys}, row_number() OVER (ORDER BY {keys}) AS n FROM {table} t \
         WHERE t.{user} = {leaver}{tests} ORDER BY {keys} LIMIT {most}) \
         SELECT {texts}, s.n AS n FROM s \
         WHERE s.n % {rows_each} = 0 OR (s.n - 1) % {rows_each} = 0 OR s.n = (SELECT max(n) FROM s) ORDER BY s.n",
        table = table(&reference.table),
        user = super::predicates::user_column(reference),
    ));
    let ends = session.all(&doing, sql).await?;
    pair_up(&doing, reference, &ends, rows)
}

/// Pairs the ranges' ends: a row that begins a range, and the next that ends it (the same, in a range of one).
fn pair_up(doing: &str, reference: &Reference, ends: &[Row], rows: u64) -> Result<Vec<KeyRange>> {
    let mut cuts = Vec::new();
    let mut first: Option<(Key, u64)> = None;
    for (index, end) in ends.iter().enumerate() {
        let number: i64 = end.try_get("", "n").map_err(|error| Error::unexpected(doing, error.to_string()))?;
        let number = number as u64;
        let key = read_key(doing, reference, end)?;
        let (start, start_number) = first.take().unwrap_or_else(|| (key.clone(), number));
        if number.is_multiple_of(rows) || index + 1 == ends.len() {
            cuts.push(KeyRange { first: start, last: key, records: number - start_number + 1 });
        } else {
            first = Some((start, start_number));
        }
    }
    Ok(cuts)
}

/// The key of a row that was selected with [`as_texts`].
pub fn read_key(doing: &str, reference: &Reference, row: &Row) -> Result<Key> {
    let read = |index: usize| -> Result<String> {
        row.try_get("", &format!("k{index}")).map_err(|error| Error::unexpected(doing, error.to_string()))
    };
    (0..reference.key.len()).map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalog::check;
    use crate::store::{Settings, Store, host};

    const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, mail TEXT, status TEXT);";
    const CATALOG: &str = "[users]\ntable = \"people\"\nkey = \"id\"\nname = \"name\"\nemail = \"mail\"\n\
         status = { column = \"status\", active = \"active\", inactive = \"inactive\" }\n\
         [[reference]]\nkind = \"doc\"\ntable = \"docs\"\nkey = \"id\"\nuser = \"owner\"\ndisposition = \"transfer\"\n";

    /// Ten documents of somebody's; the ranges of three, and whether they were found by steps.
    async fn cut_threes(key: &str, index: &str) -> (Vec<KeyRange>, bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let limit = Duration::from_secs(30);
        let settings = Settings {
            url: format!("sqlite://{}?mode=rwc", folder.path().join("host.db").display()),
            max_connections: 2,
            lock_timeout: limit,
            statement_timeout: limit,
            idle_timeout: limit,
            acquire_timeout: limit,
        };
        let store = Store::open(&settings).await.expect("SQLite");
        let tables = format!(
            "{PEOPLE} CREATE TABLE docs (id {key} NOT NULL PRIMARY KEY, owner INTEGER, title TEXT); \
             CREATE INDEX mine ON docs ({index}); \
             INSERT INTO docs VALUES (0, 9, 'a'), (1, 9, 'z'), (2, 9, 'b'), (3, 9, 'y'), (4, 9, 'c'), (5, 9, 'x'), \
               (6, 9, 'd'), (7, 9, 'w'), (8, 9, 'e'), (9, 9, 'v')"
        );
        store.run_script("making a host", &tables).await.expect("a host");
        let session = store.reader();
        let schema = host::read_schema(&session).await.expect("a schema");
        let catalog = check("a test's", CATALOG, &schema).expect("a catalog").catalog;
        let reference = &catalog.references[0];
        let by_steps = full_ranges(&session, reference, "9", None, &[], (5, 3)).await.expect("ranges");
        let cuts = cut(&session, reference, "9", None, &[], 5, 3).await.expect("ranges");
        store.close().await;
        (cuts, !by_steps.is_empty())
    }

    #[tokio::test]
    async fn ranges_are_found_by_steps_only_where_an_index_gives_the_keys_in_order() {
        let range = |(first, last, records): (i32, i32, u64)| KeyRange {
            first: vec![first.to_string()],
            last: vec![last.to_string()],
            records,
        };
        let threes = [(0, 2, 3), (3, 5, 3), (6, 8, 3), (9, 9, 1)].map(range);
        for (key, index, by_steps) in [
            ("INTEGER", "owner", true),
            ("INTEGER", "owner, title", false),
            ("TEXT", "owner", false),
            ("TEXT", "owner, id", true),
        ] {
            let (cuts, found_by_steps) = cut_threes(key, index).await;
            assert_eq!((cuts.as_slice(), found_by_steps), (threes.as_slice(), by_steps), "{key}, ({index})");
        }
    }
}
