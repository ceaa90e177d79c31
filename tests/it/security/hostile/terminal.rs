//! Names and texts of the host that contain terminal escape sequences: no command prints them unescaped.

use serde_json::{Value, json};

use super::{but, hidden, to};
use crate::support::process::{on, with_input};
use crate::support::world::read;
use crate::support::{World, every_engine};

/// Clears the screen, sets the title, reverses the text direction, and starts a line that imitates another user's.
const NAME: &str = "Dana\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{7f}\u{85}\u{9b}31m\r\n99  Forged  admin";

#[every_engine]
async fn commands_escape_names_and_reasons(world: &mut World) {
    world.sql(&format!("UPDATE users SET name = '{NAME}', email = id || '{NAME}' WHERE id IN (53, 16)")).await;
    world.sql(&format!("INSERT INTO groups (org_id, name) VALUES (1, '{NAME}')")).await;
    world.sql(&format!("UPDATE group_members SET group_name = '{NAME}' WHERE group_name = 'West team'")).await;
    world.start_worker().await;
    let lines = on(world, &["users", "--status", "all"]).expect(0);
    assert_eq!(lines.out.lines().count(), 14, "{}", lines.out);
    assert!(lines.out.contains("Dana\\u{1b}[2J") && hidden(&lines.out).is_empty(), "{}", lines.out);

    let group = json!({ "logic": "ratio", "shares": [{ "round_robin": NAME, "amount": 1 }] });
    let request = but(
        "terminal \u{202e}",
        json!({ "reason": NAME, "reassign": { "contact": to("11"), "lead": group, "task": to("11") } }),
    );
    let refused = but(
        "refused \u{202e}",
        json!({ "user_id": "16", "reason": NAME, "reassign": {
        "lead": { "logic": "ratio", "shares": [{ "round_robin": NAME.to_owned() + "?", "amount": 1 }] } } }),
    );
    let mut reported = Vec::new();
    for (request, code) in [(&request, 0), (&refused, 3)] {
        let body = request.to_string();
        reported.push(with_input(world, &["preview"], body.as_bytes()).expect(code).out);
        reported.push(with_input(world, &["submit", "--wait"], body.as_bytes()).expect(code).out);
        let job = read(request).job_id().to_string();
        reported.push(on(world, &["watch", &job]).expect(code).out);
        reported.push(on(world, &["job", &job]).expect(0).out);
        reported.push(on(world, &["revert", &job, "--by", "1", "--dry-run"]).expect(if code == 0 { 0 } else { 3 }).out);
    }
    for command in [&["jobs"][..], &["audit"], &["users", "--status", "all"]] {
        reported.push(on(world, command).expect(0).out);
        let json = on(world, &[command, &["--json"]].concat()).expect(0);
        assert!(hidden(&json.out).is_empty(), "{}", json.out);
        assert!(!json.json_lines().is_empty());
    }
    for text in &reported {
        assert!(hidden(text).is_empty(), "{:?} in {text}", hidden(text));
        assert!(!text.lines().any(|line| line.starts_with("99  Forged")), "{text}");
    }
    // JSON output keeps them as data.
    let users = on(world, &["users", "--status", "all", "--json"]).expect(0).json_lines();
    let dana: Vec<&Value> = users.iter().filter(|user| user["name"] == NAME).collect();
    assert_eq!(dana.len(), 2);
}

#[every_engine]
async fn commands_escape_table_and_column_names(world: &mut World) {
    let table = "evil\u{1b}[2J\u{202e}\ntable";
    world
        .sql(&format!(
            "CREATE TABLE \"{table}\" (id bigint PRIMARY KEY, \"owner\u{9b}31m\" bigint REFERENCES users (id))"
        ))
        .await;
    for command in [&["catalog", "scan"][..], &["catalog", "draft", "--users", "users"], &["catalog", "check"]] {
        let ended = on(world, command);
        let reported = ended.out + &ended.err;
        assert!(hidden(&reported).is_empty(), "{command:?}: {reported}");
    }
}
