//! Guards over the users' own rows: the last administrator cannot leave.

use handover::job::State;
use serde_json::{Value, json};

use crate::support::people::{USERS, leave, owners, reference};
use crate::support::world::{certificate_of, codes_of, reasons_of};
use crate::support::{World, every_engine, on_postgres};

/// Ann (1) sends requests and administers firm b, like Dan (4). Ben (2) and Cleo (3) administer firm a. Zoe (9) works
/// there.
const FIRMS: &str = "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT, role TEXT, firm TEXT NOT NULL); \
     INSERT INTO people VALUES (1, 'Ann', 'a@example.com', 'active', 'admin', 'b'), (2, 'Ben', 'b@example.com', 'active', 'admin', 'a'), \
     (3, 'Cleo', 'c@example.com', 'active', 'admin', 'a'), (4, 'Dan', 'd@example.com', 'inactive', 'admin', 'b'), \
     (9, 'Zoe', 'z@example.com', 'active', 'clerk', 'a'); \
     CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO docs VALUES (1, 2), (2, 3), (3, 9);";

const LAST: &str = "[[reference]]\nkind = \"last_admin\"\ntable = \"people\"\nkey = \"id\"\nuser = \"id\"\n\
     where = { role = \"admin\" }\ndisposition = \"block\"\nsole_in = \"firm\"\n";

async fn prepare(world: &mut World) {
    world.sql(FIRMS).await;
    let docs = reference("doc", "docs", "disposition = \"transfer\"");
    world.use_catalog(&format!("{USERS}{LAST}{docs}")).await;
}

fn to_nine() -> Value {
    json!({ "doc": { "user": "9" } })
}

#[every_engine]
async fn last_active_administrator_cannot_leave(world: &mut World) {
    prepare(world).await;
    world.start_worker().await;
    certificate_of(&world.hand_over(&leave("2", to_nine())).await);
    let job = world.hand_over(&leave("3", to_nine())).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["protected".to_owned()]));
    let reason = reasons_of(&job).remove(0);
    assert_eq!((reason.concerning.kind.as_deref(), reason.concerning.keys), (Some("last_admin"), vec!["3".to_owned()]));
    // The guard is about whose access may end, so it binds a lock-out as well.
    let mut urgent = leave("3", to_nine());
    (urgent["request_id"], urgent["lock_out"]) = (json!("urgent"), json!(true));
    let job = world.hand_over(&urgent).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["protected".to_owned()]));
    assert_eq!(owners(world, "docs").await, ["1:9", "2:3", "3:9"]);
    assert_eq!(world.number("SELECT count(*) FROM people WHERE id = 3 AND status = 'active'").await, 1);
}

#[every_engine]
async fn non_administrator_may_leave(world: &mut World) {
    prepare(world).await;
    world.sql("UPDATE people SET status = 'inactive' WHERE id = 3").await;
    world.start_worker().await;
    let certificate = certificate_of(&world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await);
    assert_eq!(certificate.orphans, Some(0));
    assert_eq!(owners(world, "docs").await, ["1:2", "2:3", "3:2"]);
}

#[every_engine]
async fn one_of_two_last_administrators_leaves(world: &mut World) {
    prepare(world).await;
    let jobs = [world.send(&leave("2", to_nine())).await, world.send(&leave("3", to_nine())).await];
    world.start_worker().await;
    let mut states = vec![world.end_of(jobs[0]).await.state, world.end_of(jobs[1]).await.state];
    states.sort();
    assert_eq!(states, [State::Completed, State::Rejected]);
    assert_eq!(
        world.number("SELECT count(*) FROM people WHERE role = 'admin' AND firm = 'a' AND status = 'active'").await,
        1
    );
}

/// A condition on successors cannot be read, so that access ends by the users' rows alone. The guard over them binds nevertheless.
#[every_engine]
async fn last_administrator_stays_whatever_cannot_be_read(world: &mut World) {
    world
        .sql(&format!("{FIRMS} CREATE TABLE ranks (role TEXT, may TEXT); INSERT INTO ranks VALUES ('clerk', 'own');"))
        .await;
    let eligible =
        "eligible = { column = \"role\", in = { table = \"ranks\", column = \"role\", where = { may = \"own\" } } }";
    let docs = reference("doc", "docs", &format!("disposition = \"transfer\"\n{eligible}"));
    world.use_catalog(&format!("{USERS}{LAST}{docs}")).await;
    world.sql("ALTER TABLE ranks RENAME TO ranks_gone").await;
    let mut jobs = Vec::new();
    for user in ["2", "3"] {
        let mut urgent = leave(user, to_nine());
        urgent["lock_out"] = json!(true);
        jobs.push(world.send(&urgent).await);
    }
    world.start_worker().await;
    let ended = [world.end_of(jobs[0]).await, world.end_of(jobs[1]).await];
    let refused: Vec<_> = ended.iter().filter(|job| job.state == State::Rejected).collect();
    assert_eq!(refused.len(), 1, "{ended:?}");
    assert_eq!(codes_of(refused[0]), ["protected"]);
    let administrators = "SELECT count(*) FROM people WHERE role = 'admin' AND firm = 'a' AND status = 'active'";
    assert_eq!(world.number(administrators).await, 1);
}

/// Runs many pairs over many planners. About half of the pairs are split over two transactions.
#[on_postgres]
async fn concurrent_last_administrators_cannot_both_leave(world: &mut World) {
    prepare(world).await;
    world.context.limits.group = 1;
    for firm in 0..20 {
        let person = |id: i64| format!("({id}, 'P', 'p@example.com', 'active', 'admin', 'f{firm}')");
        world.sql(&format!("INSERT INTO people VALUES {}, {}", person(100 + 2 * firm), person(101 + 2 * firm))).await;
    }
    let mut jobs = Vec::new();
    for id in 100..140 {
        jobs.push(world.send(&leave(&id.to_string(), json!({}))).await);
    }
    world.start_worker().await;
    world.start_worker().await;
    for job in jobs {
        world.end_of(job).await;
    }
    let left = "SELECT CAST(firm AS text) AS t FROM people WHERE id >= 100 AND status = 'active' GROUP BY firm HAVING count(*) = 1";
    assert_eq!(world.texts(left).await.len(), 20);
}

#[every_engine]
async fn users_own_row_can_only_block(world: &mut World) {
    world.sql(FIRMS).await;
    let schema = handover::store::host::read_schema(&world.store.reader()).await.expect("the schema");
    let check = |last: &str| handover::catalog::check("test", &format!("{USERS}{last}"), &schema);
    assert!(check(LAST).expect("it is valid").warnings.is_empty());
    let moved = LAST.replace("\"block\"\nsole_in = \"firm\"", "\"transfer\"");
    let resolved = format!("{LAST}resolve = true\n");
    for wrong in [moved, resolved] {
        let faults = check(&wrong).expect_err("a fault").to_string();
        assert!(faults.contains("a `block` without `resolve`"), "{faults}");
    }
}
