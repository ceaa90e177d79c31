//! The report of a bulk run: what was understood, and reasons in the words of the file.

use std::path::Path;

use serde_json::json;

use super::{Sheet, codes, next_year, nothing_was_sent, report_in};
use crate::support::process::{borrowed, on, settings, text};
use crate::support::terminal::at_a_terminal;
use crate::support::{World, every_engine, on_sqlite};

#[every_engine]
async fn report_says_what_was_understood(world: &mut World) {
    let year = next_year();
    let content = format!(
        "E-Mail;Deactivated;Successor;Effective At;Return_At;Contact\n\
         DANA@example.com;ja;11;31.12.{year};;amanda@example.com\n\
         priya@example.com;ja;manager;;{year}-07-01 08:00;round robin: West team\n\
         phillip@example.com;nein;11;;;\n"
    );
    let sheet = Sheet::of("Austritte.csv", content);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.csv");
    let rows = sheet.rows(world, &["--time-zone", "Europe/Berlin", "--report", text(&file)], 0);
    let report = report_in(&file, b';');
    assert!(std::fs::read(&file).expect("a report").starts_with("\u{feff}file;sheet;row;".as_bytes()));
    assert!(!std::fs::exists(format!("{}.report.csv", text(&sheet.file))).expect("a folder"));
    let starts = format!("{year}-12-31T23:59:59+01:00");
    let successors = "11 (Alwayshelpful Support); contact: 12 (Amanda Madsen)";
    for (column, cell) in [
        ("file", text(&sheet.file)),
        ("sheet", ""),
        ("row", "2"),
        ("user", "53"),
        ("name", "Dana Whitfield"),
        ("email", "dana@example.com"),
        ("type", "deactivate"),
        ("starts", &starts),
        ("returns", ""),
        ("successors", successors),
        ("outcome", "ok"),
    ] {
        assert_eq!(report[0][column], cell, "{column}");
    }
    assert_eq!((&rows[0]["name"], &rows[0]["starts"]), (&json!("Dana Whitfield"), &json!(starts)));
    assert_eq!((&rows[0]["type"], &rows[0]["file"]), (&json!("deactivate"), &json!(text(&sheet.file))));
    assert_eq!(report[1]["starts"], "at once");
    assert_eq!(report[1]["returns"], format!("{year}-07-01T08:00:00+02:00"));
    assert_eq!(report[1]["successors"], "manager; contact: round_robin: West team");
    assert_eq!((report[2]["user"].as_str(), report[2]["starts"].as_str()), ("phillip@example.com", ""));
    assert_eq!(report[2]["messages"], "column `Deactivated` says \"nein\"");
    sheet.bulk(world, &["--time-zone", "Europe/Berlin", "--separator", "tab"]).expect(0);
    let tabs = report_in(Path::new(&format!("{}.report.csv", text(&sheet.file))), b'\t');
    assert_eq!(tabs[0]["user"], "53");
    let plain = sheet.bulk(world, &["--time-zone", "Europe/Berlin"]).expect(0);
    assert!(plain.out.contains(&format!("starts: 1 {starts}")), "{}", plain.out);
    assert!(plain.err.contains("time zone Europe/Berlin"), "{}", plain.err);
    // The report never replaces the file that is read.
    let same = sheet.bulk(world, &["--report", text(&sheet.file)]).expect(1);
    assert!(same.err.contains("would overwrite"), "{}", same.err);
    assert!(std::fs::read_to_string(&sheet.file).expect("the file").starts_with("E-Mail;"));
    nothing_was_sent(world).await;
}

/// A row, the code of its reason, and words of the message or hint.
type Case = (&'static str, &'static str, &'static str);

#[every_engine]
async fn reasons_name_the_columns_of_the_file(world: &mut World) {
    let cases: &[Case] = &[
        ("53,y,999,", "unknown_successor", "column `Successor`: there is no user 999"),
        ("15,y,31,", "successor_inactive", "column `Successor`: the successor 31"),
        ("13,y,13,", "leaver_is_successor", "column `Successor`: the leaver 13"),
        ("16,y,011,", "invalid_id", "column `Successor`: "),
        ("0999,y,11,", "invalid_id", "column `User ID`: "),
        ("998,y,11,", "unknown_user", "`User ID`"),
        ("14,y,11,nobody@example.com", "unknown_address", "column `LEAD`: "),
        ("17,y,round robin: nobody,", "no_fit_member", "column `Successor`: "),
    ];
    let mut content = "User ID,Deactivated,Successor,LEAD\n".to_owned();
    cases.iter().for_each(|(row, ..)| content.push_str(&format!("{row}\n")));
    let rows = Sheet::of("leavers.csv", content).rows(world, &[], 3);
    for (row, (written, code, words)) in rows.iter().zip(cases) {
        let count = codes(row).iter().filter(|found| *found == code).count();
        assert_eq!(count, 1, "{written}: one reason, whatever the kinds: {row}");
        let reasons = row["reasons"].to_string();
        assert!(reasons.contains(words) && !reasons.contains("reassign."), "{written}: {words}: {row}");
    }
    let missing = Sheet::of("leavers.csv", "User ID,Deactivated,Successor\n53,y,\n").rows(world, &[], 3);
    assert!(codes(&missing[0]).contains(&"allotment_missing"), "{}", missing[0]);
    assert_eq!(missing[0]["reasons"][0]["hint"], "fill in `Successor`");
    let missing = Sheet::of("leavers.csv", "User ID,Deactivated\n53,y\n").rows(world, &[], 3);
    let hint = missing[0]["reasons"][0]["hint"].as_str().expect("a hint");
    assert!(hint.starts_with("add a column `successor`, or a column `"), "{hint}");
    nothing_was_sent(world).await;
}

#[on_sqlite]
async fn progress_is_shown_on_a_terminal(world: &mut World) {
    let sheet = Sheet::of("leavers.csv", "user_id,deactivated,successor\n53,y,11\n54,n,11\n");
    let arguments = ["bulk", text(&sheet.file), "--by", "1", "--org", "1"];
    let settings = settings(world);
    let shown = tokio::task::block_in_place(|| at_a_terminal(&borrowed(&settings), &arguments, "")).expect(0);
    assert!(shown.err.contains("of 2 rows"), "{}", shown.err);
    assert!(!on(world, &arguments).expect(0).err.contains("of 2 rows"));
}
