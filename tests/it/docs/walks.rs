//! Runs the commands of the README and of the tutorial, in their order, in a clean folder, on PostgreSQL and RabbitMQ. The screens
//! that the tutorial shows are the commands' own output: `INSTA_UPDATE=always` writes them.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::read;
use crate::support::process::{Ended, finish, text};
use crate::support::{World, on_postgres};

/// Returns the shell commands of a section: those that a reader copies.
fn commands(document: &str, section: &str) -> String {
    let document = read(Path::new(document));
    let section = document.split("\n## ").find(|part| part.starts_with(section)).expect("the section");
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.flat_map(str::lines).filter(|line| is_for_tests(line)).collect::<Vec<_>>().join("\n")
}

/// Returns false for commands that start or stop servers: the tests have servers already.
fn is_for_tests(line: &str) -> bool {
    !line.starts_with("deploy/services") && !line.starts_with("eval ")
}

/// Runs shell commands as a reader does: in one shell, with an empty database and queues of its own.
async fn walk(world: &World, commands: &str) -> Ended {
    let empty = "DROP SCHEMA handover CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    world.store.run_script("emptying the database", empty).await.expect("an empty database");
    let folder = tempfile::tempdir().expect("a folder");
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy"), folder.path().join("deploy")).expect("a link");
    let programs = Path::new(env!("CARGO_BIN_EXE_handover")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let script = format!("set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{commands}\n");
    let mut shell = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HANDOVER_")) {
        shell.env_remove(name);
    }
    shell
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", text(programs)))
        .env("HANDOVER_TEST_POSTGRES_URL", world.database_url())
        .env("HANDOVER_TEST_AMQP_URL", world.broker_url())
        .env("HANDOVER_BROKER__PREFIX", &world.prefix)
        // Other workers may have the default address.
        .env("HANDOVER_HTTP__LISTEN", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tokio::task::block_in_place(|| finish(shell.spawn().expect("bash"), b""))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[on_postgres]
async fn readme_commands_deactivate_a_user(world: &mut World) {
    let section = "The real thing";
    let ended = walk(world, &commands("README.md", section)).await.expect(0);
    // The README shows lines of the output, and the request that the commands send.
    let readme = read(Path::new("README.md"));
    let shown = readme.split(section).nth(1).expect("the section");
    let request = shown.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a request");
    assert_eq!(request, read(Path::new("deploy/examples/request.json")));
    let output = shown.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an output");
    let printed: Vec<String> = ended.out.lines().map(one_line).collect();
    for line in output.lines().map(one_line) {
        assert!(printed.contains(&line), "{line:?} is not printed:\n{}", ended.out);
    }
}

/// The line before the output of each block of commands.
const SCREEN: &str = "#### screen";

/// A block of commands, and the screen that the page shows after it.
const SHOWN: (&str, &str, &str) = ("```sh\n", "```\n\n```text\n", "```");

/// Returns the page's commands, with a line before the output of each block.
fn commands_with_marks(page: &str) -> String {
    let marked = page.split("```sh\n").skip(1).map(|rest| format!("echo '{SCREEN}'\n```sh\n{rest}"));
    // Pages show a terminal of the usual width.
    let mut script = "export COLUMNS=80\n".to_owned();
    for block in marked {
        let (mark, rest) = block.split_once("```sh\n").expect("a block");
        let lines = rest.split("```").next().unwrap_or_default().lines().filter(|line| is_for_tests(line));
        script.push_str(mark);
        lines.for_each(|line| script.push_str(&format!("{line}\n")));
    }
    script
}

/// Returns the page with these outputs as the screens that it shows.
fn with_screens(page: &str, outputs: &[String]) -> String {
    let (begin, between, end) = SHOWN;
    let mut parts = page.split(begin);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for (part, output) in parts.zip(outputs) {
        shown.push_str(begin);
        match part.split_once(between) {
            // The screen of this block, not of a later one.
            Some((commands, rest)) if !commands.contains("```") => {
                let (_, after) = rest.split_once(end).expect("the end of a screen");
                shown.push_str(&format!("{commands}{between}{}\n{end}{after}", output.trim_end()));
            }
            _ => shown.push_str(part),
        }
    }
    shown
}

/// Replaces what differs from run to run by text of the same shape: times, durations, and ids that the page does not name.
fn steady(output: &str, page: &str) -> String {
    let mut ids: Vec<String> = Vec::new();
    let mut known = |id: &str| {
        let place = ids.iter().position(|known| known == id).unwrap_or_else(|| {
            ids.push(id.to_owned());
            ids.len() - 1
        });
        format!("0c4f1e7a-8d25-5b3c-9e6f-{:012}", place + 1)
    };
    let mut word = |word: &str| match () {
        () if has_shape(word, "dddd-dd-ddTdd:dd:dd.dddZ") => "2026-11-30T09:00:00.000Z".to_owned(),
        () if has_shape(word, UUID) && !page.contains(&format!("JOB={word}")) => known(word),
        () => word.to_owned(),
    };
    let line = |line: &str| {
        let line = line.split(' ').map(&mut word).collect::<Vec<_>>().join(" ");
        match line.split_once(" in about ") {
            Some((before, _)) => format!("{before} in about 20ms"),
            None => without_minutes(&line),
        }
    };
    // How often a job is seen on its way depends on the machine.
    let is_on_its_way = |line: &&str| {
        let state = line.split_once(' ').filter(|(id, _)| has_shape(id, UUID)).map(|(_, state)| state);
        state.is_some_and(|state| ["cutting", "moving", "finalizing"].iter().any(|on_way| state.starts_with(on_way)))
    };
    output.lines().filter(|line| !is_on_its_way(line)).map(line).collect::<Vec<_>>().join("\n")
}

/// The shape of an id.
const UUID: &str = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

/// Replaces times to the minute, as tables show them: `11-30 09:00`.
fn without_minutes(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let is_date =
        |at: usize| has_shape(words[at], "dd-dd") && words.get(at + 1).is_some_and(|next| has_shape(next, "dd:dd"));
    let mut found = words.clone();
    for at in (0..words.len()).filter(|at| is_date(*at)) {
        (found[at], found[at + 1]) = ("11-30", "09:00");
    }
    found.join(" ")
}

/// Returns true if a word has this shape: `d` is a digit, `h` a hexadecimal one.
fn has_shape(word: &str, shape: &str) -> bool {
    let fits = |(c, form): (char, char)| match form {
        'd' => c.is_ascii_digit(),
        'h' => c.is_ascii_hexdigit(),
        form => c == form,
    };
    word.len() == shape.len() && word.chars().zip(shape.chars()).all(fits)
}

#[on_postgres]
async fn tutorial_commands_succeed_and_print_its_screens(world: &mut World) {
    let page = read(Path::new("docs/tutorial.md"));
    let ended = walk(world, &commands_with_marks(&page)).await.expect(0);
    let outputs: Vec<String> =
        ended.out.split(&format!("{SCREEN}\n")).skip(1).map(|output| steady(output, &page)).collect();
    let shown = with_screens(&page, &outputs);
    match std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        true => std::fs::write("docs/tutorial.md", shown).expect("a page"),
        false => assert_eq!(shown, page, "stale screens; to write them: INSTA_UPDATE=always, with this test"),
    }
    let promised = ["requester_not_permitted", "exit code 3", "orphans 0", "license: one is free", "rows: 1 completed"];
    let printed = one_line(&ended.out);
    for promise in promised {
        assert!(printed.contains(promise), "{promise:?} is not printed:\n{}", ended.out);
    }
}
