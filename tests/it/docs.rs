//! The documentation, compared with the program: generated parts, links, settings, command lines and wording. The commands of the
//! README and of the tutorial are run.

mod commands;
mod examples;
mod generated;
mod mentioned;
mod phrases;
mod releases;
mod schema_tables;
mod walks;

use std::path::{Path, PathBuf};

/// The documents at the root of the project.
const AT_THE_ROOT: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

/// Returns every file in the folders, with its text. Files that are not text are left out.
fn texts_in(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => files.push(entry),
            }
        }
    }
    files.sort();
    files.into_iter().filter_map(|file| Some((file.clone(), std::fs::read_to_string(file).ok()?))).collect()
}

/// Returns every Markdown document, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let at_the_root = AT_THE_ROOT.map(|file| (PathBuf::from(file), read(Path::new(file))));
    let is_markdown = |(file, _): &(PathBuf, String)| file.extension().is_some_and(|kind| kind == "md");
    at_the_root.into_iter().chain(texts_in(&["docs", "deploy"]).into_iter().filter(is_markdown)).collect()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
