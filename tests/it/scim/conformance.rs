//! The official checks of SCIM servers, run against ours.

use std::process::{Command, Stdio};

use super::provider::{HANDOVER, Provider, let_providers_create};
use crate::support::checkers::checkers;
use crate::support::process::finish;
use crate::support::{World, every_engine};

/// Promise: scim2-tester finds nothing wrong: discovery, reading, searching, creating, replacing, removing, and a PATCH that adds, replaces
/// and removes each attribute that is advertised.
///
/// It compares a whole attribute with what it has sent, so read-only parts that the server adds are listed here.
#[every_engine]
async fn official_tester_finds_nothing_wrong(world: &mut World) {
    let Some(programs) = tokio::task::block_in_place(checkers) else { return };
    let_providers_create(world).await;
    let provider = Provider::start(world).await;
    let mut tester = Command::new(programs.join("scim2"));
    tester.args(["--url", &format!("http://{}/scim/v2", provider.server.address), "test", "--verbose"]);
    tester.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {}", provider.token));
    tester.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let checked = tokio::task::block_in_place(|| finish(tester.spawn().expect("scim2"), b""));
    let lines: Vec<&str> = checked.out.lines().collect();
    let of = |status: &str| lines.windows(2).filter(move |pair| pair[0].starts_with(status)).collect::<Vec<_>>();
    assert!(of("SUCCESS ").len() >= 35, "{}{}", checked.out, checked.err);
    let known = ["emails", HANDOVER].map(|of| format!("PATCH modify() returned unexpected value for '{of}'."));
    for pair in ["ERROR ", "CRITICAL ", "DEVIATION ", "SKIPPED "].map(of).concat() {
        assert!(known.iter().any(|known| pair[1].trim() == known), "{pair:?} in {}{}", checked.out, checked.err);
    }
}
