//! The application's own users, who keep changing the records that are moving, and its deployments, which change the schema.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::Dice;
use crate::site::{OWNED, STAYERS, Site};
use crate::sql;

/// Edits records until the faults end.
pub async fn work(site: Arc<Site>, dice: Dice) {
    let mut dice = dice.apart(site.name).apart("host");
    while !site.is_over() {
        tokio::time::sleep(dice.up_to(Duration::from_millis(160))).await;
        let Some(statements) = edit(&site, &mut dice) else { continue };
        // Locks, restarts and ended sessions also hit the application, which then tries another edit.
        match sql::run(&site.pool, &statements).await {
            Ok(_) => site.tally.count("edits of the host"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Returns an edit of one of the latest leavers, who may or may not have left already.
fn edit(site: &Site, dice: &mut Dice) -> Option<String> {
    let asked = site.asked();
    let recent = &asked[asked.len().saturating_sub(12)..];
    if recent.is_empty() {
        return None;
    }
    let (leaver, _) = *dice.pick(recent);
    let stayer = *dice.pick(&STAYERS.collect::<Vec<_>>());
    let table = *dice.pick(&OWNED);
    let one = |user: u64, skip: u64| {
        format!("(SELECT id FROM {table} WHERE owner_id = {user} ORDER BY id OFFSET {skip} LIMIT 1)")
    };
    // Before or during the job, or slightly later, like a slow request of an application.
    let is_here = format!(
        "NOT EXISTS (SELECT 1 FROM handover.jobs WHERE user_id = '{leaver}' AND state IN ('completed', 'reverting', 'reverted'))"
    );
    let words = if table == "tasks" { "title" } else { "name" };
    let skip = dice.below(60);
    Some(match dice.below(10) {
        0 | 1 => format!(
            "UPDATE {table} SET owner_id = {stayer} WHERE id = {} AND owner_id = {leaver} AND {is_here}",
            one(leaver, skip)
        ),
        2 | 3 => format!(
            "UPDATE {table} SET owner_id = {leaver} WHERE id = {} AND owner_id = {stayer} AND {is_here}",
            one(stayer, skip)
        ),
        4 | 5 => insert(table, leaver, &is_here),
        6 => format!("DELETE FROM {table} WHERE id = {} AND {is_here}", one(leaver, skip)),
        // Locks rows longer than a worker waits, and in the opposite order.
        7 => {
            let rows = format!("(SELECT id FROM {table} WHERE owner_id = {leaver} ORDER BY id OFFSET {skip} LIMIT 4)");
            let last = format!("(SELECT max(id) FROM {rows} r)");
            format!(
                "UPDATE {table} SET {words} = 'Edited late' WHERE id = {last}; SELECT pg_sleep({}); \
                 UPDATE {table} SET {words} = 'Edited later' WHERE id = {}",
                dice.below(17) as f64 / 10.0,
                one(leaver, 0)
            )
        }
        _ => format!("UPDATE {table} SET {words} = 'Edited' WHERE id = {}", one(leaver, skip)),
    })
}

fn insert(table: &str, leaver: u64, is_here: &str) -> String {
    let (columns, values) = match table {
        "tasks" => ("title, status", "'New', 'pending'"),
        "opportunities" => ("name, stage", "'New', 'new'"),
        _ => ("name", "'New'"),
    };
    format!(
        "INSERT INTO {table} (org_id, owner_id, created_by, {columns}) SELECT 1, {leaver}, {leaver}, {values} WHERE {is_here}"
    )
}

/// Changes the schema as a deployment of the application does, until the faults end: columns and partitions come, and indexes come
/// and go.
pub async fn deployments(site: Arc<Site>, dice: Dice) {
    let mut dice = dice.apart(site.name).apart("deployments");
    while !site.is_over() {
        tokio::time::sleep(Duration::from_secs(1) + dice.up_to(Duration::from_secs(3))).await;
        let table = *dice.pick(&OWNED);
        // No column goes: an undo does not restore rows whose values have no place any more.
        let change = match dice.below(5) {
            0 => format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS storm_note TEXT DEFAULT 'new'"),
            1 => format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS storm_rank INT NOT NULL DEFAULT 0"),
            2 => format!("CREATE INDEX IF NOT EXISTS storm_{table} ON {table} (owner_id, created_by)"),
            3 => format!("DROP INDEX IF EXISTS storm_{table}"),
            _ => {
                let part = 1 + dice.below(100);
                format!(
                    "CREATE TABLE IF NOT EXISTS tasks_{part} PARTITION OF tasks FOR VALUES FROM ({part}000000000) TO ({part}999999999)"
                )
            }
        };
        match sql::run(&site.pool, &change).await {
            Ok(_) => site.tally.count("changes of the schema"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Deactivates successors for a while, one at a time, until the faults end.
pub async fn absences(site: Arc<Site>, dice: Dice) {
    let mut dice = dice.apart(site.name).apart("absences");
    while !site.is_over() {
        tokio::time::sleep(Duration::from_secs(4) + dice.up_to(Duration::from_secs(8))).await;
        let stayer = *dice.pick(&STAYERS.collect::<Vec<_>>());
        let set = |status: &str| format!("UPDATE users SET status = '{status}' WHERE id = {stayer}");
        if sql::run(&site.pool, &set("inactive")).await.is_ok() {
            site.tally.count("successors made inactive");
        }
        tokio::time::sleep(dice.up_to(Duration::from_secs(3))).await;
        while sql::run(&site.pool, &set("active")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
