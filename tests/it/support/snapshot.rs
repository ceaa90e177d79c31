//! Snapshots of the host's tables, as far as a handover could change them. Equal snapshots prove that nothing was
//! touched.

use std::collections::BTreeMap;

use handover::store::host;

use super::World;

/// Counts the rows of every table and of each reference by user, with every user's status and the columns of each
/// `set`.
pub async fn of_host(world: &World) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    for table in &schema.tables {
        let count = world.number(&format!("SELECT count(*) FROM {}", table.name)).await;
        found.insert(format!("rows of {}", table.name), count.to_string());
    }
    for reference in &world.context.catalogs.current().references {
        let (table, user) = (&reference.table, &reference.user.name);
        let query = format!("SELECT {user} || ': ' || count(*) AS t FROM {table} GROUP BY {user} ORDER BY {user}");
        found.insert(format!("{table} by {user}"), some_texts(world, &query, user).await);
    }
    for (name, query) in [
        ("statuses", "SELECT id || ': ' || status AS t FROM users ORDER BY id"),
        ("licenses", "SELECT id || ': ' || COALESCE(user_id, 0) AS t FROM licenses ORDER BY id"),
    ] {
        found.insert(name.into(), world.texts(query).await.join(", "));
    }
    let frozen = world.number("SELECT count(*) FROM forecast_overrides WHERE frozen_at IS NOT NULL").await;
    found.insert("frozen".into(), frozen.to_string());
    found
}

/// Rows without a user would make their line NULL.
async fn some_texts(world: &World, query: &str, user: &str) -> String {
    let query = query.replace(" GROUP BY", &format!(" WHERE {user} IS NOT NULL GROUP BY"));
    world.texts(&query).await.join(", ")
}
