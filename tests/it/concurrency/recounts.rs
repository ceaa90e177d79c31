//! Recounts while successors leave.

use super::*;
use handover::job::State;

#[on_postgres]
async fn recount_skips_successors_who_left(world: &mut World) {
    world.hire(101, 5).await;
    world.hire(102, 5).await;
    let (first, second) = (give_all(101, 102), give_all(102, 11));
    take(&world.context, &[&first, &second]).await;
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 101, 1, 'Late')").await;
    finalizer::recount(&world.context, id_of(&first)).await.expect("counted");
    assert_eq!(contacts_of(world, 102).await, 0, "user 102 has left");
    assert_eq!(contacts_of(world, 101).await, 1, "it stays, and the job reports it");
}

#[on_postgres]
async fn successor_leaving_during_recount_passes_records_on(world: &mut World) {
    world.hire(101, 5).await;
    world.hire(102, 5).await;
    let (first, second) = (give_all(101, 102), give_all(102, 11));
    take(&world.context, &[&first]).await;
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 101, 1, 'Late')").await;
    let gate = Gate::before_commit_of(finalizer::RECOUNT);
    let (context, id) = (gated(world, &gate), id_of(&first));
    let recount = tokio::spawn(async move { finalizer::recount(&context, id).await.expect("counted") });
    world.until("the late record is moved", async || (gate.arrived() == 1).then_some(())).await;
    let leaving = spawn_take(&world.context, &second);
    let met = async || (leaving.is_finished() || waiting(world).await > 0).then_some(());
    world.until("the successor leaves", met).await;
    gate.open();
    recount.await.expect("the recount");
    leaving.await.expect("the planner");
    assert_eq!(states(world, &[&first, &second]).await, [State::Completed, State::Completed]);
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn recount_of_a_full_chunk_is_certified(world: &mut World) {
    world.use_chunks_of(10);
    world.hire(101, 5).await;
    let request = give_all(101, 11);
    take(&world.context, &[&request]).await;
    for _ in 0..10 {
        world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 101, 1, 'Late')").await;
    }
    for _ in 0..3 {
        finalizer::recount(&world.context, id_of(&request)).await.expect("counted");
    }
    let certificate = certificate_of(&world.job(id_of(&request)).await.expect("a job"));
    let contact = certificate.references.iter().find(|reference| reference.kind == "contact").expect("contacts");
    assert_eq!((certificate.supplement, contact.moved), (1, Some(15)));
    world.check_journal(id_of(&request)).await;
}
