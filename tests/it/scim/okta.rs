//! The assertions of Okta's SPEC and CRUD tests (okta-developer-docs, `standards/SCIM/SCIMFiles`), restated.

use serde_json::{Value, json};

use super::provider::{CORE, Provider, let_providers_create, path_of};
use crate::support::{World, every_engine};

/// Promise: SPEC: the first page has one user with every required attribute, and unknown users are 404 by id and no result by name.
#[every_engine]
async fn spec_of_reading_holds(world: &mut World) {
    let okta = Provider::start(world).await;
    let page = okta.get("/Users?count=1&startIndex=1").await.scim(200);
    for number in ["itemsPerPage", "startIndex", "totalResults"] {
        assert!(page[number].is_u64(), "{number}: {page}");
    }
    assert_eq!(page["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
    let user = &page["Resources"][0];
    let texts = [&user["id"], &user["userName"], &user["name"]["givenName"], &user["name"]["familyName"]];
    for text in texts.into_iter().chain([&user["emails"][0]["value"]]) {
        assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{user}");
    }
    assert!(user["active"].is_boolean(), "{user}");
    let id = user["id"].as_str().expect("an id");
    assert_eq!(okta.get(&path_of(id)).await.scim(200), *user);
    okta.get("/Users/010101001010101011001010101011").await.failure(404, None);
    let unknown = okta.search("userName eq \"nobody@example.com\"").await.scim(200);
    assert_eq!((&unknown["totalResults"], &unknown["Resources"]), (&json!(0), &json!([])));
}

/// Promise: SPEC: a POST is 201 with an id, the same again is 409, and the user is found by their name in capitals.
#[every_engine]
async fn spec_of_creating_holds(world: &mut World) {
    let_providers_create(world).await;
    let okta = Provider::start(world).await;
    let body = json!({
        "schemas": [CORE], "userName": "runscope300@example.com", "active": true,
        "name": { "familyName": "Two", "givenName": "Runscope" },
        "emails": [{ "primary": true, "value": "runscope300@example.com", "type": "work" }],
    });
    let user = okta.send("POST", "/Users", &body).await.scim(201);
    assert_eq!(
        (&user["active"], &user["name"]["familyName"], &user["schemas"][0]),
        (&json!(true), &json!("Two"), &json!(CORE))
    );
    let id = user["id"].as_str().expect("an id");
    assert_eq!(okta.get(&path_of(id)).await.scim(200), user);
    okta.send("POST", "/Users", &body).await.failure(409, Some("uniqueness"));
    assert_eq!(okta.found("userName eq \"RUNSCOPE300@EXAMPLE.COM\"").await, [id]);
}

/// Promise: CRUD: GET says `active` false after a deactivation and after an unassignment, and true after each return.
#[every_engine]
async fn crud_of_access_holds(world: &mut World) {
    let okta = Provider::start(world).await;
    let user = okta.found("userName eq \"dana@example.com\"").await.remove(0);
    let put = async |active: bool| {
        let mut whole: Value = okta.get(&path_of(&user)).await.scim(200);
        whole["active"] = json!(active);
        okta.send("PUT", &path_of(&user), &whole).await.scim(200)
    };
    for _ in 0..2 {
        okta.deprovision(&user).await;
        assert!(!okta.is_active(&user).await);
        okta.provision(&user).await;
        assert!(okta.is_active(&user).await);
        assert_eq!(put(false).await["active"], false);
        assert!(!okta.is_active(&user).await);
        assert_eq!(put(true).await["active"], true);
        assert!(okta.is_active(&user).await);
    }
}
