//! Python programs that check the HTTP API from outside: the packages of `tests/python/requirements.txt`.

use std::path::PathBuf;
use std::process::Command;

/// Returns the folder of the checkers' programs, and installs them once. Returns nothing, after a message, if they cannot be
/// installed: the machine has no Python or no network. In CI that is an error.
pub fn checkers() -> Option<PathBuf> {
    let set_up = Command::new("deploy/clients").arg("checks").output().expect("deploy/clients");
    if !set_up.status.success() {
        let said = String::from_utf8_lossy(&set_up.stderr);
        assert!(std::env::var_os("CI").is_none(), "deploy/clients: {said}");
        eprintln!("skipped: the Python checkers cannot be installed, so they did not run: {said}");
        return None;
    }
    let folder = PathBuf::from(String::from_utf8(set_up.stdout).expect("UTF-8").trim());
    Some(folder.join("checks/venv/bin"))
}
