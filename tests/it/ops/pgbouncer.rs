//! PgBouncer between Handover and PostgreSQL. A pool without session pooling is refused at start; with session pooling
//! everything works as without a pool.
//! The tests start their own pools and are skipped with a message if PgBouncer is not installed.

use handover::job::State;
use std::net::TcpStream;
use std::path::Path;

use handover::store::Store;
use tempfile::TempDir;

use crate::support::database::{PASSWORD, WORKER, settings};
use crate::support::process::{WorkerProcess, borrowed, run as run_binary, settings as settings_of};
use crate::support::server::{Process, as_user, free_port, give, until};
use crate::support::world::{certificate_of, keap_request};
use crate::support::{Engine, World, on_postgres, run};

const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

struct PgBouncer {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts a pool before the world's PostgreSQL with Debian's configuration, except for the pool mode.
    fn start(world: &World, mode: &str, more: &str) -> Option<PgBouncer> {
        if !Path::new(PGBOUNCER).exists() {
            eprintln!("skipped: PgBouncer is not installed, so pools were not tested");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (home, port) = (folder.path(), free_port());
        let server = url::Url::parse(world.database_url()).expect("a URL");
        let (host, server_port) = (server.host_str().expect("a host"), server.port().unwrap_or(5432));
        let owner = (server.username(), server.password().unwrap_or_default());
        let users = [owner, (WORKER, PASSWORD)].map(|(user, password)| format!("\"{user}\" \"{password}\"\n"));
        std::fs::write(home.join("users"), users.concat()).expect("a file");
        let configuration = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = plain\nauth_file = users\npool_mode = {mode}\n{more}\n"
        );
        std::fs::write(home.join("pgbouncer.ini"), configuration).expect("a file");
        give("postgres", home);
        let mut command = as_user("postgres", home, Path::new(PGBOUNCER));
        let process = Process::start(command.arg("pgbouncer.ini"), "INT");
        until("PgBouncer listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(PgBouncer { port, _process: process, _folder: folder })
    }

    fn url(&self, world: &World) -> String {
        let mut url = url::Url::parse(world.worker_url()).expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(self.port)).expect("a port");
        url.to_string()
    }
}

/// Asserts that every command that opens the database is refused, with a hint at the setting.
fn is_refused(world: &World, url: &str, because: &str) {
    let settings = settings_of(world);
    let environment = [borrowed(&settings), vec![("HANDOVER_DATABASE__URL", url)]].concat();
    for command in ["run", "jobs", "migrate"] {
        let ended = tokio::task::block_in_place(|| run_binary(&environment, &[command])).expect(1);
        for part in [because, "`database.url`", "session mode"] {
            assert!(ended.err.contains(part), "{command}: {part:?} is missing in: {}", ended.err);
        }
        assert!(!ended.err.contains("s3cret"), "no password: {}", ended.err);
    }
}

#[on_postgres]
async fn transaction_pooling_is_refused_at_start(world: &mut World) {
    // The default; with at most one session; and one that rotates its sessions.
    for more in ["", "default_pool_size = 1", "server_round_robin = 1\nmin_pool_size = 3"] {
        let Some(pool) = PgBouncer::start(world, "transaction", more) else { return };
        is_refused(world, &pool.url(world), "for a transaction only");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 0);
}

#[on_postgres]
async fn refused_startup_options_are_reported_with_hint(world: &mut World) {
    let Some(pool) = PgBouncer::start(world, "session", "") else { return };
    let url = format!("{}?options=-c%20work_mem%3D8MB", pool.url(world));
    is_refused(world, &url, "unsupported startup parameter");
}

#[on_postgres]
async fn session_pooling_keeps_timeouts_and_completes(world: &mut World) {
    // Even if the pool would ignore unknown parameters.
    for more in ["", "ignore_startup_parameters = options, extra_float_digits"] {
        let Some(pool) = PgBouncer::start(world, "session", more) else { return };
        let store = Store::open(&settings(pool.url(world))).await.expect("a session");
        let reader = store.reader();
        let holds = "SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'), \
                     current_setting('idle_in_transaction_session_timeout'), current_setting('row_security')) AS t";
        let row = reader.one("reading settings", reader.sql(holds)).await.expect("an answer").expect("a row");
        assert_eq!(row.get::<String>("t").expect("a text"), "5s 30s 30s off");
        store.close().await;
    }
    let Some(pool) = PgBouncer::start(world, "session", "") else { return };
    let (settings, url) = (settings_of(world), pool.url(world));
    let more = [("HANDOVER_DATABASE__URL", url.as_str()), ("HANDOVER_LIMITS__CHUNK_ROWS", "10")];
    let worker = WorkerProcess::start(&[borrowed(&settings), more.to_vec()].concat());
    let job = world.send(&keap_request("r1")).await;
    let ended = world.end_of(job).await;
    assert_eq!(ended.state, State::Completed, "{:?}", ended.reasons);
    assert_eq!(certificate_of(&ended).orphans, Some(0));
    world.check_journal(job).await;
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}

/// Runs other tests in a world whose workers reach PostgreSQL through a pool in session mode.
macro_rules! through_a_pool {
    ($($area:ident :: $subject:ident :: $test:ident)*) => {
        mod through_a_pool_in_session_mode {
            $(
                #[test]
                fn $test() {
                    super::run_through_a_pool(async |world| crate::$area::$subject::$test(world).await);
                }
            )*
        }
    };
}

fn run_through_a_pool(test: impl AsyncFnOnce(&mut World)) {
    run(Engine::Postgres, async |world| {
        let Some(pool) = PgBouncer::start(world, "session", "") else { return };
        world.use_database_url(pool.url(world)).await;
        world.use_chunks_of(2);
        test(world).await;
        // The pool waits for its clients when it stops.
        world.stop_workers().await;
        world.context.store.clone().close().await;
    });
}

// Everything that a job does to the database: guards, locks, every disposition, undo, late records, lost messages.
through_a_pool! {
    products::keap::deactivation_removes_access_before_any_record_has_moved
    products::keap::all_104_contacts_are_accounted_for
    products::keap::ratio_repeats_for_six_extra_contacts
    products::keap::hardcoded_does_not_reassign_extras
    products::keap::hardcoded_can_reject_extras
    products::keap::round_robin_continues_in_the_next_job
    products::keap::license_is_freed_for_someone_else
    products::keap::completed_tasks_are_removed
    products::keap::records_of_others_are_untouched
    products::keap::followers_are_removed_both_ways_and_journaled
    products::agent_connect::bulk_update_deactivates_multiple_profiles
    products::agent_connect::all_team_members_get_one_new_lead
    products::agent_connect::reactivation_restores_the_profile
    products::apto::account_team_access_becomes_read_only
    products::apto::forecast_overrides_are_frozen
    products::apto::split_is_added_to_the_successors_own
    products::apto::reactivation_restores_follow_lists
    products::apto::revert_subtracts_an_added_split
    undo::revert::revert_restores_every_row
    undo::revert::purged_rows_return_while_snapshots_last
    undo::revert::records_left_behind_can_move_later
    jobs::late_records::record_inserted_after_cutting_gets_next_rank
    jobs::late_records::recount_moves_and_certifies_late_records
    faults::recovery::sweeper_finds_jobs_with_lost_messages
    security::organizations::no_request_field_reaches_other_organizations
}
