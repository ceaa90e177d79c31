//! Keap's help page "Add a User", with a test for each sentence.

use handover::contract::JobId;
use handover::job::State;
use serde_json::{Value, json};

use crate::support::keap::{ADMIN, LEAVER};
use crate::support::world::codes_of;
use crate::support::{World, every_engine};

/// Returns a request about a user.
fn about(kind: &str, request_id: &str, user: &str, requested_by: &str) -> Value {
    json!({ "type": kind, "request_id": request_id, "org_id": "1", "requested_by": requested_by, "user_id": user })
}

fn invite(request_id: &str, email: &str) -> Value {
    json!({ "type": "invite", "request_id": request_id, "org_id": "1", "requested_by": ADMIN, "name": "Nicole", "email": email })
}

#[every_engine]
async fn invitation_needs_a_first_name_and_email(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&invite("r1", "nicole@fun.example")).await;
    assert_eq!(job.state, State::Completed);
    let event = world.next_event_of(JobId(job.id)).await;
    assert_eq!(event["type"], "handover.invitation.created");
    let user = event["data"]["user_id"].as_str().expect("a user").to_owned();
    assert_eq!((&event["data"]["name"], &event["data"]["email"]), (&json!("Nicole"), &json!("nicole@fun.example")));
    assert_eq!(world.texts(&format!("SELECT status AS t FROM users WHERE id = {user}")).await, ["invited"]);
    let open = format!("SELECT email || ' ' || status AS t FROM invitations WHERE user_id = {user} AND invited_by = 1");
    assert_eq!(world.texts(&open).await, ["nicole@fun.example open"]);
    assert_eq!(world.number(&format!("SELECT count(*) FROM licenses WHERE user_id = {user}")).await, 0);
    // No one is added twice.
    assert_eq!(codes_of(&world.hand_over(&invite("r2", "Nicole@Fun.example")).await), ["email_taken"]);
}

#[every_engine]
async fn an_invitation_can_be_sent_again(world: &mut World) {
    world.start_worker().await;
    world.sql("UPDATE invitations SET sent_at = '2001-01-01 00:00:00+00' WHERE user_id = 21").await;
    let job = world.hand_over(&about("resend_invitation", "r1", "21", "1")).await;
    let event = world.next_event_of(JobId(job.id)).await;
    assert_eq!(
        (&event["type"], &event["data"]["email"]),
        (&json!("handover.invitation.resent"), &json!("tessa@example.com"))
    );
    assert_eq!(
        world
            .number("SELECT count(*) FROM invitations WHERE user_id = 21 AND sent_at > '2002-01-01 00:00:00+00'")
            .await,
        1
    );
    assert_eq!(codes_of(&world.hand_over(&about("resend_invitation", "r2", "53", "1")).await), ["not_invited"]);
}

#[every_engine]
async fn creating_an_account_takes_a_license(world: &mut World) {
    world.start_worker().await;
    world.sql("DELETE FROM licenses WHERE user_id IS NULL").await;
    let accept = |request_id: &str| about("accept_invitation", request_id, "21", "21");
    assert_eq!(codes_of(&world.hand_over(&accept("r1")).await), ["no_license_free"]);
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id = 21").await, ["invited"]);
    world.sql("INSERT INTO licenses (org_id) VALUES (1)").await;
    let job = world.hand_over(&accept("r2")).await;
    let event = loop {
        let event = world.next_event_of(JobId(job.id)).await;
        if event["type"] == "handover.invitation.accepted" {
            break event;
        }
    };
    assert_eq!(event["data"]["license"], "taken");
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id = 21").await, ["active"]);
    assert_eq!(world.number("SELECT count(*) FROM licenses WHERE user_id = 21").await, 1);
    assert_eq!(world.texts("SELECT status AS t FROM invitations WHERE user_id = 21").await, ["accepted"]);
}

#[every_engine]
async fn only_an_invitation_can_be_cancelled(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&about("cancel_invitation", "r1", "21", "1")).await;
    assert_eq!(world.next_event_of(JobId(job.id)).await["type"], "handover.invitation.cancelled");
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id = 21").await, ["inactive"]);
    assert_eq!(world.texts("SELECT status AS t FROM invitations WHERE user_id = 21").await, ["cancelled"]);
    let active = world.hand_over(&about("cancel_invitation", "r2", "53", "1")).await;
    assert_eq!((active.state, codes_of(&active)), (State::Rejected, vec!["not_invited".to_owned()]));
    assert_eq!(world.status_of(LEAVER).await, "active");
}
