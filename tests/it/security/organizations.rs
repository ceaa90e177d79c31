//! An organization can never touch another's rows: through no field of any request that can carry an id, and through no
//! reference of any catalog.

mod neighbors;

use std::collections::BTreeSet;

use handover::contract::{RequestType, UserId};
use handover::store::host::lock_users;
use serde_json::{Value, json};

use self::neighbors::{Neighbours, settle_in, start_handing_over};
use crate::support::keap::{
    ADMIN, AMANDA, GERALDINE, LEAVER, PRIYA, SUPPORT, WEST, group, hardcoded, ratio, share, to,
};
use crate::support::world::{certificate_of, codes_of, keap_request, result_of};
use crate::support::{World, every_engine, on_postgres, people, process};

/// Fields of a request that carry an id, of whatever.
const IDS: [&str; 7] = ["org_id", "user_id", "requested_by", "job_id", "user", "each", "round_robin"];

/// Fields that carry none.
const NO_IDS: [&str; 17] = [
    "type",
    "request_id",
    "reason",
    "effective_at",
    "return_at",
    "lock_out",
    "reassign",
    "also",
    "bulk",
    "expect",
    "drift",
    "logic",
    "shares",
    "amount",
    "extras",
    "rest",
    "manager",
];

/// Fields of somebody who is invited: an address is a person's, and may be known to both organizations.
const OF_INVITED: [&str; 2] = ["name", "email"];

/// What a request is refused with that reaches for somebody else's rows.
const REFUSALS: [&str; 6] = [
    "requester_not_permitted",
    "other_organization",
    "successor_of_other_organization",
    "unknown_job",
    "record_not_owned",
    "no_fit_member",
];

#[test]
fn every_request_field_is_classified() {
    let schema = process::run(&[], &["schema", "request"]).expect(0).json();
    let mut fields = BTreeSet::new();
    properties(&schema, &mut fields);
    let known: BTreeSet<String> = IDS.iter().chain(&NO_IDS).chain(&OF_INVITED).map(|name| (*name).to_owned()).collect();
    assert_eq!(fields, known);
}

fn properties(schema: &Value, fields: &mut BTreeSet<String>) {
    if let Some(named) = schema["properties"].as_object() {
        fields.extend(named.keys().cloned());
    }
    match schema {
        Value::Object(entries) => entries.values().for_each(|entry| properties(entry, fields)),
        Value::Array(entries) => entries.iter().for_each(|entry| properties(entry, fields)),
        _ => {}
    }
}

/// A request of each type that organization 1 may well make.
fn requests(completed: &str, waiting: &str) -> Vec<Value> {
    let everything = json!({
        "contact": ratio([share(SUPPORT, 5), share(AMANDA, 50)]),
        "lead": hardcoded([group(WEST, 92)]),
        "task": { "each": { "1": "13" }, "rest": to(SUPPORT) },
        "account": to(AMANDA),
        "direct_report": to(ADMIN),
        "portal_administrator": to(ADMIN),
        "primary_administrator": to(ADMIN),
        "sole_alert_recipient": to(AMANDA),
        "opportunity_split": to(AMANDA),
    });
    RequestType::ALL
        .into_iter()
        .map(|kind| {
            let mut request = json!({ "type": kind.name(), "org_id": "1", "requested_by": ADMIN });
            let fields = match kind {
                RequestType::Deactivate | RequestType::Reassign => json!({ "user_id": LEAVER, "reassign": everything }),
                RequestType::Reactivate => json!({ "user_id": "31" }),
                RequestType::Invite => json!({ "name": "New", "email": "new@example.com" }),
                RequestType::AcceptInvitation => json!({ "user_id": "21", "requested_by": "21" }),
                RequestType::ResendInvitation | RequestType::CancelInvitation => json!({ "user_id": "21" }),
                RequestType::Revert => json!({ "job_id": completed }),
                RequestType::Cancel | RequestType::Pause | RequestType::Resume => json!({ "job_id": waiting }),
                RequestType::Amend => json!({ "job_id": waiting, "reassign": everything }),
            };
            for (name, value) in fields.as_object().expect("fields") {
                request[name] = value.clone();
            }
            request
        })
        .collect()
}

/// The request with each id in it put in turn for one of the neighbours' own.
fn reaching(request: &Value, neighbours: &Neighbours) -> Vec<Value> {
    let mut found = Vec::new();
    reach(request, "", neighbours, &mut |changed| found.push(changed));
    found
}

/// Tells each way in which `value`, the content of `field`, can be changed in one place.
fn reach(value: &Value, field: &str, neighbours: &Neighbours, tell: &mut dyn FnMut(Value)) {
    for id in neighbours.in_place_of(field) {
        tell(json!(id));
    }
    match value {
        Value::Object(entries) => {
            let in_each = field == "each";
            for (name, entry) in entries {
                let with = |changed: Value| {
                    let mut all = entries.clone();
                    all.insert(name.clone(), changed);
                    Value::Object(all)
                };
                // The keys of `each` are records, its values users.
                let inner = if in_each { "user" } else { name };
                reach(entry, inner, neighbours, &mut |changed| tell(with(changed)));
                if in_each {
                    tell(json!({ neighbours.task: entry }));
                }
            }
        }
        Value::Array(entries) => {
            for (place, entry) in entries.iter().enumerate() {
                let with = |changed: Value| {
                    let mut all = entries.clone();
                    all[place] = changed;
                    Value::Array(all)
                };
                reach(entry, field, neighbours, &mut |changed| tell(with(changed)));
            }
        }
        _ => {}
    }
}

/// Everything that is refused for reaching out, and that nothing of the application has changed.
async fn all_refused(world: &World, requests: Vec<Value>) {
    let before = people::host(world).await;
    let mut jobs = Vec::new();
    for (number, mut request) in requests.into_iter().enumerate() {
        request["request_id"] = json!(format!("reaches out {number}"));
        jobs.push((world.send(&request).await, request));
    }
    for (id, request) in jobs {
        let job = world.end_of(id).await;
        assert_eq!(job.state, "rejected", "{request}");
        let codes = codes_of(&job);
        assert!(codes.iter().any(|code| REFUSALS.contains(&code.as_str())), "{request}: {codes:?}");
    }
    let after = people::host(world).await;
    for (table, rows) in before {
        assert_eq!(after[&table], rows, "{table}");
    }
}

#[every_engine]
pub async fn no_request_field_reaches_other_organizations(world: &mut World) {
    let neighbours = settle_in(world).await;
    world.start_worker().await;
    let neighbours = start_handing_over(world, neighbours).await;
    let mine = json!({ "type": "deactivate", "request_id": "mine", "org_id": "1", "user_id": PRIYA, "requested_by": ADMIN,
        "reassign": { "contact": to(SUPPORT), "lead": to(SUPPORT), "task": to(SUPPORT) } });
    let completed = world.hand_over(&mine).await;
    certificate_of(&completed);
    let mut later = keap_request("later");
    later["effective_at"] = json!("2126-01-01T00:00:00Z");
    later["user_id"] = json!("16");
    let waiting = world.send(&later).await;
    world.until("the job is scheduled", async || world.job(waiting).await).await;
    let templates = requests(&completed.id.to_string(), &waiting.to_string());
    let reaching: Vec<Value> = templates.iter().flat_map(|request| reaching(request, &neighbours)).collect();
    assert!(reaching.len() > 100, "{}", reaching.len());
    all_refused(world, reaching).await;
    neighbours.jobs_stand(world).await;
}

#[every_engine]
async fn administrator_cannot_reach_other_organizations(world: &mut World) {
    settle_in(world).await;
    world.start_worker().await;
    let mine = json!({ "type": "deactivate", "request_id": "mine", "org_id": "1", "user_id": PRIYA, "requested_by": ADMIN,
        "reassign": { "contact": to(SUPPORT), "lead": to(SUPPORT), "task": to(SUPPORT) } });
    let completed = world.hand_over(&mine).await;
    let mut requests = requests(&completed.id.to_string(), &completed.id.to_string());
    // Whoever is invited is a user of the organization that asks.
    requests.retain(|request| request["type"] != "invite");
    for request in &mut requests {
        request["org_id"] = json!("2");
        request["requested_by"] = json!("201");
    }
    // The invited user accepts by themselves, for another organization than theirs.
    let accept = json!({ "type": "accept_invitation", "org_id": "1", "user_id": "203", "requested_by": "203" });
    // The leaver's manager is somebody else's user.
    world.sql("UPDATE users SET manager_id = 201 WHERE id = 13").await;
    let to_manager = json!({ "org_id": "1", "user_id": GERALDINE, "requested_by": ADMIN, "reassign": { "contact": { "manager": true } } });
    // A group of the same name, whose only member is a neighbour.
    let round_robin = json!({ "logic": "ratio", "shares": [{ "round_robin": "East team", "amount": 1 }] });
    let to_group =
        json!({ "org_id": "1", "user_id": GERALDINE, "requested_by": ADMIN, "reassign": { "contact": round_robin } });
    requests.extend([accept, to_manager, to_group]);
    all_refused(world, requests).await;
}

/// What each product's demo hands over: catalog, and the request.
fn stories() -> [(&'static str, Value); 3] {
    let agent_connect = json!({ "request_id": "story", "org_id": "3", "user_id": "303", "requested_by": "301", "reassign": {
        "direct_report": { "each": { "306": "305", "307": "302" }, "rest": { "user": "304" } },
        "contact": { "user": "304" } } });
    let apto = json!({ "request_id": "story", "org_id": "4", "user_id": "404", "requested_by": "401",
        "also": ["opportunity_team_member"], "reassign": {
            "contact": { "user": "405" }, "account": { "user": "405" }, "task": { "user": "405" },
            "sole_alert_recipient": { "user": "405" }, "portal_administrator": { "user": "402" },
            "opportunity_split": { "user": "405" } } });
    [("keap", keap_request("story")), ("agent-connect", agent_connect), ("apto", apto)]
}

#[every_engine(also_in_chunks_of = 9)]
async fn no_reference_reaches_other_organizations(world: &mut World) {
    let neighbours = settle_in(world).await;
    for (product, story) in stories() {
        if product != "keap" {
            world.use_product(product, 10).await;
        }
        neighbours.have_rows_of_every_reference(world).await;
        let before = neighbours.rows(world).await;
        world.start_worker().await;
        let job = world.hand_over(&story).await;
        let certificate = certificate_of(&job);
        // Groups of theirs have the names of ours: none of their members took a turn.
        let successors = certificate.references.iter().flat_map(|result| result.successors.keys());
        assert!(successors.clone().all(|user| !user.starts_with("20")), "{certificate:?}");
        assert!(result_of(&certificate, "contact").moved > Some(0));
        assert_eq!(neighbours.rows(world).await, before, "{product}: handed over");
        certificate_of(&world.hand_over(&people::revert(&job)).await);
        assert_eq!(neighbours.rows(world).await, before, "{product}: undone");
        world.stop_workers().await;
    }
}

/// PostgreSQL alone: in SQLite nobody writes while somebody else does.
#[on_postgres]
async fn permission_is_checked_in_the_planners_transaction(world: &mut World) {
    let revoking = world.store.begin("revoking").await.expect("a transaction");
    let leaver = UserId::try_from("53".to_owned()).expect("an id");
    lock_users(&revoking, &[("1", &leaver)], &[]).await.expect("a lock");
    world.start_worker().await;
    let id = world.send(&keap_request("r1")).await;
    // The planner has begun and read whom the request concerns, and waits for the leaver.
    world.until_somebody_waits_for_a_user().await;
    let revoke = revoking.sql("UPDATE users SET role = 'member' WHERE id = 1");
    revoking.run("revoking", revoke).await.expect("revoked");
    revoking.commit().await.expect("committed");
    assert_eq!(codes_of(&world.end_of(id).await), ["requester_not_permitted"]);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
}
