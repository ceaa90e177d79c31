//! The example says how it is called. What it does with a request, Handover's own tests show: this one has the binary built
//! beside theirs.

use std::process::Command;

#[test]
fn without_a_request_the_example_says_how_it_is_called() {
    let output = Command::new(env!("CARGO_BIN_EXE_handover-example")).output().expect("the example runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("usage: handover-example request.json"), "{told}");
}
