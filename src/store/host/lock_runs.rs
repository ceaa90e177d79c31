//! The locks that others hold on a chunk's rows.

use std::collections::HashSet;

use super::cut::{KeyRange, range_tests};
use super::item::Key;
use super::keys::read_key;
use super::predicates::key_columns;
use super::user_match::points_at;
use crate::catalog::Reference;
use crate::store::dialect::RowLock;
use crate::store::dialect::sql::{as_texts, table};
use crate::store::{Result, Session};

/// Neighboring rows in key order: another transaction has locked all of them, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRun {
    /// The rows.
    pub range: KeyRange,
    /// True if they are locked.
    pub is_locked: bool,
}

/// Divides the rows that a range holds now into runs of locked and of free rows.
///
/// Locks: the free rows, until the transaction ends. Reads the keys of a chunk.
pub async fn lock_runs(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    range: (&Key, &Key),
    except: &[String],
) -> Result<Vec<LockRun>> {
    let skip_locked = session.dialect().row_lock(RowLock::SkipChanging, Some("t"));
    let free: HashSet<Key> =
        read_keys(session, reference, leaver, range, except, &skip_locked).await?.into_iter().collect();
    let mut runs: Vec<LockRun> = Vec::new();
    for key in read_keys(session, reference, leaver, range, except, "").await? {
        let is_locked = !free.contains(&key);
        match runs.last_mut().filter(|run| run.is_locked == is_locked) {
            Some(run) => {
                run.range.records += 1;
                run.range.last = key;
            }
            None => runs.push(LockRun { range: KeyRange { first: key.clone(), last: key, records: 1 }, is_locked }),
        }
    }
    Ok(runs)
}

async fn read_keys(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    range: (&Key, &Key),
    except: &[String],
    lock: &str,
) -> Result<Vec<Key>> {
    let mut sql = session.sql("");
    let in_range = range_tests(&mut sql, reference, range, except);
    let user = sql.host(&reference.user, leaver);
    sql.add(&format!(
        "SELECT {texts} FROM {table} t WHERE {is_theirs}{in_range} ORDER BY {order}{lock}",
        texts = as_texts(&reference.key, "t"),
        table = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", &user),
        order = key_columns(reference, "t"),
    ));
    let rows = session.all(&format!("looking for locked rows of {}", reference.kind), sql).await?;
    rows.iter().map(|row| read_key(reference, row)).collect()
}
