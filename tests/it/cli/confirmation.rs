//! Commands that change people, records or messages: each asks at a terminal, and needs `--yes` without one.

use handover::job::State;
use std::collections::{BTreeMap, BTreeSet};

use handover::app::scim::connections;
use handover::app::scim::policy::Policy;
use handover::contract::JobId;
use serde_json::json;
use tempfile::TempDir;

use super::leaf_commands;
use crate::support::process::{Ended, borrowed, finish, on, run, settings, text, unconfirmed};
use crate::support::terminal::{END_OF_INPUT, at_a_terminal};
use crate::support::world::keap_request;
use crate::support::{Engine, World, every_engine};

/// Commands that would change something in the world, each with words of its question.
struct Commands {
    commands: Vec<(Vec<String>, &'static str)>,
    job: JobId,
    _folder: TempDir,
}

impl Commands {
    /// Leaves a scheduled job, a rejected one, and a dead letter.
    async fn prepare(world: &mut World) -> Commands {
        world.start_worker().await;
        let mut later = keap_request("later");
        later["effective_at"] = json!("2126-01-01T00:00:00Z");
        let job = world.send(&later).await;
        world.until("the job is scheduled", async || world.job(job).await).await;
        let mut gone = keap_request("gone");
        gone["user_id"] = json!("31");
        assert_eq!(world.hand_over(&gone).await.state, State::Rejected);
        world.client.send(b"no request".to_vec()).await;
        let is_dead = async || (world.client.waiting("dead").await == 1).then_some(());
        world.until("a message is dead-lettered", is_dead).await;
        // Events must be published before anybody is forgotten.
        let waiting = "SELECT count(*) FROM handover.outbox WHERE channel = 'events'";
        let is_local = world.engine == Engine::Sqlite;
        let is_published = async || (is_local || world.number(waiting).await == 0).then_some(());
        world.until("the events are published", is_published).await;
        world.stop_workers().await;
        hold(world).await;
        Commands::about(job)
    }

    fn about(job: JobId) -> Commands {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: String| {
            let file = folder.path().join(name);
            std::fs::write(&file, content).expect("a file");
            text(&file).to_owned()
        };
        let mut leaves = keap_request("leaves");
        leaves["user_id"] = json!("15");
        leaves["reassign"] = ["contact", "lead", "task", "account", "direct_report"]
            .map(|kind| (kind, json!({ "user": "11" })))
            .into_iter()
            .collect();
        let request = file("request.json", leaves.to_string());
        let leavers = file("leavers.csv", "user_id,deactivated,successor\n16,y,11\n999,y,11\n".into());
        let successors = file("successors.json", json!({ "contact": { "user": "14" } }).to_string());
        let id = job.to_string();
        let about = |command: &str, more: &[&str]| {
            [&[command, id.as_str(), "--by", "1"], more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let commands = vec![
            (words(&format!("submit {request}")), "Deactivate 15 (Priya Raman) of organization 1 now?"),
            (
                words(&format!("bulk {leavers} --by 1 --org 1 --submit")),
                "Submit 1 request for organization 1 (1 row rejected)?",
            ),
            (about("revert", &[]), "Revert the job"),
            (about("cancel", &[]), "Cancel the job"),
            (about("pause", &[]), "deactivate 53 (Dana Whitfield) of organization 1, now scheduled?"),
            (about("resume", &[]), "Resume the job"),
            (about("amend", &["--reassign", &successors]), "Amend the job"),
            (
                words("forget 31 --org 1 --by 1"),
                "Erase what the ledger holds of user 31 of organization 1 (1 job about",
            ),
            (words("dead replay --all --by 1"), "Send back 1 of 1 message (1 not_json)?"),
            (words("dead drop --all --by 1"), "Drop for good 1 of 1 message (1 not_json)?"),
            (words("scim release okta --org 1 --by 1"), "Let 1 job of okta go on?"),
            (words("scim rollback okta --org 1 --by 1"), "Bring 1 user back (0 users skipped)?"),
            (words("catalog publish --by 1"), "Publish the catalog keap? no version is current."),
        ];
        Commands { commands, job, _folder: folder }
    }

    fn each(&self) -> impl Iterator<Item = (Vec<&str>, &'static str)> {
        self.commands.iter().map(|(words, question)| (words.iter().map(String::as_str).collect(), *question))
    }
}

/// Has the breaker of a connection hold every job that is scheduled.
async fn hold(world: &World) {
    let org = Some("1".to_owned().try_into().expect("an id"));
    let policy = Policy::of(Vec::new()).expect("a policy");
    connections::add(&world.context, org, "okta", policy).await.expect("a connection");
    world.change_ledger("UPDATE handover.scim_connections SET wave = 1, tripped_at = created_at").await;
    world
        .change_ledger(
            "INSERT INTO handover.scim_deprovisionings (job_id, org, connection, at, starts_at, wave) \
             SELECT id, org, 'okta', requested_at, requested_at, 1 FROM handover.jobs WHERE state = 'scheduled'",
        )
        .await;
}

/// Returns the number of messages on each queue.
async fn waiting(world: &World) -> Vec<usize> {
    let mut waiting = Vec::new();
    for queue in ["requests", "steps", "dead"] {
        waiting.push(world.client.waiting(queue).await);
    }
    waiting
}

/// Asserts that everything in the database and on the queues is as before. RabbitMQ takes a moment to put a message back.
async fn assert_unchanged(world: &World, words: &[&str], before: &(BTreeMap<String, Vec<String>>, Vec<usize>)) {
    assert!(world.everything().await == before.0, "{words:?} has changed the database");
    let is_back = async || (waiting(world).await == before.1).then_some(());
    world.until(&format!("{words:?} leaves the messages on their queues"), is_back).await;
}

#[test]
fn every_confirmed_command_is_tested() {
    let takes_yes = |command: &clap::Command| command.get_arguments().any(|argument| argument.get_id() == "yes");
    let confirmed = leaf_commands().into_iter().filter(|(_, command)| takes_yes(command));
    let confirmed: BTreeSet<String> = confirmed.map(|(name, _)| name).collect();
    let commands = Commands::about(JobId(uuid::Uuid::nil()));
    let name = |words: &[&str]| {
        let length = if ["catalog", "dead", "scim"].contains(&words[0]) { 2 } else { 1 };
        words[..length].join(" ")
    };
    let tested: BTreeSet<String> = commands.each().map(|(words, _)| name(&words)).collect();
    assert_eq!(tested, confirmed);
}

#[every_engine]
async fn nothing_changes_without_a_confirmation(world: &mut World) {
    let commands = Commands::prepare(world).await;
    let before = (world.everything().await, waiting(world).await);
    let settings = owner_settings(world);
    let settings = borrowed(&settings);
    for (words, question) in commands.each() {
        let alone = || finish(unconfirmed(&settings, &words).spawn().expect("the binary"), b"y\n");
        let ended = tokio::task::block_in_place(alone).expect(2);
        assert_eq!(ended.out, "", "{words:?}");
        assert!(ended.err.contains("nothing was done") && ended.err.contains("--yes"), "{words:?}: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{words:?}: {}", ended.err);
        for keys in ["n\n", "\n", END_OF_INPUT] {
            let ended = tokio::task::block_in_place(|| at_a_terminal(&settings, &words, keys)).expect(1);
            let is_asked = ended.err.contains(question) && ended.err.contains("[y/N]");
            assert!(is_asked && ended.err.contains("nothing was done"), "{words:?}: {}", ended.err);
            assert_eq!(ended.out, "", "{words:?}");
        }
        let dry = dry_run(&settings, &words);
        assert!([0, 3].contains(&dry.code) && !dry.out.is_empty(), "{words:?}: {} {}", dry.out, dry.err);
        assert_unchanged(world, &words, &before).await;
    }
    // A refused dry run says why.
    let id = commands.job.to_string();
    let refused = on(world, &["resume", &id, "--by", "1", "--dry-run", "--json"]).expect(3).json();
    assert_eq!((&refused["type"], &refused["rejections"][0]["code"]), (&json!("resume"), &json!("wrong_state")));
    assert!(on(world, &["pause", &id, "--by", "1", "--dry-run"]).expect(0).out.contains("would be accepted"));
}

/// Runs a command with `--dry-run`. A bulk run without `--submit` is one.
fn dry_run(settings: &[(&str, &str)], words: &[&str]) -> Ended {
    let kept: Vec<&str> = words.iter().copied().filter(|word| *word != "--submit").collect();
    tokio::task::block_in_place(|| run(settings, &[&kept[..], &["--dry-run"]].concat()))
}

/// Returns the settings of the owner of the tables: a worker's role may not forget anybody.
fn owner_settings(world: &World) -> Vec<(String, String)> {
    let mut settings = settings(world);
    settings.retain(|(name, _)| name != "HANDOVER_DATABASE__URL");
    settings.push(("HANDOVER_DATABASE__URL".into(), world.database_url().into()));
    settings
}

#[every_engine]
async fn yes_at_a_terminal_confirms(world: &mut World) {
    let commands = Commands::prepare(world).await;
    let settings = owner_settings(world);
    let answer = |arguments: &[&str]| {
        tokio::task::block_in_place(|| at_a_terminal(&borrowed(&settings), arguments, "y\n")).expect(0)
    };
    answer(&["dead", "drop", "--all", "--by", "1"]);
    world.until("the message is gone", async || (world.client.waiting("dead").await == 0).then_some(())).await;
    let id = commands.job.to_string();
    answer(&["pause", &id, "--by", "1"]);
    assert_eq!(world.client.waiting("requests").await, 1);
    world.start_worker().await;
    let is_paused = async || world.job(commands.job).await.filter(|job| job.state == State::Paused);
    world.until("the job is paused", is_paused).await;
    // Nothing to ask: no message matches.
    let none = answer(&["dead", "replay", "--reason", "failed", "--by", "1"]);
    assert!(!none.err.contains("[y/N]"), "{}", none.err);
}
