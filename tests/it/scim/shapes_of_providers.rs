//! The calls that Okta, Entra and Rauthy really send, each through a real socket, with what GET says then.
//!
//! The shapes are from Okta's SCIM 2.0 reference (okta-developer-docs, `docs/reference/scim/scim-20`), from Entra's documents
//! (entra-docs, `docs/identity/app-provisioning`) and from Rauthy's book.

use serde_json::{Value, json};

use super::deprovisioning::settle;
use super::provider::{CORE, ENTERPRISE, KEAP, Provider, let_providers_create, path_of};
use crate::support::keap::{GERALDINE, LEAVER, MATHEW, PRIYA};
use crate::support::world::{certificate_of, counts, successors_of};
use crate::support::{World, every_engine};

/// Shape 1. Promise: Okta's PATCH without a path deactivates and activates; its password is ignored.
#[every_engine]
async fn okta_patches_active_without_a_path(world: &mut World) {
    let okta = Provider::start(world).await;
    for active in [false, true] {
        let user = okta.patch(LEAVER, &json!([{ "op": "replace", "value": { "active": active } }])).await.scim(200);
        assert_eq!((&user["id"], &user["active"]), (&json!(LEAVER), &json!(active)));
        assert_eq!(okta.is_active(LEAVER).await, active);
    }
    let before = okta.get(&path_of(LEAVER)).await.scim(200);
    let password = json!([{ "op": "replace", "value": { "password": "correct horse" } }]);
    assert_eq!(okta.patch(LEAVER, &password).await.scim(200), before);
}

/// Shape 2. Promise: Okta's PUT of the user that it has read, with `active` false and attributes of its own, deactivates; the answer has
/// the whole user.
#[every_engine]
async fn okta_puts_the_whole_user(world: &mut World) {
    let okta = Provider::start(world).await;
    let mut user = okta.get(&path_of(LEAVER)).await.scim(200);
    for (name, value) in
        [("active", json!(false)), ("groups", json!([])), ("password", json!("x")), ("locale", json!("en-US"))]
    {
        user[name] = value;
    }
    user["emails"][0]["display"] = json!("dana@example.com");
    let answered = okta.send("PUT", &path_of(LEAVER), &user).await.scim(200);
    assert_eq!(
        (&answered["active"], &answered["userName"], &answered["name"]),
        (&json!(false), &user["userName"], &user["name"])
    );
    assert_eq!(okta.get(&path_of(LEAVER)).await.scim(200), answered);
}

/// Shape 3. Promise: Okta never deletes users: one who was deactivated stays there, and one who was unassigned comes back by a PUT.
#[every_engine]
async fn okta_users_stay_without_a_delete(world: &mut World) {
    let okta = Provider::start(world).await;
    okta.deprovision(LEAVER).await;
    assert_eq!(okta.found("userName eq \"dana@example.com\"").await, [LEAVER]);
    let mut user = okta.get(&path_of(LEAVER)).await.scim(200);
    assert_eq!(user["active"], false);
    user["active"] = json!(true);
    assert_eq!(okta.send("PUT", &path_of(LEAVER), &user).await.scim(200)["active"], true);
    assert!(okta.is_active(LEAVER).await);
}

/// Shape 4. Promise: the search before Okta creates finds nobody with 200 and numbers; pages have one order.
#[every_engine]
async fn okta_searches_before_it_creates(world: &mut World) {
    let okta = Provider::start(world).await;
    let page = okta.get("/Users?filter=userName+eq+%22x%40y%22&startIndex=1&count=100").await.scim(200);
    assert_eq!(
        (&page["totalResults"], &page["startIndex"], &page["itemsPerPage"], &page["Resources"]),
        (&json!(0), &json!(1), &json!(0), &json!([]))
    );
    let ids = async |query: &str| -> Vec<Value> {
        let page = okta.get(&format!("/Users?{query}")).await.scim(200);
        page["Resources"].as_array().expect("users").iter().map(|user| user["id"].clone()).collect()
    };
    let halves = [ids("startIndex=1&count=6").await, ids("startIndex=7&count=100").await].concat();
    assert_eq!(halves, ids("startIndex=1&count=100").await);
}

/// Shape 5. Promise: a person who comes back by a POST with the same `externalId` is the same user again.
#[every_engine]
async fn okta_posts_a_returning_person(world: &mut World) {
    let okta = Provider::start(world).await;
    okta.patch(LEAVER, &json!([{ "op": "add", "path": "externalId", "value": "00u1" }])).await.scim(200);
    okta.deprovision(LEAVER).await;
    let body = json!({
        "schemas": [CORE], "userName": "dana@example.com", "externalId": "00u1", "active": true,
        "name": { "givenName": "Dana", "familyName": "Whitfield" }, "emails": [{ "value": "dana@example.com", "primary": true }],
    });
    let restored = okta.send("POST", "/Users", &body).await.scim(201);
    assert_eq!((&restored["id"], &restored["active"]), (&json!(LEAVER), &json!(true)));
    assert!(okta.is_active(LEAVER).await);
}

/// Shape 6. Promise: Entra's default, a capital operation with a boolean as text, deactivates and activates.
#[every_engine]
async fn entra_sends_booleans_as_text(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    for (value, active) in [("False", false), ("True", true)] {
        let operations = json!([{ "op": "Replace", "path": "active", "value": value }]);
        assert_eq!(entra.patch(LEAVER, &operations).await.scim(200)["active"], active);
        assert_eq!(entra.is_active(LEAVER).await, active);
    }
}

/// Shape 7. Promise: both forms of booleans of one Entra tenant work by turns; the flag in its URL does no harm.
#[every_engine]
async fn entra_mixes_both_boolean_forms(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    let flagged = |value: bool| json!([{ "op": "replace", "path": "active", "value": value }]);
    let plain = |value: &str| json!([{ "op": "Replace", "path": "active", "value": value }]);
    let path = format!("/Users/{LEAVER}?aadOptscim062020");
    for (operations, active) in
        [(flagged(false), false), (plain("False"), false), (plain("True"), true), (flagged(true), true)]
    {
        entra.send("PATCH", &path, &super::provider::patch(&operations)).await.scim(200);
        assert_eq!(entra.is_active(LEAVER).await, active, "{operations}");
    }
}

/// Shape 8. Promise: dotted keys and whole URNs in one operation, with filtered paths in others, are written.
#[every_engine]
async fn entra_sends_dotted_keys_and_urns(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    let operations = json!([
        { "op": "replace", "path": "emails[type eq \"work\"].value", "value": "dana.lee@example.com" },
        { "op": "replace", "value": {
            "name.givenName": "Dana", "name.familyName": "Lee", "title": "Director",
            format!("{ENTERPRISE}:employeeNumber"): "7", format!("{CORE}:active"): false,
        } },
    ]);
    entra.patch(LEAVER, &operations).await.scim(200);
    let user = entra.get(&path_of(LEAVER)).await.scim(200);
    assert_eq!(
        (&user["emails"][0]["value"], &user["name"]["familyName"], &user["title"], &user["active"]),
        (&json!("dana.lee@example.com"), &json!("Lee"), &json!("Director"), &json!(false))
    );
}

/// Shape 9. Promise: an email address that is set by its type is created where there is none.
#[every_engine]
async fn entra_sets_absent_email_addresses(world: &mut World) {
    world.use_catalog_alone(&KEAP.replace("user_name = \"email\"", "user_name = \"username\"")).await;
    let entra = Provider::with_policy(world, "entra", "manager").await;
    for op in ["Add", "Replace"] {
        world.sql("UPDATE users SET email = '' WHERE id = 53").await;
        assert_eq!(entra.get(&path_of(LEAVER)).await.scim(200).get("emails"), None);
        let operations = json!([{ "op": op, "path": "emails[type eq \"work\"].value", "value": "d@example.com" }]);
        entra.patch(LEAVER, &operations).await.scim(200);
        let user = entra.get(&path_of(LEAVER)).await.scim(200);
        assert_eq!(user["emails"], json!([{ "value": "d@example.com", "type": "work", "primary": true }]), "{op}");
    }
}

/// Shape 10. Promise: roles as JSON in a text are ignored, and what comes with them is done.
#[every_engine]
async fn entra_packs_roles_into_text(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    let role = "{\"id\":\"18d14569-c3bd-439b-9a66-3a2aee01d14f\",\"value\":\"User\",\"displayName\":\"User\"}";
    let operations = json!([
        { "op": "Add", "path": "roles[primary eq \"True\"].value", "value": role },
        { "op": "Replace", "path": "title", "value": "Director" },
    ]);
    entra.patch(LEAVER, &operations).await.scim(200);
    let user = entra.get(&path_of(LEAVER)).await.scim(200);
    assert_eq!((&user["title"], user.get("roles")), (&json!("Director"), None));
}

/// Shape 11. Promise: the manager, as Entra adds them, is the one to whom the records go.
#[every_engine]
async fn entra_adds_managers_as_lists(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    let manager = json!([{ "$ref": format!("../Users/{GERALDINE}"), "value": GERALDINE }]);
    let operations = json!([{ "op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": manager }]);
    entra.patch(LEAVER, &operations).await.scim(200);
    assert_eq!(entra.get(&path_of(LEAVER)).await.scim(200)[ENTERPRISE]["manager"]["value"], GERALDINE);
    let job = entra.deprovision(LEAVER).await;
    settle(world).await;
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(job).await);
    assert_eq!(successors_of(&certificate, "contact"), counts([(GERALDINE, 104)]));
}

/// Shape 12. Promise: Entra's DELETE, long after it has disabled a user, is 204; then they are 404 for it, and others still see them.
#[every_engine]
async fn entra_deletes_disabled_users(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    entra.deprovision(LEAVER).await;
    assert_eq!(entra.call("DELETE", &path_of(LEAVER)).await.status, 204);
    entra.get(&path_of(LEAVER)).await.failure(404, None);
    entra.call("DELETE", &path_of(LEAVER)).await.failure(404, None);
    assert_eq!(entra.found("userName eq \"dana@example.com\"").await, Vec::<String>::new());
    let okta = entra.another(world, "okta", "manager").await;
    assert!(!okta.is_active(LEAVER).await);
}

/// Shape 13. Promise: the search by which Entra tests a connection finds nobody with 200.
#[every_engine]
async fn entra_tests_connections_by_random_names(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    for attribute in ["userName", "externalId", "id"] {
        let filter = format!("{attribute} eq \"5d7f8a52-7a5e-4dfb-b2f4-8d6d5d0a6f0e\"");
        let page = entra.search(&filter).await.scim(200);
        assert_eq!((&page["totalResults"], &page["Resources"]), (&json!(0), &json!([])), "{filter}");
        assert_eq!(page["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:ListResponse");
    }
}

/// Shape 14. Promise: Entra's searches by each attribute, with `and`, and its exclusion of members find users, inactive ones too.
#[every_engine]
async fn entra_reads_by_eq_and_and(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    entra.patch(LEAVER, &json!([{ "op": "Add", "path": "externalId", "value": "dana" }])).await.scim(200);
    for active in [true, false] {
        entra.set_active(LEAVER, active).await.scim(200);
        for filter in [
            "userName eq \"dana@example.com\"",
            "externalId eq \"dana\"",
            "emails[type eq \"work\"].value eq \"dana@example.com\"",
            "userName eq \"dana@example.com\" and externalId eq \"dana\"",
        ] {
            assert_eq!(entra.found(filter).await, [LEAVER], "{filter}, active {active}");
        }
    }
    let user = entra.get(&format!("/Users/{LEAVER}?excludedAttributes=members")).await.scim(200);
    assert_eq!(user, entra.get(&path_of(LEAVER)).await.scim(200));
}

/// Shape 15. Promise: after Entra's disable, which no DELETE follows, everything is handed over all the same.
#[every_engine]
async fn entra_disables_and_never_deletes(world: &mut World) {
    let entra = Provider::with_policy(world, "entra", "manager").await;
    let operations = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
    entra.patch(PRIYA, &operations).await.scim(200);
    let job = entra.deprovision(PRIYA).await;
    settle(world).await;
    world.start_worker().await;
    assert_eq!(certificate_of(&world.end_of(job).await).orphans, Some(0));
    let user = entra.get(&path_of(PRIYA)).await.scim(200);
    assert_eq!((&user["active"], &user[super::provider::HANDOVER]["state"]), (&json!(false), &json!("completed")));
}

/// Shape 16. Promise: Rauthy finds by `externalId`, then by `userName`; it creates, changes by PUT, and lets go of users by a PUT without
/// `externalId` or by DELETE.
#[every_engine]
async fn rauthy_puts_and_lets_go(world: &mut World) {
    let_providers_create(world).await;
    let rauthy = Provider::with_policy(world, "rauthy", "manager").await;
    assert_eq!(rauthy.found("externalId eq \"r1\"").await, Vec::<String>::new());
    assert_eq!(rauthy.found("userName eq \"mathew@example.com\"").await, [MATHEW]);
    let mut user = json!({
        "schemas": [CORE], "externalId": "r1", "userName": "mathew@example.com", "active": true, "preferredLanguage": "en",
        "name": { "givenName": "Mathew", "familyName": "Magwood" }, "emails": [{ "value": "mathew@example.com", "primary": true }],
    });
    rauthy.send("PUT", &path_of(MATHEW), &user).await.scim(200);
    assert_eq!(rauthy.found("externalId eq \"r1\"").await, [MATHEW]);
    user.as_object_mut().expect("an object").remove("externalId");
    rauthy.send("PUT", &path_of(MATHEW), &user).await.scim(200);
    let read = rauthy.get(&path_of(MATHEW)).await.scim(200);
    assert_eq!((read.get("externalId"), &read["active"]), (None, &json!(true)));
    let new =
        json!({ "schemas": [CORE], "externalId": "r2", "userName": "ann@example.com", "name": { "givenName": "Ann" } });
    let id = rauthy.send("POST", "/Users", &new).await.scim(201)["id"].as_str().expect("an id").to_owned();
    assert_eq!(rauthy.found("externalId eq \"r2\"").await, [id.as_str()]);
    assert_eq!(rauthy.call("DELETE", &path_of(MATHEW)).await.status, 204);
    rauthy.get(&path_of(MATHEW)).await.failure(404, None);
}
