//! A release fixes for good its version in the changelog, and its migrations.

use std::path::Path;

use handover_migrations::Ledger;
use sha2::{Digest, Sha256};

use super::read;

/// The list of released migrations: version, name, file and SHA-256 of the file, one a line.
const RELEASED: &str = "migrations/released.txt";

/// A ledger that a released migration made must be the same as one that is made today: released migrations never change, and new ones
/// come after them.
#[test]
fn released_migrations_never_change() {
    let released = read(Path::new(RELEASED));
    let mut names = Vec::new();
    for line in released.lines().filter(|line| !line.starts_with('#')) {
        let [_, name, file, hash] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{RELEASED}: {line}") };
        let found: String = Sha256::digest(read(Path::new(file))).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, hash, "{file} is released: undo its change, and add a migration instead");
        names.push(name.to_owned());
    }
    let known = Ledger::versions();
    assert_eq!(known[..names.len()], names, "new migrations come after the released ones");
}

#[test]
fn changelog_begins_with_the_version_of_the_program() {
    let changelog = read(Path::new("CHANGELOG.md"));
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## ["));
    assert_eq!(headings.next(), Some("Unreleased]"));
    let newest = headings.next().expect("a version");
    let version = env!("CARGO_PKG_VERSION");
    assert!(newest.starts_with(&format!("{version}] - 20")), "{newest} is not {version} with its date");
}
