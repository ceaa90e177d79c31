//! Finds files that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::imports::Imports;

/// The groups of files of which each reaches every other by imports: Tarjan's strongly connected components, by
/// reachability, since there are few files.
pub fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<String>> =
        imports.keys().map(|file| (file, reachable(imports, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, reached) in &reach {
        let back = |other: &&String| reach.get(other).is_some_and(|from_there| from_there.contains(*file));
        let circle: BTreeSet<String> = reached.iter().filter(back).cloned().collect();
        circles.extend((!circle.is_empty()).then_some(circle));
    }
    circles.into_iter().collect()
}

/// The files that a file imports, directly or through others.
pub fn reachable(imports: &Imports, file: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file.to_owned()];
    while let Some(next) = open.pop() {
        for to in imports.get(&next).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    reached
}

/// Shows the imports within each circle, with the names that they are made by.
pub fn show(imports: &Imports, circles: &[BTreeSet<String>]) -> String {
    let mut text = String::new();
    for (number, circle) in circles.iter().enumerate() {
        writeln!(text, "circle {} of {} files:", number + 1, circle.len()).expect("text");
        for from in circle {
            for (to, names) in imports[from].iter().filter(|(to, _)| circle.contains(*to)) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                writeln!(text, "  {from} -> {to} ({})", names.join(", ")).expect("text");
            }
        }
    }
    text
}
