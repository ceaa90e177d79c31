//! Finds the known name that a misspelled one most likely means.

/// The longest name that is compared, in characters. A longer one is no typing mistake, and slow to compare.
const LONGEST: usize = 100;

/// The shortest beginning of a name that stands for the name.
const SHORTEST_START: usize = 3;

/// Returns the known name that a written one most likely means: the name without separators, the beginning of a longer name, or
/// at most every fourth letter mistyped.
pub fn most_similar<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if written.chars().count() > LONGEST {
        return None;
    }
    let written = folded(written);
    let distance = |name: &'k str| {
        let known = folded(name);
        let distance = strsim::osa_distance(&written, &known);
        let is_start = written.len() >= SHORTEST_START && known.starts_with(&written);
        (is_start || distance <= known.chars().count().div_ceil(4)).then_some((distance, name))
    };
    known.into_iter().filter_map(distance).min().map(|(_, name)| name)
}

fn folded(name: &str) -> String {
    name.to_lowercase().replace([' ', '-', '_'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_names_are_recognized() {
        let known = ["user_id", "reason", "reassign", "request_id", "requested_by", "lock_out"];
        for (written, meant) in [
            ("user", "user_id"),
            ("userId", "user_id"),
            ("User-ID", "user_id"),
            ("request", "request_id"),
            ("requestedBy", "requested_by"),
            ("reasign", "reassign"),
            ("resaon", "reason"),
        ] {
            assert_eq!(most_similar(written, known), Some(meant), "{written}");
        }
        for other in ["", "colour", "job_id", "us", &"user_id".repeat(100)] {
            assert_eq!(most_similar(other, known), None, "{other}");
        }
        assert_eq!(most_similar("reassign", ["reason", "job_id"]), None);
    }
}
