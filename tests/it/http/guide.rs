//! The commands of the guide to the HTTP API, as a reader runs them, on the embedded default.

use std::path::Path;
use std::process::{Command, Stdio};

use handover::contract::JobId;

use crate::support::process::{finish, text};
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
