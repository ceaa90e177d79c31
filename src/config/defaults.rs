//! The documented defaults, and the names of all settings in them. Settings without a default are in a comment there.

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Returns the name of every setting, such as `database.url`.
pub fn names() -> Vec<String> {
    let mut section = String::new();
    let mut names = Vec::new();
    for line in DEFAULTS.lines() {
        if let Some(begun) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{begun}.");
        } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ")
            && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            names.push(format!("{section}{name}"));
        }
    }
    names
}

/// Returns the variable of a setting: `HANDOVER_DATABASE__URL` of `database.url`.
pub fn variable(name: &str) -> String {
    format!("HANDOVER_{}", name.replace('.', "__").to_uppercase())
}
