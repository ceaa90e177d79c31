//! Which database a command opens: it says so, and only `migrate` and `demo` create one.

use std::collections::BTreeSet;
use std::path::Path;

use handover::job::State;
use serde_json::{Value, json};

use super::leaf_commands;
use crate::support::process::{Ended, WorkerProcess, binary, borrowed, finish, on, run, settings, text};
use crate::support::terminal::at_a_terminal;
use crate::support::world::keap_request;
use crate::support::{Engine, World, every_engine};

/// The default database.
const FILE: &str = "handover.db";

const JOB: &str = "6b0c0000-0000-5000-8000-000000000000";

/// What a command does in a folder without a database.
#[derive(Debug, PartialEq, Eq)]
enum Does {
    /// It refuses.
    Refuses,
    /// It opens no database.
    OpensNone,
    /// It creates a database.
    Creates,
}

/// Every command, with its arguments.
const COMMANDS: [(&str, &[&str], Does); 44] = [
    ("amend", &[JOB, "--by", "1", "--reassign", "REQUEST"], Does::Refuses),
    ("audit", &[], Does::Refuses),
    ("bulk", &["LEAVERS", "--by", "1", "--org", "1", "--submit"], Does::Refuses),
    ("cancel", &[JOB, "--by", "1"], Does::Refuses),
    ("catalog check", &[], Does::Refuses),
    ("catalog draft", &[], Does::Refuses),
    ("catalog grants", &[], Does::Refuses),
    ("catalog publish", &["--by", "1"], Does::Refuses),
    ("catalog scan", &[], Does::Refuses),
    ("catalog show", &[], Does::OpensNone),
    ("completions", &["bash"], Does::OpensNone),
    ("console login", &["--user", "1"], Does::Refuses),
    ("dead drop", &["--all", "--by", "1"], Does::Refuses),
    ("dead list", &[], Does::Refuses),
    ("dead replay", &["--all", "--by", "1"], Does::Refuses),
    ("dead show", &[], Does::Refuses),
    ("demo", &["--keep", FILE], Does::Creates),
    ("doctor", &[], Does::Refuses),
    ("forget", &["53", "--by", "1"], Does::Refuses),
    ("health", &[], Does::OpensNone),
    ("init", &["SETTINGS"], Does::OpensNone),
    ("job", &[JOB], Does::Refuses),
    ("jobs", &[], Does::Refuses),
    ("man", &[], Does::OpensNone),
    ("migrate", &[], Does::Creates),
    ("pause", &[JOB, "--by", "1"], Does::Refuses),
    ("preview", &["REQUEST"], Does::Refuses),
    ("resume", &[JOB, "--by", "1"], Does::Refuses),
    ("revert", &[JOB, "--by", "1"], Does::Refuses),
    ("run", &[], Does::Refuses),
    ("schema", &["request"], Does::OpensNone),
    ("scim add", &["okta", "--org", "1", "--policy", "wait"], Does::Refuses),
    ("scim list", &[], Does::Refuses),
    ("scim release", &["okta", "--org", "1", "--by", "1"], Does::Refuses),
    ("scim rollback", &["okta", "--org", "1", "--by", "1"], Does::Refuses),
    ("scim remove", &["okta", "--org", "1"], Does::Refuses),
    ("scim rotate", &["okta", "--org", "1"], Does::Refuses),
    ("serve", &[], Does::Refuses),
    ("submit", &["REQUEST"], Does::Refuses),
    ("token create", &["--operator", "ops", "--scopes", "operator:read"], Does::Refuses),
    ("token list", &[], Does::Refuses),
    ("token revoke", &["0123456789abcdef"], Does::Refuses),
    ("users", &[], Does::Refuses),
    ("watch", &[JOB], Does::Refuses),
];

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn only_migrate_and_demo_create_a_database() {
    let tested: BTreeSet<String> = COMMANDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(tested, leaf_commands().into_iter().map(|(name, _)| name).collect());
    let inputs = tempfile::tempdir().expect("a folder");
    let (request, leavers) = (inputs.path().join("request.json"), inputs.path().join("leavers.csv"));
    std::fs::write(&request, keap_request("r1").to_string()).expect("a file");
    std::fs::write(&leavers, "user_id,deactivated,successor\n53,y,11\n").expect("a file");
    let settings = inputs.path().join("handover.toml");
    for (name, more, does) in COMMANDS {
        let folder = tempfile::tempdir().expect("a folder");
        let more = more.iter().map(|argument| match *argument {
            "REQUEST" => text(&request),
            "LEAVERS" => text(&leavers),
            "SETTINGS" => text(&settings),
            argument => argument,
        });
        let arguments: Vec<&str> = name.split(' ').chain(more).collect();
        let mut command = binary(&[], &arguments);
        command.current_dir(folder.path());
        let ended = finish(command.spawn().expect("the binary"), b"");
        let created = names_in(folder.path());
        match does {
            Does::Creates => {
                ended.expect(0);
                assert!(created.contains(&FILE.to_owned()), "{name}: {created:?}");
                continue;
            }
            Does::OpensNone => {}
            Does::Refuses => {
                let ended = ended.expect(1);
                let file = folder.path().join(FILE);
                let reported = ended.out + &ended.err;
                let refusal = format!("there is no database {}", text(&file));
                assert!(reported.contains(&refusal) && reported.contains("`handover migrate`"), "{name}: {reported}");
            }
        }
        assert_eq!(created, Vec::<String>::new(), "{name}");
    }
}

/// Empties the host of a world, or takes another database, and returns the settings of a process there.
async fn without_the_hosts_tables(world: &World, folder: &Path) -> Vec<(String, String)> {
    let mut all = settings(world);
    match world.engine {
        Engine::Postgres => {
            world.sql("DROP SCHEMA public CASCADE").await;
            world.sql("CREATE SCHEMA public").await;
        }
        Engine::Sqlite => {
            let url = format!("sqlite://{}", folder.join("other.db").display());
            all.retain(|(name, _)| name != "HANDOVER_DATABASE__URL");
            all.push(("HANDOVER_DATABASE__URL".into(), url));
        }
    }
    all
}

#[every_engine]
async fn foreign_database_is_noticed_in_one_line(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let all = without_the_hosts_tables(world, folder.path()).await;
    let all = borrowed(&all);
    let (request, leavers) = (folder.path().join("request.json"), folder.path().join("leavers.csv"));
    std::fs::write(&request, keap_request("r1").to_string()).expect("a file");
    std::fs::write(&leavers, "user_id,deactivated,successor\n53,y,11\n54,y,11\n").expect("a file");
    let by_owner = ("HANDOVER_DATABASE__URL", world.database_url());
    let owner = if world.engine == Engine::Postgres { [&all[..], &[by_owner]].concat() } else { all.clone() };
    let migrated = tokio::task::block_in_place(|| run(&owner, &["migrate"])).expect(0);
    let says = |ended: &Ended| {
        let reported = format!("{}{}", ended.out, ended.err);
        let lines = reported.lines().filter(|line| line.contains("tables of the catalog keap is in")).count();
        assert!(lines == 1 && !reported.contains("has no table"), "{reported}");
        assert!(reported.contains("wrong database") && reported.contains("wrong catalog"), "{reported}");
    };
    says(&migrated);
    for arguments in [
        &["doctor"][..],
        &["catalog", "check"],
        &["users"],
        &["run"],
        &["preview", text(&request)],
        &["submit", text(&request)],
        &["bulk", text(&leavers), "--by", "1", "--org", "1", "--submit"],
    ] {
        says(&tokio::task::block_in_place(|| run(&all, arguments)).expect(1));
    }
    assert_eq!(world.client.waiting("requests").await, 0, "nothing was sent");
}

#[every_engine]
async fn unknown_organization_is_noticed_once(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let (requests, leavers) = (folder.path().join("requests.jsonl"), folder.path().join("leavers.csv"));
    let bodies = ["r1", "r2", "r3"].map(|id| {
        let mut request = keap_request(id);
        request["org_id"] = json!("99");
        format!("{request}\n")
    });
    std::fs::write(&requests, bodies.concat()).expect("a file");
    std::fs::write(&leavers, "user_id,deactivated,successor\n53,y,11\n54,y,11\n").expect("a file");
    for arguments in [
        &["users", "--org", "99"][..],
        &["preview", text(&requests)],
        &["submit", text(&requests)],
        &["submit", text(&requests), "--dry-run"],
        &["bulk", text(&leavers), "--by", "1", "--org", "99"],
        &["bulk", text(&leavers), "--by", "1", "--org", "99", "--submit"],
        &["audit", "--org", "99"],
        &["audit", "--org", "99", "--limit", "5", "--json"],
        &["dead", "list", "--org", "99"],
        &["dead", "show", "--org", "99", "--json"],
        &["dead", "replay", "--org", "99", "--by", "1"],
        &["dead", "drop", "--org", "99", "--by", "1"],
        &["forget", "53", "--org", "99", "--by", "1"],
        &["forget", "53", "--org", "99", "--by", "1", "--dry-run"],
    ] {
        let ended = on(world, arguments).expect(1);
        let said = "organization 99 does not exist here: 2 other organizations do";
        assert_eq!(ended.err.matches(said).count(), 1, "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
    assert_eq!(world.client.waiting("requests").await, 0, "nothing was sent");
    // Nothing is known of this organization yet, but it exists.
    assert_eq!(on(world, &["audit", "--org", "2", "--json"]).expect(0).out, "");
    assert_eq!(on(world, &["dead", "list", "--org", "2", "--json"]).expect(0).out, "");
    let listed = on(world, &["users", "--org", "2", "--json"]).expect(0).json_lines();
    assert_eq!(listed.iter().map(|user| &user["id"]).collect::<Vec<_>>(), [&json!("201")]);
}

#[every_engine]
async fn broken_catalog_does_not_stop_a_cancellation(world: &mut World) {
    world.start_worker().await;
    let mut later = keap_request("later");
    later["effective_at"] = json!("2126-01-01T00:00:00Z");
    let job = world.send(&later).await;
    world.until("the job is scheduled", async || world.job(job).await).await;
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = folder.path().join("broken.toml");
    std::fs::write(&catalog, "[users]").expect("a file");
    let mut all = settings(world);
    all.push(("HANDOVER_CATALOG".into(), text(&catalog).into()));
    let (all, id) = (borrowed(&all), job.to_string());
    let cancel = ["cancel", id.as_str(), "--by", "1"];
    let asked = tokio::task::block_in_place(|| at_a_terminal(&all, &cancel, "n\n")).expect(1);
    assert!(asked.err.contains("deactivate 53 of organization 1, now scheduled? [y/N]"), "{}", asked.err);
    tokio::task::block_in_place(|| run(&all, &[&cancel[..], &["--wait"]].concat())).expect(0);
    assert_eq!(world.job(job).await.expect("the job").state, State::Cancelled);
}

#[every_engine]
async fn commands_say_which_database_they_opened(world: &mut World) {
    let place = match world.engine {
        Engine::Sqlite => {
            let url = world.worker_url().trim_start_matches("sqlite://").split('?').next().expect("a path").to_owned();
            format!("SQLite {url}")
        }
        Engine::Postgres => {
            let url = url::Url::parse(world.worker_url()).expect("a URL");
            let (host, port) = (url.host_str().expect("a host"), url.port().unwrap_or(5432));
            format!("PostgreSQL {} on {host}:{port} as {}", &url.path()[1..], url.username())
        }
    };
    let which = format!("database: {place}; catalog keap; ledger format 2\n");
    for command in [&["jobs"][..], &["users", "--json"], &["catalog", "check"], &["dead", "list"], &["audit"]] {
        assert_eq!(on(world, command).expect(0).err, which, "{command:?}");
    }
    let found = on(world, &["doctor", "--json"]).expect(0).json()["checks"][0]["found"].clone();
    let (_, of_engine) = place.split_once(' ').expect("the engine's name");
    assert!(found.as_str().is_some_and(|found| found.ends_with(of_engine)), "{found}");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let all = settings(world);
    let worker = WorkerProcess::start_with_log(&borrowed(&all), std::fs::File::create(&log).expect("a file"));
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&log).expect("a log");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let started = async || lines().into_iter().find(|line| line["message"] == "worker started");
    world.until("the worker runs", started).await;
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    let starting = lines().into_iter().find(|line| line["message"] == "worker starting").expect("a line");
    assert_eq!((&starting["database"], &starting["catalog"]), (&json!(place), &json!("keap")));
    assert_eq!(
        (&starting["ledger"], &starting["version"]),
        (&json!("ledger format 2"), &json!(env!("CARGO_PKG_VERSION")))
    );
    match world.engine {
        Engine::Sqlite => assert_eq!(starting["broker"], "local"),
        Engine::Postgres => {
            assert_eq!(starting["prefix"], world.prefix.as_str());
            assert!(starting["broker"].as_str().is_some_and(|broker| !broker.contains('@')), "{starting}");
        }
    }
}
