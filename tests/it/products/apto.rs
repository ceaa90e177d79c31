//! The Apto help page "Deactivating a User (Lightning)", with a test for each sentence.

use handover::catalog::{check, scan};
use handover::job::State;
use handover::store::host;
use handover::worker::Role;
use serde_json::{Value, json};

use crate::support::world::{catalog_source, certificate_of, codes_of, counts, reasons_of, result_of, successors_of};
use crate::support::{World, every_engine};

async fn start(world: &mut World) {
    world.use_product("apto", 5).await;
    world.start_worker().await;
}

fn request(id: &str, user: u32, by: u32, more: Value) -> Value {
    let mut request = json!({ "type": "deactivate", "request_id": id, "org_id": "4", "user_id": user.to_string(), "requested_by": by.to_string() });
    for (field, value) in more.as_object().expect("fields") {
        request[field] = value.clone();
    }
    request
}

/// The broker 404 leaves. 405 receives the alerts about expired leases; 402 administers the portal.
fn leave(id: &str, more: Value) -> Value {
    let mut more = more;
    more["reassign"]["sole_alert_recipient"] = json!({ "user": "405" });
    more["reassign"]["portal_administrator"] = json!({ "user": "402" });
    request(id, 404, 401, more)
}

/// Returns every opportunity's team as `opportunity:user:split`.
async fn teams(world: &World) -> Vec<String> {
    let split = "COALESCE(CAST(CAST(m.split_percentage AS bigint) AS text), '')";
    let row = format!("o.name || ':' || CAST(m.user_id AS text) || ':' || {split}");
    let query = format!(
        "SELECT {row} AS t FROM opportunity_team_members m JOIN opportunities o ON o.id = m.opportunity_id \
         WHERE o.org_id = 4 ORDER BY o.name, m.user_id"
    );
    world.texts(&query).await
}

#[every_engine]
async fn catalog_passes_and_covers_every_reference(world: &mut World) {
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    let checked = check("apto", &catalog_source("apto"), &schema).expect("it is valid");
    assert_eq!(checked.warnings, []);
    assert_eq!(scan(&checked.catalog, &schema), []);
}

#[every_engine]
async fn deactivated_user_cannot_log_in_once_accepted(world: &mut World) {
    world.use_product("apto", 5).await;
    world.use_chunks_of(1);
    world.start_roles(&[Role::Planner]).await;
    let id = world.send(&leave("r1", json!({}))).await;
    let job = world.until("the request is accepted", async || world.job(id).await).await;
    assert_eq!(job.state, State::Cutting);
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id = 404").await, ["inactive"]);
    assert_eq!(world.number("SELECT count(*) FROM sessions WHERE user_id = 404").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM api_tokens WHERE user_id = 404").await, 0);
    world.start_worker().await;
    assert_eq!(certificate_of(&world.end_of(id).await).orphans, Some(0));
}

#[every_engine(also_in_chunks_of = 1)]
async fn leaver_loses_manual_and_team_shares(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({}))).await;
    assert_eq!(result_of(&certificate, "record_share").removed, Some(2));
    assert_eq!(world.number("SELECT count(*) FROM record_shares WHERE user_id = 404").await, 0);
    assert_eq!(
        world.number("SELECT count(*) FROM record_shares WHERE granted_by = 404").await,
        1,
        "the rights that they granted stay"
    );
}

#[every_engine(also_in_chunks_of = 2)]
async fn data_transfers_and_names_stay_visible(world: &mut World) {
    start(world).await;
    let reassign = json!({ "reassign": { "contact": { "user": "405" }, "task": { "user": "405" }, "account": { "user": "403" } } });
    let certificate = world.certificate(&leave("r1", reassign)).await;
    for (kind, user, count) in [("contact", 405, 5), ("task", 405, 2), ("account", 403, 1)] {
        assert_eq!(successors_of(&certificate, kind), counts([(user, count)]), "{kind}");
    }
    assert_eq!(world.texts("SELECT name AS t FROM users WHERE id = 404").await, ["Colin Bright"]);
}

#[every_engine(also_in_chunks_of = 1)]
async fn leaver_leaves_others_default_teams_only(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({}))).await;
    for team in ["account", "opportunity"] {
        assert_eq!(result_of(&certificate, &format!("default_{team}_team_member")).removed, Some(1), "{team}");
        assert_eq!(result_of(&certificate, &format!("own_default_{team}_team")).kept, Some(1), "{team}");
        let teams = format!("SELECT count(*) FROM default_{team}_teams");
        assert_eq!(world.number(&format!("{teams} WHERE member_id = 404")).await, 0);
        assert_eq!(world.number(&format!("{teams} WHERE user_id = 404")).await, 1);
    }
}

#[every_engine(also_in_chunks_of = 1)]
pub async fn account_team_access_becomes_read_only(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({}))).await;
    assert_eq!(
        result_of(&certificate, "account_team_member").set,
        Some(1),
        "access to the other team was read-only before"
    );
    const ALL: &str = "account_access || contact_access || opportunity_access || case_access";
    let access = format!("SELECT {ALL} AS t FROM account_team_members WHERE user_id = 404 ORDER BY account_id");
    assert_eq!(world.texts(&access).await, vec!["read_only".repeat(4); 2]);
    let others = format!("SELECT {ALL} AS t FROM account_team_members WHERE user_id = 405");
    assert_eq!(world.texts(&others).await, ["read_write".repeat(4)]);
}

#[every_engine(also_in_chunks_of = 1)]
async fn deactivated_users_continue_to_own_opportunities(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({}))).await;
    let opportunity = result_of(&certificate, "opportunity");
    assert_eq!((opportunity.moved, opportunity.left_behind), (Some(0), Some(2)));
    assert_eq!(certificate.license.name(), "freed", "records that may stay do not hold the license");
    assert_eq!(world.number("SELECT count(*) FROM opportunities WHERE owner_id = 404").await, 2);
}

#[every_engine(also_in_chunks_of = 1)]
async fn opportunities_move_if_reassigned(world: &mut World) {
    start(world).await;
    let certificate =
        world.certificate(&leave("r1", json!({ "reassign": { "opportunity": { "user": "405" } } }))).await;
    assert_eq!(successors_of(&certificate, "opportunity"), counts([(405, 2)]));
}

#[every_engine(also_in_chunks_of = 1)]
pub async fn forecast_overrides_are_frozen(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({}))).await;
    assert_eq!(result_of(&certificate, "forecast_override").set, Some(3));
    let open = "SELECT kind || ':' || CAST(subject_id AS text) AS t FROM forecast_overrides WHERE org_id = 4 AND frozen_at IS NULL";
    assert_eq!(world.texts(open).await, ["managers_choice:404"], "only the manager's own override is not frozen");
    assert_eq!(world.number("SELECT count(*) FROM forecast_overrides WHERE owner_id = 404").await, 3);
}

#[every_engine]
async fn manager_can_override_the_leavers_forecasts(world: &mut World) {
    start(world).await;
    let job = world.hand_over(&leave("r1", json!({}))).await;
    let forecast = result_of(&certificate_of(&job), "forecast_subject");
    assert_eq!((forecast.disposition.as_str(), forecast.kept), ("keep", Some(3)));
    world.sql("UPDATE forecast_overrides SET amount = 1 WHERE owner_id = 403 AND subject_id = 404").await;
    assert_eq!(world.number("SELECT manager_id FROM users WHERE id = 404").await, 403);
}

#[every_engine(also_in_chunks_of = 1)]
async fn leaver_without_forecasting_leaves_territories(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&request("r1", 406, 401, json!({}))).await;
    assert_eq!(result_of(&certificate, "territory_without_forecasting").removed, Some(2));
    assert_eq!(world.number("SELECT count(*) FROM territory_members WHERE user_id = 406").await, 0);
}

#[every_engine(also_in_chunks_of = 1)]
async fn leaver_with_forecasting_stays_in_territories(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({}))).await;
    assert_eq!(result_of(&certificate, "territory_member").kept, Some(1));
    assert_eq!(world.number("SELECT count(*) FROM territory_members WHERE user_id = 404").await, 1);
}

#[every_engine]
async fn license_is_freed_and_billed_count_stays(world: &mut World) {
    start(world).await;
    let seats = world.number("SELECT count(*) FROM licenses WHERE org_id = 4").await;
    assert_eq!(world.certificate(&leave("r1", json!({}))).await.license.name(), "freed");
    assert_eq!(world.number("SELECT count(*) FROM licenses WHERE org_id = 4").await, seats);
    assert_eq!(world.number("SELECT count(*) FROM licenses WHERE org_id = 4 AND user_id IS NULL").await, 1);
}

#[every_engine]
async fn portal_administrator_cannot_be_deactivated(world: &mut World) {
    start(world).await;
    let alert = json!({ "sole_alert_recipient": { "user": "405" } });
    let job = world.hand_over(&request("r1", 404, 401, json!({ "reassign": alert }))).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["blocked".to_owned()]));
    let reason = &reasons_of(&job)[0];
    assert_eq!(reason.concerning.kind.as_deref(), Some("portal_administrator"));
    assert!(reason.hint.contains("reassign.portal_administrator"), "{reason:?}");
    let certificate = world.certificate(&leave("r2", json!({}))).await;
    assert_eq!(successors_of(&certificate, "portal_administrator"), counts([(402, 1)]));
}

#[every_engine]
async fn user_in_hierarchy_field_cannot_be_deactivated(world: &mut World) {
    start(world).await;
    // The field was erased before.
    let job = world.hand_over(&request("r1", 409, 401, json!({}))).await;
    assert_eq!(codes_of(&job), ["blocked"]);
    let reason = &reasons_of(&job)[0];
    assert_eq!(reason.concerning.kind.as_deref(), Some("hierarchy_choice"));
    assert!(reason.hint.contains("erase"), "{reason:?}");
    world.sql("UPDATE custom_hierarchy_fields SET erased_at = CURRENT_TIMESTAMP WHERE id = 401").await;
    world.sql("UPDATE custom_hierarchy_values SET chosen_user_id = NULL WHERE field_id = 401").await;
    assert_eq!(world.hand_over(&request("r2", 409, 401, json!({}))).await.state, State::Completed);
}

const TEAMS: [&str; 5] = [
    "Mill Lane, lease:408:",
    "Quayside, floor 3:404:30",
    "Quayside, floor 3:405:50",
    "Quayside, floor 4:404:20",
    "Quayside, floor 5:404:",
];

#[every_engine(also_in_chunks_of = 1)]
async fn delegated_administrator_cannot_remove_portal_user(world: &mut World) {
    start(world).await;
    assert_eq!(
        codes_of(&world.hand_over(&request("r1", 406, 407, json!({}))).await),
        ["requester_not_permitted"],
        "for portal users only"
    );
    let certificate = world.certificate(&request("r2", 408, 407, json!({ "also": ["opportunity_team_member"] }))).await;
    assert_eq!(result_of(&certificate, "opportunity_team_member_left_out").kept, Some(1), "the certificate reports it");
    assert!(!certificate.references.iter().any(|reference| reference.kind == "opportunity_team_member"));
    assert_eq!(teams(world).await, TEAMS);
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id = 408").await, ["inactive"]);
}

#[every_engine(also_in_chunks_of = 1)]
async fn administrator_may_remove_portal_user_from_teams(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&request("r1", 408, 401, json!({ "also": ["opportunity_team_member"] }))).await;
    assert_eq!(result_of(&certificate, "opportunity_team_member").removed, Some(1));
    assert_eq!(teams(world).await, TEAMS[1..]);
}

#[every_engine(also_in_chunks_of = 1)]
async fn user_with_split_stays_on_team(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({}))).await;
    assert_eq!(result_of(&certificate, "opportunity_team_membership").kept, Some(3));
    assert_eq!(teams(world).await, TEAMS);
}

#[every_engine]
async fn removal_needs_the_split_reassigned_first(world: &mut World) {
    start(world).await;
    let job = world.hand_over(&leave("r1", json!({ "also": ["opportunity_team_member"] }))).await;
    assert_eq!(codes_of(&job), ["blocked"]);
    let concerning = &reasons_of(&job)[0].concerning;
    assert_eq!((concerning.kind.as_deref(), concerning.count), (Some("opportunity_split"), Some(2)));
    assert_eq!(teams(world).await, TEAMS);
}

#[every_engine(also_in_chunks_of = 1)]
pub async fn split_is_added_to_the_successors_own(world: &mut World) {
    start(world).await;
    let more = json!({ "also": ["opportunity_team_member"], "reassign": { "opportunity_split": { "user": "405" } } });
    let certificate = world.certificate(&leave("r1", more)).await;
    let split = result_of(&certificate, "opportunity_split");
    assert_eq!((split.moved, split.merged), (Some(1), Some(1)));
    assert_eq!(result_of(&certificate, "opportunity_team_member").removed, Some(1));
    assert_eq!(teams(world).await, ["Mill Lane, lease:408:", "Quayside, floor 3:405:80", "Quayside, floor 4:405:20"]);
}

#[every_engine(also_in_chunks_of = 1)]
async fn leaver_is_removed_from_follow_lists(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({}))).await;
    assert_eq!(result_of(&certificate, "following").removed, Some(2));
    assert_eq!(result_of(&certificate, "follower").removed, Some(1));
    assert_eq!(world.number("SELECT count(*) FROM follows WHERE follower_id = 404 OR followed_id = 404").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM follows WHERE follower_id = 405 AND followed_id = 403").await, 1);
}

#[every_engine(also_in_chunks_of = 1)]
async fn created_by_stays_and_is_no_orphan(world: &mut World) {
    start(world).await;
    let certificate = world.certificate(&leave("r1", json!({ "reassign": { "contact": { "user": "405" } } }))).await;
    for (kind, count) in [("opportunity", 4), ("account", 2), ("contact", 5), ("task", 2)] {
        assert_eq!(result_of(&certificate, &format!("{kind}_created_by")).kept, Some(count), "{kind}");
    }
    assert_eq!(certificate.orphans, Some(0));
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE created_by = 404").await, 5);
}

#[every_engine]
async fn sole_alert_recipient_cannot_be_deactivated(world: &mut World) {
    start(world).await;
    let portal = json!({ "portal_administrator": { "user": "402" } });
    let job = world.hand_over(&request("r1", 404, 401, json!({ "reassign": portal }))).await;
    assert_eq!(codes_of(&job), ["blocked"]);
    let concerning = &reasons_of(&job)[0].concerning;
    assert_eq!((concerning.kind.as_deref(), concerning.count), (Some("sole_alert_recipient"), Some(1)));
    let certificate = world.certificate(&leave("r2", json!({}))).await;
    assert_eq!(successors_of(&certificate, "sole_alert_recipient"), counts([(405, 1)]));
    assert_eq!(
        result_of(&certificate, "alert_recipient").removed,
        Some(1),
        "where they were one of several recipients"
    );
    let recipients = "SELECT CAST(alert_id AS text) || ':' || CAST(user_id AS text) AS t FROM workflow_alert_recipients WHERE alert_id > 400 ORDER BY alert_id";
    assert_eq!(world.texts(recipients).await, ["401:405", "402:405"]);
}

// --- "If a deactivated user is later reactivated" ---------------------------------------------------------------------

fn back(id: &str) -> Value {
    let mut request = request(id, 404, 401, json!({}));
    request["type"] = json!("reactivate");
    request
}

#[every_engine(also_in_chunks_of = 1)]
pub async fn reactivation_restores_follow_lists(world: &mut World) {
    start(world).await;
    let follows = "SELECT CAST(follower_id AS text) || '>' || CAST(followed_id AS text) AS t FROM follows ORDER BY 1";
    let before = world.texts(follows).await;
    world.certificate(&leave("r1", json!({}))).await;
    assert_ne!(world.texts(follows).await, before);
    let certificate = certificate_of(&world.hand_over(&back("r2")).await);
    assert_eq!(result_of(&certificate, "following").restored, Some(2));
    assert_eq!(world.texts(follows).await, before);
}

#[every_engine(also_in_chunks_of = 1)]
async fn reactivation_leaves_access_read_only(world: &mut World) {
    start(world).await;
    world.certificate(&leave("r1", json!({}))).await;
    certificate_of(&world.hand_over(&back("r2")).await);
    let access = "SELECT account_access AS t FROM account_team_members WHERE user_id = 404";
    assert_eq!(world.texts(access).await, ["read_only", "read_only"]);
    assert_eq!(world.number("SELECT count(*) FROM record_shares WHERE user_id = 404").await, 0, "the shares add up");
}

#[every_engine(also_in_chunks_of = 1)]
async fn reactivated_user_resumes_work(world: &mut World) {
    start(world).await;
    world.certificate(&leave("r1", json!({}))).await;
    let certificate = certificate_of(&world.hand_over(&back("r2")).await);
    assert_eq!(result_of(&certificate, "forecast_override").restored, Some(3));
    let frozen = "SELECT count(*) FROM forecast_overrides WHERE owner_id = 404 AND frozen_at IS NOT NULL";
    assert_eq!(world.number(frozen).await, 0);
    assert_eq!(world.number("SELECT count(*) FROM opportunities WHERE owner_id = 404").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM licenses WHERE user_id = 404").await, 1);
}

#[every_engine(also_in_chunks_of = 1)]
pub async fn revert_subtracts_an_added_split(world: &mut World) {
    start(world).await;
    let more = json!({ "also": ["opportunity_team_member"], "reassign": { "opportunity_split": { "user": "405" } } });
    let job = world.hand_over(&leave("r1", more)).await;
    certificate_of(&job);
    assert_ne!(teams(world).await, TEAMS);
    let revert =
        json!({ "type": "revert", "request_id": "r2", "org_id": "4", "requested_by": "401", "job_id": job.id });
    let certificate = certificate_of(&world.hand_over(&revert).await);
    assert_eq!(result_of(&certificate, "opportunity_split").restored, Some(2));
    assert_eq!(teams(world).await, TEAMS);
}
