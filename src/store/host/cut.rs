//! The bounds of chunks.
//!
//! Takes no locks. If an index gives a user's rows in key order, at most as many of its entries are read as the chunks hold;
//! otherwise the database sorts the rest of the rows once. Only the keys at the ranges' ends leave the database.

use super::item::Key;
use super::keys::read_key;
use super::predicates::{between, key_columns, keys_as, picked_texts, row_tests};
use super::selection::{not_excepted, rest_test};
use super::user_match::points_at;
use crate::catalog::{Column, Reference};
use crate::store::dialect::sql::{Sql, as_text, column, table};
use crate::store::{Result, Row, Session};

/// A range of keys, and how many of the leaver's rows it holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub first: Key,
    /// The last key.
    pub last: Key,
    /// The number of rows.
    pub records: u64,
}

/// Cuts the leaver's rows after a key, in key order, into at most `chunks` ranges of `rows` rows. Records of `except` are not
/// counted.
///
/// If fewer ranges come back than asked for, or the last one is not full, no row comes after them.
pub async fn cut(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    after: Option<&Key>,
    except: &[String],
    chunks: u64,
    rows: u64,
) -> Result<Vec<KeyRange>> {
    let rest = Rest { reference, leaver, after, except };
    let mut ranges = rest.full_ranges(session, chunks, rows).await?;
    let left = chunks - ranges.len() as u64;
    if left > 0 {
        let rest = Rest { after: ranges.last().map(|range| &range.last).or(after), ..rest };
        let mut sql = session.sql("");
        let tests = rest_test(&mut sql, reference, rest.after, except);
        ranges.extend(number_rows(session, reference, leaver, sql, &tests, left, rows).await?);
    }
    Ok(ranges)
}

/// A leaver's rows that are not cut yet.
struct Rest<'a> {
    reference: &'a Reference,
    leaver: &'a str,
    after: Option<&'a Key>,
    except: &'a [String],
}

impl Rest<'_> {
    /// Finds the full ranges by steps in an index, from end to end. On a database that numbers all rows before it applies a
    /// limit, this takes a fraction of the time. Without an index in key order, each step would sort all rows.
    async fn full_ranges(&self, session: &Session, chunks: u64, rows: u64) -> Result<Vec<KeyRange>> {
        let [key] = self.reference.key.as_slice() else { return Ok(Vec::new()) };
        if session.capabilities().numbers_rows_lazily || !self.reference.has_ordered_index {
            return Ok(Vec::new());
        }
        let sql = self.step_query(session, key, chunks, rows);
        let ends = session.all(&format!("cutting {}", self.reference.kind), sql).await?;
        let range = |end: &Row| Ok(KeyRange { first: vec![end.get("f")?], last: vec![end.get("l")?], records: rows });
        ends.iter().map(range).collect()
    }

    /// Returns the query of the ends of full ranges, `f` and `l`, one range after the other.
    fn step_query(&self, session: &Session, key: &Column, chunks: u64, rows: u64) -> Sql {
        let mut sql = session.sql("");
        let user = sql.host(&self.reference.user, self.leaver);
        let tests = rest_test(&mut sql, self.reference, self.after, self.except);
        let (chunks, to_the_last) = (sql.bind(chunks as i64), sql.bind(rows as i64 - 1));
        let key_at = |after: &str, offset: &str| {
            format!(
                "(SELECT {key} FROM {table} t WHERE {is_theirs}{tests}{after} ORDER BY {key} LIMIT 1 OFFSET {offset})",
                key = column("t", &key.name),
                table = table(&self.reference.table),
                is_theirs = points_at(&self.reference.user, "t", &user),
            )
        };
        let after_last = format!(" AND {} > r.l", column("t", &key.name));
        sql.add(&format!(
            "WITH RECURSIVE r(f, l) AS (SELECT {}, {} UNION ALL SELECT {}, {} FROM r WHERE r.l IS NOT NULL LIMIT {chunks}) \
             SELECT {} AS f, {} AS l FROM r WHERE r.l IS NOT NULL",
            key_at("", "0"),
            key_at("", &to_the_last),
            key_at(&after_last, "0"),
            key_at(&after_last, &to_the_last),
            as_text("r.f"),
            as_text("r.l"),
        ));
        sql
    }
}

/// Cuts the rows that a range holds now into smaller ranges. `rows` returns the size of these for a number of rows; it is at
/// least one.
pub async fn cut_between(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    (first, last): (&Key, &Key),
    except: &[String],
    rows: impl FnOnce(u64) -> u64,
) -> Result<Vec<KeyRange>> {
    let mut sql = session.sql("");
    let in_range = range_tests(&mut sql, reference, (first, last), except);
    let user = sql.host(&reference.user, leaver);
    sql.add(&format!(
        "SELECT count(*) AS n FROM {table} t WHERE {is_theirs}{in_range}",
        table = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", &user),
    ));
    let row = session.one(&format!("cutting a chunk of {}", reference.kind), sql).await?;
    let found = row.map_or(Ok(0), |row| row.count("n"))?;
    let rows = rows(found).max(1);
    let mut sql = session.sql("");
    let tests = range_tests(&mut sql, reference, (first, last), except);
    number_rows(session, reference, leaver, sql, &tests, found.div_ceil(rows), rows).await
}

/// Tests that a row lies in a range, and is none of the excepted ones.
pub fn range_tests(sql: &mut Sql, reference: &Reference, (first, last): (&Key, &Key), except: &[String]) -> String {
    let mut tests = row_tests(sql, reference, "t");
    tests.push_str(&between(sql, reference, "t", first, last));
    tests + &not_excepted(sql, reference, except)
}

/// Numbers the leaver's rows in key order, and returns the ranges between the numbers.
async fn number_rows(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    mut sql: Sql,
    tests: &str,
    chunks: u64,
    rows: u64,
) -> Result<Vec<KeyRange>> {
    let leaver = sql.host(&reference.user, leaver);
    let keys = key_columns(reference, "t");
    let most = sql.bind((chunks * rows) as i64);
    let rows_each = sql.bind(rows as i64);
    let (named, picked) = (keys_as(reference, "t"), picked_texts(reference, "s"));
    sql.add(&format!(
        "WITH s AS (SELECT {named}, row_number() OVER (ORDER BY {keys}) AS n FROM {table} t \
         WHERE {is_theirs}{tests} ORDER BY {keys} LIMIT {most}) \
         SELECT {picked}, s.n AS n FROM s \
         WHERE s.n % {rows_each} = 0 OR (s.n - 1) % {rows_each} = 0 OR s.n = (SELECT max(n) FROM s) ORDER BY s.n",
        table = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", &leaver),
    ));
    let ends = session.all(&format!("cutting {}", reference.kind), sql).await?;
    pair_up(reference, &ends, rows)
}

/// Pairs the ranges' ends: a row that begins a range with the next, which ends it. In a range of one, both are the same.
fn pair_up(reference: &Reference, ends: &[Row], rows: u64) -> Result<Vec<KeyRange>> {
    let mut ranges = Vec::new();
    let mut first: Option<(Key, u64)> = None;
    for (index, end) in ends.iter().enumerate() {
        let number = end.count("n")?;
        let key = read_key(reference, end)?;
        let (start, start_number) = first.take().unwrap_or_else(|| (key.clone(), number));
        if number.is_multiple_of(rows) || index + 1 == ends.len() {
            ranges.push(KeyRange { first: start, last: key, records: number - start_number + 1 });
        } else {
            first = Some((start, start_number));
        }
    }
    Ok(ranges)
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

    /// Cuts ten documents into ranges of three. Returns these, and true if they were found by steps.
    async fn cut_threes(key: &str, index: &str) -> (Vec<KeyRange>, bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let limit = Duration::from_secs(30);
        let settings = Settings {
            url: format!("sqlite://{}?mode=rwc", folder.path().join("host.db").display()),
            max_connections: 2,
            lock_timeout: limit,
            statement_timeout: limit,
            idle_in_transaction_timeout: limit,
            acquire_timeout: limit,
            time_zone: String::new(),
        };
        let store = Store::create(&settings).await.expect("SQLite");
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
        let by_steps = Rest { reference, leaver: "9", after: None, except: &[] }
            .full_ranges(&session, 5, 3)
            .await
            .expect("ranges");
        let cuts = cut(&session, reference, "9", None, &[], 5, 3).await.expect("ranges");
        store.close().await;
        (cuts, !by_steps.is_empty())
    }

    #[tokio::test]
    async fn steps_need_an_index_in_key_order() {
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
