//! The worker's role on PostgreSQL. That the grants are enough is shown by every other test on servers: their workers
//! connect as that role. Here: that they are no more than that, and what is said where one is missing.

use sea_orm::ConnectionTrait;

use crate::support::database::WORKER;
use crate::support::process::{as_owner, on};
use crate::support::world::{certificate_of, keap_request};
use crate::support::{Setting, World, on_both, run};

#[test]
fn deploy_grants_sql_is_what_the_command_prints_for_the_keap_catalog() {
    run(Setting::Servers, async |world| {
        let printed = as_owner(world, &["catalog", "grants"]).expect(0).out;
        let kept = std::fs::read_to_string("deploy/grants.sql").expect("deploy/grants.sql");
        assert_eq!(printed, kept, "handover catalog grants > deploy/grants.sql");
    });
}

/// Whether the worker's role may not run a statement.
async fn is_forbidden(world: &World, statement: &str) -> bool {
    let session = world.context.store.begin("test").await.expect("a transaction");
    let ran = session.run("trying", session.sql(statement)).await;
    ran.is_err_and(|error| error.is_forbidden())
}

#[test]
fn the_workers_role_appends_to_the_audit_trail_and_never_alters_it_nor_what_no_rule_touches() {
    run(Setting::Servers, async |world| {
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
            "UPDATE users SET email = 'x'",
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
        // Copies expire: they are a table of their own, and rows of it go.
        assert!(!is_forbidden(world, "DELETE FROM handover.row_snapshots").await);
    });
}

#[test]
fn a_worker_that_lacks_a_right_says_which_and_what_to_run() {
    run(Setting::Servers, async |world| {
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
        lacks("USAGE ON SCHEMA handover", &["may not read the ledger", "`handover catalog grants`"]).await;
    });
}

on_both!(grants_are_of_postgresql_alone, |world| {
    let ended = as_owner(world, &["catalog", "grants", "--role", "some \"body\""]);
    match world.setting {
        Setting::Servers => assert!(ended.expect(0).out.contains("TO \"some \"\"body\"\"\";")),
        Setting::Embedded => assert!(ended.expect(1).err.contains("SQLite has no roles")),
    }
});
