//! PgBouncer between Handover and PostgreSQL: a pool that does not give each connection a session of its own is refused at
//! the start, and through one that does everything is as it is without. The pools are the test's own; where PgBouncer is not on this machine, the tests say that they skip.

use std::net::TcpStream;
use std::path::Path;

use handover::store::Store;
use tempfile::TempDir;

use crate::support::database::{PASSWORD, WORKER, settings};
use crate::support::process::{WorkerProcess, borrowed, run as run_binary, settings as settings_of};
use crate::support::server::{Process, as_user, free_port, give, until};
use crate::support::world::{certificate_of, keap_request};
use crate::support::{Setting, World, run};

const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

struct PgBouncer {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts one before the world's PostgreSQL, as Debian's package configures it but for its mode.
    fn start(world: &World, mode: &str, more: &str) -> Option<PgBouncer> {
        if !Path::new(PGBOUNCER).exists() {
            eprintln!("skipped: PgBouncer is not on this machine, so nothing was tested of pools");
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

/// Every command that opens the database is refused by it, and says what to set.
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

#[test]
fn a_pool_that_lends_sessions_for_a_transaction_is_refused_at_the_start_with_what_to_set() {
    run(Setting::Servers, async |world| {
        // As it comes; with one session at most; and one that hands its sessions round.
        for more in ["", "default_pool_size = 1", "server_round_robin = 1\nmin_pool_size = 3"] {
            let Some(pool) = PgBouncer::start(world, "transaction", more) else { return };
            is_refused(world, &pool.url(world), "for a transaction only");
        }
        assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 0);
    });
}

#[test]
fn a_pool_that_refuses_what_the_url_asks_for_is_told_with_what_to_set() {
    run(Setting::Servers, async |world| {
        let Some(pool) = PgBouncer::start(world, "session", "") else { return };
        let url = format!("{}?options=-c%20work_mem%3D8MB", pool.url(world));
        is_refused(world, &url, "unsupported startup parameter");
    });
}

#[test]
fn through_a_pool_in_session_mode_time_limits_hold_and_a_job_is_done() {
    run(Setting::Servers, async |world| {
        // Even where it would swallow what it does not know.
        for more in ["", "ignore_startup_parameters = options, extra_float_digits"] {
            let Some(pool) = PgBouncer::start(world, "session", more) else { return };
            let store = Store::open(&settings(pool.url(world))).await.expect("a session");
            let reader = store.reader();
            let holds = "SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'), \
                         current_setting('idle_in_transaction_session_timeout'), current_setting('row_security')) AS t";
            let row = reader.one("reading settings", reader.sql(holds)).await.expect("an answer").expect("a row");
            assert_eq!(row.try_get::<String>("", "t").expect("a text"), "5s 30s 30s off");
            store.close().await;
        }
        let Some(pool) = PgBouncer::start(world, "session", "") else { return };
        let (settings, url) = (settings_of(world), pool.url(world));
        let more = [("HANDOVER_DATABASE__URL", url.as_str()), ("HANDOVER_LIMITS__CHUNK_ROWS", "10")];
        let worker = WorkerProcess::start(&[borrowed(&settings), more.to_vec()].concat());
        let job = world.send(&keap_request("r1")).await;
        let ended = world.end_of(job).await;
        assert_eq!(ended.state, "completed", "{:?}", ended.reasons);
        assert_eq!(certificate_of(&ended).orphans, 0);
        world.check_journal(job).await;
        assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    });
}

/// Tells a story of other tests to a world whose workers reach PostgreSQL through a pool in session mode.
macro_rules! through_a_pool {
    ($($area:ident :: $subject:ident :: $story:ident :: $told:ident)*) => {
        mod through_a_pool_in_session_mode {
            $(
                #[test]
                fn $story() {
                    super::tell(async |world| crate::$area::$subject::$story::$told(world).await);
                }
            )*
        }
    };
}

fn tell(story: impl AsyncFnOnce(&mut World)) {
    run(Setting::Servers, async |world| {
        let Some(pool) = PgBouncer::start(world, "session", "") else { return };
        world.reach_the_database_by(pool.url(world)).await;
        world.use_chunks_of(2);
        story(world).await;
        // The pool waits for its clients when it is told to end.
        world.stop_workers().await;
        world.context.store.clone().close().await;
    });
}

// Everything that a job does to the database: guards, locks, every disposition, undo, late records, lost messages.
through_a_pool! {
    products::keap::deactivation_removes_access_before_any_record_has_moved::body
    products::keap::when_all_contacts_are_accounted_for_104_of_104::story
    products::keap::ratio_each_user_gets_up_to_the_amount_specified_the_process_repeats_for_extras_110::story
    products::keap::hardcoded_each_user_gets_up_to_the_amount_specified_extras_are_not_reassigned_at_all::story
    products::keap::extras_that_are_to_be_rejected_are_a_reason_to_refuse::story
    products::keap::round_robin_goes_on_with_whose_turn_it_is_in_the_next_job::story
    products::keap::this_action_frees_up_a_user_license_that_you_can_assign_to_someone_else::story
    products::keap::when_you_deactivate_a_user_completed_tasks_are_removed::story
    products::keap::nobody_elses_records_are_touched::story
    products::keap::followers_are_removed_in_both_directions_and_journaled::story
    products::agent_connect::bulk_update_is_useful_to_deactivate_multiple_user_profiles_at_once::story
    products::agent_connect::all_team_members_are_reassigned_to_a_single_new_team_lead::story
    products::agent_connect::if_you_need_to_reactivate_a_profile_deselect_the_deactivated_checkbox::story
    products::apto::read_write_access_on_an_account_team_becomes_read_only::story
    products::apto::they_appear_in_forecasts_and_their_overrides_are_frozen::story
    products::apto::the_split_goes_to_whom_the_request_names_on_top_of_their_own::story
    products::apto::following_and_followers_lists_are_restored_if_you_reactivate_the_user::story
    products::apto::a_split_that_was_added_to_anothers_is_taken_out_of_it_by_a_revert::story
    undo::revert::a_reverted_job_leaves_every_row_as_it_was::story
    undo::revert::purged_rows_return_while_their_copies_are_kept::body
    undo::revert::what_was_left_behind_is_moved_later_from_an_inactive_user_too::story
    jobs::late_records::a_record_inserted_after_cutting_is_moved_with_the_next_rank_and_counted::body
    jobs::late_records::a_count_after_the_end_moves_what_still_came_and_certifies_it_anew::story
    faults::recovery::a_job_whose_messages_are_all_lost_is_found_by_the_sweeper::body
    security::organizations::no_field_of_any_request_reaches_another_organizations_rows::body
}
