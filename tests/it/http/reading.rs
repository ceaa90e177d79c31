//! Reading users, successors, groups, the audit trail, the catalog and dead letters over HTTP.

use handover::contract::TokenScope;
use serde_json::{Value, json};

use crate::support::api::{ApiServer, operator_token, token_of};
use crate::support::keap::{ADMIN, LEAVER, MATHEW, WEST, leaver};
use crate::support::{World, every_engine};

/// Promise: the status lists, one user with what they own, who may receive records and why not, and whose turn it is, all of the
/// token's organization alone.
#[every_engine]
async fn users_successors_and_groups_are_listed(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &[TokenScope::UsersRead, TokenScope::AuditRead, TokenScope::JobsWrite]).await;
    let read = async |path: &str| server.get(token, path).answer().await.expect(200).json();
    let one = read(&format!("/v1/users/{LEAVER}")).await;
    assert_eq!(
        (&one["status"], &one["license"], &one["owns"]["contact"]),
        (&json!("active"), &json!(true), &json!(104))
    );
    let active = read("/v1/users?status=active&limit=200").await["items"].as_array().expect("users").len();
    let (mut paged, mut path) = (0, "/v1/users?status=active&limit=3".to_owned());
    loop {
        let page = read(&path).await;
        paged += page["items"].as_array().expect("users").len();
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/users?status=active&limit=3&after={next}");
    }
    assert!(active > 3 && paged == active, "{paged} of {active}");
    let found = read("/v1/users?q=MAGWOOD").await;
    assert_eq!(found["items"][0]["id"], MATHEW);
    let candidates = read(&format!("/v1/successors?leaver={LEAVER}&kind=lead&limit=200")).await;
    let candidates = candidates["items"].as_array().expect("candidates");
    let refused = |user: &str| {
        let found = candidates.iter().find(|candidate| candidate["id"] == user).expect("a candidate");
        found["refused"]["code"].as_str().map(str::to_owned)
    };
    assert_eq!((refused("13"), refused(MATHEW).as_deref()), (None, Some("successor_not_eligible")));
    assert_eq!(refused(LEAVER).as_deref(), Some("leaver_is_successor"));
    let groups = read("/v1/groups").await;
    let west = groups["items"]
        .as_array()
        .expect("groups")
        .iter()
        .find(|group| group["name"] == WEST)
        .cloned()
        .expect("the group");
    assert_eq!((&west["members"], &west["next"], west.get("last")), (&json!(["15", "16", "17"]), &json!("15"), None));
    for path in ["/v1/users/999", "/v1/users/x"] {
        server.get(token, path).answer().await.problem(404, "not_found");
    }
    for path in
        ["/v1/users?status=asleep", "/v1/users?after=x", "/v1/successors?kind=lead", "/v1/successors?leaver=53&kind=x"]
    {
        let answer = server.get(token, path).answer().await.expect(400);
        assert!(answer.json()["detail"] != "", "{answer:?}");
    }
    server.put(token, &leaver()).answer().await.expect(202);
    let trail = read("/v1/audit?user=53").await;
    assert_eq!(
        (&trail["items"][0]["actor"], &trail["items"][0]["user_id"]),
        (&json!(ADMIN), &json!(LEAVER)),
        "{trail}"
    );
    let first = read("/v1/audit?limit=1").await;
    assert_eq!(first["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(read("/v1/audit?action=reactivate").await["items"], json!([]));
}

/// Promise: an operator reads the catalog and the dead letters, and works on those that pass a filter, after a dry run.
#[every_engine]
async fn operators_work_on_dead_letters(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &operator_token(world, &[TokenScope::OperatorRead, TokenScope::OperatorWrite]).await;
    let catalog = server.get(token, "/v1/catalog").answer().await.expect(200).json();
    assert!(catalog["source"].as_str().is_some_and(|source| source.contains("[users]")), "{catalog}");
    world.start_worker().await;
    world.client.send(b"{".to_vec()).await;
    let listed = async || server.get(token, "/v1/dead-letters?reason=not_json").answer().await.expect(200).json();
    world.until("the message is a dead letter", async || (listed().await["items"] != json!([])).then_some(())).await;
    assert_eq!(listed().await["items"][0].get("body"), None, "bodies may hold personal data");
    let act = async |action: &str, filter: Value| {
        let call = server.call("POST", format!("/v1/dead-letters/{action}")).token(token).json(&filter);
        call.answer().await
    };
    act("drop", json!({})).await.problem(400, "invalid_request");
    act("drop", json!({ "all": true, "reasons": ["not_json"] })).await.problem(400, "invalid_request");
    act("drop", json!({ "surprise": 1 })).await.problem(400, "invalid_request");
    act("drop", json!({ "reasons": ["lunch"] })).await.problem(404, "unknown_dead_letter");
    let dry = act("drop", json!({ "reasons": ["not_json"] })).await.expect(200).json();
    assert_eq!((&dry["dry_run"], &dry["matching"]["not_json"], &dry["done"]), (&json!(true), &json!(1), &json!(0)));
    let done = act("drop", json!({ "reasons": ["not_json"], "dry_run": false })).await.expect(200).json();
    assert_eq!((&done["done"], &done["failed"]), (&json!(1), &json!([])));
    assert_eq!(listed().await["items"], json!([]));
    let actors = world.texts("SELECT actor AS t FROM handover.audit WHERE action = 'dead.drop'").await;
    assert_eq!(actors, ["operator:ops"]);
    server.get(token, "/v1/jobs").answer().await.problem(403, "missing_scope");
}

/// Promise: pages of dead letters follow each other by the link, as far as the filter finds any.
#[every_engine]
async fn pages_of_dead_letters_follow_each_other(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &operator_token(world, &[TokenScope::OperatorRead]).await;
    world.start_worker().await;
    for number in 0..5 {
        world.client.send(format!("{{ \"number\": {number}").into_bytes()).await;
        world.client.send(json!({ "type": number }).to_string().into_bytes()).await;
    }
    let all = async || server.get(token, "/v1/dead-letters").answer().await.expect(200).json();
    let arrived = async || (all().await["items"].as_array().map(Vec::len) == Some(10)).then_some(());
    world.until("all messages are dead letters", arrived).await;
    let (mut ids, mut path) =
        (std::collections::BTreeSet::new(), Some("/v1/dead-letters?reason=not_json&limit=2".to_owned()));
    let mut sizes = Vec::new();
    while let Some(next) = path {
        let page = server.get(token, next).answer().await.expect(200);
        let items = page.json()["items"].as_array().expect("items").clone();
        assert_eq!(page.json()["is_cut"], false);
        sizes.push(items.len());
        ids.extend(items.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()));
        path = page.headers.get("link").map(|link| link[1..].split_once('>').expect("a link").0.to_owned());
    }
    assert_eq!((sizes, ids.len()), (vec![2, 2, 1], 5));
    server.get(token, "/v1/dead-letters?after=first").answer().await.problem(400, "invalid_parameter");
}
