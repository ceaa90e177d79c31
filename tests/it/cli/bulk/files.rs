//! Valid and invalid formats of bulk files.

use std::collections::BTreeMap;

use rust_xlsxwriter::Workbook;

use super::{Sheet, codes, nothing_was_sent, outcomes};
use crate::support::process::{on, text};
use crate::support::{World, on_sqlite};

fn refused(world: &World, name: &str, content: &[u8], parts: &[&str]) {
    let sheet = Sheet::of(name, content);
    let ended = sheet.bulk(world, &["--submit"]).expect(1);
    for part in parts {
        assert!(ended.err.contains(part), "{part} is missing in: {}", ended.err);
    }
    assert!(!ended.err.contains('\u{1b}'), "{}", ended.err);
}

#[on_sqlite]
async fn unreadable_file_is_refused_with_its_place(world: &mut World) {
    refused(world, "a.csv", b"", &["a.csv is empty"]);
    refused(world, "a.csv", b"\xef\xbb\xbf", &["a.csv is empty"]);
    refused(world, "a.csv", b"user_id,deactivated\r\n", &["no row below its head"]);
    refused(
        world,
        "a.csv",
        b"user_id,deactivated\n53,y\nM\xfcller,y\n",
        &["line 3", "not UTF-8 but Latin-1", "CSV UTF-8"],
    );
    refused(world, "a.csv", b"\xff\xfeu\0s\0e\0r", &["not valid UTF-16"]);
    refused(world, "a.csv", b"u\0s\0e\0r\0\n\0", &["UTF-16, not UTF-8"]);
    refused(world, "a.csv", b"name\n53\n", &["`user_id` or `email` is missing", "`deactivated` is missing"]);
    refused(
        world,
        "a.csv",
        b"user_id,deactivate,contacts\n53,y,11\n",
        &["did you mean `deactivated`?", "did you mean `contact`?"],
    );
    refused(world, "a.csv", b"user_id,deactivated,\x1b[2Jcolour\n53,y,11\n", &["there is no column", "successor"]);
    refused(
        world,
        "a.csv",
        b"user_id,deactivated,USER-ID\n53,y,53\n",
        &["column `USER-ID` appears twice, once as `user_id`"],
    );
    refused(world, "a.csv", b"user_id,,deactivated\n53,,y\n", &["column 2 has no name"]);
    let sheet = Sheet::of("a.csv", "user_id,deactivated\n53,y\n");
    let bare = on(world, &["bulk", text(&sheet.file)]).expect(1);
    assert!(bare.err.contains("--by USER") && bare.err.contains("--org ORG"), "{}", bare.err);
    nothing_was_sent(world).await;
}

#[on_sqlite]
async fn unclosed_quote_is_reported_with_its_line(world: &mut World) {
    let head = "user_id,deactivated,successor,reason\n53,y,11,\"two\nlines\"\n";
    let open = format!("{head}54,y,11,\"never closed\n15,y,11,\n");
    refused(world, "a.csv", open.as_bytes(), &["a.csv, line 4: ", "quotation mark", "is not closed"]);
    let long = format!("{open}{}", "16,y,11,\n".repeat(200_000));
    refused(world, "a.csv", long.as_bytes(), &["a.csv, line 4: ", "is not closed"]);
    let endless = format!("user_id,deactivated\n{}", "53 y ".repeat(400_000));
    refused(world, "a.csv", endless.as_bytes(), &["a.csv, line 2: ", "row is longer"]);
    nothing_was_sent(world).await;
    let closed = Sheet::of("a.csv", format!("{head}54,y,11,\"closed \"\"here\"\"\"\n"));
    assert_eq!(outcomes(&closed.rows(world, &[], 0)), ["ok", "ok"]);
}

/// A workbook with rows of text, starting at any cell.
fn workbook(top: u32, left: u16, rows: &[&[&str]]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, cells) in (top..).zip(rows) {
        for (column, cell) in (left..).zip(*cells).filter(|(_, cell)| !cell.is_empty()) {
            sheet.write(row, column, *cell).expect("a cell");
        }
    }
    workbook.save_to_buffer().expect("a workbook")
}

#[on_sqlite]
async fn spreadsheet_may_begin_at_any_cell(world: &mut World) {
    let head = &["user_id", "deactivated", "successor"];
    let sheet = Sheet::of("a.xlsx", workbook(3, 2, &[head, &["53", "y", "11"], &["54", "", "11"]]));
    let rows = sheet.rows(world, &[], 0);
    assert_eq!(outcomes(&rows), ["ok", "skipped"]);
    assert_eq!((&rows[0]["row"], &rows[1]["row"]), (&5.into(), &6.into()));
    refused(world, "a.xlsx", &workbook(0, 0, &[]), &["a.xlsx is empty"]);
    refused(world, "a.xlsx", &workbook(0, 0, &[head]), &["no row below its head"]);
    refused(world, "a.xlsx", &workbook(0, 0, &[&["user_id"], &["53"]]), &["`deactivated` is missing"]);
    refused(world, "a.xlsx", &workbook(0, 0, &[&["user_id", "User ID", "deactivated"], &["53"]]), &["appears twice"]);
    let twice = Sheet::of("a.xlsx", workbook(0, 0, &[head, &["53", "y", "11"], &["53", "y", "11"]]));
    let rows = twice.rows(world, &[], 3);
    assert_eq!((codes(&rows[0]), codes(&rows[1])), (vec!["duplicate_user"], vec!["duplicate_user"]));
}

#[on_sqlite]
async fn report_and_terminal_output_are_escaped(world: &mut World) {
    let sheet = Sheet::of(
        "leavers.csv",
        "user_id,deactivated,successor\n=1+1,y,11\n@SUM(A1),y,11\n+1,y,11\n-5,y,11\n\"5\u{1b}[2J3\",y,11\n\
         \u{ff1d}1,y,11\n\"5\nrow 99, user 9: completed\",y,11\n\"5\r\t=1\",y,11\n",
    );
    let ended = sheet.bulk(world, &[]).expect(3);
    assert!(!ended.out.contains('\u{1b}') && ended.out.contains("\\u{1b}[2J"), "{}", ended.out);
    assert!(!ended.out.contains("\nrow 99") && !ended.out.contains(['\r', '\t']), "{}", ended.out);
    let report = sheet.report();
    let users: Vec<&str> = report.iter().map(|row| row["user"].as_str()).collect();
    let expected = ["'=1+1", "'@SUM(A1)", "'+1", "'-5", "5\\u{1b}[2J3", "'\u{ff1d}1"];
    assert_eq!(users[..6], expected);
    assert_eq!(users[6..], ["5\\u{a}row 99, user 9: completed", "5\\u{d}\\u{9}=1"]);
    let harmless = |cell: &String| !cell.starts_with(['=', '+', '-', '@']) && !cell.contains(char::is_control);
    assert!(report.iter().flat_map(BTreeMap::values).all(harmless), "{report:?}");
}

#[on_sqlite]
async fn a_million_rows_are_processed(world: &mut World) {
    let mut content = "user_id,deactivated,successor\n".to_owned();
    (2..1_000_000).for_each(|_| content.push_str("54,,\n"));
    content.push_str("53,y,11\n999,y,11\n");
    let sheet = Sheet::of("leavers.csv", content);
    let ended = sheet.bulk(world, &[]).expect(3).out;
    assert!(ended.contains("rows: 1 ok, 1 rejected, 999998 skipped"), "{ended}");
    assert!(ended.contains("row 1000001, user 999: rejected"), "{ended}");
}
