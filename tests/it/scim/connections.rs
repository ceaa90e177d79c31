//! Connections of identity providers, and their tokens.

use handover::app::scim::connections::authenticate;
use handover::contract::TokenScope;

use crate::support::api::{ApiServer, token_of};
use crate::support::keap::ADMIN;
use crate::support::process::as_owner;
use crate::support::{World, every_engine};

/// Promise: a connection has two live tokens at most, is listed with what it does, and when it is removed its tokens end.
#[every_engine]
async fn connections_are_added_rotated_listed_and_removed(world: &mut World) {
    let add = ["scim", "add", "okta", "--org", "1", "--policy", "manager", "--policy", "contact=user:7", "--json"];
    let first = as_owner(world, &add).expect(0).json();
    let token = first["token"].as_str().expect("a token").to_owned();
    assert!(as_owner(world, &add).expect(1).err.contains("there is a connection okta"));
    let rotate = ["scim", "rotate", "okta", "--org", "1", "--json"];
    let second = as_owner(world, &rotate).expect(0).json();
    assert!(as_owner(world, &rotate).expect(1).err.contains("2 live tokens"));
    for token in [&token, second["token"].as_str().expect("a token")] {
        let connection = authenticate(&world.context, token).await.expect("an answer").expect("a connection");
        assert_eq!((connection.org.as_str(), connection.name.as_str()), ("1", "okta"));
    }
    let listed = as_owner(world, &["scim", "list", "--json"]).expect(0).json_lines();
    let okta = &listed[0];
    assert_eq!((okta["name"].as_str(), okta["policy"].as_str()), (Some("okta"), Some("manager, contact=user:7")));
    assert_eq!(okta["tokens"].as_array().map(Vec::len), Some(2), "{okta}");
    assert!(okta["last_seen_at"].is_string(), "{okta}");
    as_owner(world, &["scim", "remove", "okta", "--org", "1"]).expect(0);
    assert!(authenticate(&world.context, &token).await.expect("an answer").is_none());
    assert!(as_owner(world, &rotate).expect(1).err.contains("no connection okta"));
}

/// Promise: a connection's token is no token of the API, another token is none of a connection, and their names never meet.
#[every_engine]
async fn tokens_of_connections_are_for_scim_alone(world: &mut World) {
    let server = ApiServer::start(world).await;
    let add = ["scim", "add", "entra", "--org", "1", "--policy", "wait"];
    let token = as_owner(world, &add).expect(0).out.trim().to_owned();
    server.get(&token, "/v1/jobs").answer().await.problem(403, "missing_scope");
    server.get(&token, "/v1/users").answer().await.problem(403, "missing_scope");
    let person = token_of(world, ADMIN, &[TokenScope::JobsWrite]).await;
    assert!(authenticate(&world.context, &person).await.expect("an answer").is_none());
    let service = |name: &'static str| ["token", "create", "--service", name, "--org", "1", "--scopes", "jobs:read"];
    assert!(as_owner(world, &service("entra")).expect(1).err.contains("is a SCIM connection"));
    as_owner(world, &service("crm")).expect(0);
    let add = ["scim", "add", "crm", "--org", "1", "--policy", "wait"];
    assert!(as_owner(world, &add).expect(1).err.contains("there is a service crm"));
    let scope = ["token", "create", "--service", "other", "--org", "1", "--scopes", "scim"];
    assert!(as_owner(world, &scope).expect(2).err.contains("scopes are"));
}

/// Promise: a policy that the catalog cannot carry out is refused before a connection exists.
#[every_engine]
async fn unfit_policies_are_refused(world: &mut World) {
    for (policy, says) in [("contcat=wait", "did you mean contact?"), ("user:zoe", "not an id")] {
        let add = ["scim", "add", "okta", "--org", "1", "--policy", policy];
        let refused = as_owner(world, &add).expect(1);
        assert!(refused.err.contains(says), "{policy}: {}", refused.err);
    }
    as_owner(world, &["scim", "add", "okta", "--org", "1", "--policy", "boss"]).expect(2);
    assert_eq!(world.number("SELECT count(*) FROM handover.scim_connections").await, 0);
}
