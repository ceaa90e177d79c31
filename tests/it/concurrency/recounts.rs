//! Counts that are repeated while successors leave.

use super::*;

#[test]
fn a_recount_gives_nothing_to_a_successor_who_has_left_since() {
    run(Setting::Servers, async |world| {
        world.hire(101, 5).await;
        world.hire(102, 5).await;
        let (first, second) = (give_all(101, 102), give_all(102, 11));
        take(&world.context, &[&first, &second]).await;
        world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 101, 1, 'Late')").await;
        finalizer::recount(&world.context, id_of(&first)).await.expect("counted");
        assert_eq!(contacts_of(world, 102).await, 0, "102 has left");
        assert_eq!(contacts_of(world, 101).await, 1, "it stays where it is, and somebody is told");
    });
}

#[test]
fn a_successor_who_leaves_while_a_recount_gives_them_something_hands_it_on() {
    run(Setting::Servers, async |world| {
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
        assert_eq!(states(world, &[&first, &second]).await, ["completed", "completed"]);
        assert_eq!(world.orphans().await, 0);
    });
}

#[test]
fn a_recount_certifies_what_it_moved_also_when_that_fills_a_chunk() {
    run(Setting::Servers, async |world| {
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
    });
}
