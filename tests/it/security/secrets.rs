//! Passwords: none appears in any log, error, JSON, panic or process list. The tests search everything that commands
//! and workers write, with and without faults.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::process::{WorkerProcess, binary, borrowed, finish, run, settings, text};
use crate::support::server::{address_of, until};
use crate::support::world::keap_request;
use crate::support::{Engine, World, run as in_a_world, secrets};

/// Runs a command with full logging and searches its output.
fn searched_for_passwords(secrets: &[String], settings: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> i32 {
    let loud = [("HANDOVER_LOG__FILTER", "trace"), ("RUST_BACKTRACE", "1")];
    let child = binary(&[settings, &loud].concat(), arguments).spawn().expect("the binary");
    let ended = tokio::task::block_in_place(|| finish(child, input));
    secrets::are_not_in(secrets, &format!("{arguments:?}"), &format!("{}{}", ended.out, ended.err))
        .expect("no password");
    ended.code
}

/// Ends the workers' connections abruptly.
async fn cut_connections(world: &World) {
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND usename = 'handover_worker_of_tests'";
    world.number(ended).await;
}

#[test]
fn failing_commands_and_workers_write_no_password() {
    in_a_world(Engine::Postgres, async |world| {
        let folder = tempfile::tempdir().expect("a folder");
        let all = settings(world);
        let settings = borrowed(&all);
        let secrets = secrets::of(&all);
        assert!(secrets.iter().any(|secret| secret == crate::support::database::PASSWORD), "{secrets:?}");
        let log = File::create(folder.path().join("worker.log")).expect("a file");
        let loud = [("HANDOVER_LOG__FILTER", "debug"), ("HANDOVER_LIMITS__CHUNK_ROWS", "5"), ("RUST_BACKTRACE", "1")];
        let worker = WorkerProcess::start_with_log(&[settings.clone(), loud.to_vec()].concat(), log);
        let request = keap_request("r1");
        let id = crate::support::world::read(&request).job_id();
        assert_eq!(searched_for_passwords(&secrets, &settings, &["submit"], request.to_string().as_bytes()), 0);
        world.until("the job is there", async || world.job(id).await).await;
        secrets::are_not_in_the_process_list(&secrets).expect("no password");
        cut_connections(world).await;
        world.end_of(id).await;
        let id = id.to_string();
        let file = folder.path().join("request.json");
        std::fs::write(&file, keap_request("r2").to_string()).expect("a file");
        let leavers = folder.path().join("leavers.csv");
        std::fs::write(&leavers, "user_id,deactivated,successor\n15,y,11\n").expect("a file");
        for arguments in [
            &["jobs"][..],
            &["jobs", "--json"],
            &["job", &id],
            &["job", &id, "--json"],
            &["watch", &id],
            &["audit", "--json"],
            &["users", "--json"],
            &["catalog", "check", "--json"],
            &["catalog", "show", "--json"],
            &["catalog", "scan"],
            &["catalog", "grants"],
            &["preview", text(&file), "--json"],
            &["bulk", text(&leavers), "--by", "1", "--org", "1"],
            &["revert", &id, "--by", "1", "--dry-run", "--json"],
            &["migrate"],
            &["forget", "53", "--org", "1", "--by", "1"],
            &["submit", "no such file"],
            &["no such command"],
        ] {
            searched_for_passwords(&secrets, &settings, arguments, b"");
        }
        assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
        assert!(std::fs::metadata(folder.path().join("worker.log")).expect("a log").len() > 0);
        secrets::are_not_in_files(&secrets, folder.path()).expect("no password");
    });
}

/// Opens a slow proxy to the test's PostgreSQL, so that sqlx logs a slow connection. Returns its port.
fn slow_way_to(world: &World) -> u16 {
    let server = address_of(world.worker_url());
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::sleep(Duration::from_millis(2500));
            let server = TcpStream::connect(&server).expect("PostgreSQL");
            let ways = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
            for (from, to) in ways {
                let (mut from, mut to) = (from.expect("a stream"), to.expect("a stream"));
                // Either side may close the connection.
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    port
}

#[test]
fn connection_logs_hold_no_password() {
    in_a_world(Engine::Postgres, async |world| {
        let secrets = secrets::of(&settings(world));
        let mut slow = url::Url::parse(world.worker_url()).expect("a URL");
        slow.set_port(Some(slow_way_to(world))).expect("a port");
        for filter in ["trace", "sea_orm=trace,sqlx=trace"] {
            let environment = [("HANDOVER_DATABASE__URL", slow.as_str()), ("HANDOVER_LOG__FILTER", filter)];
            let ended = tokio::task::block_in_place(|| run(&environment, &["jobs"])).expect(0);
            assert!(ended.err.contains("slow threshold"), "nothing was logged: {}", ended.err);
            secrets::are_not_in(&secrets, filter, &ended.err).expect("no password");
        }
    });
}

#[test]
fn settings_faults_hold_no_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = ["s3cret-word".to_owned()];
    let file = folder.path().join("handover.toml");
    for wrong in [
        "[database]\nurl = \"postgres://me:s3cret-word@db/crm\n",
        "[database]\nurl = postgres://me:s3cret-word@db/crm\n",
        "[database]\nurl = [\"postgres://me:s3cret-word@db/crm\"]\n",
        "[database]\nurl = \"mysql://me:s3cret-word@db/crm\"\n",
        "[broker]\nurl = \"amqp://me:s3cret-word@[broker\"\n",
        "[broker]\nurl = \"amqp://me:s3cret-word@broker\"\nca_file = \"x\"\n",
    ] {
        std::fs::write(&file, wrong).expect("a file");
        let ended = run(&[("HANDOVER_LOG__FILTER", "trace")], &["--config", text(&file), "run"]);
        assert_eq!(ended.code, 1, "{wrong}");
        secrets::are_not_in(&secrets, wrong, &format!("{}{}", ended.out, ended.err)).expect("no password");
    }
    let in_query = "postgres://127.0.0.1:1/crm?user=me&password=s3cret-word";
    let nowhere = [("HANDOVER_DATABASE__URL", in_query), ("HANDOVER_DATABASE__ACQUIRE_TIMEOUT", "1s")];
    let ended = run(&nowhere, &["jobs"]).expect(1);
    secrets::are_not_in(&secrets, "an error", &ended.err).expect("no password");
    assert!(ended.err.contains("password=***"), "{}", ended.err);
}

#[test]
fn finder_detects_password_in_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (secrets, below) = (["s3cret-word".to_owned()], folder.path().join("below"));
    std::fs::create_dir(&below).expect("a folder");
    std::fs::write(below.join("a.log"), "one line\nconnecting to amqp://me:s3cret-wor@broker\n").expect("a file");
    secrets::are_not_in_files(&secrets, folder.path()).expect("nothing is found");
    std::fs::write(below.join("b.log"), "one line\nconnecting to amqp://me:s3cret-word@broker\n").expect("a file");
    let found = secrets::are_not_in_files(&secrets, folder.path()).expect_err("it is found");
    assert!(found.contains("b.log") && found.contains("connecting to"), "{found}");
}

#[test]
fn finder_detects_password_on_command_lines() {
    let secrets = [uuid::Uuid::new_v4().simple().to_string()];
    secrets::are_not_in_the_process_list(&secrets).expect("nothing is found");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "read line", &format!("--password={}", secrets[0])]).stdin(std::process::Stdio::piped());
    let mut child = shell.spawn().expect("a shell");
    // The command line is visible only a moment after the start.
    until("it is found", || secrets::are_not_in_the_process_list(&secrets).is_err());
    // The process ends when its input ends.
    drop(child.stdin.take());
    child.wait().expect("it ends");
}
