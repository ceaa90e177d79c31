//! Writing over SCIM: attributes, versions, creation and removal, through a real socket.

use serde_json::json;

use super::provider::{ENTERPRISE, KEAP, Provider, let_providers_create, patch};
use crate::support::keap::LEAVER;
use crate::support::process::as_owner;
use crate::support::{World, every_engine};

/// Promise: a PATCH writes mapped attributes, answers with what was committed, and ignores the rest.
#[every_engine]
async fn patches_write_attributes(world: &mut World) {
    let provider = Provider::start(world).await;
    let path = format!("/Users/{LEAVER}");
    let body = patch(&json!([
        { "op": "Replace", "path": "title", "value": "Director" },
        { "op": "replace", "value": { "name.familyName": "Whitfield-Lee", "locale": "en" } },
        { "op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": [{ "$ref": "x", "value": "14" }] },
        { "op": "add", "path": "emails[type eq \"work\"].value", "value": "d@example.com" },
        { "op": "add", "path": "externalId", "value": "31" },
    ]));
    let user = provider.send("PATCH", &path, &body).await.scim(200);
    assert_eq!(
        (&user["title"], &user["name"]["familyName"], &user[ENTERPRISE]["manager"]["value"], &user["externalId"]),
        (&json!("Director"), &json!("Whitfield-Lee"), &json!("14"), &json!("31"))
    );
    assert_eq!((&user["userName"], &user["active"]), (&json!("d@example.com"), &json!(true)));
    let kept = world.texts("SELECT name || email || title || manager_id AS t FROM users WHERE id = 53").await;
    assert_eq!(kept, ["Dana Whitfield-Leed@example.comDirector14"]);
    let found = provider.search("externalId eq \"31\"").await.scim(200);
    assert_eq!(found["Resources"][0]["id"], LEAVER, "a provider's key is no id");
    let user = provider.send("PATCH", &path, &patch(&json!([{ "op": "remove", "path": "title" }]))).await.scim(200);
    assert_eq!(user.get("title"), None);
    let other = provider.another(world, "entra", "wait").await;
    assert_eq!(other.get(&path).await.scim(200).get("externalId"), None, "each connection has keys of its own");
}

/// Promise: a value that another user has, that does not exist, or that cannot be written is refused, and nothing is written.
#[every_engine]
async fn unfit_values_are_refused(world: &mut World) {
    let provider = Provider::start(world).await;
    let path = format!("/Users/{LEAVER}");
    let before = provider.get(&path).await.scim(200);
    let link = patch(&json!([{ "op": "add", "path": "externalId", "value": "known" }]));
    provider.send("PATCH", "/Users/13", &link).await.scim(200);
    for (operation, status, scim_type) in [
        (json!({ "op": "replace", "path": "userName", "value": "Mathew@Example.com" }), 409, "uniqueness"),
        (json!({ "op": "replace", "path": "externalId", "value": "known" }), 409, "uniqueness"),
        (json!({ "op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": "201" }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": "nobody" }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": "id", "value": "7" }), 400, "mutability"),
        (json!({ "op": "replace", "path": "title[", "value": "7" }), 400, "invalidPath"),
        (json!({ "op": "replace", "path": "active", "value": "perhaps" }), 400, "invalidValue"),
    ] {
        let body = patch(&json!([{ "op": "replace", "path": "title", "value": "Written" }, operation]));
        provider.send("PATCH", &path, &body).await.failure(status, Some(scim_type));
    }
    assert_eq!(provider.get(&path).await.scim(200), before);
    for id in ["201", "9999", "x", "known"] {
        provider.send("PATCH", &format!("/Users/{id}"), &link).await.failure(404, None);
    }
}

/// Report 11 (SCIM-SDK#746, scimple#534, thunder-id/thunderid!5110, Yuzu#2027). Promise: a change that names
/// another version than the user has is 412 and changes nothing.
#[every_engine]
async fn outdated_versions_change_nothing(world: &mut World) {
    let provider = Provider::start(world).await;
    let path = format!("/Users/{LEAVER}");
    let tag = provider.get(&path).await.headers["etag"].clone();
    let send = async |tag: &str, title: &str| {
        let body = patch(&json!([{ "op": "replace", "path": "title", "value": title }]));
        let call = provider.server.call("PATCH", format!("/scim/v2{path}")).token(&provider.token);
        super::provider::Scim(call.header("If-Match", tag).json(&body).answer().await)
    };
    let first = send(&tag, "One").await;
    assert_eq!(first.scim(200)["title"], "One");
    assert_ne!(first.headers["etag"], tag);
    send(&tag, "Two").await.failure(412, None);
    send("*", "Three").await.scim(200);
    assert_eq!(provider.get(&path).await.scim(200)["title"], "Three");
}

/// Promise: a whole user as Okta sends it is written, `active` that is absent stays, and an absent `externalId` is forgotten.
#[every_engine]
async fn whole_users_are_written(world: &mut World) {
    let provider = Provider::start(world).await;
    let path = format!("/Users/{LEAVER}");
    let mut user = provider.get(&path).await.scim(200);
    user["title"] = json!("Director");
    user["externalId"] = json!("00u1");
    user["groups"] = json!([]);
    user["password"] = json!("secret");
    let written = provider.send("PUT", &path, &user).await.scim(200);
    assert_eq!((&written["title"], &written["externalId"]), (&json!("Director"), &json!("00u1")));
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "dana@example.com" });
    let written = provider.send("PUT", &path, &body).await.scim(200);
    assert_eq!(
        (&written["active"], &written["title"], written.get("externalId")),
        (&json!(true), &json!("Director"), None)
    );
    provider.send("PUT", &path, &json!({ "title": "x" })).await.failure(400, Some("invalidValue"));
}

/// Promise: POST invites a new user under the provider's key; the same again, or a name in use, is a conflict. Keap's invitations
/// name the user who invites; there, POST is off.
#[every_engine]
async fn posts_invite_new_users(world: &mut World) {
    let_providers_create(world).await;
    let provider = Provider::start(world).await;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ann.lee@example.com", "active": true,
        "name": { "givenName": "Ann", "familyName": "Lee" }, "externalId": "00u2", "title": "Sales",
        "emails": [{ "value": "ann.lee@example.com", "primary": true, "type": "work" }],
    });
    let created = provider.send("POST", "/Users", &body).await;
    let user = created.scim(201);
    assert_eq!(
        (&user["userName"], &user["externalId"], &user["title"]),
        (&json!("ann.lee@example.com"), &json!("00u2"), &json!("Sales"))
    );
    assert!(created.headers["location"].ends_with(&format!("/scim/v2/Users/{}", user["id"].as_str().expect("an id"))));
    let status = world.texts("SELECT status AS t FROM users WHERE email = 'ann.lee@example.com'").await;
    assert_eq!(status, ["invited"]);
    provider.send("POST", "/Users", &body).await.failure(409, Some("uniqueness"));
    let mut taken = body.clone();
    taken["userName"] = json!("DANA@example.com");
    taken["externalId"] = json!("00u3");
    provider.send("POST", "/Users", &taken).await.failure(409, Some("uniqueness"));
    for wrong in [json!({ "externalId": "x" }), json!({ "userName": "no address" }), json!([])] {
        assert_eq!(provider.send("POST", "/Users", &wrong).await.status, 400, "{wrong}");
    }
    world.use_catalog_alone(KEAP).await;
    let provider = Provider::with_policy(world, "entra", "wait").await;
    taken["userName"] = json!("new@example.com");
    provider.send("POST", "/Users", &taken).await.failure(501, None);
}

/// Promise: a user whom a provider creates inactive, or whose invitation it ends, is let in by it alone.
#[every_engine]
async fn staged_users_are_let_in_later(world: &mut World) {
    let_providers_create(world).await;
    let okta = Provider::start(world).await;
    let entra = okta.another(world, "entra", "wait").await;
    for (active, user_name) in [(false, "ann@example.com"), (true, "bea@example.com")] {
        let body = json!({ "userName": user_name, "name": { "givenName": "Ann" }, "active": active });
        let user = okta.send("POST", "/Users", &body).await.scim(201);
        assert_eq!(user["active"], active);
        let id = user["id"].as_str().expect("an id");
        okta.set_active(id, false).await.scim(200);
        assert!(!okta.is_active(id).await);
        entra.set_active(id, true).await.failure(409, None);
        okta.provision(id).await;
        assert_eq!(world.status_of(id).await, "active");
    }
}

/// Promise: to forget a user deletes the ids that providers have for them.
#[every_engine]
async fn forgotten_users_have_no_external_id(world: &mut World) {
    let provider = Provider::start(world).await;
    let path = format!("/Users/{LEAVER}");
    let linked = patch(&json!([{ "op": "add", "path": "externalId", "value": "00u1" }]));
    provider.send("PATCH", &path, &linked).await.scim(200);
    let forget = as_owner(world, &["forget", LEAVER, "--org", "1", "--by", "1", "--json"]).expect(0).json();
    assert_eq!(forget["held"]["scim_links"], 1, "{forget}");
    assert_eq!(provider.search("externalId eq \"00u1\"").await.scim(200)["totalResults"], 0);
}
