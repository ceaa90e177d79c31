//! Command lines with hostile values: a usage error or an answer, never a crash.

use super::hidden;
use crate::support::process::on;
use crate::support::{World, every_engine};

/// The command, its exit code, and words of its output.
const ROWS: [(&[&str], i32, &str); 20] = [
    (&["job", "not-a-job"], 2, "invalid value"),
    (&["job", "00000000-0000-0000-0000-000000000000"], 1, "there is no job"),
    (&["jobs", "--limit", "18446744073709551615"], 2, "invalid value"),
    (&["jobs", "--limit", "9223372036854775807"], 0, "organization"),
    (&["jobs", "--limit", "0"], 0, "organization"),
    (&["jobs", "--state", "\u{1b}[2J"], 2, "invalid value"),
    (&["audit", "--limit", "18446744073709551615"], 2, "invalid value"),
    (&["audit", "--since", "2026-02-30"], 2, "a time like"),
    (&["audit", "--since", "9999-12-31T23:59:59-23:59"], 2, "a time like"),
    (&["audit", "--since", "0000-01-01"], 0, ""),
    (&["audit", "--user", "' OR '1'='1"], 0, ""),
    (&["audit", "--action", "%_\\"], 2, "no action begins so"),
    (&["jobs", "--text", "' OR '1'='1\u{1b}[2J\\%_"], 0, ""),
    (&["jobs", "--user", "' OR '1'='1"], 0, ""),
    (&["jobs", "--columns", "\u{1b}[2J"], 1, "no column"),
    (&["users", "--text", "' OR '1'='1!%_"], 0, ""),
    (&["users", "--org", "' OR '1'='1"], 1, "org_id"),
    (&["revert", "00000000-0000-0000-0000-000000000000", "--by", "1"], 1, "there is no job"),
    (&["submit", "no\nsuch\u{1b}[2J.json"], 1, "cannot be read"),
    (&["bulk", "no\u{202e}such.csv", "--by", "1", "--org", "1"], 1, "cannot be read"),
];

#[every_engine]
async fn hostile_command_line_never_crashes(world: &mut World) {
    let mut wrong = Vec::new();
    for (command, code, words) in ROWS {
        let ended = on(world, command);
        let reported = ended.out + &ended.err;
        // A usage error quotes only the command line that the user typed.
        let is_clean = code == 2 || hidden(&reported).is_empty();
        if ended.code != code || !reported.contains(words) || !is_clean {
            wrong.push(format!("{command:?}\n    {code} ({words}) expected: {} {reported}", ended.code));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
