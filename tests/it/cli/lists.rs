//! Lists: they fit the terminal, filter, page, and show what the ledger says.

use handover::job::State;
use serde_json::{Value, json};

use crate::support::process::{Ended, borrowed, on, run, settings, text};
use crate::support::world::{certificate_of, keap_request};
use crate::support::{World, every_engine};

/// Runs a command with an output of 80 columns.
fn narrow(world: &World, arguments: &[&str]) -> Ended {
    let settings = settings(world);
    let environment = [borrowed(&settings), vec![("COLUMNS", "80")]].concat();
    tokio::task::block_in_place(|| run(&environment, arguments))
}

fn ids(jobs: &[Value]) -> Vec<&str> {
    jobs.iter().map(|job| job["request_id"].as_str().expect("an id")).collect()
}

/// Leaves a completed job, a scheduled one, three rejected ones, and a dead letter.
async fn fill(world: &mut World) {
    world.start_worker().await;
    certificate_of(&world.hand_over(&keap_request("Done-100%")).await);
    let mut later = keap_request("later");
    (later["user_id"], later["effective_at"]) = (json!("16"), json!("2126-01-01T00:00:00Z"));
    let later = world.send(&later).await;
    world.until("the job is scheduled", async || world.job(later).await).await;
    for n in 1..=3 {
        let mut gone = keap_request(&format!("gone-{n}-with-a-request-id-that-is-longer-than-a-screen-is-wide"));
        (gone["user_id"], gone["reason"]) = (json!("31"), json!(format!("reason {n}")));
        assert_eq!(world.hand_over(&gone).await.state, State::Rejected);
    }
    world.client.send(b"no request".to_vec()).await;
    world.until("it is set aside", async || (world.client.waiting("dead").await == 1).then_some(())).await;
    world
        .sql("UPDATE users SET name = 'A name that is much longer than it should be, for a table' WHERE id = 11")
        .await;
}

#[every_engine]
async fn lists_fit_the_terminal_and_keep_their_entries(world: &mut World) {
    fill(world).await;
    for (list, part) in [
        (&["jobs"][..], "deactivate  scheduled    16  2126-01-01"),
        (&["users"], "…"),
        (&["audit"], "deactivate.rejected"),
        (&["dead", "list"], "not_json"),
        (&["jobs", "--columns", "state,request,requested"], "rejected   gone-1-with-a-request-id"),
    ] {
        let shown = narrow(world, list).expect(0).out;
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{list:?}:\n{shown}");
        assert!(shown.contains(part), "{part} is missing in {list:?}:\n{shown}");
        let whole = on(world, list).expect(0).out;
        assert!(!whole.contains('…'), "output to a file is whole:\n{whole}");
        let csv = on(world, &[list, &["--output", "csv"]].concat()).expect(0).out;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("a record")).collect();
        let json = on(world, &[list, &["--output", "json"]].concat()).expect(0).json_lines();
        // A hint below an entry is indented.
        let entries = shown.lines().filter(|line| !line.starts_with("    ")).count() - 1;
        assert_eq!((records.len(), entries), (json.len(), json.len()), "{list:?}");
    }
    let wrong = on(world, &["jobs", "--columns", "job,usr"]).expect(1);
    assert!(wrong.err.contains("no column \"usr\": did you mean user?"), "{}", wrong.err);
    on(world, &["jobs", "--json", "--output", "csv"]).expect(2);
}

/// Every screen fits 80 columns, and no word of a hint is lost: the words of the narrow screen are those of the wide one.
#[every_engine]
async fn screens_fit_the_terminal_and_keep_their_words(world: &mut World) {
    fill(world).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, request: &Value| {
        let file = folder.path().join(name);
        std::fs::write(&file, request.to_string()).expect("a file");
        text(&file).to_owned()
    };
    let mut refused = keap_request("refused");
    (refused["user_id"], refused["reassign"]) = (json!("54"), json!({}));
    let (refused, accepted) = (file("refused.json", &refused), file("accepted.json", &keap_request("Done-100%")));
    let ids = on(world, &["jobs", "--json"]).expect(0).json_lines();
    let id_of = |state: &str| {
        let job = ids.iter().find(|job| job["state"] == state).unwrap_or_else(|| panic!("no {state} job: {ids:?}"));
        job["job_id"].as_str().expect("an id").to_owned()
    };
    let (completed, rejected) = (id_of("completed"), id_of("rejected"));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for screen in [
        &["job", &completed][..],
        &["job", &rejected],
        &["preview", &refused],
        &["preview", &accepted],
        &["revert", &completed, "--by", "1", "--dry-run"],
        &["doctor"],
        &["catalog", "scan"],
        &["schema", "--help"],
    ] {
        let shown = narrow(world, screen).out;
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{screen:?}:\n{shown}");
        // Figures such as durations differ from run to run.
        let whole = words(&on(world, screen).out);
        let is_lost = |word: &String| !whole.contains(word) && !word.contains(|c: char| c.is_ascii_digit());
        let lost: Vec<String> = words(&shown).into_iter().filter(is_lost).collect();
        assert!(lost.is_empty(), "{screen:?}: {lost:?} of:\n{shown}");
    }
}

#[every_engine]
async fn lists_are_paged_and_say_what_is_left_out(world: &mut World) {
    fill(world).await;
    let all = on(world, &["jobs", "--json"]).expect(0);
    assert!(!all.err.contains("shown"), "{}", all.err);
    let all = all.json_lines();
    assert_eq!(all.len(), 5);
    let page = on(world, &["jobs", "--json", "--limit", "2", "--skip", "1"]).expect(0);
    assert_eq!(page.json_lines(), all[1..3]);
    assert!(page.err.contains("2 of 5 jobs shown; the next: --skip 3; all: --limit 0"), "{}", page.err);
    let rest = on(world, &["jobs", "--json", "--skip", "3"]).expect(0);
    assert_eq!(rest.json_lines(), all[3..]);
    assert!(rest.err.ends_with("2 of 5 jobs shown\n"), "{}", rest.err);
    for list in [&["users", "--status", "all"][..], &["audit"], &["dead", "list"]] {
        let json = |more: &[&str]| on(world, &[list, &["--json"], more].concat()).expect(0);
        let all = json(&["--limit", "0"]).json_lines();
        let page = json(&["--limit", "1"]);
        let listed = page.json_lines();
        // The audit trail is listed from its end.
        let expected = if list == ["audit"] { all.last() } else { all.first() };
        assert_eq!((listed.len(), listed.first()), (1, expected), "{list:?}");
        assert_eq!(page.err.contains("shown"), all.len() > 1, "{list:?}: {}", page.err);
        assert!(json(&["--skip", "1000"]).json_lines().is_empty(), "{list:?}");
    }
}

#[every_engine]
async fn lists_are_filtered(world: &mut World) {
    fill(world).await;
    let jobs = |arguments: &[&str]| on(world, &[&["jobs", "--json"], arguments].concat()).expect(0).json_lines();
    let long = |n: u64| format!("gone-{n}-with-a-request-id-that-is-longer-than-a-screen-is-wide");
    assert_eq!(ids(&jobs(&["--user", "53"])), ["Done-100%"]);
    assert_eq!(ids(&jobs(&["--state", "completed,scheduled"])), ["later", "Done-100%"]);
    assert_eq!(ids(&jobs(&["--type", "revert"])), Vec::<&str>::new());
    assert_eq!(jobs(&["--type", "deactivate", "--by", "1", "--since", "1h", "--org", "1"]).len(), 5);
    assert_eq!(jobs(&["--since", "2126-01-01"]).len(), 0);
    assert_eq!(ids(&jobs(&["--text", "REASON 2"])), [long(2)]);
    assert_eq!(ids(&jobs(&["--text", "done-100%"])), ["Done-100%"]);
    assert_eq!(jobs(&["--text", "d_ne"]).len(), 0, "a pattern is text");
    assert_eq!(on(world, &["users", "--text", "PRIYA", "--json"]).expect(0).json_lines()[0]["id"], "15");
    assert_eq!(on(world, &["users", "--text", "sales%", "--json"]).expect(0).out, "");
    let dead = |text: &str| on(world, &["dead", "list", "--text", text, "--json"]).expect(0).json_lines().len();
    assert_eq!((dead("NO REQUEST"), dead("not_json"), dead("no_request")), (1, 1, 0));
    for (arguments, likely) in [(["--state", "rejectd"], "rejected"), (["--type", "deactivat"], "deactivate")] {
        let wrong = on(world, &[&["jobs"], &arguments[..]].concat()).expect(2);
        assert!(wrong.err.contains(&format!("did you mean {likely}?")), "{}", wrong.err);
    }
    on(world, &["jobs", "--since", "yesterday"]).expect(2);
}

#[every_engine]
async fn every_command_shows_the_ledgers_state(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&keap_request("r1")).await.id.to_string();
    let undone = on(world, &["revert", &job, "--by", "1", "--wait"]).expect(0).out;
    for part in ["type          revert", "104 restored", "92 restored"] {
        assert!(undone.contains(part), "{part} is missing in:\n{undone}");
    }
    assert!(undone.contains(&format!("about the job {job}")), "{undone}");
    let listed = on(world, &["jobs", "--json"]).expect(0).json_lines();
    let states: Vec<_> = listed.iter().map(|job| (&job["type"], &job["state"], &job["about_job"])).collect();
    assert_eq!(
        states,
        [
            (&json!("revert"), &json!("completed"), &json!(job)),
            (&json!("deactivate"), &json!("reverted"), &Value::Null)
        ]
    );
    for entry in &listed {
        let shown = on(world, &["job", entry["job_id"].as_str().expect("an id"), "--json"]).expect(0).json();
        for field in ["state", "type", "about_job", "user_id", "effective_at", "request_id"] {
            assert_eq!(shown[field], entry[field], "{field}");
        }
    }
    let plain = on(world, &["job", &job]).expect(0).out;
    assert!(plain.contains("state         reverted"), "{plain}");
}
