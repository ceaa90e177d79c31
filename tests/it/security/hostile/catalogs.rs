//! Invalid catalogs, through `handover catalog check`.

use serde_json::Value;

use super::{hidden, shown};
use crate::support::process::{Ended, borrowed, run, settings, text};
use crate::support::world::catalog_source;
use crate::support::{World, every_engine, snapshot};

/// Returns the `keap` catalog with one text replaced.
fn instead(of: &str, other: &str) -> Vec<u8> {
    let source = catalog_source("keap");
    assert!(source.contains(of), "{of}");
    source.replacen(of, other, 1).into_bytes()
}

/// The content of the file, and words of the message.
#[rustfmt::skip]
fn rows() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (b"".to_vec(),                                                             "[users] is missing"),
        (b"\xff\xfe[users]".to_vec(),                                              "UTF-8"),
        (b"[users".to_vec(),                                                       "line 1"),
        (b"\0\0\0".to_vec(),                                                       "line 1"),
        (format!("{}=1", vec!["a"; 100_000].join(".")).into(),                     "recursion limit"),
        (format!("[{}]", vec!["a"; 100_000].join(".")).into(),                     "recursion limit"),
        (format!("a={}", "[".repeat(100_000)).into(),                              "recursion"),
        (format!("a={}", "{a=".repeat(100_000)).into(),                            "recursion"),
        ("a=1\n".repeat(50_000).into(),                                            "duplicate key"),
        ("[[reference]]\nkind = \"a\"\n".repeat(20_000).into(),                    "[users] is missing"),
        (b"users = 1\nreference = 2".to_vec(),                                     "written as [[reference]]"),
        (b"users = [[1]]\n[[reference]]\nkind = 5".to_vec(),                       "line 1"),
        (instead("table = \"users\"", "table = \"users; DROP TABLE users\""),      "no table `users; DROP TABLE users`"),
        (instead("table = \"users\"", "table = \"\\u001b[2Jusers\""),              "no table `\\u{1b}[2Jusers`"),
        (instead("table = \"users\"", "table = \"users\\u0000\""),                 "no table `users\\u{0}`"),
        (instead("key = \"id\"", "key = \"id\\\" OR 1=1\""),                       "no column `id\" OR 1=1`"),
        (instead("\"owner_id\"", "\"owner_id\\u202e\""),                           "no column `owner_id\\u{202e}`"),
        (instead("keep_copy = \"30d\"", "keep_copy = \"99999999999999999999y\""),  "keep_copy"),
        (instead("keep_copy = \"30d\"", "keep_copy = \"-1d\""),                    "keep_copy"),
        (instead("keep_copy = \"30d\"", "keep_copy = \"500000y\""),                "keep_copy"),
        (instead("[users]", "[users]\nname = \"name\"\nname = \"email\""),         "duplicate key"),
        (instead("[users]", "[users]\n__proto__ = 1"),                             "unknown field `__proto__`"),
        (instead("[users]", "[[users]]"),                                          "line"),
        (instead("kind = \"contact\"", "kind = \"lead\""),                         "`lead` occurs twice"),
        (instead("kind = \"contact\"", "kind = \"\""),                             "kind"),
        (instead("kind = \"contact\"", "kind = \"a\\u001b[2J\\nb\""),              "kind"),
        (instead("kind = \"contact\"", &format!("kind = \"{}\"", "k".repeat(1_000_000))), "kind"),
    ]
}

/// Returns what a command reported: of a worker's log in JSON its last error.
fn reported(ended: Ended) -> String {
    let last = ended.err.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    match last.as_ref().and_then(|line| line["error"].as_str()) {
        Some(error) => error.to_owned(),
        None => ended.out + &ended.err,
    }
}

#[every_engine]
async fn hostile_catalog_is_refused_with_its_lines(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hostile.toml");
    let before = snapshot::of_host(world).await;
    let mut wrong = Vec::new();
    for (source, words) in rows() {
        std::fs::write(&file, &source).expect("a file");
        let settings = [settings(world), vec![("HANDOVER_CATALOG".into(), text(&file).into())]].concat();
        for command in [&["catalog", "check"][..], &["run"]] {
            let ended = tokio::task::block_in_place(|| run(&borrowed(&settings), command));
            let code = ended.code;
            let is_clean = hidden(&ended.out).is_empty() && hidden(&ended.err).is_empty();
            let reported = reported(ended);
            if code != 1 || !reported.contains(words) || !is_clean {
                let reported: String = reported.chars().take(600).collect();
                wrong.push(format!("{command:?} {}\n    {words} expected: {code} {reported}", shown(&source)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(snapshot::of_host(world).await, before);
}
