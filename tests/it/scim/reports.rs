//! Public reports of bugs in other SCIM servers, each with the right behavior.
//!
//! Three are tested where they belong: 10 in `reading` (`pages_have_true_totals`), 11 in `writing` (`outdated_versions_change_nothing`)
//! and 13 in `limits`.

use handover::contract::TokenScope;
use serde_json::{Value, json};

use super::deprovisioning::settle;
use super::provider::{CORE, KEAP, Provider, let_providers_create, patch, path_of};
use crate::support::api::token_of;
use crate::support::keap::{GERALDINE, LEAVER, LUCAS, MATHEW, PRIYA};
use crate::support::world::certificate_of;
use crate::support::{World, every_engine};

/// Returns a user as a provider creates them.
fn new_user(user_name: &str, external_id: &str) -> Value {
    json!({
        "schemas": [CORE], "userName": user_name, "externalId": external_id, "active": true,
        "name": { "givenName": "Ann", "familyName": "Lee" }, "emails": [{ "value": user_name, "primary": true }],
    })
}

/// Report 1 (tuist/tuist!13238, OneUptime/oneuptime!3852). Promise: an `active` that is not understood is no success, and changes nothing.
#[every_engine]
async fn misunderstood_active_is_no_success(world: &mut World) {
    let provider = Provider::start(world).await;
    for operation in [
        json!({ "op": "replace", "path": "active", "value": "no" }),
        json!({ "op": "replace", "path": "active", "value": 0 }),
        json!({ "op": "replace", "path": "active", "value": null }),
        json!({ "op": "replace", "path": "active", "value": { "off": true } }),
        json!({ "op": "replace", "path": "active.value", "value": false }),
        json!({ "op": "replace", "path": "active[value eq true]", "value": false }),
        json!({ "op": "remove", "path": "active" }),
        json!({ "op": "disable", "path": "active", "value": false }),
        json!({ "op": "replace", "value": { "active.value": false } }),
    ] {
        let answer = provider.patch(LEAVER, &json!([operation])).await;
        assert_eq!(answer.status, 400, "{operation}: {answer:?}");
    }
    let body = json!({ "schemas": [CORE], "userName": "dana@example.com", "active": "perhaps" });
    provider.send("PUT", &path_of(LEAVER), &body).await.failure(400, Some("invalidValue"));
    assert!(provider.is_active(LEAVER).await);
    assert_eq!(world.status_of(LEAVER).await, "active");
}

/// Report 2 (scimmyjs/scimmy#86, thomaspoignant/scim-patch#872, Unleash/unleash!9336). Promise: booleans as text, in any case, deactivate.
#[every_engine]
async fn text_booleans_deactivate(world: &mut World) {
    let provider = Provider::start(world).await;
    for (value, user) in [("False", LEAVER), ("false", PRIYA), ("FALSE", LUCAS)] {
        provider.patch(user, &json!([{ "op": "replace", "value": { "active": value } }])).await.scim(200);
        assert!(!provider.is_active(user).await, "{value}");
        assert_eq!(world.status_of(user).await, "inactive", "{value}");
    }
}

/// Report 3 (goauthentik/authentik#25081, better-auth!10242). Promise: sessions end by PATCH, PUT and DELETE alike; a POST that names an
/// existing user changes nothing, and says so.
#[every_engine]
async fn every_way_out_ends_sessions(world: &mut World) {
    let provider = Provider::start(world).await;
    world
        .sql("INSERT INTO sessions (id, user_id, ip_address) VALUES ('a', 15, 'x'), ('b', 16, 'x'), ('c', 14, 'x')")
        .await;
    let sessions =
        async |user: &str| world.number(&format!("SELECT count(*) FROM sessions WHERE user_id = {user}")).await;
    provider.patch(LEAVER, &json!([{ "op": "replace", "value": { "active": false } }])).await.scim(200);
    let body = json!({ "schemas": [CORE], "userName": "priya@example.com", "active": false });
    provider.send("PUT", &path_of(PRIYA), &body).await.scim(200);
    assert_eq!(provider.call("DELETE", &path_of(LUCAS)).await.status, 204);
    assert_eq!([sessions(LEAVER).await, sessions(PRIYA).await, sessions(LUCAS).await], [0; 3]);
    provider.patch(MATHEW, &json!([{ "op": "add", "path": "externalId", "value": "m" }])).await.scim(200);
    let mut linked = new_user("mathew@example.com", "m");
    linked["active"] = json!(false);
    provider.send("POST", "/Users", &linked).await.failure(409, Some("uniqueness"));
    assert!(provider.is_active(MATHEW).await);
    assert_eq!(sessions(MATHEW).await, 1);
}

/// Report 4 (Tr3kkR/Yuzu#2022, msaad00/agent-bom#3535, windmill!8484). Promise: tokens of the user end with their access: those of the
/// application, and those of Handover.
#[every_engine]
async fn personal_tokens_end_with_access(world: &mut World) {
    let provider = Provider::start(world).await;
    let token = token_of(world, LEAVER, &[TokenScope::JobsRead]).await;
    provider.server.get(&token, "/v1/jobs").answer().await.expect(200);
    let tokens = format!("SELECT count(*) FROM api_tokens WHERE user_id = {LEAVER}");
    assert_eq!(world.number(&tokens).await, 1);
    provider.deprovision(LEAVER).await;
    assert_eq!(world.number(&tokens).await, 0);
    provider.server.get(&token, "/v1/jobs").answer().await.expect(401);
}

/// Report 5 (mlflow-oidc-auth#324, zulip/zulip#21700, ManageIQ/manageiq#22804). Promise: nothing is left that an inactive user owns, and
/// the certificate proves it; the provider reads the progress.
#[every_engine]
async fn nothing_is_left_with_inactive_owners(world: &mut World) {
    let provider = Provider::start(world).await;
    let job = provider.deprovision(LEAVER).await;
    let handover = async || provider.get(&path_of(LEAVER)).await.scim(200)[super::provider::HANDOVER].clone();
    let waiting = handover().await;
    assert_eq!(
        (&waiting["jobId"], &waiting["type"], &waiting["state"], &waiting["done"]),
        (&json!(job.to_string()), &json!("deactivate"), &json!("scheduled"), &json!(0))
    );
    settle(world).await;
    world.start_worker().await;
    assert_eq!(certificate_of(&world.end_of(job).await).orphans, Some(0));
    for table in ["contacts", "opportunities"] {
        assert_eq!(world.owned_by(LEAVER, table).await, 0, "{table}");
    }
    let ended = handover().await;
    assert_eq!((&ended["state"], &ended["records"]), (&json!("completed"), &ended["done"]));
    assert!(ended["done"].as_u64().is_some_and(|done| done > 200), "{ended}");
}

/// Report 6 (better-auth#11111, FusionAuth/fusionauth-issues#3244). Promise: POST restores only the inactive user of the same `externalId`;
/// of an active user, or of one whom only the name matches, it is 409 `uniqueness`.
#[every_engine]
async fn posts_restore_linked_users_alone(world: &mut World) {
    let_providers_create(world).await;
    let provider = Provider::start(world).await;
    provider.patch(LEAVER, &json!([{ "op": "add", "path": "externalId", "value": "00u1" }])).await.scim(200);
    let dana = new_user("dana@example.com", "00u1");
    provider.send("POST", "/Users", &dana).await.failure(409, Some("uniqueness"));
    for user in [LEAVER, PRIYA] {
        provider.deprovision(user).await;
    }
    provider.send("POST", "/Users", &new_user("priya@example.com", "00u2")).await.failure(409, Some("uniqueness"));
    assert_eq!(provider.send("POST", "/Users", &dana).await.scim(201)["id"], LEAVER);
    assert_eq!((provider.is_active(LEAVER).await, provider.is_active(PRIYA).await), (true, false));
}

/// Report 7 (getprobo/probo!1277). Promise: DELETE of a user whom rows reference is 204, then 404, and never 500.
#[every_engine]
async fn deletes_of_referenced_users_succeed(world: &mut World) {
    let provider = Provider::start(world).await;
    assert!(world.owned_by(LEAVER, "contacts").await > 0);
    assert_eq!(provider.call("DELETE", &path_of(LEAVER)).await.status, 204);
    provider.get(&path_of(LEAVER)).await.failure(404, None);
    provider.call("DELETE", &path_of(LEAVER)).await.failure(404, None);
    assert_eq!(world.status_of(LEAVER).await, "inactive", "the row stays");
}

/// Report 8 (better-auth!10682, scim-patch#42, #176, scim-for-keycloak#73, wireapp/wire-server!5419). Promise: an absent target is created or
/// is nothing to remove, and never costs the change of `active` that came with it.
#[every_engine]
async fn absent_targets_lose_no_deactivation(world: &mut World) {
    world.use_catalog_alone(&KEAP.replace("user_name = \"email\"", "user_name = \"username\"")).await;
    let provider = Provider::start(world).await;
    world.sql("UPDATE users SET email = '', title = NULL WHERE id = 53").await;
    let operations = json!([
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "d@example.com" },
        { "op": "Remove", "path": "title" },
        { "op": "Remove", "path": "phoneNumbers[type eq \"mobile\"].value" },
        { "op": "Replace", "path": "active", "value": "False" },
    ]);
    provider.patch(LEAVER, &operations).await.scim(200);
    let user = provider.get(&path_of(LEAVER)).await.scim(200);
    assert_eq!((&user["emails"][0]["value"], &user["active"]), (&json!("d@example.com"), &json!(false)));
}

/// Report 9 (SCIM-SDK#913, kanidm!3673, authentik#16677, wso2/product-is#3373, #6919). Promise: quotes, backslashes, apostrophes and blanks in
/// values follow the rules of JSON; a value without quotes, or one too deep or long, is `invalidFilter`.
#[every_engine]
async fn filter_values_follow_json(world: &mut World) {
    let provider = Provider::start(world).await;
    for name in ["o'neil@example.com", "a \"b\" c", "back\\slash", "two  blanks", "ümlaut \u{1f600}", "%_'; --"] {
        let rename = json!([{ "op": "replace", "path": "userName", "value": name }]);
        assert_eq!(provider.patch(LEAVER, &rename).await.scim(200)["userName"], name);
        assert_eq!(provider.found(&format!("userName eq {}", json!(name))).await, [LEAVER], "{name}");
    }
    let deep = format!("{}userName pr{}", "(".repeat(500), ")".repeat(500));
    let long = format!("userName eq {}", json!("x".repeat(5_000)));
    for filter in ["userName eq dana", "userName eq 'dana'", "userName eq \"a\\qb\"", &deep, &long] {
        provider.search(filter).await.failure(400, Some("invalidFilter"));
    }
}

/// Report 12 (sentry#84941, #79354, self-hosted#3573). Promise: attributes that are not mapped are ignored, by `add` too; `id` and `meta`
/// are 400 `mutability`.
#[every_engine]
async fn unmapped_attributes_fail_nothing(world: &mut World) {
    let provider = Provider::start(world).await;
    let before = provider.get(&path_of(LEAVER)).await.scim(200);
    for operation in [
        json!({ "op": "add", "path": "nickName", "value": "Dee" }),
        json!({ "op": "Add", "path": "addresses[type eq \"work\"].locality", "value": "Oslo" }),
        json!({ "op": "replace", "path": "urn:example:2.0:User:shoe", "value": 40 }),
        json!({ "op": "replace", "value": { "preferredLanguage": "en", "phoneNumbers": [] } }),
        json!({ "op": "remove", "path": "ims" }),
    ] {
        assert_eq!(provider.patch(LEAVER, &json!([operation])).await.scim(200), before, "{operation}");
    }
    for path in ["id", "meta", "meta.created"] {
        let operation = json!({ "op": "replace", "path": path, "value": "7" });
        provider.patch(LEAVER, &json!([operation])).await.failure(400, Some("mutability"));
    }
}

/// Report 14 (CVE-2025-41115). Promise: an `externalId` is never an id, although it looks like that of another user.
#[every_engine]
async fn external_ids_are_never_ids(world: &mut World) {
    let provider = Provider::start(world).await;
    provider.patch(GERALDINE, &json!([{ "op": "add", "path": "externalId", "value": LEAVER }])).await.scim(200);
    assert_eq!(provider.found(&format!("externalId eq \"{LEAVER}\"")).await, [GERALDINE]);
    assert_eq!(provider.found(&format!("id eq \"{LEAVER}\"")).await, [LEAVER]);
    assert_eq!(provider.get(&path_of(LEAVER)).await.scim(200)["userName"], "dana@example.com");
    assert_eq!(provider.call("DELETE", &path_of(LEAVER)).await.status, 204);
    assert!(provider.is_active(GERALDINE).await);
}

/// Report 15 (sourcegraph#49325, Okta forum 24187, ParabolInc/parabol#12557). Promise: inactive users are read, found and listed until DELETE.
#[every_engine]
async fn inactive_users_stay_readable_until_delete(world: &mut World) {
    let provider = Provider::start(world).await;
    let total = async || provider.get("/Users?count=0").await.scim(200)["totalResults"].as_u64().expect("a number");
    let before = total().await;
    provider.deprovision(LEAVER).await;
    assert!(!provider.is_active(LEAVER).await);
    assert_eq!(provider.found("userName eq \"dana@example.com\" and active eq false").await, [LEAVER]);
    assert_eq!(total().await, before);
    provider.call("DELETE", &path_of(LEAVER)).await;
    provider.get(&path_of(LEAVER)).await.failure(404, None);
    assert_eq!(total().await, before - 1);
}

/// Report 16 (ssoready/ssoready#155, sentry-docs!6253, hashicorp/web-unified-docs!3250). Promise: no connection changes a protected user, by
/// any method; the status has one source.
#[every_engine]
async fn protected_users_are_not_changed(world: &mut World) {
    let protected = "[scim]\nprotected = { column = \"title\", equals = \"Owner\" }\n";
    world.use_catalog_alone(&KEAP.replace("[scim]\n", protected)).await;
    let provider = Provider::start(world).await;
    for operation in [
        json!({ "op": "replace", "path": "title", "value": "x" }),
        json!({ "op": "replace", "path": "active", "value": false }),
        json!({ "op": "add", "path": "externalId", "value": "x" }),
    ] {
        provider.send("PATCH", "/Users/1", &patch(&json!([operation]))).await.failure(403, None);
    }
    let body = json!({ "schemas": [CORE], "userName": "nicole@example.com", "active": false });
    provider.send("PUT", "/Users/1", &body).await.failure(403, None);
    provider.call("DELETE", "/Users/1").await.failure(403, None);
    assert!(provider.is_active("1").await);
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 53").await;
    assert!(!provider.is_active(LEAVER).await, "the application's column is the only source");
}
