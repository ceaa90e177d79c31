//! Runs the commands of the README and of the tutorial, in their order, in a clean folder, on PostgreSQL and RabbitMQ.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::read;
use crate::support::process::{Ended, finish, text};
use crate::support::{World, on_postgres};

/// Returns the shell commands of a section, or of all sections: those that a reader copies.
fn commands(document: &str, section: Option<&str>) -> String {
    let document = read(Path::new(document));
    let section = match section {
        Some(title) => document.split("\n## ").find(|part| part.starts_with(title)).expect("the section"),
        None => &document,
    };
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    // The tests have servers already.
    let lines =
        blocks.flat_map(str::lines).filter(|line| !line.starts_with("deploy/services") && !line.starts_with("eval "));
    lines.collect::<Vec<_>>().join("\n")
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
    let ended = walk(world, &commands("README.md", Some(section))).await.expect(0);
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

#[on_postgres]
async fn tutorial_commands_succeed_in_order(world: &mut World) {
    let ended = walk(world, &commands("docs/tutorial.md", None)).await.expect(0);
    let promised = ["requester_not_permitted", "exit code 3", "orphans 0", "license: one is free", "rows: 1 completed"];
    let printed = one_line(&ended.out);
    for promise in promised {
        assert!(printed.contains(promise), "{promise:?} is not printed:\n{}", ended.out);
    }
}
