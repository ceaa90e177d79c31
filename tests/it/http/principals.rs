//! Tokens, and whose they are.

use handover::contract::{RequestType, TokenScope};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::support::api::{ApiServer, service_token, token_of};
use crate::support::keap::{ADMIN, LEAVER, PARTNER, SUPPORT, leaver};
use crate::support::process::{as_owner, on};
use crate::support::world::read;
use crate::support::{World, every_engine};

const READ_AND_WRITE: [TokenScope; 2] = [TokenScope::JobsRead, TokenScope::JobsWrite];

/// Promise: a person's tokens end in the transaction that ends their access, over either door, and never work for who is inactive.
#[every_engine]
async fn lock_out_revokes_the_tokens_of_the_leaver(world: &mut World) {
    let server = ApiServer::start(world).await;
    let admin = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    let (leaving, partner) =
        (&token_of(world, LEAVER, &READ_AND_WRITE).await, &token_of(world, PARTNER, &READ_AND_WRITE).await);
    for token in [leaving, partner] {
        server.get(token, "/v1/jobs").answer().await.expect(200);
    }
    server.put(admin, &leaver()).answer().await.expect(202);
    server.get(leaving, "/v1/jobs").answer().await.problem(401, "unauthenticated");
    let revoked = "SELECT count(*) FROM handover.tokens WHERE revoked_at IS NOT NULL AND owner = '53'";
    assert_eq!(world.number(revoked).await, 1);
    world.sql(&format!("UPDATE users SET status = 'inactive' WHERE id = {PARTNER}")).await;
    server.get(partner, "/v1/jobs").answer().await.problem(401, "unauthenticated");
    server.get(admin, "/v1/jobs").answer().await.expect(200);
}

/// Promise: a service may send the types of its grant, in its organization; it is in the audit trail by its name, and never a user.
#[every_engine]
async fn service_is_bound_by_its_grant(world: &mut World) {
    let server = ApiServer::start(world).await;
    let crm = &service_token(world, "crm", &[RequestType::Reassign], &READ_AND_WRITE).await;
    let request = leaver().requested_by("service:crm");
    let refused = server.put(crm, &request).answer().await;
    assert_eq!(refused.problem(403, "rejected"), ["requester_not_permitted"]);
    let wider = [RequestType::Deactivate, RequestType::Revert];
    let crm = &service_token(world, "crm", &wider, &READ_AND_WRITE).await;
    let request = request.with("request_id", json!("r2")).with("effective_at", json!("2030-01-01T00:00:00Z"));
    server.put(crm, &request).answer().await.expect(202);
    let actors = world.texts("SELECT actor AS t FROM handover.audit WHERE action = 'deactivate.scheduled'").await;
    assert_eq!(actors, ["service:crm"]);
    // The grant is evaluated again when the job starts, whichever worker starts it.
    let id = read(&request).job_id();
    world.make_due(id).await;
    world.start_worker().await;
    assert_eq!(world.end_of(id).await.state.name(), "completed");
}

/// Promise: an owner has two live tokens at most; expired and revoked ones do not work; the ledger holds no token.
#[every_engine]
async fn tokens_are_rotated_listed_and_revoked(world: &mut World) {
    let server = ApiServer::start(world).await;
    let create = ["token", "create", "--user", "1", "--org", "1", "--scopes", "jobs:read", "--json"];
    let first = as_owner(world, &create).expect(0).json();
    let short = as_owner(world, &[&create[..], &["--valid-for", "1us"]].concat()).expect(0).json();
    let second = on(world, &create).expect(0).json();
    let third = on(world, &create).expect(1);
    assert!(third.err.contains("two") || third.err.contains("2 live tokens"), "{}", third.err);
    let text = |token: &serde_json::Value| token["token"].as_str().expect("a token").to_owned();
    server.get(&text(&short), "/v1/jobs").answer().await.problem(401, "unauthenticated");
    for token in [&first, &second] {
        server.get(&text(token), "/v1/jobs").answer().await.expect(200);
    }
    on(world, &["token", "revoke", first["id"].as_str().expect("an id")]).expect(0);
    server.get(&text(&first), "/v1/jobs").answer().await.problem(401, "unauthenticated");
    let listed = on(world, &["token", "list", "--json"]).expect(0).json_lines();
    let live: Vec<bool> = listed.iter().map(|token| token["live"] == true).collect();
    assert_eq!(live.iter().filter(|live| **live).count(), 1, "{listed:?}");
    assert!(listed.iter().any(|token| !token["last_used_at"].is_null()), "{listed:?}");
    for secret in [&first, &second, &short].map(text) {
        let held = format!("SELECT count(*) FROM handover.tokens WHERE hash = '{secret}' OR id = '{secret}'");
        assert_eq!(world.number(&held).await, 0);
        assert!(!listed.iter().any(|token| token.to_string().contains(&secret)));
    }
    for (arguments, says) in [
        (vec!["--user", "999", "--org", "1", "--scopes", "jobs:read"], "no active user"),
        (vec!["--user", "1", "--org", "1", "--scopes", "operator:read"], "is not for this owner"),
        (vec!["--service", "a b", "--org", "1", "--scopes", "jobs:read"], "no name of a service"),
        (vec!["--service", "crm", "--scopes", "jobs:read"], "org_id"),
    ] {
        let refused = on(world, &[&["token", "create"], &arguments[..]].concat()).expect(1);
        assert!(refused.err.contains(says), "{}", refused.err);
    }
}

/// Promise: tokens that nobody can use are deleted after thirty days, and no others.
#[every_engine]
async fn dead_tokens_are_deleted_after_a_month(world: &mut World) {
    let ids = ["revoked", "expired", "recent", "live"];
    for (id, owner) in ids.into_iter().zip([ADMIN, PARTNER, LEAVER, SUPPORT]) {
        token_of(world, owner, &READ_AND_WRITE).await;
        world.change_ledger(&format!("UPDATE handover.tokens SET id = '{id}' WHERE owner = '{owner}'")).await;
    }
    let days = |days: i64| (OffsetDateTime::now_utc() - Duration::days(days)).format(&Rfc3339).expect("a time");
    for (id, column, ago) in
        [("revoked", "revoked_at", 31), ("expired", "expires_at", 31), ("recent", "revoked_at", 29)]
    {
        let change = format!("UPDATE handover.tokens SET {column} = '{}' WHERE id = '{id}'", days(ago));
        world.change_ledger(&change).await;
    }
    world.start_worker().await;
    let left = async || world.texts("SELECT id AS t FROM handover.tokens ORDER BY id").await;
    world.until("the dead tokens are deleted", async || (left().await == ["live", "recent"]).then_some(())).await;
}

/// Promise: what is forgotten of a person covers their tokens.
#[every_engine]
async fn forget_deletes_the_tokens_of_a_person(world: &mut World) {
    token_of(world, PARTNER, &READ_AND_WRITE).await;
    token_of(world, ADMIN, &READ_AND_WRITE).await;
    let forget = ["forget", PARTNER, "--org", "1", "--by", ADMIN, "--json"];
    let held = as_owner(world, &forget).expect(0).json();
    assert_eq!(held["held"]["tokens"], 1, "{held}");
    assert_eq!(world.texts("SELECT owner AS t FROM handover.tokens").await, [ADMIN]);
}
