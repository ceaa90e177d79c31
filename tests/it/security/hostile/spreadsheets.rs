//! Invalid spreadsheets, and rows with hostile cells, through `handover bulk --submit`.

use std::io::{Cursor, Write};

use rust_xlsxwriter::Workbook;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::{hidden, shown};
use crate::support::process::{on, text};
use crate::support::{World, every_engine, snapshot};

/// The file's name and content, the exit code, and words of the message or report.
type Row = (&'static str, Vec<u8>, i32, &'static str);

/// Returns a file with a header and a row.
fn csv(head: &str, row: &str) -> Vec<u8> {
    format!("{head}\n{row}\n").into_bytes()
}

/// Returns a file with a leaver. Cells that are left out at the end are empty.
fn leaver(cells: &str) -> Vec<u8> {
    let missing = 5_usize.saturating_sub(cells.matches(',').count());
    csv("user_id,deactivated,successor,reason,effective_at,request_id", &format!("{cells}{}", ",".repeat(missing)))
}

/// Returns a workbook with texts at cells.
fn workbook(cells: &[(u32, u16, &str)]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, column, text) in cells {
        sheet.write_string(*row, *column, *text).expect("a cell");
    }
    workbook.save_to_buffer().expect("a workbook")
}

/// Returns a workbook with one part replaced.
fn repacked(workbook: &[u8], part: &str, content: &[u8]) -> Vec<u8> {
    let mut old = ZipArchive::new(Cursor::new(workbook)).expect("a workbook");
    let mut new = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..old.len() {
        let mut of_old = old.by_index(index).expect("a part");
        let name = of_old.name().expect("a name").into_owned();
        new.start_file(&name, SimpleFileOptions::default()).expect("a part");
        match name == part {
            true => new.write_all(content).expect("written"),
            false => drop(std::io::copy(&mut of_old, &mut new).expect("copied")),
        }
    }
    new.finish().expect("a workbook").into_inner()
}

/// Returns small files that unpack to far more data, or claim to need far more memory.
#[rustfmt::skip]
fn bombs() -> Vec<Row> {
    let good = workbook(&[(0, 0, "user_id"), (0, 1, "deactivated"), (1, 0, "999"), (1, 1, "y")]);
    let blanks = " ".repeat(40_000_000);
    let texts = |texts: &str| format!("<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" uniqueCount=\"{texts}\"><si><t>user_id</t></si></sst>");
    let one_text = format!("<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><si><t>{blanks}</t></si></sst>");
    let one_tag = format!("<worksheet{blanks}/>");
    vec![
        ("a.xlsx", repacked(&good, "xl/sharedStrings.xml", one_text.as_bytes()),                  1, "a tag or a text is longer than 1 MiB"),
        ("a.xlsx", repacked(&good, "xl/worksheets/sheet1.xml", one_tag.as_bytes()),               1, "a tag or a text is longer than 1 MiB"),
        ("a.xlsx", repacked(&good, "xl/sharedStrings.xml", texts("9999999999999").as_bytes()),    1, "more texts than the memory limit allows"),
        ("a.xlsx", repacked(&good, "xl/sharedStrings.xml", texts(&"9".repeat(30)).as_bytes()),    1, "more texts than the memory limit allows"),
        // Repacked without the bomb, the file is read.
        ("a.xlsx", repacked(&good, "none", b""),                                                  3, "unknown_user"),
    ]
}

#[rustfmt::skip]
fn files() -> Vec<Row> {
    let good = workbook(&[(0, 0, "user_id"), (0, 1, "deactivated"), (1, 0, "999"), (1, 1, "y")]);
    let mut two = Workbook::new();
    two.add_worksheet();
    two.add_worksheet();
    let two = two.save_to_buffer().expect("a workbook");
    vec![
        ("a.csv",  b"".to_vec(),                                          1, "is empty"),
        ("a.csv",  b"\n\n\n".to_vec(),                                    1, "is empty"),
        ("a.csv",  b"\xff\xfeu\0s\0e\0r".to_vec(),                        1, "not valid UTF-16"),
        ("a.csv",  b"\xff\xfe\0\xd8".to_vec(),                            1, "not valid UTF-16"),
        ("a.csv",  b"\xff\xfe".to_vec(),                                  1, "is empty"),
        ("a.csv",  b"user_id,deactivated\n\xff,y\n".to_vec(),             1, "not UTF-8"),
        ("a.csv",  b"user_id,deactivated\n".to_vec(),                     1, "no row below its head"),
        ("a.csv",  csv("user_id,user id,deactivated", "1,1,y"),           1, "appears twice"),
        ("a.csv",  csv("user_id,,deactivated", "1,,y"),                   1, "has no name"),
        ("a.csv",  csv("user_id,deactivated,\u{1b}[2J", "1,y,"),          1, "no column `\\u{1b}[2J`"),
        ("a.csv",  csv(&"u".repeat(1_000_000), "1"),                      1, "more than 100 characters"),
        ("a.csv",  csv(&",".repeat(200_000), "1"),                        1, "no column `1`"),
        ("a.csv",  csv("user_id,deactivated", &format!("\"{}", "x".repeat(1_000_000))), 1, "the quotation mark"),
        ("a.xlsx", b"".to_vec(),                                          1, "is empty"),
        ("a.xlsx", repacked(&two, "xl/workbook.xml", b"<workbook><sheets><sheet name=\"A\" state=\"hidden\" r:id=\"rId1\"/><sheet name=\"a\" r:id=\"rId2\"/></sheets></workbook>"), 1, "two sheets have the name"),
        ("a.xlsx", b"PK\x03\x04".to_vec(),                                1, "cannot be read as a spreadsheet"),
        ("a.xlsx", repacked(&good, "xl/worksheets/sheet1.xml", b"<worksheet><dimension ref=\"B2:A1\"/><sheetData/></worksheet>"), 1, "cannot be read as a spreadsheet"),
        ("a.xlsx", repacked(&good, "xl/worksheets/sheet1.xml", b"<worksheet><sheetData><c><v>1</v></c></sheetData><mergeCell ref=\"1:2\"/></worksheet>"), 1, "is no area of cells"),
        ("a.xlsx", good[..good.len() / 2].to_vec(),                       1, "cannot be read as a spreadsheet"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".repeat(100),       1, "an old Excel workbook"),
        ("a.xlsx", workbook(&[]),                                         1, "is empty"),
        ("a.xlsx", workbook(&[(0, 0, "user_id"), (0, 1, "deactivated"), (1_048_575, 16_383, "x")]), 1, "at most 1000 columns"),
        ("a.xlsx", workbook(&[(0, 0, "user_id"), (0, 1, "deactivated"), (1_048_575, 999, "x")]), 3, "too_many_cells"),
        ("a.xlsx", good,                                                  3, "unknown_user"),
    ]
}

#[rustfmt::skip]
fn cells() -> Vec<Row> {
    vec![
        ("a.csv", leaver("'; DROP TABLE users; --,y,11"),       3, "invalid_id"),
        ("a.csv", leaver("053,y,11"),                           3, "invalid_id"),
        ("a.csv", leaver("=1+1,y,11"),                          3, "invalid_id"),
        ("a.csv", leaver("\u{200b}53,y,11"),                    3, "\\u{200b}53"),
        ("a.csv", leaver(&format!("{},y,11", "5".repeat(10_000))), 3, "the maximum is 200"),
        ("a.csv", leaver("9223372036854775808,y,11"),           3, "invalid_id"),
        ("a.csv", leaver("\u{1b}[2J,y,11"),                     3, "invalid_id"),
        ("a.csv", leaver("\"53\n54\",y,11"),                    3, "control characters"),
        ("a.csv", leaver("nobody@\u{202e}example.org,y,11"),    3, "invalid_id"),
        ("a.csv", leaver("53,y,round robin:"),                  3, "the name of the group is empty"),
        ("a.csv", leaver("53,y,round robin: \u{1b}[2J"),        3, "no_fit_member"),
        ("a.csv", leaver("53,y,nobody@nowhere\u{7}"),           3, "unknown_address"),
        ("a.csv", leaver("53,y,11,\u{0}"),                      3, "NUL"),
        ("a.csv", leaver(&format!("53,y,11,{}", "r".repeat(1_000_000))), 3, "the maximum is 2000"),
        ("a.csv", leaver("53,y,11,,2026-02-30"),                3, "invalid_time"),
        ("a.csv", leaver("53,y,11,,9999-12-31"),                3, "missing_time_zone"),
        ("a.csv", leaver("53,y,11,,9999-12-31T23:59:59-23:59"), 3, "invalid_time"),
        ("a.csv", leaver("53,y,11,,-1"),                        3, "invalid_time"),
        ("a.csv", leaver("53,y,11,,1e400"),                     3, "invalid_time"),
        ("a.csv", leaver("53,y,11,,NaN"),                       3, "invalid_time"),
        ("a.csv", leaver(&format!("53,y,11,,,{}", "x".repeat(10_000))), 3, "the maximum is 200"),
        ("a.csv", leaver("53,y,11,,,a\u{9b}b"),                 3, "control characters"),
        ("a.csv", leaver("53,y,11,,,,,,too,many"),              3, "too_many_cells"),
        ("a.csv", leaver("53,\u{1b}[2J,11"),                    3, "not_understood"),
    ]
}

#[every_engine]
async fn hostile_spreadsheet_is_refused(world: &mut World) {
    let before = snapshot::of_host(world).await;
    let mut wrong = Vec::new();
    for (name, content, code, words) in [files(), bombs(), cells()].concat() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        std::fs::write(&file, &content).expect("a file");
        let ended = on(world, &["bulk", text(&file), "--by", "1", "--org", "1", "--submit"]);
        let report = std::fs::read_to_string(format!("{}.report.csv", text(&file))).unwrap_or_default();
        // The mark by which spreadsheets recognize UTF-8.
        let report = report.trim_start_matches('\u{feff}');
        let reported = ended.out + &ended.err;
        let is_clean = hidden(&reported).is_empty() && hidden(report).is_empty();
        if ended.code != code || !(reported.contains(words) || report.contains(words)) || !is_clean {
            let reported: String = (reported + report).chars().take(600).collect();
            wrong.push(format!("{name} {}\n    {code} ({words}) expected: {} {reported}", shown(&content), ended.code));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(snapshot::of_host(world).await, before);
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 0);
}
