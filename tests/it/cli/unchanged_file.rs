//! Commands that only read leave a file of SQLite as it is.

use std::collections::BTreeMap;
use std::path::Path;

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};

use crate::support::process::{run, text};
use crate::support::world::keap_request;

/// Every command that only reads the database, with its arguments.
const READING: [&[&str]; 9] = [
    &["catalog", "check"],
    &["catalog", "scan"],
    &["catalog", "draft"],
    &["doctor"],
    &["preview", "REQUEST"],
    &["users"],
    &["jobs"],
    &["audit"],
    &["dead", "list"],
];

/// Opens the file as an application does that knows nothing of Handover.
async fn application(file: &Path) -> DatabaseConnection {
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rw", file.display()));
    options.max_connections(1).min_connections(1);
    sea_orm::Database::connect(options).await.expect("the file")
}

/// Returns the names and bytes of the database's files, except the memory that processes share.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    entries
        .map(|path| (name(&path), std::fs::read(&path).expect("a file")))
        .filter(|(name, _)| !name.ends_with("-shm"))
        .collect()
}

fn read_everything(folder: &Path, request: &Path, state: &str) {
    let before = files(folder);
    let url = format!("sqlite://{}", folder.join("host.db").display());
    for arguments in READING {
        let arguments: Vec<&str> =
            arguments.iter().map(|word| if *word == "REQUEST" { text(request) } else { word }).collect();
        let ended =
            run(&[("HANDOVER_DATABASE__URL", url.as_str()), ("HANDOVER_DATABASE__LOCK_TIMEOUT", "2s")], &arguments);
        // The empty CRM has nothing to preview, and its scan may find something: either way, it was read.
        assert!(!ended.err.contains("locked"), "{state}, {arguments:?}: {}", ended.err);
        assert!(
            ended.code == 0 || ["preview", "catalog"].contains(&arguments[0]),
            "{state}, {arguments:?}: {}{}",
            ended.out,
            ended.err
        );
        let after = files(folder);
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{state}, {arguments:?}");
        assert!(after == before, "{state}, {arguments:?}: the bytes changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_commands_leave_the_file_unchanged() {
    let parent = tempfile::tempdir().expect("a folder");
    let (folder, left) = (parent.path().join("host"), parent.path().join("left"));
    let (request, file) = (parent.path().join("request.json"), folder.join("host.db"));
    std::fs::create_dir(&folder).and_then(|()| std::fs::create_dir(&left)).expect("folders");
    std::fs::write(&request, keap_request("r1").to_string()).expect("a file");
    let url = format!("sqlite://{}", file.display());
    let migrated = run(&[("HANDOVER_DATABASE__URL", url.as_str())], &["migrate", "--reference-crm"]);
    migrated.expect(0);

    let host = application(&file).await;
    host.execute_unprepared("PRAGMA journal_mode = DELETE").await.expect("the host's own mode");
    read_everything(&folder, &request, "nobody else has it open");
    host.execute_unprepared("BEGIN; SELECT count(*) FROM users;").await.expect("a read");
    read_everything(&folder, &request, "the host reads it");
    host.execute_unprepared(
        "COMMIT; PRAGMA journal_mode = WAL; INSERT INTO organizations (id, name) VALUES (1, 'One');",
    )
    .await
    .expect("a log");
    read_everything(&folder, &request, "the host has a log");
    for name in ["host.db", "host.db-wal"] {
        std::fs::copy(folder.join(name), left.join(name)).expect("a copy");
    }
    host.close().await.expect("closed");
    read_everything(&left, &request, "a process that died has left its log");
}
