//! Reads Rust source into words and signs, and into the modules that they are in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A piece of source text. Comments and literals are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    /// `::`
    Path,
    Sign(char),
}

impl Token {
    pub fn is(&self, sign: char) -> bool {
        *self == Token::Sign(sign)
    }

    pub fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            Token::Path | Token::Sign(_) => None,
        }
    }
}

/// A source file, without its unit tests.
#[derive(Debug)]
pub struct File {
    /// Such as `src/store/ledger/jobs.rs`.
    pub path: String,
    /// Its module, such as `store`, `ledger`, `jobs`.
    pub module: Vec<String>,
    pub tokens: Vec<Token>,
}

/// Reads every file of a crate but its `main.rs`.
pub fn read_crate(root: &str) -> Vec<File> {
    let mut found = BTreeMap::new();
    walk(Path::new(root), &mut Vec::new(), &mut found);
    let file = |(path, (module, text)): (String, (Vec<String>, String))| File {
        path,
        module,
        tokens: without_tests(&tokens(&text)),
    };
    found.into_iter().map(file).collect()
}

fn walk(folder: &Path, module: &mut Vec<String>, found: &mut BTreeMap<String, (Vec<String>, String)>) {
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            module.push(stem);
            walk(&path, module, found);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "main" {
            let mut module = module.clone();
            module.extend((stem != "mod" && stem != "lib").then_some(stem));
            found.insert(path.display().to_string(), (module, fs::read_to_string(&path).expect("a source file")));
        }
    }
}

/// Splits source text into tokens.
pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => until(rest, "\n"),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => quoted(rest),
            ['\'', ..] => character_or_lifetime(rest),
            [':', ':', ..] => {
                tokens.push(Token::Path);
                2
            }
            [first, ..] if is_of_word(*first) => match raw_text(rest) {
                Some(length) => length,
                None => {
                    let word: String = rest.iter().take_while(|c| is_of_word(**c)).collect();
                    let length = word.chars().count();
                    tokens.push(Token::Word(word));
                    length
                }
            },
            [first, ..] => {
                tokens.extend((!first.is_whitespace()).then_some(Token::Sign(*first)));
                1
            }
            [] => 1,
        };
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length up to and with an end mark.
fn until(text: &[char], end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    text.windows(end.len()).position(|window| window == end).map_or(text.len(), |place| place + end.len())
}

/// The length of a comment, which may hold others.
fn block_comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of `'x'` or `'\n'`; of a lifetime, that of its tick.
fn character_or_lifetime(text: &[char]) -> usize {
    match text {
        ['\'', '\\', _, rest @ ..] => 3 + until(rest, "'"),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// The length of `r"…"`, `br#"…"#` and the like, if the text begins so. A prefix before a plain quote is a word.
fn raw_text(text: &[char]) -> Option<usize> {
    let prefix = text.iter().take_while(|c| matches!(c, 'r' | 'b' | 'c')).count();
    let hashes = text[prefix..].iter().take_while(|c| **c == '#').count();
    let is_raw = text[..prefix].ends_with(&['r']) && text.get(prefix + hashes) == Some(&'"');
    let end = format!("\"{}", "#".repeat(hashes));
    is_raw.then(|| prefix + hashes + 1 + until(&text[prefix + hashes + 1..], &end))
}

/// Leaves out the items that are compiled for unit tests only.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mark = self::tokens("#[cfg(test)]");
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&mark) {
            at += mark.len();
            at += item_length(&tokens[at..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The length of an item: up to its `;`, or to the end of its braces.
fn item_length(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 && (token.is(';') || token.is('}')) {
            return at + 1;
        }
    }
    tokens.len()
}
