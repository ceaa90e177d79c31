//! Escapes untrusted text before it reaches logs, headers or a terminal.

/// Escapes hidden characters. Control characters could clear a screen or start a line; others change the order or the look of
/// the text around them.
pub fn printable(text: &str) -> String {
    spelled(text, |c, spelled| spelled.extend(c.escape_unicode()), |_| false)
}

/// Escapes hidden characters except line breaks and tabs.
pub fn printable_lines(text: &str) -> String {
    spelled(text, |c, spelled| spelled.extend(c.escape_unicode()), |c| matches!(c, '\n' | '\t'))
}

/// Escapes the hidden characters of JSON text in JSON's own way, so that its meaning stays the same. Line breaks and tabs
/// between its strings stay.
pub fn printable_json(json: &str) -> String {
    let spell = |c: char, spelled: &mut String| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            spelled.push_str(&format!("\\u{unit:04x}"));
        }
    };
    spelled(json, spell, |c| matches!(c, '\n' | '\t'))
}

fn spelled(text: &str, spell: impl Fn(char, &mut String), stays: impl Fn(char) -> bool) -> String {
    let mut spelled = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) && !stays(c) {
            true => spell(c, &mut spelled),
            false => spelled.push(c),
        }
    }
    spelled
}

/// True for characters that are escaped. Joiners are hidden too but stay, because names in many scripts need them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_escaped() {
        assert_eq!(printable("a\u{1b}[2J\r\n\u{202e}b\u{9b}"), "a\\u{1b}[2J\\u{d}\\u{a}\\u{202e}b\\u{9b}");
        assert_eq!(printable("Zoë 名 می‌خواهم 👩‍👧"), "Zoë 名 می‌خواهم 👩‍👧");
        assert_eq!(printable_lines("a\n\tb\u{7}"), "a\n\tb\\u{7}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({ "name": "\u{7f}\u{85}\u{202e}\u{e0041}\n" });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("JSON")] {
            let spelled = printable_json(&text);
            assert!(!spelled.chars().any(|c| is_hidden(c) && c != '\n'), "{spelled}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&spelled).expect("JSON"), value);
        }
    }
}
