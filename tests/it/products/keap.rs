//! The Keap help page, with a test for each sentence.

mod users;

use std::collections::BTreeMap;

use handover::contract::{Certificate, ReasonCode, event_id};
use handover::job::State;
use handover::worker::Role;
use serde_json::{Value, json};

use crate::support::keap::{
    AMANDA, GERALDINE, INGRID, LEAVER, LUCAS, MATHEW, PARTNER, PRIYA, SUPPORT, WEST, deactivation, example, group,
    hardcoded, hardcoded_without_extras, ratio, share, to,
};
use crate::support::world::{certificate_of, codes_of, counts, reasons_of, result_of, successors_of};
use crate::support::{World, every_engine};

#[every_engine]
async fn deactivation_needs_an_admin(world: &mut World) {
    world.start_worker().await;
    let request = example("r1").requested_by(AMANDA);
    let job = world.hand_over(&request).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["requester_not_permitted".to_owned()]));
    assert_eq!(world.status_of(LEAVER).await, "active");
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
}

#[every_engine(also_in_chunks_of = 10)]
async fn profiles_are_deactivated_and_never_deleted(world: &mut World) {
    const PROFILE: &str = "SELECT name || ' ' || username || ' ' || email || ' ' || role AS t FROM users WHERE id = 53";
    let (users, profile) = (world.number("SELECT count(*) FROM users").await, world.texts(PROFILE).await);
    world.start_worker().await;
    world.certificate(&example("r1")).await;
    assert_eq!(world.status_of(LEAVER).await, "inactive");
    assert_eq!(world.number("SELECT count(*) FROM users").await, users);
    assert_eq!(world.texts(PROFILE).await, profile);
}

// "They will not be able to log in": from the moment the request is accepted, not after the last move.
#[every_engine]
pub async fn deactivation_removes_access_before_any_record_has_moved(world: &mut World) {
    world.use_chunks_of(10);
    world.start_roles(&[Role::Planner]).await;
    let id = world.send(&example("r1")).await;
    let job = world.until("the request is accepted", async || world.job(id).await).await;
    assert_eq!(job.state, State::Cutting);
    assert_eq!(world.status_of(LEAVER).await, "inactive");
    assert_eq!(world.held_by(LEAVER, "sessions").await, 0);
    assert_eq!(world.held_by(LEAVER, "api_tokens").await, 0);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1);

    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(id).await);
    assert_eq!(result_of(&certificate, "session").removed, Some(2));
    assert_eq!(result_of(&certificate, "api_token").removed, Some(1));
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM sessions").await, 1, "the session of another user stays");
    assert_eq!(world.number("SELECT count(*) FROM api_tokens").await, 1, "the token of another user stays");
}

#[every_engine(also_in_chunks_of = 10)]
async fn contacts_leads_and_pending_tasks_are_reassigned(world: &mut World) {
    world.start_worker().await;
    let certificate = world.certificate(&example("r1")).await;
    for (kind, count) in [("contact", 104), ("lead", 92), ("task", 12)] {
        let result = result_of(&certificate, kind);
        assert_eq!((result.found, result.moved, result.left_behind), (Some(count), Some(count), Some(0)), "{kind}");
    }
    for table in ["contacts", "opportunities", "tasks"] {
        assert_eq!(world.owned_by(LEAVER, table).await, 0, "{table}");
    }
}

#[every_engine]
async fn active_accounts_must_be_reassigned_first(world: &mut World) {
    world.start_worker().await;
    let request = example("r1").without_allotments();
    let job = world.hand_over(&request).await;
    assert_eq!(job.state, State::Rejected);
    let missing: BTreeMap<String, u64> = (reasons_of(&job).into_iter())
        .filter(|reason| reason.code == ReasonCode::AllotmentMissing)
        .map(|reason| (reason.concerning.kind.expect("a kind"), reason.concerning.count.expect("a count")))
        .collect();
    assert_eq!(missing, BTreeMap::from([("contact".into(), 104), ("lead".into(), 92), ("task".into(), 12)]));
    assert_eq!(world.status_of(LEAVER).await, "active");
    assert_eq!(world.held_by(LEAVER, "sessions").await, 2);
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn all_104_contacts_are_accounted_for(world: &mut World) {
    world.start_worker().await;
    let certificate = world.certificate(&example("r1")).await;
    assert_eq!(
        successors_of(&certificate, "contact"),
        counts([(SUPPORT, 5), (AMANDA, 50), (GERALDINE, 20), (MATHEW, 29)])
    );
    // Contacts received by each user, without the seed's own contacts (every ninth one).
    let received = "SELECT CAST(count(*) AS text) AS t FROM contacts WHERE id % 9 <> 0 AND org_id = 1 GROUP BY owner_id ORDER BY owner_id";
    assert_eq!(world.texts(received).await, ["5", "50", "20", "29"]);
}

#[every_engine(also_in_chunks_of = 10)]
async fn ratio_repeats_exactly_for_208_contacts(world: &mut World) {
    more_contacts(world, 104).await;
    world.start_worker().await;
    let certificate = world.certificate(&example("r1")).await;
    assert_eq!(
        successors_of(&certificate, "contact"),
        counts([(SUPPORT, 10), (AMANDA, 100), (GERALDINE, 40), (MATHEW, 58)])
    );
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn ratio_repeats_for_six_extra_contacts(world: &mut World) {
    more_contacts(world, 6).await;
    world.start_worker().await;
    let certificate = world.certificate(&example("r1")).await;
    assert_eq!(
        successors_of(&certificate, "contact"),
        counts([(SUPPORT, 10), (AMANDA, 51), (GERALDINE, 20), (MATHEW, 29)])
    );
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
}

#[every_engine(also_in_chunks_of = 3)]
pub async fn hardcoded_does_not_reassign_extras(world: &mut World) {
    keep_only_twelve_leads(world).await;
    world.start_worker().await;
    let certificate = world.certificate(&example("r1").leads(hardcoded([share(SUPPORT, 5), share(AMANDA, 3)]))).await;
    let lead = result_of(&certificate, "lead");
    assert_eq!((lead.found, lead.moved, lead.left_behind), (Some(12), Some(8), Some(4)));
    assert_eq!(lead.successors, counts([(SUPPORT, 5), (AMANDA, 3)]));
    assert_eq!(world.owned_by(LEAVER, "opportunities").await, 4);
    assert_eq!(certificate.license.name(), "freed", "records that may stay do not hold the license");
    assert_eq!(world.held_by(LEAVER, "licenses").await, 0);
}

#[every_engine(also_in_chunks_of = 3)]
pub async fn hardcoded_can_reject_extras(world: &mut World) {
    keep_only_twelve_leads(world).await;
    world.start_worker().await;
    let job =
        world.hand_over(&example("r1").leads(hardcoded_without_extras([share(SUPPORT, 5), share(AMANDA, 3)]))).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["extras_rejected".to_owned()]));
    assert_eq!(world.owned_by(LEAVER, "opportunities").await, 12);
    let certificate =
        world.certificate(&example("r2").leads(hardcoded_without_extras([share(SUPPORT, 5), share(AMANDA, 7)]))).await;
    assert_eq!(successors_of(&certificate, "lead"), counts([(SUPPORT, 5), (AMANDA, 7)]));
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn round_robin_continues_in_the_next_job(world: &mut World) {
    world.start_worker().await;
    let certificate = world.certificate(&example("r1")).await;
    // The group has three members, and 92 is one short of a full round: Lucas is served last.
    assert_eq!(successors_of(&certificate, "lead"), counts([(PRIYA, 31), (LUCAS, 31), (INGRID, 30)]));
    assert_eq!(world.owned_by(MATHEW, "opportunities").await, 2);
    let certificate = world
        .certificate(
            &deactivation("r2", MATHEW).contacts(to(SUPPORT)).leads(ratio([group(WEST, 1)])).tasks(to(SUPPORT)),
        )
        .await;
    assert_eq!(successors_of(&certificate, "lead"), counts([(PRIYA, 1), (INGRID, 1)]), "Ingrid is next, then Priya");
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn license_is_freed_for_someone_else(world: &mut World) {
    world.start_worker().await;
    let free = world.number("SELECT count(*) FROM licenses WHERE user_id IS NULL").await;
    let certificate = world.certificate(&example("r1")).await;
    assert_eq!(certificate.license.name(), "freed");
    assert_eq!(world.held_by(LEAVER, "licenses").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM licenses WHERE user_id IS NULL").await, free + 1);
    world.sql("UPDATE licenses SET user_id = 21 WHERE id = (SELECT min(id) FROM licenses WHERE user_id IS NULL)").await;
}

#[every_engine(also_in_chunks_of = 1)]
async fn deactivating_partners_frees_no_license(world: &mut World) {
    world
        .sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 54, 54, 'One'), (1, 54, 54, 'Two')")
        .await;
    world.start_worker().await;
    let licenses =
        "SELECT CAST(id AS text) || ':' || COALESCE(CAST(user_id AS text), '') AS t FROM licenses ORDER BY id";
    let before = world.texts(licenses).await;
    let certificate = world.certificate(&deactivation("r1", PARTNER).contacts(to(SUPPORT))).await;
    assert_eq!(certificate.license.name(), "exempt");
    assert_eq!(world.texts(licenses).await, before);
    assert_eq!(world.number("SELECT count(*) FROM users WHERE id = 54 AND status = 'inactive'").await, 1);
}

#[every_engine]
async fn billed_license_count_is_unchanged(world: &mut World) {
    world.start_worker().await;
    let seats = world.number("SELECT count(*) FROM licenses").await;
    world.certificate(&example("r1")).await;
    assert_eq!(world.number("SELECT count(*) FROM licenses").await, seats);
}

#[every_engine]
async fn lead_successor_must_be_a_sales_rep(world: &mut World) {
    world.start_worker().await;
    let mut request = example("r1").leads(to(MATHEW));
    let job = world.hand_over(&request).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["successor_not_eligible".to_owned()]));
    assert_eq!(reasons_of(&job)[0].concerning.user_id.as_deref(), Some("14"));
    world.sql("INSERT INTO group_members (org_id, group_name, user_id) VALUES (1, 'Sales Rep', 14)").await;
    request["request_id"] = json!("r2");
    let certificate = world.certificate(&request).await;
    assert_eq!(successors_of(&certificate, "lead"), counts([(MATHEW, 92)]));
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn completed_tasks_are_removed(world: &mut World) {
    world.start_worker().await;
    let others = world.number("SELECT count(*) FROM tasks WHERE status = 'completed' AND owner_id <> 53").await;
    assert!(others > 0);
    let certificate = world.certificate(&example("r1")).await;
    assert_eq!(result_of(&certificate, "completed_task").purged, Some(40));
    assert_eq!(world.number("SELECT count(*) FROM tasks WHERE status = 'completed'").await, others);
    // "This cannot be undone" on the page. Here snapshots are kept for a while.
    assert_eq!(
        world
            .number(
                "SELECT count(*) FROM handover.row_snapshots WHERE kind = 'completed_task' AND keep_until IS NOT NULL"
            )
            .await,
        40
    );
}

#[every_engine(also_in_chunks_of = 10)]
async fn only_pending_tasks_need_a_successor(world: &mut World) {
    world.start_worker().await;
    let titles = "SELECT title AS t FROM tasks WHERE status = 'pending' AND owner_id IN (53, 11) ORDER BY title";
    let before = world.texts(titles).await;
    let certificate = world.certificate(&example("r1")).await;
    assert_eq!(successors_of(&certificate, "task"), counts([(SUPPORT, 12)]));
    assert_eq!(world.texts(titles).await, before);
    assert_eq!(world.owned_by(LEAVER, "tasks").await, 0);
}

#[every_engine(also_in_chunks_of = 10)]
async fn notes_are_not_affected(world: &mut World) {
    world.start_worker().await;
    let notes = "SELECT CAST(id AS text) || ' ' || CAST(user_id AS text) || ' ' || CAST(contact_id AS text) || ' ' || body AS t FROM notes ORDER BY id";
    let before = world.texts(notes).await;
    let certificate = world.certificate(&example("r1")).await;
    assert_eq!(result_of(&certificate, "note").kept, Some(17));
    assert_eq!(world.texts(notes).await, before);
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn records_of_others_are_untouched(world: &mut World) {
    // Every column of every row that is not the leaver's.
    const OTHERS: [(&str, &str); 12] = [
        ("contacts", "owner_id <> 53"),
        ("opportunities", "owner_id <> 53"),
        ("tasks", "owner_id <> 53"),
        ("accounts", "TRUE"),
        ("notes", "TRUE"),
        ("sessions", "user_id <> 53"),
        ("api_tokens", "user_id <> 53"),
        ("licenses", "user_id <> 53"),
        ("follows", "follower_id <> 53 AND followed_id <> 53"),
        ("group_members", "user_id <> 53"),
        ("record_shares", "user_id <> 53"),
        ("users", "id <> 53"),
    ];
    let mut before = Vec::new();
    for (table, others) in OTHERS {
        before.push(rows(world, table, others).await);
    }
    world.start_worker().await;
    world.certificate(&example("r1")).await;
    for ((table, others), before) in OTHERS.into_iter().zip(before) {
        let after = rows(world, table, others).await;
        let changed: Vec<&String> = before.iter().filter(|row| !after.contains(row)).collect();
        assert!(changed.is_empty() && !before.is_empty(), "{table}: {changed:?}");
    }
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn followers_are_removed_both_ways_and_journaled(world: &mut World) {
    world.start_worker().await;
    let certificate = world.certificate(&example("r1")).await;
    assert_eq!(result_of(&certificate, "following").removed, Some(3));
    assert_eq!(result_of(&certificate, "follower").removed, Some(4));
    assert_eq!(world.number("SELECT count(*) FROM follows WHERE follower_id = 53 OR followed_id = 53").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM follows").await, 2, "others still follow each other");
    for (kind, count) in [("following", 3), ("follower", 4)] {
        let journaled =
            format!("SELECT sum(records) FROM handover.journal WHERE action = 'detached' AND kind = '{kind}'");
        assert_eq!(world.number(&journaled).await, count);
        let copied =
            format!("SELECT count(*) FROM handover.row_snapshots WHERE table_name LIKE '%follows' AND kind = '{kind}'");
        assert_eq!(world.number(&copied).await, count);
    }
}

/// The result of the help page's example for each kind that has any rows.
const EXAMPLE: [(&str, &str, u64); 21] = [
    ("session", "removed", 2),
    ("api_token", "removed", 1),
    ("contact", "moved", 104),
    ("lead", "moved", 92),
    ("task", "moved", 12),
    ("completed_task", "purged", 40),
    ("group_membership", "removed", 1),
    ("following", "removed", 3),
    ("follower", "removed", 4),
    ("record_share", "removed", 2),
    ("account_team_member", "removed", 1),
    ("opportunity_team_member", "removed", 3),
    ("default_account_team_member", "removed", 1),
    ("default_opportunity_team_member", "removed", 1),
    ("territory_member", "removed", 1),
    ("alert_recipient", "removed", 1),
    ("forecast_override", "set", 1),
    ("note", "kept", 17),
    ("invitation_sent", "kept", 1),
    ("invitation_received", "kept", 1),
    ("account_created_by", "kept", 1),
];

#[every_engine(also_in_chunks_of = 10)]
async fn certificate_does_not_depend_on_chunking(world: &mut World) {
    world.start_worker().await;
    let certificate = world.certificate(&example("r1")).await;
    for (kind, word, count) in EXAMPLE {
        let result = serde_json::to_value(result_of(&certificate, kind)).expect("JSON");
        assert_eq!(result[word], json!(count), "{kind}");
    }
    assert_eq!(certificate.orphans, Some(0));
    let chunks = world.number("SELECT count(*) FROM handover.chunks WHERE state = 'closed'").await;
    assert_eq!(chunks > 0, world.context.limits.chunk_rows == 10, "{chunks} chunks");
    assert_eq!(world.number("SELECT count(*) FROM handover.chunks WHERE state <> 'closed'").await, 0);
}

#[every_engine]
async fn small_job_publishes_completion_and_digests(world: &mut World) {
    world.start_worker().await;
    let request = example("r1");
    let certificate = world.certificate(&request).await;
    let events = events_of(world, &certificate, 8).await;
    assert_eq!(events[0]["type"], "handover.deactivation.completed");
    assert_completion_events(&events, &certificate, 1);
}

#[every_engine]
async fn chunked_job_publishes_started_first(world: &mut World) {
    world.use_chunks_of(10);
    world.start_worker().await;
    let certificate = world.certificate(&example("r1")).await;
    let events = events_of(world, &certificate, 9).await;
    assert_eq!(events[0]["type"], "handover.deactivation.started");
    assert_eq!(events[0]["data"]["state"], "cutting");
    assert_eq!(events[1]["type"], "handover.deactivation.completed");
    assert_completion_events(&events[1..], &certificate, 2);
}

/// Returns the events of a finished job in order, and asserts that there are exactly `count`.
async fn events_of(world: &mut World, certificate: &Certificate, count: usize) -> Vec<Value> {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(world.next_event_of(certificate.job_id).await);
    }
    assert_eq!(world.client.next_event(std::time::Duration::from_millis(300)).await, None);
    events.sort_by_key(|event| event["sequence"].as_str().map(str::to_owned));
    for (index, event) in events.iter().enumerate() {
        let sequence = index as i64 + 1;
        assert_eq!(event["sequence"], json!(format!("{sequence:010}")));
        assert_eq!(event["id"], json!(event_id(certificate.job_id, sequence).to_string()), "an id is stable");
        assert_eq!((&event["specversion"], &event["subject"]), (&json!("1.0"), &json!("53")));
    }
    events
}

/// Asserts a completed event with the certificate, then a digest for each of the seven successors.
fn assert_completion_events(events: &[Value], certificate: &Certificate, first: i64) {
    assert_eq!(events[0]["sequence"], json!(format!("{first:010}")));
    let reported: Certificate = serde_json::from_value(events[0]["data"].clone()).expect("a certificate");
    assert_eq!(&reported, certificate);
    assert_eq!(events[0]["data"]["request_id"], "r1");
    let digests: BTreeMap<String, Value> = (events[1..].iter())
        .inspect(|event| assert_eq!(event["type"], "handover.records.assigned"))
        .map(|event| (event["data"]["user_id"].as_str().expect("a user").to_owned(), event["data"]["records"].clone()))
        .collect();
    let expected = [
        (SUPPORT, json!({ "contact": 5, "task": 12 })),
        (AMANDA, json!({ "contact": 50 })),
        (GERALDINE, json!({ "contact": 20 })),
        (MATHEW, json!({ "contact": 29 })),
        (PRIYA, json!({ "lead": 31 })),
        (LUCAS, json!({ "lead": 31 })),
        (INGRID, json!({ "lead": 30 })),
    ];
    assert_eq!(digests, expected.into_iter().map(|(user, records)| (user.to_owned(), records)).collect());
}

/// Inserts more contacts for the leaver, as the application's users do.
async fn more_contacts(world: &World, count: u64) {
    let more = "INSERT INTO contacts (org_id, owner_id, created_by, name) \
                SELECT org_id, owner_id, created_by, 'More: ' || name FROM contacts WHERE owner_id = 53 ORDER BY id LIMIT";
    world.sql(&format!("{more} {count}")).await;
}

/// Deletes all but twelve of the leaver's 92 leads.
async fn keep_only_twelve_leads(world: &World) {
    let kept = "SELECT id FROM opportunities WHERE owner_id = 53 ORDER BY id LIMIT 12";
    world.sql(&format!("DELETE FROM opportunities WHERE owner_id = 53 AND id NOT IN ({kept})")).await;
}

/// Returns every column of some rows, as text.
async fn rows(world: &World, table: &str, which: &str) -> Vec<String> {
    let key = |name: &str| ["id", "follower_id", "group_name"].contains(&name);
    let schema = handover::store::host::read_schema(&world.store.reader()).await.expect("the schema");
    let columns = &schema.table(table).expect("a table").columns;
    let texts: Vec<String> =
        columns.iter().map(|column| format!("COALESCE(CAST({} AS text), 'NULL')", column.name)).collect();
    let order = columns.iter().find(|column| key(&column.name)).expect("a key");
    let list = texts.join(" || ' ' || ");
    world.texts(&format!("SELECT {list} AS t FROM {table} WHERE {which} ORDER BY {}", order.name)).await
}
