//! Whether the ledger and this binary are of one age: a worker that does not know a column must not write rows.

use super::{Error, Result, Row, Session};
use crate::catalog::Engine;

/// The migrations that the ledger has been through.
pub(super) async fn applied(session: &Session) -> Result<Vec<String>> {
    let doing = "looking for the ledger";
    let table = match session.engine() {
        Engine::Postgres => "handover.handover_migrations",
        Engine::Sqlite => "handover_migrations",
    };
    let rows = session.all(doing, session.sql(&format!("SELECT version FROM {table} ORDER BY version"))).await?;
    let read = |row: &Row| row.try_get("", "version");
    let versions: std::result::Result<Vec<String>, _> = rows.iter().map(read).collect();
    versions.map_err(|error| Error::unexpected(doing, error.to_string()))
}

/// What to do where the ledger is older or newer than the binary that knows these migrations.
pub(super) fn compare(applied: &[String], known: &[String]) -> std::result::Result<(), String> {
    if applied.is_empty() {
        return Err("the database has no ledger yet: run `handover migrate`".into());
    }
    if let Some(what) = newer(applied, known) {
        return Err(what);
    }
    match known.iter().find(|version| !applied.contains(version)) {
        None => Ok(()),
        Some(version) => Err(format!(
            "the ledger is older than this binary ({}): it lacks the migration {version}; run `handover migrate`",
            env!("CARGO_PKG_VERSION")
        )),
    }
}

/// What to do where the ledger has been through a migration that the binary does not know.
pub(super) fn newer(applied: &[String], known: &[String]) -> Option<String> {
    let version = applied.iter().find(|version| !known.contains(version))?;
    Some(format!(
        "the ledger is newer than this binary ({}), which does not know the migration {version}: use the binary that \
         migrated it, or a newer one",
        env!("CARGO_PKG_VERSION")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_older_ledger_is_to_be_migrated_and_a_newer_one_wants_a_newer_binary() {
        let known = names(&["m1", "m2"]);
        assert_eq!(compare(&known, &known), Ok(()));
        let older = compare(&names(&["m1"]), &known).expect_err("older");
        assert!(older.contains("older than this binary") && older.contains("lacks the migration m2"), "{older}");
        assert!(older.ends_with("run `handover migrate`"), "{older}");
        let newer = compare(&names(&["m1", "m2", "m3"]), &known).expect_err("newer");
        assert!(newer.contains("newer than this binary") && newer.contains("migration m3"), "{newer}");
        assert!(compare(&[], &known).expect_err("none").contains("no ledger yet"));
    }
}
