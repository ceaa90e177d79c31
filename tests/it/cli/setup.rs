//! Setup: the ledger, the configuration, and their faults.

use std::ffi::OsString;

use serde_json::Value;

use crate::support::process::{Ended, as_owner, binary, finish, run, text};
use crate::support::{Engine, World, every_engine};

#[test]
fn missing_ledger_hints_at_migrate() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("new.db").display());
    let new = [("HANDOVER_DATABASE__URL", url.as_str())];
    std::fs::write(folder.path().join("new.db"), "").expect("an empty database");
    for arguments in [&["run"][..], &["jobs"], &["users"], &["job", "00000000-0000-0000-0000-000000000000"]] {
        let ended = run(&new, arguments).expect(1);
        assert!(ended.err.contains("run `handover migrate`"), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains("no ledger yet"), "{arguments:?}: {}", ended.err);
    }
    run(&new, &["migrate"]).expect(0);
    run(&new, &["migrate"]).expect(0);
    assert_eq!(run(&new, &["jobs", "--json"]).expect(0).out, "");
    // The catalog's tables do not exist yet.
    assert!(run(&new, &["users"]).expect(1).err.contains("tables of the catalog keap is in SQLite"));
    run(&new, &["migrate", "--reference-crm"]).expect(0);
    let migrated = run(&new, &["migrate", "--reference-crm"]).expect(0);
    assert_eq!(migrated.out, "the reference CRM is up to date\nthe ledger is up to date\n");
    assert_eq!(run(&new, &["users", "--json"]).expect(0).out, "");
    assert!(run(&new, &["catalog", "scan"]).expect(0).out.contains("0 foreign keys"));
}

#[every_engine]
async fn reference_crm_can_follow_the_ledger(world: &mut World) {
    if world.engine == Engine::Sqlite {
        return;
    }
    // A role with the same name as the ledger's schema, as in `deploy/services`.
    let role = world.texts("SELECT current_user::text AS t").await;
    assert_eq!(role, ["handover"]);
    world.sql("DROP SCHEMA public CASCADE").await;
    world.sql("CREATE SCHEMA public").await;
    as_owner(world, &["migrate"]).expect(0);
    as_owner(world, &["migrate", "--reference-crm"]).expect(0);
    assert!(as_owner(world, &["catalog", "check"]).expect(0).out.contains("0 faults"));
}

#[test]
fn all_configuration_faults_are_reported_without_passwords() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("handover.toml");
    std::fs::write(
        &file,
        "colour = \"red\"\n[database]\nuri = 1\nurl = \"mysql://me:s3cret-word@db/crm\"\n[limits]\nwindow = 0\nchunk_rows = 1000000\n[worker]\ngrace = \"soon\"\n",
    )
    .expect("a file");
    let wrong = [
        ("HANDOVER_BROKER__URL", "http://me:s3cret-word@broker"),
        ("HANDOVER_LOG__FORMAT", "jsno"),
        ("HANDOVER_LIMITS__GROUP", "0"),
    ];
    let ended = run(&wrong, &["jobs", "--config", text(&file)]).expect(1);
    for part in [
        "colour",
        "`database.url`",
        "`broker.url`",
        "`limits.window`",
        "`limits.group`",
        "`limits.chunk_rows`",
        "`worker.grace` (HANDOVER_WORKER__GRACE) is \"soon\": it must be a duration such as",
        "`log.format` (HANDOVER_LOG__FORMAT) is \"jsno\": it must be one of text, json, auto; did you mean json?",
        "`database.uri` is no setting: did you mean `database.url`?",
    ] {
        assert!(ended.err.contains(part), "{part} is missing in: {}", ended.err);
    }
    assert!(!ended.err.contains("s3cret-word") && !ended.out.contains("s3cret-word"), "{}", ended.err);
    let missing = run(&[], &["jobs", "--config", "no-such-file.toml"]).expect(1);
    assert!(missing.err.contains("no-such-file.toml"), "{}", missing.err);
    std::fs::write(&file, "[database\n").expect("a file");
    assert!(run(&[], &["jobs", "--config", text(&file)]).expect(1).err.contains("cannot be read"));
}

/// Runs a command in a folder of its own, and returns it with the names of the files that it leaves there.
fn in_an_empty_folder(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> (Ended, Vec<OsString>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = binary(environment, arguments);
    command.current_dir(folder.path());
    let ended = finish(command.spawn().expect("the binary"), input.as_bytes());
    let files = std::fs::read_dir(folder.path()).expect("the folder");
    (ended, files.map(|file| file.expect("a file").file_name()).collect())
}

#[test]
fn mistaken_variable_stops_every_command() {
    let secret = "postgres://me:s3cret-word@db/crm";
    for (name, likely) in [
        ("HANDOVER_DATABASE_URL", "HANDOVER_DATABASE__URL"),
        ("HANDOVER_BROKER_URL", "HANDOVER_BROKER__URL"),
        ("HANDOVER_DATABASE__URI", "HANDOVER_DATABASE__URL"),
        ("handover_database__url", "HANDOVER_DATABASE__URL"),
    ] {
        for arguments in [&["migrate"][..], &["demo"], &["jobs"], &["run"], &["submit"], &["schema", "request"]] {
            let (ended, files) = in_an_empty_folder(&[(name, secret)], arguments, "");
            let ended = ended.expect(2);
            assert!(ended.err.contains(name) && ended.err.contains(likely), "{arguments:?}: {}", ended.err);
            assert!(!ended.err.contains("s3cret-word"), "{}", ended.err);
            assert!(ended.out.is_empty() && files.is_empty(), "{arguments:?}: {files:?}");
        }
    }
}

#[test]
fn ignored_variables_are_reported_once() {
    let injected =
        [("HANDOVER_PORT", "tcp://10.0.0.1:80"), ("HANDOVER_DATABSE_URL", "postgres://me:s3cret-word@db/crm")];
    let ended = run(&injected, &["schema", "request"]).expect(0);
    let warning = "ignored, because no setting has this name: HANDOVER_DATABSE_URL (did you mean HANDOVER_DATABASE__URL?), \
                   HANDOVER_PORT\n";
    assert_eq!(ended.err, format!("handover: {warning}"));
    assert_eq!(
        run(&[("HANDOVER_TEST_URL", "x"), ("HANDOVER_STORM_SEED", "1")], &["schema", "request"]).expect(0).err,
        ""
    );
    let nowhere = [("HANDOVER_DATABASE__URL", "sqlite:///no/such/file.db"), ("HANDOVER_LOG__FORMAT", "json")];
    let log = run(&[&injected[..], &nowhere].concat(), &["run"]).expect(1).err;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("HANDOVER_DATABSE_URL")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let line: Value = serde_json::from_str(lines[0]).expect("a log line");
    assert_eq!(
        (&line["level"], line["variables"].as_str().map(|names| names.contains("HANDOVER_PORT"))),
        (&"WARN".into(), Some(true))
    );
}

#[test]
fn configuration_can_be_a_device_or_a_pipe() {
    run(&[], &["--config", "/dev/null", "schema", "request"]).expect(0);
    let piped = "[database]\nurl = \"sqlite:///no/such/piped.db\"\n[broker]\nurl = \"amqp://127.0.0.1:1\"\n";
    // A worker restarts itself, and must not read the pipe again.
    for command in ["jobs", "run"] {
        let (ended, files) = in_an_empty_folder(&[], &["--config", "/dev/stdin", command], piped);
        let ended = ended.expect(1);
        assert!(ended.err.contains("/no/such/piped.db"), "{command}: {}", ended.err);
        assert!(files.is_empty(), "{files:?}");
    }
    let wrong = in_an_empty_folder(&[], &["--config", "/dev/stdin", "jobs"], "[database\n").0.expect(1);
    assert!(wrong.err.contains("line 1 is no TOML"), "{}", wrong.err);
}

#[test]
fn password_is_never_printed() {
    // Nothing listens on port 1.
    let postgres = ("HANDOVER_DATABASE__URL", "postgres://me:s3cret-word@127.0.0.1:1/crm");
    let quick = ("HANDOVER_DATABASE__ACQUIRE_TIMEOUT", "1s");
    let loud = ("HANDOVER_LOG__FILTER", "trace");
    for arguments in [&["run"][..], &["jobs"], &["migrate"], &["catalog", "check"]] {
        let ended = run(&[postgres, quick, loud], arguments).expect(1);
        assert!(!ended.err.contains("s3cret-word") && !ended.out.contains("s3cret-word"), "{}{}", ended.out, ended.err);
        assert!(ended.err.contains("me:***@127.0.0.1"), "{}", ended.err);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("new.db").display());
    let amqp = ("HANDOVER_BROKER__URL", "amqp://me:s3cret-word@127.0.0.1:1/%2f");
    let settings = [("HANDOVER_DATABASE__URL", url.as_str()), amqp, ("HANDOVER_BROKER__CONNECT_TIMEOUT", "1s"), loud];
    run(&settings, &["migrate", "--reference-crm"]).expect(0);
    let ended = run(&settings, &["run"]).expect(1);
    assert!(!ended.err.contains("s3cret-word") && !ended.out.contains("s3cret-word"), "{}{}", ended.out, ended.err);
}

#[test]
fn unknown_command_is_a_usage_error() {
    for arguments in [
        &["fly"][..],
        &[],
        &["demo", "--records", "0"],
        &["demo", "--fly"],
        &["schema", "planet"],
        &["run", "--stage", "x"],
    ] {
        let ended = run(&[], arguments).expect(2);
        assert!(
            ended.err.contains("Usage") || ended.err.contains("possible values") || ended.err.contains("--help"),
            "{}",
            ended.err
        );
    }
    for arguments in [
        &["job", "abc"][..],
        &["watch", "abc"],
        &["audit", "--job", "abc"],
        &["revert", "abc", "--by", "1"],
        &["cancel", "abc", "--by", "1"],
        &["pause", "abc", "--by", "1"],
        &["resume", "abc", "--by", "1"],
        &["amend", "abc", "--by", "1", "--reassign", "-"],
    ] {
        let ended = run(&[], arguments).expect(2);
        assert!(ended.err.contains("a job's id has 32 hexadecimal digits"), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains("`handover jobs` lists all jobs") && !ended.err.contains("UUID"), "{}", ended.err);
    }
    assert!(run(&[], &["--help"]).expect(0).out.contains("Show what Handover does"));
    assert!(run(&[], &["--version"]).expect(0).out.starts_with("handover "));
}
