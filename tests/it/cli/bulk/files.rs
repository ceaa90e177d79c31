//! Long files, and what files make the program print.

use std::collections::BTreeMap;

use super::{Sheet, nothing_was_sent, outcomes};
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
async fn a_hundred_thousand_rows_are_processed(world: &mut World) {
    let mut content = "user_id,deactivated,successor\n".to_owned();
    (2..100_000).for_each(|_| content.push_str("54,,\n"));
    content.push_str("53,y,11\n999,y,11\n");
    let sheet = Sheet::of("leavers.csv", content);
    let ended = sheet.bulk(world, &[]).expect(3).out;
    assert!(ended.contains("rows: 1 ok, 1 rejected, 99998 skipped"), "{ended}");
    assert!(ended.contains("row 100001, user 999: rejected"), "{ended}");
}
