//! The audit trail as people read it.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::process::on;
use crate::support::world::{certificate_of, codes_of, keap_request};
use crate::support::{World, every_engine};

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry["action"].as_str()).collect()
}

#[every_engine]
async fn audit_lists_requests_reasons_and_outcomes(world: &mut World) {
    world.start_worker().await;
    let mut request = keap_request("r1");
    request["reason"] = json!("left\u{1b}[2J the company");
    request["requested_by"] = json!("13");
    let refused = world.hand_over(&request).await;
    assert_eq!(codes_of(&refused), ["requester_not_permitted"]);
    request["request_id"] = json!("r2");
    request["requested_by"] = json!("1");
    let done = world.hand_over(&request).await;
    certificate_of(&done);
    let revert = json!({ "type": "revert", "request_id": "r3", "org_id": "1", "requested_by": "1",
        "job_id": done.id, "reason": "came back" });
    let undo = world.hand_over(&revert).await;
    let all = on(world, &["audit", "--json"]).expect(0).json_lines();
    assert_eq!(all[0]["action"], "deactivate.rejected");
    assert_eq!(all[0]["detail"][0]["code"], "requester_not_permitted");
    assert_eq!((&all[0]["actor"], &all[0]["reason"]), (&json!("13"), &json!("left\u{1b}[2J the company")));
    let times: Vec<&str> = all.iter().filter_map(|entry| entry["at"].as_str()).collect();
    // As text they would not be sorted: their digits vary.
    let instants = times.iter().map(|at| OffsetDateTime::parse(at, &Rfc3339).expect("a time"));
    assert!(instants.collect::<Vec<_>>().is_sorted(), "{times:?}");
    let undone = all.iter().find(|entry| entry["action"] == "revert.completed").expect("the undo's end");
    assert_eq!((&undone["about_job"], &undone["reason"]), (&json!(done.id), &json!("came back")));
    let listed = |arguments: &[&str]| {
        let asked = [&["audit", "--json"], arguments].concat();
        on(world, &asked).expect(0).json_lines()
    };
    assert_eq!(actions(&listed(&["--job", &done.id.to_string()])).first(), Some(&"deactivate.completed"));
    assert!(listed(&["--job", &undo.id.to_string()]).iter().all(|entry| entry["job_id"] == json!(undo.id)));
    assert_eq!(actions(&listed(&["--actor", "13"])), ["deactivate.rejected"]);
    assert_eq!(listed(&["--user", "53", "--org", "1"]).len(), all.len());
    assert_eq!(listed(&["--org", "2"]).len(), 0);
    assert!(actions(&listed(&["--action", "deactivate.re"])).iter().all(|action| action.starts_with("deactivate.re")));
    for typo in ["deactivate_", "deactivate.reject!", "typo"] {
        let refused = on(world, &["audit", "--action", typo]).expect(2);
        assert!(refused.err.contains("actions begin with") && refused.err.contains("reassign"), "{}", refused.err);
    }
    assert_eq!(listed(&["--action", "invite"]).len(), 0);
    assert_eq!(listed(&["--limit", "2"]), all[all.len() - 2..], "the last ones");
    assert_eq!(listed(&["--limit", "10000"]), all);
    assert_eq!(listed(&["--since", "2999-01-01"]).len(), 0);
    assert_eq!(listed(&["--since", times[1]]), all[1..]);
    on(world, &["audit", "--since", "yesterday"]).expect(2);
    let plain = on(world, &["audit"]).expect(0).out;
    assert!(plain.contains("requester_not_permitted") && plain.contains("came back"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "a terminal gets no escapes from reasons");
    assert!(plain.contains("\n    to fix it: "), "a reason has its hint: {plain}");
    let entries = plain.lines().filter(|line| !line.starts_with(' '));
    assert_eq!(entries.count(), 1 + all.len());
    let came_back = listed(&["--text", "CAME back"]);
    assert_eq!(actions(&came_back).last(), Some(&"revert.completed"));
    assert!(came_back.iter().all(|entry| entry["reason"] == "came back"), "{came_back:?}");
    assert_eq!(listed(&["--text", "R3"]), came_back);
    assert_eq!(listed(&["--text", "r_3"]).len(), 0, "the text is no pattern");
}

#[every_engine]
async fn audit_finds_who_created_a_user(world: &mut World) {
    world.start_worker().await;
    let invite = json!({ "type": "invite", "request_id": "r1", "org_id": "1", "requested_by": "1",
        "name": "Nicole", "email": "nicole@fun.example", "reason": "hired" });
    let user = world.hand_over(&invite).await.user_id;
    let found = on(world, &["audit", "--user", &user, "--action", "invite", "--json"]).expect(0).json_lines();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["actor"], &found[0]["reason"]), (&json!("1"), &json!("hired")));
}

#[every_engine]
async fn long_audit_trail_is_paged_completely(world: &mut World) {
    for n in 0..1203 {
        let values = format!("'2026-11-01 00:00:00+00', '1', 'a{n}', 'invite.completed', 'u', 'r{n}'");
        world
            .change_ledger(&format!(
                "INSERT INTO handover.audit (at, org, actor, action, user_id, request_id) VALUES ({values})"
            ))
            .await;
    }
    let actors = |arguments: &[&str]| -> Vec<String> {
        let listed = on(world, &[&["audit", "--json"], arguments].concat()).expect(0).json_lines();
        listed.iter().map(|entry| entry["actor"].as_str().expect("an actor").to_owned()).collect()
    };
    let expected: Vec<String> = (0..1203).map(|n| format!("a{n}")).collect();
    assert_eq!(actors(&["--limit", "0"]), expected);
    assert_eq!(actors(&[]), expected[1103..], "a list has a limit");
    assert_eq!(actors(&["--limit", "1001"]), expected[202..]);
}
