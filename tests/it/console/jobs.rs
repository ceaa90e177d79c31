//! Jobs, their commands and their reverts; and what other organizations see of them.

use handover::contract::TokenScope;
use handover::job::State;

use crate::support::api::{ApiServer, token_of};
use crate::support::keap::{ADMIN, LEAVER, leaver};
use crate::support::visitor::Visitor;
use crate::support::world::read;
use crate::support::{World, every_engine};

/// Promise: commands act on the state that the page has shown, once, and do nothing to another.
#[every_engine]
async fn buttons_act_on_the_state_shown(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &[TokenScope::JobsWrite]).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    server.put(token, &leaver()).answer().await.expect(202);
    let id = read(&leaver()).job_id();
    let path = format!("/jobs/{id}");
    let shown = visitor.get(&path).await.expect(200);
    assert!(shown.body.contains("data-follow") && shown.body.contains("value=\"pause\""), "{}", shown.body);
    let version = world.job(id).await.expect("a job").sequence.to_string();
    let pause = [("do", "pause"), ("version", version.as_str()), ("request_id", "p1")];
    visitor.post(&path, &pause).await.expect(303);
    visitor.post(&path, &pause).await.expect(303);
    assert_eq!(world.job(id).await.expect("a job").state, State::Paused);
    visitor.post(&path, &[("do", "resume"), ("version", version.as_str()), ("request_id", "p2")]).await.expect(412);
    let paused = visitor.get(&path).await.expect(200).body;
    assert!(!paused.contains("data-follow") && paused.contains("value=\"resume\""), "{paused}");
    let listed = visitor.get("/jobs?state=paused&user=53").await.expect(200).body;
    assert!(listed.contains(&path), "{listed}");
}

/// Promise: a revert is previewed, and gives the records back.
#[every_engine]
async fn revert_is_previewed_and_done(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    world.start_worker().await;
    let job = world.hand_over(&leaver()).await;
    let path = format!("/jobs/{}", job.id);
    let page = visitor.get(format!("{path}/revert")).await.expect(200);
    assert!(page.body.contains("104 brought back") && page.body.contains("A license is free"), "{}", page.body);
    let contacts = format!("SELECT count(*) FROM contacts WHERE owner_id = {LEAVER}");
    assert_eq!(world.number(&contacts).await, 0);
    let sent = visitor.press(&page, &path, &[("do", "revert")]).await.expect(303);
    let made = sent.headers["location"].strip_prefix("/jobs/").expect("a job").parse().expect("an id");
    world.end_of(handover::contract::JobId(made)).await;
    assert_eq!(world.number(&contacts).await, 104);
}

/// Promise: jobs and users of another organization do not exist.
#[every_engine]
async fn other_organizations_do_not_exist(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &[TokenScope::JobsWrite]).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    server.put(token, &leaver()).answer().await.expect(202);
    let id = read(&leaver()).job_id();
    world.change_ledger("UPDATE handover.jobs SET org = '2'").await;
    for page in ["", "/certificate", "/certificate.json", "/revert"] {
        visitor.get(format!("/jobs/{id}{page}")).await.expect(404);
    }
    visitor.post(format!("/jobs/{id}"), &[("do", "pause")]).await.expect(404);
    let list = visitor.get("/jobs").await.expect(200).body;
    assert!(list.contains("No job matches"), "{list}");
    world.sql("INSERT INTO organizations (id, name) VALUES (2, 'Another') ON CONFLICT DO NOTHING").await;
    world.sql("INSERT INTO users (id, org_id, name, email, status, role) VALUES (900, 2, 'Foreign', 'f@example.com', 'active', 'member')").await;
    for path in ["/users/900", "/users/900/deactivate", "/users/none", "/jobs/none"] {
        let page = visitor.get(path).await.expect(404).body;
        assert!(!page.contains("Foreign"), "{page}");
    }
    visitor.post("/users/900/deactivate", &[("do", "lock_out")]).await.expect(422);
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id = 900").await, ["active"]);
}
