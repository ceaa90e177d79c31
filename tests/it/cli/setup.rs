//! Setup: the ledger, the configuration, and their faults.

use crate::support::process::{as_owner, run, text};
use crate::support::{Engine, World, every_engine};

#[test]
fn missing_ledger_hints_at_migrate() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("new.db").display());
    let new = [("HANDOVER_DATABASE__URL", url.as_str())];
    for arguments in [&["run"][..], &["jobs"], &["users"], &["job", "00000000-0000-0000-0000-000000000000"]] {
        let ended = run(&new, arguments).expect(1);
        assert!(ended.err.contains("run `handover migrate`"), "{arguments:?}: {}", ended.err);
    }
    run(&new, &["migrate"]).expect(0);
    run(&new, &["migrate"]).expect(0);
    assert_eq!(run(&new, &["jobs", "--json"]).expect(0).out, "");
    // The catalog's tables do not exist yet.
    assert!(run(&new, &["users"]).expect(1).err.contains("the database has no table `users`"));
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
        "colour = \"red\"\n[database]\nurl = \"mysql://me:s3cret-word@db/crm\"\n[limits]\nwindow = 0\nchunk_rows = 1000000\n[worker]\ngrace = \"soon\"\n",
    )
    .expect("a file");
    let wrong = [
        ("HANDOVER_BROKER__URL", "http://me:s3cret-word@broker"),
        ("HANDOVER_LOG__FORMAT", "poetry"),
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
        "[worker]",
        "[log]",
    ] {
        assert!(ended.err.contains(part), "{part} is missing in: {}", ended.err);
    }
    assert!(!ended.err.contains("s3cret-word") && !ended.out.contains("s3cret-word"), "{}", ended.err);
    let missing = run(&[], &["jobs", "--config", "no-such-file.toml"]).expect(1);
    assert!(missing.err.contains("no-such-file.toml"), "{}", missing.err);
    std::fs::write(&file, "[database\n").expect("a file");
    assert!(run(&[], &["jobs", "--config", text(&file)]).expect(1).err.contains("cannot be read"));
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
    assert!(run(&[], &["--help"]).expect(0).out.contains("Show what Handover does"));
    assert!(run(&[], &["--version"]).expect(0).out.starts_with("handover "));
}
