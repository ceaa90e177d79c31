//! Wording: phrases that read as translated are kept out of documents, help and messages. `docs/glossary.md` has the terms to use.

use std::path::Path;

use super::{documents, texts_in};

/// Phrases, and what to write instead. Keep this list short: at most twenty.
const PHRASES: [(&str, &str); 18] = [
    ("what becomes of", "what happens to"),
    ("mend", "fix, hint"),
    ("whoever", "you, or who it is"),
    ("somebody", "someone, or who it is"),
    ("beside", "next to, while ... is active"),
    ("is told", "gets a report, learns"),
    ("tells what", "says what, shows"),
    ("goes by", "depends on"),
    ("as it comes", "as is"),
    ("of whom", "whose"),
    ("in the midst", "while, during"),
    ("stands in", "is in"),
    ("hand-over", "handover"),
    ("the way back", "undo"),
    ("a courtesy", "best effort"),
    ("nudge", "redispatch"),
    ("does again", "repeats"),
    ("goes over", "overrides"),
];

/// Where a phrase is right: the glossary lists it, or a public name contains it.
const ALLOWED: [(&str, &str); 6] = [
    ("docs/glossary.md", "what becomes of"),
    ("docs/glossary.md", "beside"),
    ("docs/glossary.md", "mend"),
    ("docs/glossary.md", "nudge"),
    ("CHANGELOG.md", "mend"),
    // Dead letters of earlier versions have this field.
    ("src/contract/reason.rs", "mend"),
];

#[test]
fn documents_and_messages_avoid_translated_phrases() {
    let sources = texts_in(&["src"]).into_iter().filter(|(file, _)| file.extension().is_some_and(|kind| kind == "rs"));
    let messages = sources.map(|(file, text)| (file, literals(&text)));
    let mut faults = Vec::new();
    for (file, text) in documents().into_iter().chain(texts_in(&["config"])).chain(messages) {
        let text = words(&text);
        for (phrase, instead) in PHRASES {
            let is_allowed = ALLOWED.iter().any(|(allowed, of)| file == Path::new(allowed) && *of == phrase);
            if !is_allowed && text.contains(&format!(" {phrase} ")) {
                faults.push(format!("{}: {phrase:?}; write: {instead}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(words("Fix it: WHAT\nbecomes of, it?").contains(" what becomes of "));
    assert_eq!(literals("// \"no\"\nfn f() { g('\"', \"a \\\" b\") }\n#[cfg(test)] \"no\""), "a \\\" b\n");
}

/// Returns the words of a text in lower case, each between single spaces.
fn words(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { ' ' })
        .collect();
    format!(" {} ", kept.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns the text literals of Rust source, without those of its unit tests and comments.
fn literals(source: &str) -> String {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = String::new();
    let mut rest = source;
    while let Some(place) = rest.find(['"', '/', '\'']) {
        let from = &rest[place..];
        rest = if from.starts_with("//") {
            from.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(after) = from.strip_prefix("'\"'") {
            after
        } else if let Some(literal) = from.strip_prefix('"') {
            let end = end_of(literal);
            found.push_str(&literal[..end]);
            found.push('\n');
            literal.get(end + 1..).unwrap_or_default()
        } else {
            &from[1..]
        };
    }
    found
}

/// Returns the place of the quote that ends a literal.
fn end_of(literal: &str) -> usize {
    let mut is_escaped = false;
    for (place, c) in literal.char_indices() {
        match c {
            '"' if !is_escaped => return place,
            _ => is_escaped = c == '\\' && !is_escaped,
        }
    }
    literal.len()
}
