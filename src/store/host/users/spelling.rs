//! Ids of users as the users' table writes them.

use std::collections::HashMap;

use crate::catalog::{Catalog, Column};
use crate::store::dialect::sql::{ColumnArray, as_text, column, table};
use crate::store::host::predicates::in_org;
use crate::store::host::user_match::equal;
use crate::store::{Result, Session};

/// Returns the ids of those of these users whom the table writes in another way, by the ids as asked for.
pub async fn stored_ids(session: &Session, catalog: &Catalog, ids: &[&str]) -> Result<HashMap<String, String>> {
    let users = &catalog.users;
    let key = Column { spelling: users.spelling, ..users.key.clone() };
    let mut sql = session.sql("");
    let asked = sql.small_table("a", vec![ColumnArray::of("id", &users.key, ids.iter().copied())]);
    let in_org = in_org(&mut sql, users.within.as_ref(), "u");
    sql.add(&format!(
        "SELECT {asked_id} AS asked, {id} AS id FROM {asked} JOIN {host} u ON {is_same}{in_org}",
        asked_id = as_text("a.id"),
        id = as_text(&column("u", &users.key.name)),
        host = table(&users.table),
        is_same = equal(&column("u", &users.key.name), "a.id", &key),
    ));
    let mut stored = HashMap::new();
    for row in session.all("looking for users by their ids", sql).await? {
        let (asked, id): (String, String) = (row.get("asked")?, row.get("id")?);
        // Of two users whose ids differ only in spelling, the one is meant who is written as asked for.
        if asked == id || !stored.contains_key(&asked) {
            stored.insert(asked, id);
        }
    }
    Ok(stored)
}
