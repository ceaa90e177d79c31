//! The format of the ledger: a binary works only with a ledger that has exactly the migrations that it knows.

use handover_migrations::{FORMER_LEDGERS, LEDGER_FORMAT, Ledger};

use super::dialect::MIGRATIONS;
use super::error::Result;
use super::session::Session;

const NO_LEDGER: &str = "the database has no ledger yet: run `handover migrate`";

const CANNOT_READ: &str =
    "this role cannot read the ledger: run the output of `handover catalog grants` as the owner of the tables";

/// Checks that the ledger exists and has the format of this binary. The inner error says what to do.
pub(super) async fn check(session: &Session) -> Result<std::result::Result<(), String>> {
    match applied(session).await {
        Ok(applied) => Ok(compare(&applied, &Ledger::versions())),
        Err(error) if error.is_transient() => Err(error),
        Err(error) if error.is_forbidden() => Ok(Err(CANNOT_READ.to_owned())),
        Err(_) => Ok(Err(NO_LEDGER.to_owned())),
    }
}

/// Describes the ledger in a few words.
pub(super) async fn label(session: &Session) -> Result<String> {
    let applied = match applied(session).await {
        Err(error) if error.is_transient() => return Err(error),
        Err(error) if error.is_forbidden() => return Ok("a ledger that this role cannot read".into()),
        Err(_) => Vec::new(),
        Ok(applied) => applied,
    };
    Ok(words(&applied, &Ledger::versions()))
}

fn words(applied: &[String], known: &[String]) -> String {
    if applied.is_empty() {
        return "no ledger yet".into();
    }
    let former = FORMER_LEDGERS.iter().find(|(name, _)| applied.iter().any(|version| version == name));
    if let Some((_, format)) = former {
        return format!("ledger format {format}, which this binary cannot use");
    }
    let is_newer = applied.iter().any(|version| !known.contains(version));
    let is_older = known.iter().any(|version| !applied.contains(version));
    let age = match (is_newer, is_older) {
        (true, _) => ", newer than this binary",
        (false, true) => ", older than this binary",
        (false, false) => "",
    };
    format!("ledger format {LEDGER_FORMAT}{age}")
}

/// Returns why the ledger cannot be migrated by this binary, if so.
pub(super) async fn cannot_migrate(session: &Session) -> Result<Option<String>> {
    Ok(unknown(&applied(session).await?, &Ledger::versions()))
}

/// Returns the migrations that the ledger has been through.
async fn applied(session: &Session) -> Result<Vec<String>> {
    let query = session.sql(&format!("SELECT version FROM {MIGRATIONS} ORDER BY version"));
    session.all("reading the ledger's migrations", query).await?.iter().map(|row| row.get("version")).collect()
}

/// Compares a ledger's migrations with those that the binary knows. The error says what to do.
fn compare(applied: &[String], known: &[String]) -> std::result::Result<(), String> {
    if applied.is_empty() {
        return Err(NO_LEDGER.into());
    }
    if let Some(why) = unknown(applied, known) {
        return Err(why);
    }
    match known.iter().find(|version| !applied.contains(version)) {
        None => Ok(()),
        Some(version) => Err(format!(
            "the ledger is older than this binary ({}): it lacks the migration {version}; run `handover migrate`",
            env!("CARGO_PKG_VERSION")
        )),
    }
}

/// Returns what to do about a migration that this binary does not know: the ledger has a former format, or is newer.
fn unknown(applied: &[String], known: &[String]) -> Option<String> {
    let version = applied.iter().find(|version| !known.contains(version))?;
    if let Some((_, format)) = FORMER_LEDGERS.iter().find(|(name, _)| name == version) {
        return Some(format!(
            "the ledger has format {format} (migration {version}), and this binary ({}) works with format \
             {LEDGER_FORMAT} only: with the binary that made it, finish or revert its jobs and export what you need \
             (`handover audit`, `handover jobs`); then drop its tables (in PostgreSQL `DROP SCHEMA handover CASCADE`, in \
             SQLite every table `handover_…`) and run `handover migrate`",
            env!("CARGO_PKG_VERSION")
        ));
    }
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
    fn ledger_of_another_version_is_refused_with_a_hint() {
        let known = names(&["m1", "m2"]);
        assert_eq!(compare(&known, &known), Ok(()));
        let older = compare(&names(&["m1"]), &known).expect_err("older");
        assert!(older.contains("older than this binary") && older.contains("lacks the migration m2"), "{older}");
        assert!(older.ends_with("run `handover migrate`"), "{older}");
        let newer = compare(&names(&["m1", "m2", "m3"]), &known).expect_err("newer");
        assert!(newer.contains("newer than this binary") && newer.contains("migration m3"), "{newer}");
        assert!(compare(&[], &known).expect_err("none").contains("no ledger yet"));
    }

    #[test]
    fn ledger_is_described_in_few_words() {
        let known = names(&["m1", "m2"]);
        for (applied, described) in [
            (&[][..], "no ledger yet"),
            (&["m1", "m2"], "ledger format 2"),
            (&["m1"], "ledger format 2, older than this binary"),
            (&["m1", "m2", "m3"], "ledger format 2, newer than this binary"),
            (&["m20261122_000001_ledger"], "ledger format 1, which this binary cannot use"),
        ] {
            assert_eq!(words(&names(applied), &known), described);
        }
    }

    #[test]
    fn ledger_of_a_former_format_says_how_to_replace_it() {
        let former = compare(&names(&["m20261122_000001_ledger"]), &Ledger::versions()).expect_err("former");
        assert!(former.starts_with("the ledger has format 1 (migration m20261122_000001_ledger)"), "{former}");
        assert!(former.contains("finish or revert its jobs") && former.contains("handover migrate"), "{former}");
    }
}
