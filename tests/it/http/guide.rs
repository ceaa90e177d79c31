//! The commands of the guide to the HTTP API, and those that the demo prints, as a reader runs them, on the embedded default.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use handover::contract::JobId;

use crate::support::process::{WorkerProcess, binary, finish, text};
use crate::support::server::free_port;

/// Promise: with the guide's commands, a newcomer deactivates a user and watches the progress to its end.
#[test]
fn guide_deactivates_and_follows() {
    let folder = tempfile::tempdir().expect("a folder");
    let guide = std::fs::read_to_string("docs/guides/http.md").expect("the guide");
    let blocks = guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let address = format!("127.0.0.1:{}", free_port());
    let job = JobId::of("1", &"leave-53".to_owned().try_into().expect("an id"));
    let listens = format!("&\nuntil curl -so wait http://{address}/v1/openapi.json; do sleep 0.05; done\n");
    let commands = blocks.collect::<String>().replace("&\n", &listens).replace("127.0.0.1:9465", &address);
    let commands = commands.replace("/jobs/JOB/", &format!("/jobs/{job}/"));
    let script = format!("set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{commands}");
    let programs = Path::new(env!("CARGO_BIN_EXE_handover")).parent().expect("a folder");
    let path = format!("{}:{}", text(programs), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HANDOVER_")) {
        shell.env_remove(name);
    }
    shell.args(["-c", &script]).current_dir(folder.path()).env("PATH", path);
    shell.env("HANDOVER_HTTP__LISTEN", "").env("HANDOVER_API__LISTEN", &address);
    let child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let ended = finish(child.expect("bash"), b"").expect(0);
    assert!(ended.out.contains(r#""state":"completed""#) && ended.out.contains("event: progress"), "{}", ended.out);
    assert!(!ended.err.contains("hdo_"), "a token is in the log: {}", ended.err);
}

/// Promise: `demo --serve` prints two calls; they deactivate the leaver and show the progress. Its end leaves nothing behind.
#[test]
fn demo_prints_the_calls_that_deactivate() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("127.0.0.1:{}", free_port());
    let environment = [("TMPDIR", text(folder.path())), ("HANDOVER_API__LISTEN", &address)];
    let mut demo = binary(&environment, &["demo", "--serve"]).spawn().expect("the binary");
    let lines = BufReader::new(demo.stdout.take().expect("its output")).lines().map(|line| line.expect("a line"));
    let demo = WorkerProcess::of(demo);
    let printed: Vec<String> = lines.take_while(|line| !line.starts_with("The certificate is at")).collect();
    let calls: Vec<&String> = printed.iter().filter(|line| line.starts_with("  curl")).collect();
    assert_eq!(calls.len(), 2, "{printed:?}");
    let answers = calls.into_iter().map(|call| {
        let shell = Command::new("bash").args(["-c", call]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        finish(shell.expect("bash"), b"").expect(0).out
    });
    let answers: Vec<String> = answers.collect();
    let job = JobId::of("1", &"demo-1".to_owned().try_into().expect("an id")).to_string();
    assert!(answers[0].contains(&job), "{answers:?}");
    assert!(answers[1].contains("event: progress") && answers[1].contains(r#""state":"completed""#), "{answers:?}");
    assert_eq!(demo.stop(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}
