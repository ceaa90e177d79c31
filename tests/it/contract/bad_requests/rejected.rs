//! Requests that are not permitted.

use handover::contract::JobId;
use handover::job::State;
use handover::plan::token::PlanToken;
use handover::plan::{Decision, Occasion, normalize_handover};
use handover::stages::handover::evaluate::{Counting, evaluate, parties};
use handover::stages::now;
use serde_json::{Value, json};

use super::{allotting, changed};
use crate::support::keap::{AMANDA, GERALDINE, LEAVER, MATHEW, SUPPORT, share, to, to_manager};
use crate::support::process::with_input;
use crate::support::world::{keap_request, read};
use crate::support::{World, every_engine, snapshot};

/// Sends a request that must be rejected. Returns its reasons, which the event repeats, and asserts that nothing else
/// changed.
async fn reasons_of(world: &mut World, request: &Value) -> Vec<Value> {
    let before = snapshot::of_host(world).await;
    let job = world.hand_over(request).await;
    assert_eq!(job.state, State::Rejected, "{request}: {:?}", job.reasons);
    let event = world.next_event_of(JobId(job.id)).await;
    assert_eq!(event["type"], "handover.deactivation.rejected");
    assert_eq!(event["data"]["state"], "rejected");
    assert_eq!(event["data"]["request_id"], request["request_id"]);
    assert_eq!(Some(&event["data"]["reasons"]), job.reasons.as_ref());
    assert_eq!(snapshot::of_host(world).await, before, "{request}");
    let reasons = event["data"]["reasons"].as_array().expect("reasons").clone();
    for reason in &reasons {
        assert!(reason["message"].as_str().is_some_and(|text| !text.is_empty()), "{reason}");
        assert!(reason["hint"].as_str().is_some_and(|text| !text.is_empty()), "{reason}");
    }
    reasons
}

/// Sends a request that must be rejected for one reason.
pub(super) async fn reason_of(world: &mut World, request: &Value) -> Value {
    let reasons = reasons_of(world, request).await;
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    reasons[0].clone()
}

async fn assert_reason(world: &mut World, request: &Value, code: &str, concerning: Value) {
    let reason = reason_of(world, request).await;
    assert_eq!((&reason["code"], &reason["concerning"]), (&json!(code), &concerning), "{reason}");
}

#[every_engine]
async fn leaver_must_be_active_in_the_organization(world: &mut World) {
    world.start_worker().await;
    for (user, code) in
        [("999", "unknown_user"), ("201", "other_organization"), ("31", "already_inactive"), ("21", "invited")]
    {
        let request = changed(&format!("leaver {user}"), "user_id", json!(user));
        assert_reason(world, &request, code, json!({ "user_id": user })).await;
    }
}

#[every_engine]
async fn return_in_the_past_is_rejected(world: &mut World) {
    world.start_worker().await;
    let past = "2020-02-01T00:00:00Z";
    for (id, fields) in [
        ("leave", json!({ "return_at": past })),
        ("long ago", json!({ "return_at": past, "effective_at": "2020-01-01T00:00:00Z" })),
        // Access would end and return at once.
        ("locked out", json!({ "return_at": past, "lock_out": true })),
    ] {
        let mut request = keap_request(id);
        fields.as_object().expect("fields").iter().for_each(|(name, value)| request[name] = value.clone());
        assert_reason(world, &request, "return_in_past", json!({ "user_id": LEAVER })).await;
    }
    let previewed = changed("previewed", "return_at", json!(past)).to_string();
    let previewed = with_input(world, &["preview"], previewed.as_bytes()).expect(3).out;
    assert!(previewed.contains("return_in_past"), "{previewed}");
}

#[every_engine]
async fn wrong_organization_is_one_reason(world: &mut World) {
    world.start_worker().await;
    // The organization of somebody else, and one that does not exist.
    for org in ["2", "999"] {
        let mut request = changed(&format!("of {org}"), "org_id", json!(org));
        request["expect"] = json!("p1.nonsense");
        let reason = reason_of(world, &request).await;
        assert_eq!((&reason["code"], &reason["concerning"]["user_id"]), (&json!("other_organization"), &json!(LEAVER)));
        let message = reason["message"].as_str().expect("text");
        assert!(message.contains(&format!("the organization {org}")), "{message}");
    }
}

#[every_engine]
async fn unknown_status_is_reported(world: &mut World) {
    let source = crate::support::world::catalog_source("keap").replace(", invited = \"invited\"", "");
    world.use_catalog(&source).await;
    world.start_worker().await;
    let reason = reason_of(world, &changed("r1", "user_id", json!("21"))).await;
    assert_eq!(reason["code"], "not_active");
    assert!(reason["message"].as_str().expect("text").contains("\"invited\""), "{reason}");
}

#[every_engine]
async fn incomplete_profile_lists_missing_fields(world: &mut World) {
    world.start_worker().await;
    world.sql("UPDATE users SET email = '' WHERE id = 53").await;
    assert_reason(world, &keap_request("r1"), "incomplete_profile", json!({ "user_id": LEAVER, "fields": ["email"] }))
        .await;
    world.sql("UPDATE users SET email = '  ', name = NULL WHERE id = 53").await;
    let concerning = json!({ "user_id": LEAVER, "fields": ["name", "email"] });
    assert_reason(world, &keap_request("r2"), "incomplete_profile", concerning).await;
}

#[every_engine]
async fn requester_must_be_another_active_administrator(world: &mut World) {
    world.start_worker().await;
    world.sql("UPDATE users SET role = 'admin' WHERE id IN (31, 53)").await;
    for (requester, why) in
        [("13", "role"), ("999", "no such user"), ("31", "not active"), ("201", "do not belong to the organization")]
    {
        let reason = reason_of(world, &changed(&format!("by {requester}"), "requested_by", json!(requester))).await;
        assert_eq!(reason["code"], "requester_not_permitted");
        assert_eq!(reason["concerning"]["user_id"], requester);
        assert!(reason["message"].as_str().expect("text").contains(why), "{reason}");
    }
    let own = changed("by themselves", "requested_by", json!("53"));
    assert_reason(world, &own, "requester_is_leaver", json!({ "user_id": LEAVER })).await;
}

#[every_engine]
async fn missing_allotment_is_reported_with_count(world: &mut World) {
    world.start_worker().await;
    let concerning = |kind: &str, count: i64| json!({ "kind": kind, "count": count });
    for (kind, count) in [("contact", 104), ("lead", 92), ("task", 12)] {
        let request = allotting(&format!("without {kind}"), kind, Value::Null);
        assert_reason(world, &request, "allotment_missing", concerning(kind, count)).await;
    }
    // A count that stops at its limit is reported as a minimum.
    world.stop_workers().await;
    world.use_chunks_of(10);
    world.start_worker().await;
    let mut request = allotting("not counted to the end", "contact", Value::Null);
    request["reassign"]["lead"] = to(SUPPORT);
    let reason = reason_of(world, &request).await;
    assert!(reason["message"].as_str().expect("text").contains("at least 1"), "{reason}");
}

#[every_engine]
async fn successor_must_be_eligible_in_the_organization(world: &mut World) {
    world.start_worker().await;
    for (kind, user, code) in [
        ("task", "999", "unknown_successor"),
        ("task", "31", "successor_inactive"),
        ("task", "21", "successor_inactive"),
        ("task", "201", "successor_of_other_organization"),
        ("lead", "14", "successor_not_eligible"),
        ("contact", "53", "leaver_is_successor"),
    ] {
        let concerning = json!({ "kind": kind, "user_id": user });
        let request = allotting(&format!("{kind} to {user}"), kind, json!({ "user": user }));
        assert_reason(world, &request, code, concerning.clone()).await;
        let share = json!({ "logic": "ratio", "shares": [share(SUPPORT, 1), { "user": user, "amount": 1 }] });
        let request = allotting(&format!("a share of {kind} to {user}"), kind, share);
        assert_reason(world, &request, code, concerning).await;
    }
}

#[every_engine]
async fn group_and_manager_must_yield_a_successor(world: &mut World) {
    world.start_worker().await;
    let to_group = |group: &str| json!({ "logic": "ratio", "shares": [{ "round_robin": group, "amount": 1 }] });
    let nobody = allotting("a group that is not there", "lead", to_group("Nobody"));
    assert_reason(world, &nobody, "no_fit_member", json!({ "kind": "lead", "group": "Nobody" })).await;
    world.sql("UPDATE users SET status = 'inactive' WHERE id IN (15, 16, 17)").await;
    let gone = keap_request("everybody is gone");
    assert_reason(world, &gone, "no_fit_member", json!({ "kind": "lead", "group": "West team" })).await;
    world.sql("UPDATE users SET manager_id = NULL WHERE id = 53").await;
    let mut unmanaged = allotting("nobody above", "task", to_manager());
    unmanaged["reassign"]["lead"] = to(SUPPORT);
    assert_reason(world, &unmanaged, "no_manager", json!({ "kind": "task", "user_id": LEAVER })).await;
}

#[every_engine]
async fn rejected_extras_are_reported_with_count(world: &mut World) {
    world.start_worker().await;
    let hardcoded = |amount: u64| json!({ "logic": "hardcoded", "extras": "reject", "shares": [{ "user": "11", "amount": amount }] });
    let request = allotting("r1", "contact", hardcoded(100));
    assert_reason(world, &request, "extras_rejected", json!({ "kind": "contact", "count": 4 })).await;
    let enough = allotting("r2", "contact", hardcoded(104));
    assert_eq!(world.hand_over(&enough).await.state, State::Completed);
}

#[every_engine]
async fn portal_administrator_needs_a_successor(world: &mut World) {
    world.start_worker().await;
    world.sql("UPDATE portals SET administrator_id = 53").await;
    let reason = reason_of(world, &keap_request("r1")).await;
    assert_eq!(reason["code"], "blocked");
    assert_eq!(reason["concerning"], json!({ "kind": "portal_administrator", "count": 1, "keys": ["1"] }));
    assert!(reason["hint"].as_str().expect("text").contains("reassign.portal_administrator"), "{reason}");
    let resolved = allotting("r2", "portal_administrator", to(AMANDA));
    assert_eq!(world.hand_over(&resolved).await.state, State::Completed);
    assert_eq!(world.number("SELECT administrator_id FROM portals").await, 12);
}

#[every_engine]
async fn hierarchy_and_sole_alert_recipient_block(world: &mut World) {
    world.start_worker().await;
    world.sql("UPDATE custom_hierarchy_values SET chosen_user_id = 53 WHERE user_id = 15").await;
    world.sql("DELETE FROM workflow_alert_recipients WHERE user_id = 12").await;
    let reasons = reasons_of(world, &keap_request("r1")).await;
    let reported: Vec<(&str, &str)> = (reasons.iter())
        .map(|reason| {
            (reason["code"].as_str().expect("a code"), reason["concerning"]["kind"].as_str().expect("a kind"))
        })
        .collect();
    assert_eq!(reported, [("blocked", "hierarchy_choice"), ("blocked", "sole_alert_recipient")]);
    for reason in &reasons {
        assert_eq!(reason["concerning"]["count"], 1, "{reason}");
        assert_eq!(reason["concerning"]["keys"].as_array().expect("keys").len(), 1, "{reason}");
    }
}

#[every_engine]
async fn named_records_must_belong_to_the_leaver(world: &mut World) {
    world.start_worker().await;
    let each = json!({ "each": { "9": "11", "1": "12", "999999": "12" }, "rest": to(GERALDINE) });
    let request = allotting("r1", "contact", each);
    let reason = reason_of(world, &request).await;
    assert_eq!(reason["code"], "record_not_owned");
    let mut keys: Vec<&str> =
        reason["concerning"]["keys"].as_array().expect("keys").iter().filter_map(Value::as_str).collect();
    keys.sort_unstable();
    assert_eq!((keys, &reason["concerning"]["count"]), (vec!["9", "999999"], &json!(2)));
    world.sql("UPDATE users SET manager_id = 53 WHERE id = 13").await;
    world.sql("UPDATE users SET manager_id = 13 WHERE id = 14").await;
    for successor in ["13", "14"] {
        let request = allotting(&format!("reports to {successor}"), "direct_report", json!({ "user": successor }));
        let concerning = json!({ "kind": "direct_report", "user_id": successor, "keys": ["13"] });
        assert_reason(world, &request, "reporting_cycle", concerning).await;
    }
}

#[every_engine]
async fn conflicting_jobs_are_rejected(world: &mut World) {
    world.start_worker().await;
    let first = changed("first", "effective_at", json!("2199-01-01T00:00:00Z"));
    let job = world.send(&first).await;
    let scheduled = world.next_event_of(job).await;
    assert_eq!(scheduled["type"], "handover.deactivation.scheduled");
    let concerning = json!({ "user_id": LEAVER, "job_id": job.to_string() });
    assert_reason(world, &keap_request("second"), "job_under_way", concerning).await;
    let mut to_leaver = keap_request("to a leaver");
    to_leaver["user_id"] = json!("17");
    to_leaver["reassign"] = json!({ "contact": to(LEAVER), "lead": to(SUPPORT), "task": to(SUPPORT) });
    let concerning = json!({ "kind": "contact", "user_id": LEAVER, "job_id": job.to_string() });
    assert_reason(world, &to_leaver, "successor_leaving", concerning).await;
}

/// Returns the plan token of a preview.
async fn token(world: &World, request: &Value) -> String {
    let catalog = world.context.catalogs.current();
    let request = normalize_handover(&catalog, read(request)).expect("a valid request");
    let session = world.store.snapshot().await.expect("a snapshot");
    let parties = parties(&session, &catalog, &[&request]).await.expect("its users");
    let parties: Vec<_> = parties.iter().collect();
    let assessed = evaluate(&session, &catalog, &[&request], &parties, Counting::Exactly, (Occasion::Request, now()))
        .await
        .expect("an evaluation");
    match &assessed.decisions[0] {
        Decision::Accepted(plan) => PlanToken::of(&catalog, &request, &assessed.facts, plan).write(),
        Decision::Rejected(reasons) | Decision::LockedOut(_, reasons) => panic!("{reasons:?}"),
    }
}

#[every_engine]
async fn changed_plan_is_rejected_unless_allowed(world: &mut World) {
    world.start_worker().await;
    let expect = token(world, &keap_request("r1")).await;
    world
        .sql("INSERT INTO contacts (id, org_id, owner_id, created_by, name) VALUES (900001, 1, 53, 1, 'One more')")
        .await;
    let mut request = changed("r1", "expect", json!(expect));
    let reason = reason_of(world, &request).await;
    assert_eq!(reason["code"], "stale_plan");
    assert!(reason["message"].as_str().expect("text").contains("contact: 104 previewed, 105 now"), "{reason}");

    let fresh = token(world, &keap_request("r2")).await;
    world.sql("DELETE FROM group_members WHERE user_id = 17 AND group_name = 'West team'").await;
    let reason = reason_of(world, &changed("r2", "expect", json!(fresh))).await;
    assert!(reason["message"].as_str().expect("text").contains("\"West team\" have changed"), "{reason}");

    let reason = reason_of(world, &changed("r3", "expect", json!("p1.nonsense"))).await;
    assert_eq!(reason["code"], "stale_plan");

    request["request_id"] = json!("r4");
    request["drift"] = json!("allow");
    let certificate = world.certificate(&request).await;
    assert_eq!(certificate.references.iter().find(|found| found.kind == "contact").expect("contacts").moved, Some(105));
}

#[every_engine]
async fn unchanged_plan_is_accepted(world: &mut World) {
    world.start_worker().await;
    let expect = token(world, &keap_request("r1")).await;
    assert_eq!(world.hand_over(&changed("r1", "expect", json!(expect))).await.state, State::Completed);
}

#[every_engine]
async fn all_reasons_are_reported_at_once(world: &mut World) {
    world.start_worker().await;
    world.sql("UPDATE users SET email = NULL WHERE id = 53").await;
    world.sql("UPDATE portals SET administrator_id = 53").await;
    let mut request = keap_request("r1");
    request["requested_by"] = json!(GERALDINE);
    request["expect"] = json!("p1.nonsense");
    request["reassign"] = json!({
        "lead": { "logic": "hardcoded", "extras": "reject", "shares": [
            share(MATHEW, 1), { "user": "999", "amount": 1 }, { "round_robin": "Nobody", "amount": 1 } ] },
        "task": { "logic": "ratio", "shares": [
            { "user": "31", "amount": 1 }, share(LEAVER, 1), { "user": "201", "amount": 1 } ] },
    });
    let reasons = reasons_of(world, &request).await;
    let mut codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["code"].as_str()).collect();
    codes.sort_unstable();
    let mut expected = [
        "requester_not_permitted",
        "incomplete_profile",
        "blocked",
        "allotment_missing",
        "successor_not_eligible",
        "unknown_successor",
        "no_fit_member",
        "extras_rejected",
        "successor_inactive",
        "leaver_is_successor",
        "successor_of_other_organization",
        "stale_plan",
    ];
    expected.sort_unstable();
    assert_eq!(codes, expected, "{reasons:?}");
}
