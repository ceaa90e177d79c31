//! Users as a person plus a membership in each organization: one membership ends, and the other is untouched.

use handover::contract::LicenseOutcome;
use serde_json::{Value, json};

use crate::support::people::{host, owners, reverted, reverts_to};
use crate::support::world::{certificate_of, codes_of, counts, result_of, successors_of};
use crate::support::{World, every_engine};

/// In both organizations Ann (1) sends requests, Zoe (9) leaves and Ben (2) stays; Cleo (3) belongs to b only. Zoe has
/// documents 1 to 4 in a and 5 to 8 in b, and a seat in each. She leads the team with Ben in a, and alone in b.
const TABLES: &str = "CREATE TABLE memberships (person BIGINT NOT NULL, firm TEXT NOT NULL, name TEXT, mail TEXT, status TEXT, boss BIGINT, PRIMARY KEY (person, firm)); \
     INSERT INTO memberships VALUES (1, 'a', 'Ann', 'a@example.com', 'active', 9), (1, 'b', 'Ann', 'a@example.com', 'active', 9), \
     (2, 'a', 'Ben', 'b@example.com', 'active', NULL), (2, 'b', 'Ben', 'b@example.com', 'active', NULL), (3, 'b', 'Cleo', 'c@example.com', 'active', 9), \
     (9, 'a', 'Zoe', 'z@example.com', 'active', 2), (9, 'b', 'Zoe', 'z@example.com', 'active', 3); \
     CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, firm TEXT NOT NULL, owner BIGINT NOT NULL); \
     INSERT INTO docs VALUES (1, 'a', 9), (2, 'a', 9), (3, 'a', 9), (4, 'a', 9), (5, 'b', 9), (6, 'b', 9), (7, 'b', 9), (8, 'b', 9); \
     CREATE TABLE tokens (id BIGINT NOT NULL PRIMARY KEY, firm TEXT NOT NULL, owner BIGINT NOT NULL); INSERT INTO tokens VALUES (1, 'a', 9), (2, 'b', 9); \
     CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, firm TEXT NOT NULL, holder BIGINT); INSERT INTO seats VALUES (1, 'a', 9), (2, 'b', 9); \
     CREATE TABLE places (firm TEXT NOT NULL, team TEXT NOT NULL, member BIGINT); INSERT INTO places VALUES ('a', 'west', 2), ('b', 'west', 3); \
     CREATE TABLE leads_of (id BIGINT NOT NULL PRIMARY KEY, firm TEXT NOT NULL, owner BIGINT NOT NULL, team TEXT); \
     INSERT INTO leads_of VALUES (1, 'a', 9, 'x'), (2, 'a', 2, 'x'), (3, 'b', 9, 'x');";

const CATALOG: &str = r#"
[users]
table = "memberships"
key = "person"
org = "firm"
name = "name"
email = "mail"
manager = "boss"
status = { column = "status", active = "active", inactive = "inactive" }

[license]
table = "seats"
user = "holder"
org = "firm"

[groups]
table = "places"
group = "team"
user = "member"
org = "firm"

[[reference]]
kind = "token"
table = "tokens"
key = "id"
user = "owner"
org = "firm"
disposition = "detach"
at = "start"

[[reference]]
kind = "doc"
table = "docs"
key = "id"
user = "owner"
org = "firm"
disposition = "transfer"

[[reference]]
kind = "report"
table = "memberships"
key = ["person", "firm"]
user = "boss"
org = "firm"
disposition = "transfer"

[[reference]]
kind = "team_lead"
table = "leads_of"
key = "id"
user = "owner"
org = "firm"
disposition = "block"
sole_in = "team"
resolve = true

[[reference]]
kind = "led"
table = "leads_of"
key = "id"
user = "owner"
org = "firm"
disposition = "detach"
"#;

async fn start(world: &mut World) {
    world.sql(TABLES).await;
    world.use_catalog(CATALOG).await;
    world.start_worker().await;
}

fn leave(firm: &str, reassign: Value) -> Value {
    json!({ "type": "deactivate", "request_id": format!("leaves {firm}"), "org_id": firm, "user_id": "9", "requested_by": "1", "reassign": reassign })
}

async fn memberships(world: &World) -> Vec<String> {
    let row = "CAST(person AS text) || firm || ':' || status || ':' || COALESCE(CAST(boss AS text), '')";
    world.texts(&format!("SELECT {row} AS t FROM memberships ORDER BY person, firm")).await
}

#[every_engine(also_in_chunks_of = 2)]
async fn ending_one_membership_keeps_the_other(world: &mut World) {
    start(world).await;
    let before = host(world).await;
    let reassign = json!({ "doc": { "manager": true }, "report": { "user": "2" } });
    let job = world.hand_over(&leave("a", reassign)).await;
    let certificate = certificate_of(&job);
    assert_eq!(owners(world, "docs").await, ["1:2", "2:2", "3:2", "4:2", "5:9", "6:9", "7:9", "8:9"]);
    assert_eq!(owners(world, "tokens").await, ["2:9"]);
    assert_eq!(owners(world, "leads_of").await, ["2:2", "3:9"]);
    let expected =
        ["1a:active:2", "1b:active:9", "2a:active:", "2b:active:", "3b:active:9", "9a:inactive:2", "9b:active:3"];
    assert_eq!(memberships(world).await, expected);
    assert_eq!((certificate.orphans, certificate.license), (Some(0), LicenseOutcome::Freed));
    assert_eq!(result_of(&certificate, "doc").found, Some(4), "their rows in other organizations are not counted");
    assert_eq!(world.texts("SELECT firm AS t FROM seats WHERE holder = 9").await, ["b"]);
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn both_memberships_may_end_at_once(world: &mut World) {
    start(world).await;
    let turns = json!({ "logic": "ratio", "shares": [{ "round_robin": "west", "amount": 1 }] });
    let both = json!({ "doc": turns, "report": { "user": "2" } });
    let mut in_b = both.clone();
    in_b["team_lead"] = json!({ "user": "3" });
    let before = host(world).await;
    let jobs = [world.send(&leave("a", both)).await, world.send(&leave("b", in_b)).await];
    let mut ended = Vec::new();
    for (job, successor) in jobs.into_iter().zip([2, 3]) {
        let job = world.end_of(job).await;
        let certificate = certificate_of(&job);
        ended.push(job);
        assert_eq!(
            successors_of(&certificate, "doc"),
            counts([(successor, 4)]),
            "a group of the same name in another organization is separate"
        );
    }
    assert_eq!(owners(world, "leads_of").await, ["2:2", "3:3"]);
    assert_eq!(world.number("SELECT count(*) FROM memberships WHERE status = 'inactive' AND person = 9").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM seats WHERE holder IS NULL").await, 2);
    // Two returned, one in each organization, and each took a seat of its organization.
    reverted(world, &ended[0]).await;
    assert_eq!(owners(world, "docs").await, ["1:9", "2:9", "3:9", "4:9", "5:3", "6:3", "7:3", "8:3"]);
    reverts_to(world, &ended[1], &before).await;
}

#[every_engine]
async fn members_of_other_organizations_receive_nothing(world: &mut World) {
    start(world).await;
    let job = world.hand_over(&leave("a", json!({ "doc": { "user": "3" }, "report": { "user": "2" } }))).await;
    assert_eq!(codes_of(&job), ["unknown_successor"]);
    // Ben leads a team of that name, but not this one.
    let job = world.hand_over(&leave("b", json!({ "doc": { "user": "3" }, "report": { "user": "2" } }))).await;
    assert_eq!(codes_of(&job), ["blocked"]);
    assert_eq!(memberships(world).await.iter().filter(|member| member.contains("inactive")).count(), 0);
}

#[every_engine]
async fn every_reference_declares_its_organization_column(world: &mut World) {
    world.sql(TABLES).await;
    let schema = handover::store::host::read_schema(&world.store.reader()).await.expect("the schema");
    let check =
        |source: &str| handover::catalog::check("test", source, &schema).map(drop).map_err(|faults| faults.to_string());
    assert_eq!(check(CATALOG), Ok(()));
    let without = CATALOG.replace(
        "user = \"owner\"\norg = \"firm\"\ndisposition = \"transfer\"",
        "user = \"owner\"\ndisposition = \"transfer\"",
    );
    assert!(check(&without).is_err_and(|reported| reported.contains("the reference `doc` needs `org`")));
    let without = CATALOG.replace("user = \"holder\"\norg = \"firm\"", "user = \"holder\"");
    assert!(check(&without).is_err_and(|reported| reported.contains("[license] needs `org`")));
    let without = CATALOG.replace("key = \"person\"\norg = \"firm\"", "key = \"person\"");
    assert!(check(&without).is_err_and(|reported| reported.contains("neither alone nor together")));
}
