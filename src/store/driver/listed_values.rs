//! Reads the list of values that a CHECK constraint allows.

/// Returns the texts that a check on a list allows: `CHECK (status IN ('a', 'b'))`, or PostgreSQL's rendering of it.
/// Returns nothing if the check says anything else.
pub fn listed_values(check: &str) -> Option<Vec<String>> {
    let upper = check.to_uppercase();
    let is_list = upper.contains(" IN (") || upper.contains("= ANY (ARRAY[") || upper.contains("= ANY ((ARRAY[");
    if !is_list || upper.contains(" OR ") || upper.contains(" AND ") || upper.contains("NOT ") {
        return None;
    }
    // Texts stand between single quotes; every other piece is one.
    let values: Vec<String> = check.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
    (!values.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::listed_values;

    #[test]
    fn check_on_a_list_names_every_value() {
        let both = Some(vec!["pending".to_owned(), "completed".to_owned()]);
        assert_eq!(listed_values("CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text])))"), both);
        assert_eq!(listed_values("(\"status\" IN ('pending', 'completed'))"), both);
        assert_eq!(listed_values("(status IN ('a') OR x > 1)"), None);
        assert_eq!(listed_values("(amount > 0)"), None);
    }
}
