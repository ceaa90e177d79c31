//! What the cells of a row mean: answers, dates and time zones.

use super::{Sheet, codes, next_year, nothing_was_sent};
use crate::support::people::USERS;
use crate::support::process::{binary, borrowed, finish, on, settings, text};
use crate::support::{World, every_engine};

/// A row's answer, start and return, and the outcome: `skipped`, or the code of its reason. Nobody has the ids of these rows, so
/// a row that is understood is refused with `unknown_user`.
type Case = (&'static str, &'static str, &'static str, &'static str);

const UNDERSTOOD: &str = "unknown_user";

/// YYYY is the next year.
const CASES: &[Case] = &[
    ("yes", "", "", UNDERSTOOD),
    ("WAHR", "", "", UNDERSTOOD),
    ("ja", "", "", UNDERSTOOD),
    ("VRAI", "", "", UNDERSTOOD),
    ("Sí", "", "", UNDERSTOOD),
    ("1.0", "", "", UNDERSTOOD),
    ("✓", "", "", UNDERSTOOD),
    ("\u{a0}x\u{a0}", "", "", UNDERSTOOD),
    ("", "", "", "skipped"),
    ("-", "", "", "skipped"),
    ("NEIN", "", "", "skipped"),
    ("Faux", "", "", "skipped"),
    ("não", "", "", "skipped"),
    ("0", "nonsense", "", "skipped"),
    ("maybe", "", "", "not_understood"),
    ("yes!", "", "", "not_understood"),
    ("deaktiviert", "", "", "not_understood"),
    ("2", "", "", "not_understood"),
    ("ja", "YYYY-12-31", "", UNDERSTOOD),
    ("ja", "31.12.YYYY 18:00", "", UNDERSTOOD),
    ("ja", "YYYY/12/31 18:00:00", "", UNDERSTOOD),
    ("ja", "YYYY-12-31T18:00:00-05:00", "", UNDERSTOOD),
    ("ja", "", "YYYY-12-31", UNDERSTOOD),
    ("ja", "YYYY-06-30", "YYYY-07-01", UNDERSTOOD),
    ("ja", "YYYY-06-30", "YYYY-06-30", "invalid_field"),
    ("ja", "2027", "", "invalid_time"),
    ("ja", "202612", "", "invalid_time"),
    ("ja", "46387.75", "", "invalid_time"),
    ("ja", "18:00", "", "invalid_time"),
    ("ja", "YYYY-02-30", "", "invalid_time"),
    ("ja", "31.12.29", "", "invalid_time"),
    ("ja", "12/31/YYYY", "", "invalid_time"),
    ("ja", "31/12/YYYY", "", "invalid_time"),
    ("ja", "2020-01-01", "", "invalid_time"),
    ("ja", "", "2020-01-01", "invalid_time"),
    ("ja", "2999-01-01", "", "invalid_time"),
    ("ja", "tomorrow", "", "invalid_time"),
];

fn sheet_of(cases: &[Case]) -> Sheet {
    let year = next_year().to_string();
    let mut content = "user_id,deactivated,effective_at,return_at\n".to_owned();
    for (id, (answer, start, end, _)) in (9_000..).zip(cases) {
        content.push_str(&format!("{id},{answer},{start},{end}\n").replace("YYYY", &year));
    }
    Sheet::of("leavers.csv", content)
}

#[every_engine]
async fn answers_and_times_are_understood_or_refused(world: &mut World) {
    let rows = sheet_of(CASES).rows(world, &["--submit", "--time-zone", "Europe/Berlin"], 3);
    assert_eq!(rows.len(), CASES.len());
    for (row, (answer, start, end, expected)) in rows.iter().zip(CASES) {
        match *expected {
            "skipped" => assert!(row["note"].as_str().expect("a note").contains("`deactivated`"), "{row}"),
            code => assert_eq!(codes(row)[0], code, "{answer:?} {start:?} {end:?}: {row}"),
        }
        let outcome = if *expected == "skipped" { "skipped" } else { "rejected" };
        assert_eq!(row["outcome"], outcome, "{answer:?} {start:?} {end:?}: {row}");
    }
    nothing_was_sent(world).await;
}

#[every_engine]
async fn days_without_a_known_zone_are_refused(world: &mut World) {
    let sheet = sheet_of(&[
        ("y", "YYYY-12-31", "", ""),
        ("y", "31.12.YYYY 18:00", "", ""),
        ("y", "", "YYYY-12-31", ""),
        ("y", "YYYY-12-31T18:00:00Z", "", ""),
    ]);
    let rows = sheet.rows(world, &[], 3);
    let first: Vec<&str> = rows.iter().map(|row| codes(row)[0]).collect();
    assert_eq!(first, ["missing_time_zone", "missing_time_zone", "missing_time_zone", UNDERSTOOD]);
    assert!(rows[0]["reasons"][0]["hint"].as_str().expect("a hint").contains("--time-zone"), "{}", rows[0]);
    let zone = ["bulk", text(&sheet.file), "--by", "1", "--org", "1", "--time-zone", "Berlin"];
    assert!(on(world, &zone).expect(2).err.contains("did you mean Europe/Berlin?"));
}

#[every_engine]
async fn ids_that_the_database_refuses_fail_alone(world: &mut World) {
    let people = "CREATE TABLE people (id NUMERIC(20) NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
        INSERT INTO people VALUES (1, 'Ann', 'ann@example.com', 'active'), (2, 'Ben', 'ben@example.com', 'active'), \
        (9, 'Zoe', 'zoe@example.com', 'active'); CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner NUMERIC(20)); \
        CREATE INDEX docs_owner ON docs (owner); INSERT INTO docs VALUES (1, 9)";
    world.sql(people).await;
    let doc =
        "[[reference]]\nkind = \"doc\"\ntable = \"docs\"\nkey = \"id\"\nuser = \"owner\"\ndisposition = \"transfer\"\n";
    let sheet = Sheet::of("leavers.csv", "user_id,deactivated,successor\nnobody,y,2\n9,y,2\n");
    let catalog = sheet.file.with_file_name("catalog.toml");
    std::fs::write(&catalog, format!("{USERS}{doc}")).expect("a catalog");
    world.use_catalog(&format!("{USERS}{doc}")).await;
    let mut settings = settings(world);
    settings.push(("HANDOVER_CATALOG".into(), text(&catalog).into()));
    let child =
        binary(&borrowed(&settings), &["bulk", text(&sheet.file), "--by", "1", "--json"]).spawn().expect("the binary");
    let rows = tokio::task::block_in_place(|| finish(child, b"")).expect(3).json_lines();
    assert_eq!(rows[0]["outcome"], "rejected", "{}", rows[0]);
    assert_eq!((&rows[1]["outcome"], &rows[1]["name"]), (&"ok".into(), &"Zoe".into()), "{}", rows[1]);
}
