//! Programs and scripts that check the HTTP API and the pages from outside. `deploy/clients` installs them once.

use std::path::PathBuf;
use std::process::Command;

/// Returns the folder of the Python programs in `tests/python/requirements.txt`. Returns nothing, after a message, if they cannot
/// be installed.
pub fn checkers() -> Option<PathBuf> {
    Some(set_up("checks", "the Python checkers")?.join("checks/venv/bin"))
}

/// Returns the source of axe-core, which checks a page for accessibility. Returns nothing, after a message, if it cannot be
/// installed.
pub fn axe() -> Option<String> {
    let file = set_up("axe", "axe-core")?.join("axe/node_modules/axe-core/axe.min.js");
    Some(std::fs::read_to_string(file).expect("axe-core"))
}

/// Installs checkers. It fails if the machine lacks the language or the network; in CI that is an error.
fn set_up(which: &str, name: &str) -> Option<PathBuf> {
    let set_up = Command::new("deploy/clients").arg(which).output().expect("deploy/clients");
    if !set_up.status.success() {
        let said = String::from_utf8_lossy(&set_up.stderr);
        assert!(std::env::var_os("CI").is_none(), "deploy/clients: {said}");
        eprintln!("skipped: {name} cannot be installed, so nothing was checked with it: {said}");
        return None;
    }
    Some(PathBuf::from(String::from_utf8(set_up.stdout).expect("UTF-8").trim()))
}
