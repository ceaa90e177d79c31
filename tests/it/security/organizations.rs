//! Isolation of organizations: no request field with an id and no reference of any catalog reaches another
//! organization's rows.

mod neighbors;

use handover::job::State;
use std::collections::BTreeSet;

use handover::contract::{RequestType, UserId};
use handover::store::host::lock_users;
use serde_json::{Value, json};

use self::neighbors::{Neighbors, create_organization, start_handing_over};
use crate::support::keap::{
    ADMIN, AMANDA, GERALDINE, LEAVER, PRIYA, SUPPORT, WEST, group, hardcoded, ratio, share, to,
};
use crate::support::world::{certificate_of, codes_of, keap_request, result_of};
use crate::support::{World, every_engine, on_postgres, people, process};

/// Request fields that carry an id of any kind.
const IDS: [&str; 7] = ["org_id", "user_id", "requested_by", "job_id", "user", "each", "round_robin"];

/// Request fields that carry no id.
const NO_IDS: [&str; 18] = [
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
    "catalog",
];

/// Fields about an invited person. An address may be known to both organizations.
const OF_INVITED: [&str; 2] = ["name", "email"];

/// The reason codes of requests that reach for another organization's rows. A manager of another organization counts as none.
const REFUSALS: [&str; 7] = [
    "requester_not_permitted",
    "other_organization",
    "successor_of_other_organization",
    "unknown_job",
    "record_not_owned",
    "no_fit_member",
    "no_manager",
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

/// Returns a valid request of each type for organization 1.
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

/// Returns the request with each id in turn replaced by one of the neighbors.
fn reaching(request: &Value, neighbors: &Neighbors) -> Vec<Value> {
    let mut found = Vec::new();
    reach(request, "", neighbors, &mut |changed| found.push(changed));
    found
}

/// Calls back with each way to change `value`, the content of `field`, in one place.
fn reach(value: &Value, field: &str, neighbors: &Neighbors, tell: &mut dyn FnMut(Value)) {
    for id in neighbors.in_place_of(field) {
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
                reach(entry, inner, neighbors, &mut |changed| tell(with(changed)));
                if in_each {
                    tell(json!({ neighbors.task: entry }));
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
                reach(entry, field, neighbors, &mut |changed| tell(with(changed)));
            }
        }
        _ => {}
    }
}

/// Asserts that every attempt is refused and that the application is unchanged.
async fn all_refused(world: &World, requests: Vec<Value>) {
    let before = people::host(world).await;
    let mut jobs = Vec::new();
    for (number, mut request) in requests.into_iter().enumerate() {
        request["request_id"] = json!(format!("reaches out {number}"));
        jobs.push((world.send(&request).await, request));
    }
    for (id, request) in jobs {
        let job = world.end_of(id).await;
        assert_eq!(job.state, State::Rejected, "{request}");
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
    let neighbors = create_organization(world).await;
    world.start_worker().await;
    let neighbors = start_handing_over(world, neighbors).await;
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
    let reaching: Vec<Value> = templates.iter().flat_map(|request| reaching(request, &neighbors)).collect();
    assert!(reaching.len() > 100, "{}", reaching.len());
    all_refused(world, reaching).await;
    neighbors.assert_jobs_unchanged(world).await;
}

#[every_engine]
async fn administrator_cannot_reach_other_organizations(world: &mut World) {
    create_organization(world).await;
    world.start_worker().await;
    let mine = json!({ "type": "deactivate", "request_id": "mine", "org_id": "1", "user_id": PRIYA, "requested_by": ADMIN,
        "reassign": { "contact": to(SUPPORT), "lead": to(SUPPORT), "task": to(SUPPORT) } });
    let completed = world.hand_over(&mine).await;
    let mut requests = requests(&completed.id.to_string(), &completed.id.to_string());
    // An invited person becomes a user of the requesting organization.
    requests.retain(|request| request["type"] != "invite");
    for request in &mut requests {
        request["org_id"] = json!("2");
        request["requested_by"] = json!("201");
    }
    // The invited user accepts the invitation, but for another organization.
    let accept = json!({ "type": "accept_invitation", "org_id": "1", "user_id": "203", "requested_by": "203" });
    // The leaver's manager belongs to the other organization.
    world.sql("UPDATE users SET manager_id = 201 WHERE id = 13").await;
    let to_manager = json!({ "type": "deactivate", "org_id": "1", "user_id": GERALDINE, "requested_by": ADMIN, "reassign": { "contact": { "manager": true } } });
    // A group of the same name whose only member is a neighbor.
    let round_robin = json!({ "logic": "ratio", "shares": [{ "round_robin": "East team", "amount": 1 }] });
    let to_group = json!({ "type": "deactivate", "org_id": "1", "user_id": GERALDINE, "requested_by": ADMIN, "reassign": { "contact": round_robin } });
    requests.extend([accept, to_manager, to_group]);
    all_refused(world, requests).await;
}

/// The catalog and request of each product's demo.
fn demo_requests() -> [(&'static str, Value); 3] {
    let agent_connect = json!({ "type": "deactivate", "request_id": "story", "org_id": "3", "user_id": "303", "requested_by": "301", "reassign": {
        "direct_report": { "each": { "306": "305", "307": "302" }, "rest": { "user": "304" } },
        "contact": { "user": "304" } } });
    let apto = json!({ "type": "deactivate", "request_id": "story", "org_id": "4", "user_id": "404", "requested_by": "401",
        "also": ["opportunity_team_member"], "reassign": {
            "contact": { "user": "405" }, "account": { "user": "405" }, "task": { "user": "405" },
            "sole_alert_recipient": { "user": "405" }, "portal_administrator": { "user": "402" },
            "opportunity_split": { "user": "405" } } });
    [("keap", keap_request("story")), ("agent-connect", agent_connect), ("apto", apto)]
}

#[every_engine(also_in_chunks_of = 9)]
async fn no_reference_reaches_other_organizations(world: &mut World) {
    let neighbors = create_organization(world).await;
    for (product, request) in demo_requests() {
        if product != "keap" {
            world.use_product(product, 10).await;
        }
        neighbors.have_rows_of_every_reference(world).await;
        let before = neighbors.rows(world).await;
        world.start_worker().await;
        let job = world.hand_over(&request).await;
        let certificate = certificate_of(&job);
        // Groups of both organizations share names. No neighbor took a turn.
        let successors = certificate.references.iter().flat_map(|result| result.successors.keys());
        assert!(successors.clone().all(|user| !user.starts_with("20")), "{certificate:?}");
        assert!(result_of(&certificate, "contact").moved > Some(0));
        assert_eq!(neighbors.rows(world).await, before, "{product}: handed over");
        certificate_of(&world.hand_over(&people::revert(&job)).await);
        assert_eq!(neighbors.rows(world).await, before, "{product}: undone");
        world.stop_workers().await;
    }
}

/// PostgreSQL only: SQLite has no concurrent writers.
#[on_postgres]
async fn permission_is_checked_in_the_planners_transaction(world: &mut World) {
    let revoking = world.store.begin("revoking").await.expect("a transaction");
    let leaver = UserId::try_from("53".to_owned()).expect("an id");
    lock_users(&revoking, &[("1", &leaver)], &[]).await.expect("a lock");
    world.start_worker().await;
    let id = world.send(&keap_request("r1")).await;
    // The planner has read the users of the request and waits for the leaver's lock.
    world.until_user_lock_is_awaited().await;
    let revoke = revoking.sql("UPDATE users SET role = 'member' WHERE id = 1");
    revoking.run("revoking", revoke).await.expect("revoked");
    revoking.commit().await.expect("committed");
    assert_eq!(codes_of(&world.end_of(id).await), ["requester_not_permitted"]);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
}
