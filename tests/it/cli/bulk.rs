//! Bulk files, through the binary: refused files, executed rows and reports.

mod again;
mod files;
mod meaning;
mod reports;
mod sending;
mod spreadsheets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{Ended, on, start_worker, text};
use crate::support::{World, every_engine, snapshot};

/// A file in a folder that is removed after the test.
struct Sheet {
    file: PathBuf,
    _folder: TempDir,
}

impl Sheet {
    fn of(name: &str, content: impl AsRef<[u8]>) -> Sheet {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("a file");
        Sheet { file, _folder: folder }
    }

    fn bulk(&self, world: &World, more: &[&str]) -> Ended {
        let given = ["bulk", text(&self.file), "--by", "1", "--org", "1"];
        on(world, &[&given[..], more].concat())
    }

    /// Returns the printed rows without the summary.
    fn rows(&self, world: &World, more: &[&str], code: i32) -> Vec<Value> {
        let mut lines = self.bulk(world, &[&["--json"], more].concat()).expect(code).json_lines();
        assert!(lines.pop().expect("a summary")["summary"].is_object());
        lines
    }

    /// Returns the rows of the report, by the names of its columns.
    fn report(&self) -> Vec<BTreeMap<String, String>> {
        report_in(Path::new(&format!("{}.report.csv", text(&self.file))), b',')
    }
}

fn report_in(file: &Path, separator: u8) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_path(file).expect("a report");
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

fn outcomes(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["outcome"].as_str().expect("an outcome")).collect()
}

fn codes(row: &Value) -> Vec<&str> {
    let reasons = row["reasons"].as_array().expect("reasons");
    reasons.iter().map(|reason| reason["code"].as_str().expect("a code")).collect()
}

async fn nothing_was_sent(world: &World) {
    for table in ["jobs", "requests", "outbox", "audit"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM handover.{table}")).await, 0, "{table}");
    }
}

/// Four users: two can leave, but the file requests only one of them; one has left; one does not exist.
const MIXED: &str = "user_id,deactivated,successor,reason\n\
    53,y,11,left\n54,,11,stays\n31,yes,11,gone\n999,X,11,nobody\n";

#[every_engine]
async fn dry_run_judges_rows_like_the_planner(world: &mut World) {
    let sheet = Sheet::of("leavers.csv", MIXED);
    let before = snapshot::of_host(world).await;
    let rows = sheet.rows(world, &[], 3);
    assert_eq!(outcomes(&rows), ["ok", "skipped", "rejected", "rejected"]);
    assert_eq!((&rows[0]["row"], &rows[0]["records"]), (&json!(2), &json!(208)));
    assert_eq!((codes(&rows[2]), codes(&rows[3])), (vec!["already_inactive"], vec!["unknown_user"]));
    let plain = sheet.bulk(world, &[]).expect(3).out;
    for part in ["rows: 1 ok, 2 rejected, 1 skipped", "nothing was sent", "row 4, user 31", "leavers.csv.report.csv"] {
        assert!(plain.contains(part), "{part} is missing in:\n{plain}");
    }
    assert_eq!(snapshot::of_host(world).await, before);
    nothing_was_sent(world).await;
}

#[every_engine]
async fn good_rows_run_and_bad_rows_fail(world: &mut World) {
    let worker = start_worker(world, &[]);
    let sheet = Sheet::of("leavers.csv", MIXED);
    let rows = sheet.rows(world, &["--submit"], 3);
    assert_eq!(outcomes(&rows), ["completed", "skipped", "rejected", "rejected"]);
    assert_eq!(rows[0]["records"], 208);
    let job = rows[0]["job_id"].as_str().expect("a job").to_owned();
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id = 53").await, ["inactive"]);
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id = 54").await, ["active"]);
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 1, "bad rows are not sent");
    let report = sheet.report();
    assert_eq!(report.len(), 4);
    let cells = |row: &BTreeMap<String, String>, names: &[&str]| {
        names.iter().map(|name| row[*name].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        cells(&report[0], &["row", "user", "outcome", "job_id", "records_moved"]),
        ["2", "53", "completed", &job, "208"]
    );
    assert_eq!(cells(&report[1], &["outcome", "messages"]), ["skipped", "column `deactivated` is empty"]);
    assert_eq!(cells(&report[2], &["name", "outcome", "codes"]), ["Omar Haddad", "rejected", "already_inactive"]);
    let before = snapshot::of_host(world).await;
    let mut again = sheet.rows(world, &["--submit"], 3);
    let note = again[0].as_object_mut().and_then(|row| row.remove("note")).expect("a note");
    assert!(note.as_str().expect("a text").contains("sent before"), "{note}");
    assert_eq!(again, rows);
    assert_eq!(outcomes(&sheet.rows(world, &[], 3))[0], "sent_before");
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 1);
    assert_eq!(snapshot::of_host(world).await, before);
    // A changed row is another request.
    std::fs::write(&sheet.file, MIXED.replace("left", "went")).expect("a file");
    assert_eq!(codes(&sheet.rows(world, &["--submit"], 3)[0]), ["already_inactive"]);
    tokio::task::block_in_place(|| worker.stop());
}

#[every_engine]
async fn leavers_in_the_file_cannot_be_successors(world: &mut World) {
    world.sql("UPDATE users SET manager_id = 16 WHERE id = 15").await;
    world.sql("UPDATE users SET email = 'Seventeen@Example.com' WHERE id = 17").await;
    let sheet = Sheet::of(
        "leavers.csv",
        "User ID,Email,Deactivated,Contact,Lead,Task,Account,Direct-Report\n\
         53,,y,seventeen@example.COM,11,12,12,12\n\
         15,,y,manager,11,12,12,12\n\
         17,,y,11,11,11,11,11\n\
         ,SEVENTEEN@example.com,y,11,11,11,11,11\n\
         16,,y,11,round_robin: West team,11,11,11\n\
         14,,n,16,16,16,16,16\n",
    );
    let rows = sheet.rows(world, &[], 3);
    assert_eq!(codes(&rows[0]), ["successor_leaves_in_file"]);
    assert_eq!(rows[0]["reasons"][0]["concerning"], json!({ "kind": "contact", "user_id": "17" }));
    assert_eq!(codes(&rows[1]), ["successor_leaves_in_file"], "{}", rows[1]);
    assert_eq!((codes(&rows[2]), codes(&rows[3])), (vec!["duplicate_user"], vec!["duplicate_user"]));
    assert_eq!(rows[3]["user"], "17");
    let in_group = world
        .number("SELECT count(*) FROM group_members WHERE group_name = 'West team' AND user_id IN (53, 15, 17)")
        .await;
    assert_eq!(codes(&rows[4]).len() as i64, in_group, "{}", rows[4]);
    assert_eq!(rows[5]["outcome"], "skipped");
    nothing_was_sent(world).await;
}

#[every_engine]
async fn rows_set_requester_time_and_id(world: &mut World) {
    let worker = start_worker(world, &[]);
    let year = next_year();
    let sheet = Sheet::of(
        "leavers.csv",
        format!(
            "\u{feff}user_id;deactivated;requested_by;org_id;effective_at;request_id;successor;reason\r\n\
         53;y;13;1;;hr-1;11;\r\n\
         54;y;;1;{year}-01-01;hr-2;11;\"retires; at last\"\r\n\
         15;y;1;nowhere;;hr-3;11;\r\n\
         16;y;1;1;tomorrow;hr-4;nobody@example.com;\r\n\
         17;y;1;1;31.1.{year} 18:30;hr-5;11;\r\n\
         12;y;1;1;;hr-6;11;;too;many\r\n"
        ),
    );
    let rows = sheet.rows(world, &["--submit", "--time-zone", "America/New_York"], 3);
    assert!(rows.iter().zip(2..).all(|(row, number)| row["row"] == number), "{rows:?}");
    assert_eq!(codes(&rows[0]), ["requester_not_permitted"]);
    assert_eq!(rows[1]["outcome"], "scheduled", "{}", rows[1]);
    assert_eq!(codes(&rows[2]), ["invalid_id"]);
    assert_eq!(codes(&rows[3]), ["invalid_time", "unknown_address"]);
    assert_eq!(rows[4]["outcome"], "scheduled", "{}", rows[4]);
    assert_eq!(codes(&rows[5]), ["too_many_cells"]);
    let asked =
        "SELECT request_id || ' ' || requested_by || ' ' || coalesce(reason, '-') AS t FROM handover.jobs ORDER BY 1";
    assert_eq!(world.texts(asked).await, ["hr-2 1 retires; at last", "hr-5 1 -"]);
    // The end of the day, and a time of the day, in winter.
    let starts = [format!("{year}-01-02 04:59:59"), format!("{year}-01-31 23:30:00")];
    assert_eq!(world.texts(STARTS).await, starts);
    tokio::task::block_in_place(|| worker.stop());
}

/// When the jobs start, in UTC.
const STARTS: &str = "SELECT replace(substr(CAST(effective_at AS text), 1, 19), 'T', ' ') AS t FROM handover.jobs \
    WHERE effective_at IS NOT NULL ORDER BY 1";

/// A year that is not past.
fn next_year() -> u16 {
    u16::try_from(time::OffsetDateTime::now_utc().year() + 1).expect("a year")
}

#[every_engine]
async fn duplicates_are_found_across_batches(world: &mut World) {
    let mut content = "user_id,deactivated,successor\n53,y,11\n".to_owned();
    (1000..1900).for_each(|user| content.push_str(&format!("{user},y,11\n")));
    content.push_str("53,y,11\n15,y,53\n");
    let sheet = Sheet::of("leavers.csv", content);
    let rows = sheet.rows(world, &[], 3);
    assert_eq!(rows.len(), 903);
    let numbers: Vec<u64> = rows.iter().map(|row| row["row"].as_u64().expect("a number")).collect();
    assert!(numbers.iter().copied().eq(2..905));
    assert_eq!((codes(&rows[0]), codes(&rows[901])), (vec!["duplicate_user"], vec!["duplicate_user"]));
    assert!(codes(&rows[902]).contains(&"successor_leaves_in_file"), "{}", rows[902]);
    assert!(rows[1..901].iter().all(|row| codes(row) == ["unknown_user"]));
    assert_eq!(sheet.report().len(), 903);
}
