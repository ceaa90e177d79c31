//! The inbox, and the form that names successors for a job that lacks them.

use serde_json::json;

use crate::support::api::{ApiServer, token_of};
use crate::support::keap::{ADMIN, AMANDA, LEAVER, PRIYA, deactivation, to};
use crate::support::visitor::Visitor;
use crate::support::world::{certificate_of, counts, read, successors_of};
use crate::support::{World, every_engine};
use handover::contract::TokenScope;

/// Promise: a lock-out waits in the inbox; naming its successors on its page lets it complete.
#[every_engine]
async fn locked_out_user_gets_successors_later(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    assert!(visitor.get("/inbox").await.expect(200).body.contains("Nothing waits"));
    let sent = visitor.post("/users/53/deactivate", &[("do", "lock_out"), ("request_id", "l1")]).await.expect(303);
    let job = sent.headers["location"].clone();
    let inbox = visitor.get("/inbox").await.expect(200).body;
    assert!(inbox.contains(&job) && inbox.contains("Dana Whitfield") && inbox.contains("104"), "{inbox}");
    let form = format!("{job}/amend");
    assert!(visitor.get(job.as_str()).await.expect(200).body.contains(&form));
    let open = visitor.get(form.as_str()).await.expect(200);
    let few = [("user:contact:12", "1"), ("logic:lead", "ratio"), ("user:lead:14", "1"), ("user:task:11", "1")];
    let refused = visitor.press(&open, &form, &few).await.expect(200);
    assert!(refused.body.contains("may not receive"), "{}", refused.body);
    assert!(refused.body.contains("name=\"user:contact:12\" value=\"1\""), "what was entered stays: {}", refused.body);
    world.start_worker().await;
    let all = [("user:contact:12", "1"), ("user:lead:11", "1"), ("user:task:11", "1")];
    visitor.press(&refused, &form, &all).await.expect(303);
    let id = handover::contract::JobId(job.trim_start_matches("/jobs/").parse().expect("an id"));
    let certificate = certificate_of(&world.end_of(id).await);
    assert_eq!(successors_of(&certificate, "contact"), counts([(AMANDA, 104)]));
    assert!(visitor.get("/inbox").await.expect(200).body.contains("Nothing waits"));
}

/// Promise: the inbox lists who leaves when and who returns when.
#[every_engine]
async fn inbox_lists_what_is_due(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let token = &token_of(world, ADMIN, &[TokenScope::JobsWrite]).await;
    let leave = deactivation("leave", LEAVER)
        .contacts(to(PRIYA))
        .leads(to(PRIYA))
        .tasks(to(PRIYA))
        .with("effective_at", json!("2126-11-30T17:00:00Z"))
        .with("return_at", json!("2127-01-15T07:00:00Z"));
    server.put(token, &leave).answer().await.expect(202);
    let page = visitor.get("/inbox").await.expect(200).body;
    assert!(page.contains("2126-11-30") && page.contains("2127-01-15"), "{page}");
    assert!(page.contains(&read(&leave).job_id().to_string()) && page.contains("Nicole Hart"), "{page}");
}
