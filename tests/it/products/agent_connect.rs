//! The Agent Connect help page "Deactivating or Reactivating User Profiles", with a test for each sentence.

use handover::catalog::{check, scan};
use handover::job::State;
use handover::store::host;
use handover::worker::Role;
use serde_json::{Value, json};

use crate::support::world::{catalog_source, certificate_of, codes_of, counts, reasons_of, result_of, successors_of};
use crate::support::{World, every_engine};

async fn start(world: &mut World) {
    world.use_product("agent-connect", 5).await;
    world.start_worker().await;
}

/// 301 sends requests; 303 leads a team of four; 312 is an agent.
fn leave(id: &str, user: u32, more: Value) -> Value {
    let mut request = json!({ "type": "deactivate", "request_id": id, "org_id": "3", "user_id": user.to_string(), "requested_by": "301" });
    for (field, value) in more.as_object().expect("fields") {
        request[field] = value.clone();
    }
    request
}

fn reports(allotment: Value) -> Value {
    json!({ "reassign": { "direct_report": allotment } })
}

async fn status(world: &World, user: u32) -> String {
    world.texts(&format!("SELECT status AS t FROM users WHERE id = {user}")).await.remove(0)
}

/// Returns who reports to whom in the organization.
async fn managers(world: &World, of: &str) -> Vec<String> {
    let row = "CAST(id AS text) || ':' || CAST(manager_id AS text)";
    world.texts(&format!("SELECT {row} AS t FROM users WHERE id IN ({of}) ORDER BY id")).await
}

#[every_engine]
async fn catalog_passes_and_covers_every_reference(world: &mut World) {
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    let checked = check("agent-connect", &catalog_source("agent-connect"), &schema).expect("it is valid");
    assert_eq!(checked.warnings, []);
    assert_eq!(scan(&checked.catalog, &schema), []);
}

#[every_engine]
async fn only_roles_that_manage_users_can_deactivate(world: &mut World) {
    start(world).await;
    let mut request = leave("r1", 312, json!({ "requested_by": "304" }));
    let job = world.hand_over(&request).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["requester_not_permitted".to_owned()]));
    assert_eq!(status(world, 312).await, "active");
    // The role's permission counts, not its name.
    world.sql("INSERT INTO role_permissions (role, permission) VALUES ('manager', 'manage_users')").await;
    request["request_id"] = json!("r2");
    assert_eq!(world.hand_over(&request).await.state, State::Completed);
}

#[every_engine(also_in_chunks_of = 2)]
async fn profile_status_becomes_deactivated(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", 312, json!({}))).await;
    assert_eq!((status(world, 312).await.as_str(), certificate.orphans), ("inactive", Some(0)));
    assert_eq!(result_of(&certificate, "session").removed, Some(1));
    assert_eq!(certificate.license.name(), "freed");
}

#[every_engine]
async fn access_ends_when_the_request_is_accepted(world: &mut World) {
    world.use_product("agent-connect", 5).await;
    world.use_chunks_of(1);
    world.start_roles(&[Role::Planner]).await;
    let request = leave("r1", 303, reports(json!({ "user": "304" })));
    let id = world.send(&request).await;
    let job = world.until("the request is accepted", async || world.job(id).await).await;
    assert_eq!(job.state, State::Cutting);
    assert_eq!(status(world, 303).await, "inactive");
    assert_eq!(world.number("SELECT count(*) FROM sessions WHERE user_id = 303").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM api_tokens WHERE user_id = 303").await, 0);
    world.start_worker().await;
    certificate_of(&world.end_of(id).await);
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn bulk_update_deactivates_multiple_profiles(world: &mut World) {
    start(world).await;
    let mut jobs = Vec::new();
    for user in [306, 307, 312] {
        jobs.push(world.send(&leave(&format!("row-{user}"), user, json!({ "bulk": true }))).await);
    }
    for job in jobs {
        assert_eq!(world.end_of(job).await.state, State::Completed);
    }
}

#[every_engine]
async fn bulk_update_refuses_users_who_manage_teams(world: &mut World) {
    start(world).await;
    let mut more = reports(json!({ "user": "304" }));
    more["bulk"] = json!(true);
    let job = world.hand_over(&leave("r1", 303, more)).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["protected".to_owned()]));
    let reason = &reasons_of(&job)[0];
    assert_eq!(reason.concerning.kind.as_deref(), Some("team_manager_in_bulk"));
    assert!(reason.hint.contains("by itself"), "{reason:?}");
    // "Team Leaders and Admins": every user with the setting, with or without reports.
    assert_eq!(codes_of(&world.hand_over(&leave("r2", 302, json!({ "bulk": true }))).await), ["protected"]);
    assert_eq!((status(world, 303).await, status(world, 302).await), ("active".into(), "active".into()));
}

#[every_engine(also_in_chunks_of = 2)]
async fn manager_leaves_after_reports_are_reassigned(world: &mut World) {
    start(world).await;
    let job = world.hand_over(&leave("r1", 303, json!({}))).await;
    assert_eq!(codes_of(&job), ["allotment_missing"]);
    let concerning = &reasons_of(&job)[0].concerning;
    assert_eq!(concerning.kind.as_deref(), Some("direct_report"));
    // The application has reassigned them, so nothing needs a successor.
    world.sql("UPDATE users SET manager_id = 305 WHERE manager_id = 303").await;
    assert_eq!(world.hand_over(&leave("r2", 303, json!({}))).await.state, State::Completed);
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn all_team_members_get_one_new_lead(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", 303, reports(json!({ "user": "304" })))).await;
    assert_eq!(successors_of(&certificate, "direct_report"), counts([(304, 4)]));
    assert_eq!(
        managers(world, "306, 307, 308, 309, 310").await,
        ["306:304", "307:304", "308:304", "309:304", "310:309"]
    );
    // The page does not mention these records. They stay and are reported.
    assert_eq!(result_of(&certificate, "contact").left_behind, Some(5));
}

#[every_engine(also_in_chunks_of = 2)]
async fn team_members_can_be_reassigned_individually(world: &mut World) {
    start(world).await;
    let each = json!({ "each": { "306": "304", "307": "305" }, "rest": { "user": "302" } });
    let certificate = world.certificate(&leave("r1", 303, reports(each))).await;
    assert_eq!(successors_of(&certificate, "direct_report"), counts([(302, 2), (304, 1), (305, 1)]));
    assert_eq!(managers(world, "306, 307, 308, 309").await, ["306:304", "307:305", "308:302", "309:302"]);
}

#[every_engine]
async fn new_team_lead_can_manage_a_team(world: &mut World) {
    start(world).await;
    let job = world.hand_over(&leave("r1", 303, reports(json!({ "user": "312" })))).await;
    assert_eq!(codes_of(&job), ["successor_not_eligible"]);
    assert_eq!(reasons_of(&job)[0].concerning.user_id.as_deref(), Some("312"));
}

#[every_engine]
async fn nobody_reports_to_themselves_or_in_circles(world: &mut World) {
    start(world).await;
    // 309 may lead a team and reports to the leaver.
    let job = world.hand_over(&leave("r1", 303, reports(json!({ "user": "309" })))).await;
    assert_eq!(codes_of(&job), ["reporting_cycle"]);
    // 310 reports to 309, so it is below the leaver too.
    world.sql("UPDATE users SET can_manage_team = TRUE WHERE id = 310").await;
    let job = world
        .hand_over(&leave("r2", 303, reports(json!({ "each": { "309": "310" }, "rest": { "user": "304" } }))))
        .await;
    assert_eq!(codes_of(&job), ["reporting_cycle"]);
    let each = json!({ "each": { "309": "304" }, "rest": { "user": "309" } });
    let certificate = world.certificate(&leave("r3", 303, reports(each))).await;
    assert_eq!(successors_of(&certificate, "direct_report"), counts([(304, 1), (309, 3)]));
    assert_eq!(managers(world, "306, 309, 310").await, ["306:309", "309:304", "310:309"]);
}

#[every_engine]
async fn primary_admin_leaves_once_successor_is_named(world: &mut World) {
    start(world).await;
    let ask = |id: &str, mut reassign: Value| {
        // 302 reports to 301 and becomes the next primary admin, who reports to no one else.
        reassign["direct_report"] = json!({ "each": { "302": "304" }, "rest": { "user": "302" } });
        leave(id, 301, json!({ "requested_by": "302", "reassign": reassign }))
    };
    world.sql("UPDATE users SET manager_id = NULL WHERE id = 304").await;
    let job = world.hand_over(&ask("r1", json!({}))).await;
    assert_eq!(codes_of(&job), ["blocked"]);
    assert!(reasons_of(&job)[0].hint.contains("reassign.primary_administrator"), "{:?}", reasons_of(&job));
    // "which Admin we should make the new primary Company Admin": no one else qualifies.
    let job = world.hand_over(&ask("r2", json!({ "primary_administrator": { "user": "304" } }))).await;
    assert_eq!(codes_of(&job), ["successor_not_eligible"]);
    let certificate = world.certificate(&ask("r3", json!({ "primary_administrator": { "user": "302" } }))).await;
    assert_eq!(successors_of(&certificate, "primary_administrator"), counts([(302, 1)]));
    assert_eq!(world.number("SELECT user_id FROM primary_administrators WHERE org_id = 3").await, 302);
}

#[every_engine]
async fn incomplete_profile_cannot_be_deactivated(world: &mut World) {
    start(world).await;
    world.sql("UPDATE users SET username = ' ' WHERE id = 311").await;
    let job = world.hand_over(&leave("r1", 311, json!({}))).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["incomplete_profile".to_owned()]));
    let reason = &reasons_of(&job)[0];
    assert_eq!(reason.concerning.fields, ["username", "email"]);
    assert!(reason.hint.contains("dummy"), "\"You can simply apply dummy information\": {reason:?}");
    world.sql("UPDATE users SET username = 'dummy', email = 'dummy@evergreen.example' WHERE id = 311").await;
    assert_eq!(world.hand_over(&leave("r2", 311, json!({}))).await.state, State::Completed);
}

fn back(id: &str, user: u32, by: &str) -> Value {
    json!({ "type": "reactivate", "request_id": id, "org_id": "3", "user_id": user.to_string(), "requested_by": by })
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn reactivation_restores_the_profile(world: &mut World) {
    start(world).await;
    world.certificate(&leave("r1", 312, json!({}))).await;
    let listed = "SELECT CAST(id AS text) AS t FROM users WHERE org_id = 3 AND status = 'inactive' AND id = 312";
    assert_eq!(world.texts(listed).await, ["312"], "the list of deactivated users includes them");
    certificate_of(&world.hand_over(&back("r2", 312, "301")).await);
    assert_eq!(status(world, 312).await, "active");
    assert_eq!(world.number("SELECT count(*) FROM licenses WHERE user_id = 312").await, 1);
}

#[every_engine]
async fn incomplete_profile_cannot_be_reactivated(world: &mut World) {
    start(world).await;
    world.certificate(&leave("r1", 312, json!({}))).await;
    world.sql("UPDATE users SET email = NULL WHERE id = 312").await;
    let job = world.hand_over(&back("r2", 312, "301")).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["incomplete_profile".to_owned()]));
    assert_eq!(reasons_of(&job)[0].concerning.fields, ["email"]);
    assert_eq!(status(world, 312).await, "inactive");
}

#[every_engine]
async fn only_roles_that_manage_users_can_reactivate(world: &mut World) {
    start(world).await;
    world.certificate(&leave("r1", 312, json!({}))).await;
    let job = world.hand_over(&back("r2", 312, "304")).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["requester_not_permitted".to_owned()]));
}
