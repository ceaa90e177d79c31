//! Finds which file uses items of which other file: `use` with braces, `super::`, re-exports and written-out paths.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{File, Token};

/// Which files each file uses, and by what names.
pub type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

type Names = Vec<String>;

/// The names that a module exports.
#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Names that a `use` brought in, with the path that it gives.
    aliases: BTreeMap<String, Names>,
    globs: Vec<Names>,
    /// Items that the module defines itself.
    items: BTreeSet<String>,
}

/// A path that a file uses.
struct Used {
    module: Names,
    path: Names,
}

/// The modules of a crate, and the paths that they use.
#[derive(Default)]
struct Scan {
    modules: BTreeMap<Names, Module>,
    used: Vec<Used>,
}

/// The target of a path.
enum Target {
    Module(Names),
    Item(Names, String),
}

/// Reads the imports of a crate's files.
pub fn imports(files: &[File]) -> Imports {
    let mut scan = Scan::default();
    for file in files {
        scan_file(file, &mut scan);
    }
    let mut imports = Imports::new();
    for Used { module, path } in &scan.used {
        let Some(Target::Item(owner, name)) = scan.resolve(module, path, 0) else { continue };
        let file_of = |module| scan.modules.get(module).map(|known| &known.file);
        let (Some(from), Some(to)) = (file_of(module), file_of(&owner)) else { continue };
        if from != to {
            imports.entry(from.clone()).or_default().entry(to.clone()).or_default().insert(name);
        }
    }
    imports
}

impl Scan {
    fn resolve(&self, from: &Names, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            name => match self.name_in(from, name, !rest.is_empty(), depth)? {
                Target::Module(module) => module,
                item => return Some(item),
            },
        };
        self.descend(start, rest, depth)
    }

    fn descend(&self, mut module: Names, path: &[String], depth: usize) -> Option<Target> {
        for (at, name) in path.iter().enumerate() {
            let leads_on = at + 1 < path.len();
            module = match (name.as_str(), self.name_in(&module, name, leads_on, depth)) {
                ("super", _) => module[..module.len().checked_sub(1)?].to_vec(),
                ("*", _) => return Some(Target::Item(module, name.clone())),
                (_, Some(Target::Module(found))) => found,
                (_, Some(item)) => return Some(item),
                // A macro may define it.
                (_, None) => return Some(Target::Item(module, name.clone())),
            };
        }
        Some(Target::Module(module))
    }

    /// Looks a name up in a module: its items, imports, children and globs. A name that a path leads on from is rather a
    /// child than an item of the same name.
    fn name_in(&self, module: &Names, name: &str, leads_on: bool, depth: usize) -> Option<Target> {
        // A crate of the same name as a module would lead back to itself.
        if depth > 20 {
            return None;
        }
        let known = self.modules.get(module)?;
        let child = [&module[..], &[name.to_owned()]].concat();
        let is_child = self.modules.contains_key(&child);
        if is_child && leads_on {
            return Some(Target::Module(child));
        }
        if known.items.contains(name) {
            return Some(Target::Item(module.clone(), name.to_owned()));
        }
        if let Some(path) = known.aliases.get(name).filter(|path| path.len() > 1)
            && let Some(found) = self.resolve(module, path, depth + 1)
        {
            return Some(found);
        }
        if is_child {
            return Some(Target::Module(child));
        }
        known.globs.iter().find_map(|glob| {
            let Some(Target::Module(from)) = self.resolve(module, glob, depth + 1) else { return None };
            self.modules.get(&from)?.items.contains(name).then(|| Target::Item(from, name.to_owned()))
        })
    }
}

fn scan_file(file: &File, scan: &mut Scan) {
    let mut at = Place { module: file.module.clone(), depth: 0, inline: Vec::new() };
    enter(&at.module, &file.path, scan);
    let mut re_exports = Vec::new();
    let mut words = BTreeSet::new();
    let mut rest = &file.tokens[..];
    let mut is_public = false;
    while let [first, after @ ..] = rest {
        let length = match (first, after) {
            (Token::Word(mod_), [Token::Word(name), open, ..]) if mod_ == "mod" && open.is('{') => {
                at.begin(name);
                enter(&at.module, &file.path, scan);
                3
            }
            (Token::Word(use_), [next, ..]) if use_ == "use" && !next.is('<') => {
                let (leaves, length) = use_leaves(after);
                for leaf in leaves {
                    add_use(&leaf, &at.module, is_public, scan, &mut re_exports);
                }
                1 + length
            }
            (Token::Word(first), [Token::Path, ..]) => {
                let (path, length) = written_path(rest);
                words.insert(first.clone());
                scan.used.push(Used { module: at.module.clone(), path });
                length
            }
            (Token::Word(word), _) => {
                words.insert(word.clone());
                let name = after.first().and_then(Token::word);
                if let Some(name) = name.filter(|_| at.is_top_level() && DEFINES.contains(&word.as_str())) {
                    scan.modules.get_mut(&at.module).expect("entered").items.insert(name.to_owned());
                }
                1
            }
            (token, _) => {
                at.pass(token);
                1
            }
        };
        is_public = first.word() == Some("pub") || first.is(')');
        rest = &rest[length..];
    }
    // A re-export that the file uses itself is an import too.
    scan.used.extend(re_exports.into_iter().filter(|(name, _)| words.contains(name)).map(|(_, used)| used));
}

/// Where a scan is: in which module, how deep in braces, and at which depth each inline module began.
struct Place {
    module: Names,
    depth: usize,
    inline: Vec<usize>,
}

impl Place {
    fn begin(&mut self, module: &str) {
        self.module.push(module.to_owned());
        self.inline.push(self.depth);
        self.depth += 1;
    }

    fn pass(&mut self, token: &Token) {
        self.depth = self.depth + usize::from(token.is('{')) - usize::from(token.is('}'));
        if token.is('}') && self.inline.last() == Some(&self.depth) {
            self.inline.pop();
            self.module.pop();
        }
    }

    /// True where a definition is the module's own.
    fn is_top_level(&self) -> bool {
        self.depth == self.inline.last().map_or(0, |began| began + 1)
    }
}

/// The words that a definition begins with.
const DEFINES: [&str; 9] = ["struct", "enum", "union", "trait", "type", "fn", "const", "static", "macro"];

fn enter(module: &Names, file: &str, scan: &mut Scan) {
    scan.modules.entry(module.clone()).or_default().file = file.to_owned();
}

/// A name that a `use` brings in.
struct Leaf {
    path: Names,
    alias: String,
}

fn add_use(leaf: &Leaf, module: &Names, is_public: bool, scan: &mut Scan, re_exports: &mut Vec<(String, Used)>) {
    let known = scan.modules.get_mut(module).expect("entered");
    if leaf.alias == "*" {
        known.globs.push(leaf.path[..leaf.path.len() - 1].to_vec());
    } else {
        known.aliases.insert(leaf.alias.clone(), leaf.path.clone());
    }
    let used = Used { module: module.clone(), path: leaf.path.clone() };
    if is_public {
        re_exports.push((leaf.alias.clone(), used));
    } else {
        scan.used.push(used);
    }
}

/// The names of a `use` after its keyword, and its length in tokens.
fn use_leaves(tokens: &[Token]) -> (Vec<Leaf>, usize) {
    let mut leaves = Vec::new();
    let length = use_tree(tokens, &[], &mut leaves);
    (leaves, length + 1)
}

/// Reads one branch of a `use`: `a::b`, `a as b`, `a::*` or `a::{…}`; its length.
fn use_tree(tokens: &[Token], prefix: &[String], leaves: &mut Vec<Leaf>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        match &tokens[at] {
            Token::Word(as_) if as_ == "as" => {
                let alias = tokens[at + 1].word().expect("an alias").to_owned();
                leaves.push(Leaf { path, alias });
                return at + 2;
            }
            Token::Word(word) => path.push(word.clone()),
            Token::Sign('*') => path.push("*".to_owned()),
            Token::Path => {}
            Token::Sign('{') => {
                at += 1;
                while !tokens[at].is('}') {
                    at += use_tree(&tokens[at..], &path, leaves);
                    at += usize::from(tokens[at].is(','));
                }
                return at + 1;
            }
            Token::Sign(_) => {
                let mut path = path;
                path.truncate(
                    path.len() - usize::from(path.len() > 1 && path.last().is_some_and(|last| last == "self")),
                );
                let alias = path.last().expect("a name").clone();
                leaves.push(Leaf { path, alias });
                return at;
            }
        }
        at += 1;
    }
}

/// A path in code, such as `jobs::get`, and its length in tokens.
fn written_path(tokens: &[Token]) -> (Names, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(word) = tokens.get(at).and_then(Token::word) {
        path.push(word.to_owned());
        at += 1;
        if tokens.get(at) != Some(&Token::Path) {
            break;
        }
        at += 1;
    }
    (path, at)
}
