//! What is written for those who operate it, held against what there is.

use handover::metrics;

#[test]
fn docs_metrics_md_is_the_table_of_the_list() {
    let file = "docs/metrics.md";
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let head = kept.split("| metric |").next().unwrap_or_default();
    let wanted = format!("{head}{}", metrics::table());
    if kept != wanted {
        let fresh = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.md");
        std::fs::write(&fresh, wanted).expect("a file");
        panic!("{file} is stale; as it should be: cp {} {file}", fresh.display());
    }
}
