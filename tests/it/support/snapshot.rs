//! What the host's tables hold, as far as a hand-over could change it: two snapshots that are equal say that nothing was
//! touched.

use std::collections::BTreeMap;

use handover::store::host;

use super::World;

/// Counts of every table, who owns how many rows of each reference, everybody's status, and what a `set` would change.
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

/// Rows whose user is NULL belong to nobody: their line would be NULL.
async fn some_texts(world: &World, query: &str, user: &str) -> String {
    let query = query.replace(" GROUP BY", &format!(" WHERE {user} IS NOT NULL GROUP BY"));
    world.texts(&query).await.join(", ")
}
