//! Defaults of a database and of a role that would break what sessions rest on. PostgreSQL only.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::support::people::{self, leave, owners, reference};
use crate::support::process::on;
use crate::support::world::{certificate_of, result_of};
use crate::support::{World, on_postgres};

/// Defaults under which the host's own sessions run.
const DEFAULTS: [(&str, &str); 10] = [
    ("default_transaction_isolation", "'repeatable read'"),
    ("default_transaction_read_only", "on"),
    ("synchronous_commit", "off"),
    ("standard_conforming_strings", "off"),
    ("transform_null_equals", "on"),
    ("bytea_output", "escape"),
    ("IntervalStyle", "sql_standard"),
    ("DateStyle", "'German'"),
    ("search_path", "handover, public"),
    ("TimeZone", "'America/New_York'"),
];

/// A table of the host with the name of one of the ledger's. Its trigger records the settings of the session that changes it.
const TABLES: &str = "CREATE TABLE public.requests (id bigint PRIMARY KEY, owner bigint REFERENCES people, changed timestamp); \
     CREATE INDEX ON public.requests (owner, id); INSERT INTO public.requests VALUES (1, 9), (2, 9); \
     CREATE TABLE seen (name text PRIMARY KEY, value text); \
     CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
       INSERT INTO public.seen SELECT s.name, s.setting FROM pg_settings s ON CONFLICT DO NOTHING; \
       NEW.changed := now(); RETURN NEW; END $$; \
     CREATE TRIGGER look BEFORE UPDATE ON public.requests FOR EACH ROW EXECUTE FUNCTION look();";

async fn set_defaults(world: &World, defaults: &[(&str, &str)]) {
    for (name, value) in defaults {
        let statement = format!(
            "EXECUTE format('ALTER DATABASE %I SET {name} = {}', current_database());",
            value.replace('\'', "''")
        );
        world.sql(&format!("DO $$ BEGIN {statement} END $$")).await;
    }
}

async fn waits(world: &World) -> bool {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    world.number(waiting).await > 0
}

/// Proves that sessions of ours set the isolation level, commits that reach the disk, the host's search path and zone.
#[on_postgres]
async fn sessions_do_not_depend_on_defaults(world: &mut World) {
    set_defaults(world, &DEFAULTS).await;
    world.use_database_url(world.worker_url().to_owned()).await;
    people::start(world, TABLES, &reference("request", "requests", "disposition = \"transfer\"")).await;
    let host = world.store.begin("host").await.expect("a transaction");
    host.execute_unprepared("INSERT INTO public.requests VALUES (3, 9)").await.expect("inserted");
    let id = world.send(&leave("9", json!({ "request": { "user": "2" } }))).await;
    world.until("the count waits for the host", async || waits(world).await.then_some(())).await;
    host.commit().await.expect("committed");
    let certificate = certificate_of(&world.end_of(id).await);
    assert_eq!((result_of(&certificate, "request").moved, certificate.orphans), (Some(3), Some(0)));
    assert_eq!(owners(world, "public.requests").await, ["1:2", "2:2", "3:2"]);

    let seen = world.texts("SELECT name || '=' || value AS t FROM seen").await;
    let seen: BTreeMap<&str, &str> = seen.iter().filter_map(|line| line.split_once('=')).collect();
    for (name, value) in [
        ("transaction_isolation", "read committed"),
        ("synchronous_commit", "on"),
        ("standard_conforming_strings", "on"),
        ("transform_null_equals", "off"),
        ("bytea_output", "hex"),
        ("IntervalStyle", "postgres"),
        ("DateStyle", "ISO, MDY"),
        ("search_path", "public"),
        ("TimeZone", "America/New_York"),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name}");
    }
    let late = "SELECT count(*) FROM public.requests WHERE abs(extract(epoch FROM changed - (now() AT TIME ZONE 'America/New_York'))) > 3600";
    assert_eq!(world.number(late).await, 0, "the host's trigger has the host's time");

    let reported = on(world, &["doctor", "--json"]).json();
    let sessions = reported["checks"].as_array().expect("checks").iter().find(|check| check["check"] == "sessions");
    let sessions = sessions.expect("a check of sessions");
    assert_eq!(sessions["verdict"], "warning");
    for (name, _) in DEFAULTS.iter().filter(|(name, _)| !["search_path", "TimeZone"].contains(name)) {
        assert!(
            sessions["found"].as_str().is_some_and(|found| found.contains(&format!("{name} is"))),
            "{name}: {sessions}"
        );
    }
}

/// Proves that a session without triggers and foreign keys is refused instead of used.
#[on_postgres]
async fn sessions_without_triggers_are_refused(world: &mut World) {
    set_defaults(world, &[("session_replication_role", "replica")]).await;
    let ended = on(world, &["run"]).expect(1);
    assert!(ended.err.contains("session_replication_role"), "{}", ended.err);
}
