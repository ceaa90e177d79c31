//! The worker's role on PostgreSQL. Every other test connects its workers as that role, which proves that the grants
//! suffice. Here: they grant no more, and a missing one is reported.

use sea_orm::ConnectionTrait;

use crate::support::database::WORKER;
use crate::support::process::{as_owner, on};
use crate::support::world::{certificate_of, keap_request};
use crate::support::{Engine, World, every_engine, on_postgres};

#[on_postgres]
async fn deploy_grants_sql_matches_the_command(world: &mut World) {
    let printed = as_owner(world, &["catalog", "grants"]).expect(0).out;
    let kept = std::fs::read_to_string("deploy/grants.sql").expect("deploy/grants.sql");
    assert_eq!(printed, kept, "handover catalog grants > deploy/grants.sql");
}

/// Returns true if the worker's role may not run a statement.
async fn is_forbidden(world: &World, statement: &str) -> bool {
    let session = world.context.store.begin("test").await.expect("a transaction");
    let ran = session.run("trying", session.sql(statement)).await;
    ran.is_err_and(|error| error.is_forbidden())
}

#[on_postgres]
async fn worker_role_may_only_append_to_audit(world: &mut World) {
    world.start_worker().await;
    certificate_of(&world.hand_over(&keap_request("r1")).await);
    assert!(world.number("SELECT count(*) FROM handover.audit").await > 0);
    for statement in [
        "UPDATE handover.audit SET actor = 'nobody'",
        "DELETE FROM handover.audit",
        "TRUNCATE handover.audit",
        "DROP TABLE handover.audit",
        "UPDATE handover.journal SET keys = NULL",
        "DELETE FROM handover.journal",
        "DELETE FROM handover.jobs",
        "DELETE FROM handover.requests",
        "UPDATE users SET role = 'admin' WHERE id = 13",
        "UPDATE users SET phone = 'x'",
        "DELETE FROM users",
        "DELETE FROM contacts",
        "UPDATE contacts SET name = 'x'",
        "SELECT phone FROM contacts",
        "UPDATE notes SET body = 'x'",
        "DELETE FROM notes",
        "INSERT INTO role_permissions VALUES ('member', 'manage_users')",
        "CREATE TABLE public.mine (id int)",
        "CREATE TABLE handover.mine (id int)",
    ] {
        assert!(is_forbidden(world, statement).await, "{statement}");
    }
    // Snapshots expire: they have their own table, and its rows are deleted.
    assert!(!is_forbidden(world, "DELETE FROM handover.row_snapshots").await);
}

#[on_postgres]
async fn missing_right_is_reported_with_the_fix(world: &mut World) {
    let lacks = async |revoke: &str, says: &[&str]| {
        let session = world.store.begin("revoking").await.expect("a transaction");
        session.execute_unprepared(&format!("REVOKE {revoke} FROM {WORKER}")).await.expect("revoked");
        session.commit().await.expect("committed");
        let ended = on(world, &["run"]).expect(1);
        for part in says {
            assert!(ended.err.contains(part), "{part:?} is missing in: {}", ended.err);
        }
    };
    let run_this = format!("what `handover catalog grants --role {WORKER}` prints");
    lacks("UPDATE (status) ON users", &["UPDATE on users (status)", &run_this]).await;
    lacks("DELETE ON sessions", &["DELETE on sessions", "UPDATE on users (status)"]).await;
    lacks("INSERT ON handover.audit", &["INSERT on handover.audit", WORKER]).await;
    lacks("USAGE ON SCHEMA handover", &["cannot read the ledger", "`handover catalog grants`"]).await;
}

#[every_engine]
async fn grants_exist_on_postgresql_only(world: &mut World) {
    let ended = as_owner(world, &["catalog", "grants", "--role", "some \"body\""]);
    match world.engine {
        Engine::Postgres => assert!(ended.expect(0).out.contains("TO \"some \"\"body\"\"\";")),
        Engine::Sqlite => assert!(ended.expect(1).err.contains("SQLite has no roles")),
    }
}
