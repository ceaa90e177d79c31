//! One request id with two bodies in two planners.

use super::*;
use handover::contract::DeadLetterCode;

fn spawn(context: &Context, request: &Value) -> JoinHandle<Outcome> {
    let (context, message) = (context.clone(), message(request.to_string()));
    tokio::spawn(async move { intake::take(&context, &[message]).await.remove(0) })
}

#[on_postgres]
async fn one_of_two_bodies_with_one_id_wins(world: &mut World) {
    world.hire(101, 3).await;
    world.hire(102, 3).await;
    let first = give_all(101, 11);
    // The two share only the requester, so no user lock separates them.
    let mut second = give_all(102, 12);
    second["request_id"] = first["request_id"].clone();
    // The first use of a catalog stores it, and a concurrent first use waits for that. This test is about something
    // else.
    take(&world.context, &[&give_all(15, 11)]).await;
    let gate = Gate::before_commit_of(planner::PLAN);
    let context = gated(world, &gate);
    let one = spawn(&context, &first);
    world.until("the first is planned", async || (gate.arrived() == 1).then_some(())).await;
    let other = spawn(&context, &second);
    world.until("the second waits for the first", async || (waiting(world).await > 0).then_some(())).await;
    gate.open();
    assert!(matches!(one.await.expect("the first planner"), Outcome::Answered(_)));
    match other.await.expect("the second planner") {
        Outcome::DeadLetter(reason) => assert_eq!(reason.fault.code, DeadLetterCode::Conflict, "{reason:?}"),
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!((contacts_of(world, 101).await, contacts_of(world, 102).await), (0, 3));
    assert_eq!(world.number("SELECT count(*) FROM users WHERE id = 102 AND status = 'active'").await, 1);
}
