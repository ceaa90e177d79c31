//! Any bytes as a CSV file for `handover bulk`: its head is understood or refused, and each row is a request that the
//! planner can read, or has reasons.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use handover::app::bulk::columns::{self, Defaults};
use handover::app::bulk::row_reader::{Directory, RowReader};
use handover::app::bulk::table::Table;
use handover::contract::{Request, UserId, read_request};
use handover_fuzz::CATALOG;
use libfuzzer_sys::fuzz_target;

/// In memory, where there is a place for such files.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("handover-fuzz-{}.csv", std::process::id()))
});

static DIRECTORY: LazyLock<Directory> = LazyLock::new(|| {
    let user = |id: &str| UserId::try_from(id.to_owned()).expect("an id");
    Directory::from([
        (("1".to_owned(), "a@b".to_owned()), vec![user("53")]),
        (("1".to_owned(), "c@d".to_owned()), vec![user("11"), user("12")]),
    ])
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("written");
    let Ok(table) = Table::open(&FILE, None) else { return };
    let defaults = Defaults { by: true, org: true };
    let Ok(columns) = columns::read(&table.head, &[], &CATALOG, defaults) else { return };
    let (by, org) = (Some("1".to_owned()), Some("1".to_owned()));
    let reader = RowReader { catalog: &CATALOG, columns, by, org, file_name: "leavers.csv".into() };
    let Ok(rows) = table.rows() else { return };
    let mut before = table.head.row;
    for row in rows {
        let Ok(row) = row else { break };
        assert!(row.number > before, "rows are numbered as a spreadsheet numbers them");
        before = row.number;
        if reader.fault(&row).is_some() {
            continue;
        }
        match reader.request(&row, &DIRECTORY) {
            Ok(request) => {
                assert!(request.bulk && reader.leaver(&row, &DIRECTORY).is_ok_and(|user| user == request.user_id));
                let body = Request::Handover(request).canonical().to_string();
                read_request(body.as_bytes()).expect("the planner can read it");
            }
            Err(reasons) => assert!(!reasons.is_empty()),
        }
    }
});
