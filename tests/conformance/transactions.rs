//! Transactions: savepoints, counts of affected rows, snapshots, and rollback.

use handover::store::Session;

use crate::support::{World, every_engine};

async fn create(world: &World) {
    world.sql("CREATE TABLE pens (id bigint NOT NULL PRIMARY KEY, color text)").await;
    world.sql("INSERT INTO pens VALUES (1, 'red'), (2, 'red'), (3, 'blue')").await;
}

async fn run(session: &Session, text: &str) -> u64 {
    session.run("testing transactions", session.sql(text)).await.expect(text)
}

async fn pens(session: &Session) -> u64 {
    let sql = session.sql("SELECT count(*) AS n FROM pens");
    session.one("counting pens", sql).await.expect("a count").expect("a row").count("n").expect("a count")
}

#[every_engine]
async fn affected_rows_are_matched_rows(world: &mut World) {
    create(world).await;
    let session = world.store.begin("test").await.expect("a transaction");
    assert_eq!(run(&session, "UPDATE pens SET color = 'red' WHERE color = 'red'").await, 2);
    assert_eq!(run(&session, "UPDATE pens SET color = 'green' WHERE id = 9").await, 0);
    assert_eq!(run(&session, "DELETE FROM pens WHERE id > 1").await, 2);
}

#[every_engine]
async fn savepoint_undoes_an_error(world: &mut World) {
    create(world).await;
    let session = world.store.begin("test").await.expect("a transaction");
    run(&session, "INSERT INTO pens VALUES (4, 'black')").await;
    session.savepoint().await.expect("a savepoint");
    run(&session, "INSERT INTO pens VALUES (5, 'black')").await;
    let taken = session.run("testing transactions", session.sql("INSERT INTO pens VALUES (1, 'black')")).await;
    assert!(taken.expect_err("the key is taken").is_refused());
    session.back_to_savepoint().await.expect("back");
    assert_eq!(pens(&session).await, 4);
    session.savepoint().await.expect("a savepoint");
    run(&session, "INSERT INTO pens VALUES (6, 'black')").await;
    session.forget_savepoint().await.expect("kept");
    session.commit().await.expect("a commit");
    assert_eq!(pens(&world.store.reader()).await, 5);
}

#[every_engine]
async fn dropped_transaction_is_rolled_back(world: &mut World) {
    create(world).await;
    let session = world.store.begin("test").await.expect("a transaction");
    run(&session, "DELETE FROM pens").await;
    drop(session);
    let session = world.store.begin("test").await.expect("a transaction");
    assert_eq!(pens(&session).await, 3);
}

#[every_engine]
async fn snapshot_sees_one_moment(world: &mut World) {
    create(world).await;
    let snapshot = world.store.snapshot().await.expect("a snapshot");
    assert_eq!(pens(&snapshot).await, 3);
    world.sql("DELETE FROM pens WHERE id = 1").await;
    assert_eq!((pens(&snapshot).await, pens(&world.store.reader()).await), (3, 2));
}

#[every_engine]
async fn deferred_constraints_wait_for_the_commit(world: &mut World) {
    if !world.store.capabilities().deferrable_constraints {
        return;
    }
    create(world).await;
    world
        .sql(
            "CREATE TABLE caps (pen bigint NOT NULL PRIMARY KEY, \
             CONSTRAINT caps_pen FOREIGN KEY (pen) REFERENCES pens (id) DEFERRABLE)",
        )
        .await;
    let session = world.store.begin("test").await.expect("a transaction");
    session.defer_constraints(&["caps_pen".to_owned()]).await.expect("deferred");
    run(&session, "INSERT INTO caps VALUES (7)").await;
    assert!(session.check_constraints_at_once().await.expect_err("no such pen").is_refused());
}
