//! Locks: two transactions that want the same rows.

use std::time::Duration;

use handover::store::dialect::RowLock;
use handover::store::{Result, Session, Settings, Store};

use crate::support::database::settings;
use crate::support::{World, every_engine};

async fn create(world: &World) {
    world.sql("CREATE TABLE pens (id bigint NOT NULL PRIMARY KEY)").await;
    world.sql("INSERT INTO pens VALUES (1), (2)").await;
}

async fn lock(session: &Session, lock: RowLock) -> Result<Vec<i64>> {
    let lock = session.dialect().row_lock(lock, Some("p"));
    let sql = session.sql(&format!("SELECT p.id AS id FROM pens p ORDER BY p.id LIMIT 1{lock}"));
    session.all("locking pens", sql).await?.iter().map(|row| row.get("id")).collect()
}

#[every_engine]
async fn skip_locked_leaves_out_locked_rows(world: &mut World) {
    if !world.store.capabilities().skip_locked {
        return;
    }
    create(world).await;
    let (first, second) =
        (world.store.begin("first").await.expect("one"), world.store.begin("second").await.expect("two"));
    assert_eq!(lock(&first, RowLock::SkipLocked).await.expect("a row"), [1]);
    assert_eq!(lock(&second, RowLock::SkipLocked).await.expect("a row"), [2]);
}

#[every_engine]
async fn second_writer_waits_for_the_first(world: &mut World) {
    create(world).await;
    let first = world.store.begin("first").await.expect("a transaction");
    assert_eq!(lock(&first, RowLock::Wait).await.expect("a row"), [1]);
    let store = world.store.clone();
    let second = tokio::spawn(async move {
        let second = store.begin("second").await?;
        let found = lock(&second, RowLock::Wait).await?;
        Ok::<_, handover::store::Error>((found, second))
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!second.is_finished(), "the second writer must wait");
    first.run("deleting a pen", first.sql("DELETE FROM pens WHERE id = 1")).await.expect("deleted");
    first.commit().await.expect("a commit");
    let (found, _second) = second.await.expect("a task").expect("a lock");
    assert!(found.is_empty() || found == [2], "the deleted row is not found: {found:?}");
}

#[every_engine]
async fn waiting_too_long_is_contention(world: &mut World) {
    create(world).await;
    let first = world.store.begin("first").await.expect("a transaction");
    lock(&first, RowLock::Wait).await.expect("a row");
    // Another pool, as another process has it.
    let settings = settings(world.database_url().to_owned());
    let settings = Settings { lock_timeout: Duration::from_millis(200), ..settings };
    let other = Store::open(&settings).await.expect("the database");
    let waited = async {
        let second = other.begin("second").await?;
        lock(&second, RowLock::Wait).await
    };
    let error = waited.await.expect_err("the row is locked");
    assert!(error.is_transient() && !error.is_away(), "{error}");
    other.close().await;
}
