//! Spreadsheets as data: the files that people send, with the outcome of each row.

mod workbook;

use std::thread;

use serde::Deserialize;
use serde_json::Value;

use self::workbook::SheetOfCase;
use super::{Sheet, next_year};
use crate::support::process::{Ended, start_worker, text, with_input};
use crate::support::{World, every_engine, snapshot};

/// The data.
const FILES: [&str; 4] = ["formats", "heads", "rows", "workbooks"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// A spreadsheet and what comes out of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The name of the file; `-` is standard input.
    #[serde(default = "Case::default_file")]
    file: String,
    /// The content of a text file.
    #[serde(default)]
    text: String,
    #[serde(default)]
    encoding: Encoding,
    /// The first bytes, before the text.
    #[serde(default)]
    bytes: Vec<u8>,
    /// The names of a ZIP archive's parts.
    #[serde(default)]
    parts: Vec<String>,
    /// The sheets of a workbook.
    #[serde(default)]
    sheet: Vec<SheetOfCase>,
    #[serde(default)]
    flags: Vec<String>,
    /// True without the requester and the organization.
    #[serde(default)]
    bare: bool,
    exit: i32,
    /// The number, user, outcome or codes, and start of each row.
    #[serde(default)]
    rows: Vec<String>,
    /// Parts of what is printed.
    #[serde(default)]
    says: Vec<String>,
    /// The exit code and the rows after the acceptable rows were sent.
    submitted: Option<Submitted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submitted {
    exit: i32,
    rows: Vec<String>,
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Encoding {
    #[default]
    Utf8,
    Utf8WithMark,
    Utf16LittleEndian,
    Utf16BigEndian,
    Latin1,
}

impl Case {
    fn default_file() -> String {
        "leavers.csv".into()
    }

    fn content(&self) -> Vec<u8> {
        if !self.sheet.is_empty() {
            return workbook::build(&self.sheet);
        }
        if !self.parts.is_empty() {
            return workbook::archive(&self.parts);
        }
        let marked = || "\u{feff}".chars().chain(self.text.chars()).collect::<String>();
        let text = match self.encoding {
            Encoding::Utf8 => self.text.clone().into_bytes(),
            Encoding::Utf8WithMark => marked().into_bytes(),
            Encoding::Utf16LittleEndian => marked().encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16BigEndian => marked().encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Encoding::Latin1 => self.text.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect(),
        };
        [self.bytes.clone(), text].concat()
    }

    fn run(&self, world: &World, more: &[&str]) -> Ended {
        let content = self.content();
        let (sheet, input) = match self.file.as_str() {
            "-" => (Sheet::of("unused", ""), &content[..]),
            name => (Sheet::of(name, &content), &b""[..]),
        };
        let report = format!("{}.csv", text(&sheet.file));
        let file = if self.file == "-" { "-" } else { text(&sheet.file) };
        let flags = self.flags.iter().map(String::as_str);
        let asks = if self.bare { &[][..] } else { &["--by", "1", "--org", "1"] };
        let given = ["bulk", file, "--report", &report, "--json"].into_iter().chain(asks.iter().copied());
        with_input(world, &given.chain(flags).chain(more.iter().copied()).collect::<Vec<_>>(), input)
    }

    /// Compares the outcome with what is expected. Returns the differences.
    fn differences(&self, ended: &Ended, exit: i32, rows: &[String]) -> Option<String> {
        let found: Vec<String> = ended.out.lines().filter_map(row).collect();
        let printed = format!("{}{}", ended.out, ended.err);
        let unsaid: Vec<&String> = self.says.iter().filter(|part| !printed.contains(part.as_str())).collect();
        let is_right = ended.code == exit && found == rows && unsaid.is_empty();
        (!is_right).then(|| {
            let (Case { name, .. }, Ended { code, .. }) = (self, ended);
            format!("{name}: exit {code} not {exit}, {found:#?}, unsaid {unsaid:?} in {printed}")
        })
    }
}

/// Returns a printed row in the form of the data; nothing for the summary.
fn row(line: &str) -> Option<String> {
    let row: Value = serde_json::from_str(line).expect("JSON");
    let codes = row.get("reasons")?.as_array()?.iter().filter_map(|reason| reason["code"].as_str());
    let codes = codes.collect::<Vec<_>>().join("+");
    let outcome = if codes.is_empty() { row["outcome"].as_str()? } else { &codes };
    let starts = row["starts"].as_str().map(|at| format!(" {at}")).unwrap_or_default();
    Some(format!("{} {} {outcome}{starts}", row["row"], row["user"].as_str()?))
}

/// Reads the data. `YYYY` is the next year.
fn cases() -> Vec<Case> {
    let year = next_year().to_string();
    let read = |name: &str| {
        let file = format!("{}/tests/it/cli/bulk/spreadsheets/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let data = std::fs::read_to_string(file).expect("the data").replace("YYYY", &year);
        toml::from_str::<File>(&data).expect("the data").case
    };
    FILES.into_iter().flat_map(read).collect()
}

/// Adds users who own nothing, so that each row decides by itself.
async fn add_users(world: &World) {
    let columns = "id, org_id, name, username, email, status, role, is_partner, can_manage_team";
    let namesakes = [
        (61, "jo@example.com", "inactive"),
        (62, "Jo@example.com", "active"),
        (63, "lee@example.com", "active"),
        (64, "Lee@example.com", "active"),
        (65, "kim@example.com", "inactive"),
        (66, "Kim@example.com", "inactive"),
    ];
    let others = (1101..1131).map(|id| (id, format!("user{id}@example.com"), "active"));
    for (id, email, status) in
        namesakes.map(|(id, email, status)| (id, email.to_owned(), status)).into_iter().chain(others)
    {
        let values = format!("{id}, 1, 'User {id}', 'user{id}', '{email}', '{status}', 'member', TRUE, FALSE");
        world.sql(&format!("INSERT INTO users ({columns}) VALUES ({values})")).await;
    }
}

/// Runs all cases without sending anything, a few at a time.
fn evaluated(world: &World, cases: &[Case]) -> Vec<String> {
    const AT_A_TIME: usize = 3;
    let differences = |cases: &[Case]| -> Vec<String> {
        cases.iter().filter_map(|case| case.differences(&case.run(world, &[]), case.exit, &case.rows)).collect()
    };
    thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(AT_A_TIME));
        let running: Vec<_> = parts.map(|part| scope.spawn(move || differences(part))).collect();
        running.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    })
}

/// The guide shows what the program prints.
#[test]
fn guide_shows_the_notes_of_a_case() {
    const GUIDE: &str = "docs/guides/bulk-files.md";
    let guide = std::fs::read_to_string(GUIDE).expect("the guide");
    let shown = guide.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a screen");
    let cases = cases();
    let case = cases.iter().find(|case| case.name.contains(GUIDE)).expect("its case");
    assert_eq!(shown.lines().collect::<Vec<_>>(), case.says);
}

#[every_engine]
async fn spreadsheets_have_the_expected_outcome(world: &mut World) {
    let cases = cases();
    assert!(cases.len() >= 64, "{} cases", cases.len());
    add_users(world).await;
    let before = snapshot::of_host(world).await;
    let wrong = tokio::task::block_in_place(|| evaluated(world, &cases));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(snapshot::of_host(world).await, before);
    super::nothing_was_sent(world).await;
    let worker = start_worker(world, &[]);
    for case in &cases {
        let Some(Submitted { exit, rows }) = &case.submitted else { continue };
        let differences = case.differences(&case.run(world, &["--submit", "--yes"]), *exit, rows);
        assert_eq!(differences, None);
    }
    tokio::task::block_in_place(|| worker.stop());
}
