//! Any bytes as a CSV file for `handover bulk`: its head is understood or refused, and each row is a request that the
//! planner can read, or has reasons.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use handover::app::bulk::columns::{self, Defaults};
use handover::app::bulk::directory::Directory;
use handover::app::bulk::row_reader::RowReader;
use handover::app::bulk::table::Table;
use handover::app::bulk::times::Clock;
use handover::contract::{Request, UserId, read_request};
use handover::plan::UserStatus;
use handover::store::host::Person;
use handover_fuzz::CATALOG;
use libfuzzer_sys::fuzz_target;

/// In memory, where there is a place for such files.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("handover-fuzz-{}.csv", std::process::id()))
});

static DIRECTORY: LazyLock<Directory> = LazyLock::new(|| {
    let mut directory = Directory::default();
    for (id, email) in [("53", "a@b"), ("11", "c@d"), ("12", "c@d")] {
        let id = UserId::try_from(id.to_owned()).expect("an id");
        let person = Person { id, name: String::new(), email: email.into(), status: UserStatus::Active };
        directory.add_with_email("1", email, person);
    }
    directory
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("written");
    let Ok(table) = Table::open(&FILE, None) else { return };
    let defaults = Defaults { by: true, org: true };
    let Ok(columns) = columns::read(&table.head, &[], &CATALOG, defaults) else { return };
    let (by, org) = (Some("1".to_owned()), Some("1".to_owned()));
    let reader = RowReader { catalog: &CATALOG, columns, by, org, principal: None, clock: Clock::now("Europe/Berlin".parse().ok()) };
    let Ok(rows) = table.rows() else { return };
    let mut before = table.head.row;
    for row in rows {
        let Ok(row) = row else { break };
        assert!(row.number > before, "rows are numbered as a spreadsheet numbers them");
        before = row.number;
        if reader.fault(&row).is_some() {
            continue;
        }
        let reading = reader.read(&row, &DIRECTORY);
        if !reading.faults.is_empty() {
            continue;
        }
        let Ok(requests) = reading.requests(&CATALOG, &reader.columns) else { continue };
        assert_eq!(requests.len(), 1, "a row without a fault is a request");
        for request in requests {
            assert!(request.bulk && reading.leavers == [request.user_id.clone()]);
            let body = Request::Handover(request).canonical().to_string();
            read_request(body.as_bytes()).expect("the planner can read it");
        }
    }
});
