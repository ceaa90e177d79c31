//! Readable requests that are hostile or odd: each has a job with the expected reasons.

use handover::job::State;
use serde_json::{Value, json};

use super::{assert_worker_continues, but, hidden, to};
use crate::support::world::{LIMIT, codes_of, keap_request, reasons_of};
use crate::support::{World, every_engine, snapshot};

/// The changed fields of the example; the code, and words of the message.
type Row = (Value, &'static str, &'static str);

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let token = |token: &str| json!({ "expect": token });
    vec![
        (json!({ "org_id": "999" }),                          "other_organization",      "belongs to the organization"),
        (json!({ "org_id": "-9223372036854775808" }),         "other_organization",      "belongs to the organization"),
        (json!({ "user_id": "9223372036854775807" }),         "unknown_user",            "9223372036854775807"),
        (json!({ "user_id": "0" }),                           "unknown_user",            "no user 0"),
        (json!({ "requested_by": "-1" }),                     "requester_not_permitted", "no such user"),
        (json!({ "requested_by": "201" }),                    "requester_not_permitted", "do not belong"),
        (json!({ "reassign": all("53") }),                    "leaver_is_successor",     "leaver 53"),
        (json!({ "reassign": all("9223372036854775807") }),   "unknown_successor",       "no user 9223372036854775807"),
        (json!({ "reassign": { "contact": to("11"), "task": to("11"), "lead": shares("West team' OR '1'='1") } }), "no_fit_member", "West team' OR '1'='1"),
        (json!({ "reassign": { "contact": to("11"), "task": to("11"), "lead": shares("\u{1b}[31mWest team") } }),  "no_fit_member", "\\u{1b}[31mWest team"),
        (json!({ "reassign": { "contact": to("11"), "task": to("11"), "lead": shares("West team\u{200b}") } }),    "no_fit_member", "West team\\u{200b}"),
        (json!({ "reassign": { "contact": { "each": { "9223372036854775807": "11" }, "rest": to("11") }, "lead": to("11"), "task": to("11") } }), "record_not_owned", "do not belong to the leaver"),
        (token(""),                                           "stale_plan",              "not one that a preview gives"),
        (token("p1.!!!"),                                     "stale_plan",              "not one that a preview gives"),
        (token("p2.e30"),                                     "stale_plan",              "not one that a preview gives"),
        (token("p1.e30"),                                     "stale_plan",              "not one that a preview gives"),
        (token("p1.eyJjYXRhbG9nIjoiIn0"),                     "stale_plan",              "not one that a preview gives"),
        (token(&"p1.".repeat(100_000)),                       "stale_plan",              "not one that a preview gives"),
    ]
}

fn all(user: &str) -> Value {
    json!({ "contact": to(user), "lead": to(user), "task": to(user) })
}

fn shares(group: &str) -> Value {
    json!({ "logic": "ratio", "shares": [{ "round_robin": group, "amount": 1 }] })
}

#[every_engine]
async fn hostile_request_is_rejected_without_changes(world: &mut World) {
    world.start_worker().await;
    let before = snapshot::of_host(world).await;
    let mut wrong = Vec::new();
    for (row, (fields, code, words)) in rows().into_iter().enumerate() {
        // An id as hostile as ids may be. It appears all over the ledger.
        let id = format!("'; DROP TABLE users; -- \"$1 %s {{}} \\ \u{202e} {row}");
        let job = world.hand_over(&but(&id, fields.clone())).await;
        let reasons = if job.state == State::Rejected { reasons_of(&job) } else { Vec::new() };
        if !reasons.iter().any(|reason| reason.code.name() == code && reason.message.contains(words)) {
            let fields: String = fields.to_string().chars().take(300).collect();
            wrong.push(format!("{fields}\n    {code} ({words}) expected: {} {reasons:?}", job.state));
        }
        assert_eq!(job.request_id, id);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(snapshot::of_host(world).await, before);
    assert_worker_continues(world).await;
}

#[every_engine]
async fn thousands_of_unknown_users_are_answered_quickly(world: &mut World) {
    world.start_worker().await;
    let named = |first: usize| -> Value {
        (first..first + 10_000)
            .map(|at| (at.to_string(), json!((1_000_000 + at).to_string())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let each = |first: usize| json!({ "each": named(first), "rest": to("11") });
    let many = json!({ "contact": each(1_000), "lead": each(500_000), "task": each(100_000) });
    let began = std::time::Instant::now();
    let job = world.hand_over(&but("many", json!({ "reassign": many }))).await;
    assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
    let reasons = reasons_of(&job);
    assert_eq!((job.state, reasons.len()), (State::Rejected, 1_001));
    let last = reasons.last().expect("a reason");
    assert_eq!((last.code.name(), last.concerning.count), ("more_reasons", Some(29_003)));
    let event = world.next_event_of(handover::contract::JobId(job.id)).await;
    assert_eq!(event["data"]["reasons"].as_array().map(Vec::len), Some(1_001));
    assert_worker_continues(world).await;
}

#[every_engine]
async fn thousand_shares_of_one_group_count_once(world: &mut World) {
    world.start_worker().await;
    let shares: Vec<Value> = (0..1_000).map(|_| json!({ "round_robin": "West team", "amount": 1 })).collect();
    let mut request = keap_request("shares");
    request["reassign"]["lead"] = json!({ "logic": "ratio", "shares": shares });
    let certificate = world.certificate(&request).await;
    let leads = crate::support::world::successors_of(&certificate, "lead");
    assert_eq!(leads.values().sum::<u64>(), 92);
    assert!(leads.values().max().zip(leads.values().min()).is_some_and(|(most, least)| most - least <= 1), "{leads:?}");
}

#[every_engine]
async fn odd_but_allowed_texts_are_kept(world: &mut World) {
    world.start_worker().await;
    let texts = [
        "Robert'); DROP TABLE users;--",
        "\u{1b}[2J\u{7}",
        "\u{202e}gnp.exe",
        "e\u{301} é",
        "👩‍👧",
        "${jndi:ldap://x}",
        "%n%s",
    ];
    for (place, text) in texts.into_iter().enumerate() {
        let leaver = json!({ "user_id": "31", "reason": text });
        let job = world.hand_over(&but(&format!("odd {place} e\u{301}"), leaver)).await;
        assert_eq!((codes_of(&job), job.reason.as_deref()), (vec!["already_inactive".into()], Some(text)));
    }
    // Two Unicode spellings of é are two ids.
    let other = world.hand_over(&but("odd 0 é", json!({ "user_id": "31" }))).await;
    assert_eq!(codes_of(&other), ["already_inactive"]);
    let plain = crate::support::process::on(world, &["audit"]).expect(0).out;
    // Below each entry there is a hint.
    let entries = plain.lines().filter(|line| !line.starts_with("    ")).count();
    assert!(hidden(&plain).is_empty() && entries == texts.len() + 2, "{plain}");
    // A past leap second counts as the end of its minute; a time long ago counts as now.
    let leap = but("leap", json!({ "effective_at": "2016-12-31T23:59:60Z" }));
    assert_eq!(world.hand_over(&leap).await.state, State::Completed);
}
