//! The example prints its usage. Handover's own tests run it with requests; this test makes sure that the binary is built for
//! them.

use std::process::Command;

#[test]
fn example_without_arguments_prints_its_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_handover-example")).output().expect("the example runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("usage: handover-example request.json"), "{stderr}");
}
