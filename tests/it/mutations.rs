//! Mutation tests of the storm's checker: `tests/storm/mutate` applies each patch and runs a storm, which takes too
//! long for every run. Here each patch must still apply.

use std::path::Path;
use std::process::Command;

#[test]
fn every_mutation_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::fs::read_dir(root.join("tests/storm/mutations")).expect("a folder");
    let mistakes: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    for mistake in mistakes {
        let applied =
            Command::new("git").args(["apply", "--check"]).arg(&mistake).current_dir(root).output().expect("git");
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }
}
