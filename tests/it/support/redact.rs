//! Replaces what differs between runs, so that output can be compared with a stored snapshot.

use super::World;

// Shapes of text: `h` is a hexadecimal digit, `d` a decimal digit, anything else is itself.
const UUID: &str = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";
const DATE: &str = "dddd-dd-dd";

/// Replaces ids, times, durations, versions and plan tokens. Equal ids get equal names.
pub fn redacted(text: &str) -> String {
    let (mut rest, mut redacted, mut ids) = (text, String::new(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let is_start = !redacted.chars().last().is_some_and(|before| before.is_alphanumeric());
        let (length, name) = match is_start.then(|| volatile(rest, &mut ids)).flatten() {
            Some(found) => found,
            None => (first.len_utf8(), first.to_string()),
        };
        redacted.push_str(&name);
        rest = &rest[length..];
    }
    redacted
}

/// As [`redacted`], and replaces the addresses and the prefix of a world too.
pub fn redacted_for(world: &World, text: &str) -> String {
    let path = world.worker_url().trim_start_matches("sqlite://").split('?').next().unwrap_or_default();
    let text = text.replace(path, "[database]").replace(&world.prefix, "[prefix]");
    without_column_widths(&redacted(&text))
}

/// Shortens gaps in tables with times: the widths of their columns depend on the digits of the times.
fn without_column_widths(text: &str) -> String {
    if !text.contains("[time]") {
        return text.to_owned();
    }
    let line = |line: &str| {
        let words: Vec<&str> = line.trim_start().split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        format!("{}{}\n", " ".repeat(line.len() - line.trim_start().len()), words.join("  "))
    };
    text.lines().map(line).collect()
}

/// Returns the length of the volatile text at the start, and its name.
fn volatile<'t>(text: &'t str, ids: &mut Vec<&'t str>) -> Option<(usize, String)> {
    if has_shape(text, UUID) {
        let id = &text[..UUID.len()];
        let place = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
            ids.push(id);
            ids.len() - 1
        });
        return Some((UUID.len(), format!("[id {}]", place + 1)));
    }
    if has_shape(text, DATE) {
        let is_time = |c: char| c.is_ascii_digit() || "-:.TZ+".contains(c);
        let rest = &text[DATE.len()..];
        let gap = usize::from(rest.starts_with(' ') && has_shape(&rest[1..], "dd:dd"));
        let end = rest[gap..].find(|c| !is_time(c)).unwrap_or(rest.len() - gap);
        return Some((DATE.len() + gap + end, "[time]".to_owned()));
    }
    if let Some(digest) = text.strip_prefix("sha256:") {
        let end = digest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digest.len());
        return Some((text.len() - digest.len() + end, "[digest]".to_owned()));
    }
    if text.starts_with("p1.") {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(text.len());
        return Some((end, "[plan]".to_owned()));
    }
    number_with_unit(text)
}

/// Finds a duration such as `1.5 s` or `12ms`, or a version such as `3.50.2`.
fn number_with_unit(text: &str) -> Option<(usize, String)> {
    let number = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let digits = text[..number].trim_end_matches('.');
    if digits.is_empty() || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.matches('.').count() == 2 {
        return Some((digits.len(), "[version]".to_owned()));
    }
    let rest = text[number..].trim_start_matches(' ');
    let unit = ["µs", "ms", "s"].into_iter().find(|unit| {
        rest.strip_prefix(unit).is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })?;
    let length = text.len() - rest.len() + unit.len();
    Some((length, "[duration]".to_owned()))
}

fn has_shape(text: &str, shape: &str) -> bool {
    let mut chars = text.chars();
    shape.chars().all(|expected| {
        chars.next().is_some_and(|c| match expected {
            'h' => c.is_ascii_hexdigit(),
            'd' => c.is_ascii_digit(),
            _ => c == expected,
        })
    })
}

#[test]
fn redaction_names_ids_times_and_durations() {
    let id = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
    let text = format!("{id} at 2026-11-30T12:13:14.5Z took 1.5 s, twice {id}; 104 contacts, 1.2.3, 12 sessions");
    assert_eq!(redacted(&text), "[id 1] at [time] took [duration], twice [id 1]; 104 contacts, [version], 12 sessions");
}
