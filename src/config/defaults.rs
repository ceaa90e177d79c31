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

/// Returns a file of settings: these values, and every other setting with its default in a comment.
pub fn template(given: &[(&str, String)]) -> String {
    const HEAD: &str = "# Settings of Handover, written by `handover init`. A setting after `#` has its default: remove the `#` to change it.\n\
        # Environment variables override this file: HANDOVER_DATABASE__URL, HANDOVER_LIMITS__CHUNK_ROWS and so on.\n";
    let mut section = String::new();
    let mut text = HEAD.to_owned();
    // The defaults begin with a paragraph about themselves.
    for line in DEFAULTS.lines().skip_while(|line| !line.is_empty()) {
        if let Some(begun) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{begun}.");
        }
        let name = line.split_once(" = ").filter(|_| !line.starts_with('#')).map(|(name, _)| name);
        let value = given.iter().find(|(setting, _)| name.is_some_and(|name| *setting == format!("{section}{name}")));
        let written = match (name, value) {
            (Some(name), Some((_, value))) => format!("{name} = {}", toml::Value::String(value.clone())),
            (Some(_), None) => format!("# {line}"),
            (None, _) => line.to_owned(),
        };
        text.push_str(&written);
        text.push('\n');
    }
    text
}

/// Returns the variable of a setting: `HANDOVER_DATABASE__URL` of `database.url`.
pub fn variable(name: &str) -> String {
    format!("HANDOVER_{}", name.replace('.', "__").to_uppercase())
}
