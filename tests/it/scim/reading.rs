//! Reading over SCIM: discovery, users, searches and versions, through a real socket.

use serde_json::{Value, json};

use super::provider::Provider;
use crate::support::keap::{ADMIN, LEAVER};
use crate::support::{World, every_engine};

/// Promise: discovery advertises what the catalog maps, and nothing else.
#[every_engine]
async fn discovery_advertises_what_is_mapped(world: &mut World) {
    let provider = Provider::start(world).await;
    let config = provider.get("/ServiceProviderConfig").await.scim(200);
    assert_eq!((&config["patch"]["supported"], &config["bulk"]["supported"]), (&json!(true), &json!(false)));
    let schemas = provider.get("/Schemas").await.scim(200);
    let ids: Vec<&str> =
        schemas["Resources"].as_array().expect("schemas").iter().filter_map(|s| s["id"].as_str()).collect();
    assert_eq!((schemas["totalResults"].as_u64(), ids.len()), (Some(3), 3), "{ids:?}");
    let user = provider.get(&format!("/Schemas/{}", ids[0])).await.scim(200);
    let names: Vec<&str> =
        user["attributes"].as_array().expect("attributes").iter().filter_map(|a| a["name"].as_str()).collect();
    assert_eq!(names, ["userName", "name", "active", "emails", "title", "externalId"]);
    let kind = provider.get("/ResourceTypes/User").await.scim(200);
    assert_eq!((&kind["endpoint"], kind["schemaExtensions"].as_array().map(Vec::len)), (&json!("/Users"), Some(2)));
}

/// Promise: a user is read with all that an identity provider checks, inactive users too, and those of others do not exist.
#[every_engine]
async fn users_of_the_organization_are_read(world: &mut World) {
    let provider = Provider::start(world).await;
    let user = provider.get(&format!("/Users/{LEAVER}")).await.scim(200);
    assert_eq!(
        (&user["id"], &user["userName"], &user["active"], &user["name"]),
        (
            &json!(LEAVER),
            &json!("dana@example.com"),
            &json!(true),
            &json!({ "givenName": "Dana", "familyName": "Whitfield" })
        )
    );
    assert_eq!(user["emails"], json!([{ "value": "dana@example.com", "type": "work", "primary": true }]));
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    assert_eq!(user[enterprise]["manager"]["value"], "12", "{user}");
    assert_eq!(provider.get("/Users/31").await.scim(200)["active"], false);
    for id in ["201", "9999", "x", "0053", "53%20", "99999999999999999999"] {
        provider.get(&format!("/Users/{id}")).await.failure(404, None);
    }
    for path in ["/Groups", "/Users/53/x", "/anything", "/Schemas/urn:x", "/ResourceTypes/Group"] {
        provider.get(path).await.failure(404, None);
    }
    provider.call("DELETE", "/Schemas").await.failure(405, None);
}

/// Report 10 (ory/polis!4054, better-auth#10398, wso2#7320, #9957, #13772, SimpleIdServer#185). Promise: lists have
/// true totals, count from 1, keep one order between pages, and know bounds.
#[every_engine]
async fn pages_have_true_totals(world: &mut World) {
    let provider = Provider::start(world).await;
    let all = provider.get("/Users").await.scim(200);
    let total = all["totalResults"].as_u64().expect("a number");
    assert_eq!(
        (all["Resources"].as_array().map(Vec::len), all["startIndex"].as_u64()),
        (Some(total as usize), Some(1))
    );
    let (mut paged, mut start) = (Vec::new(), 1);
    while start <= total {
        let page = provider.get(&format!("/Users?startIndex={start}&count=5")).await.scim(200);
        assert_eq!((page["totalResults"].as_u64(), page["startIndex"].as_u64()), (Some(total), Some(start)));
        let users = page["Resources"].as_array().expect("users").clone();
        assert_eq!(page["itemsPerPage"].as_u64(), Some(users.len() as u64));
        start += users.len() as u64;
        paged.extend(users);
    }
    assert_eq!(json!(paged), all["Resources"]);
    for (query, expected) in
        [("count=0", 0), ("count=-3", 0), ("startIndex=0&count=1", 1), ("startIndex=9999999999999999", 0)]
    {
        let page = provider.get(&format!("/Users?{query}")).await.scim(200);
        assert_eq!(
            (page["totalResults"].as_u64(), page["itemsPerPage"].as_u64()),
            (Some(total), Some(expected)),
            "{query}"
        );
    }
    provider.get("/Users?count=many").await.failure(400, Some("invalidValue"));
}

/// Promise: filters find users of the organization alone, names without regard to case, and values are never SQL.
#[every_engine]
async fn filters_find_users(world: &mut World) {
    let provider = Provider::start(world).await;
    let found = async |filter: &str| -> Vec<String> {
        let page = provider.search(filter).await.scim(200);
        assert_eq!(page["totalResults"].as_u64(), page["Resources"].as_array().map(|all| all.len() as u64), "{filter}");
        let users = page["Resources"].as_array().expect("users").iter();
        users.map(|user| user["id"].as_str().expect("an id").to_owned()).collect()
    };
    for filter in [
        "userName eq \"DANA@EXAMPLE.COM\"",
        "emails[type eq \"work\"].value eq \"dana@example.com\"",
        "userName eq \"dana@example.com\" and active eq true",
        "id eq \"53\"",
        "userName sw \"dana@\" or id eq \"201\"",
        "title eq \"sales\" and urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq \"12\" and userName sw \"d\"",
    ] {
        assert_eq!(found(filter).await, [LEAVER], "{filter}");
    }
    assert_eq!(found("active eq \"False\"").await, ["31"]);
    assert_eq!(found("title pr and id eq \"21\"").await, Vec::<String>::new());
    for filter in [
        "userName eq \"5d7f8a52-7a5e-4dfb-b2f4-8d6d5d0a6f0e\"",
        "externalId eq \"53\"",
        "id eq \"x\"",
        "id eq \"99999999999999999999\"",
        "userName eq \"' OR 1=1 --\"",
        "userName sw \"%\"",
        "userName sw \"_\"",
        "userName eq \"a\\u0000b\"",
        "userName eq \"ruth@example.org\"",
        "emails[type eq \"home\"].value eq \"dana@example.com\"",
    ] {
        assert_eq!(found(filter).await, Vec::<String>::new(), "{filter}");
    }
    for filter in ["userName co \"dana\"", "not (userName pr)", "userName eq dana", "password eq \"x\"", "("] {
        provider.search(filter).await.failure(400, Some("invalidFilter"));
    }
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": "id eq \"53\"", "count": 1 });
    for path in ["/Users/.search", "/.search"] {
        let page = provider.send("POST", path, &body).await.scim(200);
        assert_eq!(page["Resources"][0]["id"], LEAVER);
    }
}

/// Promise: an answer has the attributes that the provider asks for, and always the id.
#[every_engine]
async fn answers_have_the_asked_attributes(world: &mut World) {
    let provider = Provider::start(world).await;
    let keys = async |query: &str| -> Vec<String> {
        let user = provider.get(&format!("/Users/{LEAVER}?{query}")).await.scim(200);
        user.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(keys("attributes=userName").await, ["id", "schemas", "userName"]);
    assert_eq!(keys("attributes=USERNAME,name.givenName").await, ["id", "name", "schemas", "userName"]);
    assert_eq!(keys("attributes=nothing").await, ["id", "schemas"]);
    let left = keys("excludedAttributes=members,name,emails.value,emails.type,emails.primary,meta,id").await;
    assert!(
        !left.iter().any(|key| ["name", "emails", "meta"].contains(&key.as_str())) && left.contains(&"id".into()),
        "{left:?}"
    );
    let page = provider.get("/Users?attributes=userName&count=1").await.scim(200);
    assert_eq!(page["Resources"][0].as_object().map(serde_json::Map::len), Some(3));
}

/// Promise: a version answers 304 while it is current, and changes with the user.
#[every_engine]
async fn known_versions_are_not_sent_again(world: &mut World) {
    let provider = Provider::start(world).await;
    let path = format!("/Users/{LEAVER}");
    let tag = provider.get(&path).await.headers["etag"].clone();
    let again = async || {
        provider
            .server
            .get(&provider.token, format!("/scim/v2{path}"))
            .header("If-None-Match", tag.clone())
            .answer()
            .await
    };
    assert_eq!(again().await.status, 304);
    world.sql("UPDATE users SET title = 'Boss' WHERE id = 53").await;
    assert_eq!(again().await.expect(200).json()["title"], "Boss");
}

/// Promise: every answer is one of SCIM: without a token, with a wrong one, with one of the API; nothing is cached.
#[every_engine]
async fn only_connections_are_answered(world: &mut World) {
    let provider = Provider::start(world).await;
    let api = crate::support::api::token_of(world, ADMIN, &[handover::contract::TokenScope::UsersRead]).await;
    for token in ["", "x", "hdo_0123456789abcdef_0", api.as_str()] {
        let answer = provider.server.get(token, "/scim/v2/Users").answer().await;
        super::provider::Scim(answer).failure(401, None);
    }
    let answer = provider.get("/Users").await;
    assert_eq!((answer.headers["cache-control"].as_str(), answer.headers.get("set-cookie")), ("no-store", None));
    provider.server.get(&provider.token, "/v1/users").answer().await.problem(403, "missing_scope");
    let handover: Value = provider.get(&format!("/Users/{LEAVER}")).await.scim(200);
    assert_eq!(handover.get("urn:ietf:params:scim:schemas:extension:handover:2.0:User"), None, "no job yet");
}
