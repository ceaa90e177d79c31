//! Numbers with their nouns, for people.

/// Returns a count with its noun: `1 message`, `2 entries`, `5,008 jobs`.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    if count == 1 { format!("1 {noun}") } else { format!("{} {}", grouped(count), plural(noun)) }
}

/// Returns a number with its thousands separated: `5,008`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3).map(String::from_utf8_lossy);
    let groups: Vec<_> = Some(digits[..first].into()).filter(|_| first > 0).into_iter().chain(groups).collect();
    groups.join(",")
}

fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        Some(_) | None => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noun_agrees_with_its_count() {
        for (count, noun, text) in [
            (0, "message", "0 messages"),
            (1, "message", "1 message"),
            (2, "entry", "2 entries"),
            (1, "entry", "1 entry"),
            (7, "key", "7 keys"),
            (999, "row", "999 rows"),
            (5_008, "job", "5,008 jobs"),
            (1_000_000, "record", "1,000,000 records"),
        ] {
            assert_eq!(counted(count, noun), text);
        }
    }
}
