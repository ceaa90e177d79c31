//! Reads the list of values that a CHECK constraint allows.

use super::tokens::{Token, tokens};

/// The types to which PostgreSQL casts a text when it renders a check. Another cast may change a value.
const TEXT_TYPES: [&[&str]; 3] = [&["character", "varying"], &["text"], &["bpchar"]];

/// A column and every value that it may hold.
#[derive(Debug, PartialEq, Eq)]
pub struct ListedValues {
    /// The column.
    pub column: String,
    /// The values, as texts.
    pub values: Vec<String>,
}

/// Returns the values that a check on a list allows: `CHECK (status IN ('a', 'b'))`, or PostgreSQL's rendering of it.
/// Returns nothing if the check says anything else: a list of what an expression may be is no list of the column's values.
pub fn listed_values(check: &str) -> Option<ListedValues> {
    values_of(&tokens(check))
}

/// Does the same with the tokens of a check.
pub fn values_of(check: &[Token]) -> Option<ListedValues> {
    let tokens = without_casts(check);
    let tokens: Vec<&Token> = tokens.into_iter().filter(|token| !is_parenthesis(token)).collect();
    let check = match tokens.as_slice() {
        [check, rest @ ..] if check.is_word("CHECK") => rest,
        all => all,
    };
    let (column, list) = check.split_first()?;
    let list = match list {
        [word, list @ ..] if word.is_word("IN") => list,
        [Token::Symbol('='), any, array, Token::Symbol('['), list @ .., Token::Symbol(']')]
            if any.is_word("ANY") && array.is_word("ARRAY") =>
        {
            list
        }
        [Token::Symbol('='), value] => std::slice::from_ref(value),
        _ => return None,
    };
    let mut values = Vec::new();
    for (place, token) in list.iter().enumerate() {
        match (place % 2, token) {
            (0, Token::Text(value)) => values.push(value.clone()),
            (0, Token::Word(number)) if number.chars().all(|c| c.is_ascii_digit()) => values.push(number.clone()),
            (1, Token::Symbol(',')) => {}
            _ => return None,
        }
    }
    Some(ListedValues { column: column.name()?.to_owned(), values }).filter(|listed| !listed.values.is_empty())
}

fn is_parenthesis(token: &Token) -> bool {
    matches!(token, Token::Symbol('(' | ')'))
}

/// Leaves out casts to a type of texts: `'a'::character varying`, `(…)::text[]`.
fn without_casts(tokens: &[Token]) -> Vec<&Token> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        match text_cast(rest) {
            Some(length) => rest = &rest[length..],
            None => {
                kept.push(first);
                rest = after;
            }
        }
    }
    kept
}

/// Returns the number of tokens of a cast to a type of texts with which these tokens begin.
fn text_cast(tokens: &[Token]) -> Option<usize> {
    let [Token::Symbol(':'), Token::Symbol(':'), cast @ ..] = tokens else { return None };
    let is_named =
        |name: &&&[&str]| cast.len() >= name.len() && name.iter().zip(cast).all(|(word, token)| token.is_word(word));
    let name = TEXT_TYPES.iter().find(is_named)?;
    let is_array = matches!(&cast[name.len()..], [Token::Symbol('['), Token::Symbol(']'), ..]);
    Some(2 + name.len() + if is_array { 2 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::listed_values;

    #[test]
    fn check_on_a_list_names_every_value() {
        for (check, expected) in [
            ("CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text])))", "status: pending completed"),
            (
                "CHECK (((\"Status\")::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
                "Status: a b",
            ),
            ("(\"status\" IN ('pending', 'completed'))", "status: pending completed"),
            ("CHECK ((status = 'one'::text))", "status: one"),
            ("CHECK ((resolution = ANY (ARRAY['open'::text, 'won''t fix'::text])))", "resolution: open won't fix"),
            ("CHECK ((level = ANY (ARRAY[1, 2])))", "level: 1 2"),
            ("(durum IN ('açık', 'kapalı'))", "durum: açık kapalı"),
        ] {
            let listed = listed_values(check).map(|listed| format!("{}: {}", listed.column, listed.values.join(" ")));
            assert_eq!(listed.as_deref(), Some(expected), "{check}");
        }
    }

    #[test]
    fn other_checks_name_no_value() {
        for check in [
            "(status IN ('a') OR x > 1)",
            "(amount > 0)",
            "CHECK ((lower(severity) = ANY (ARRAY['high'::text, 'low'::text])))",
            "CHECK ((\"left\"(code, 1) = ANY (ARRAY['A'::text, 'B'::text])))",
            "CHECK (((code)::integer = ANY (ARRAY[1, 2])))",
            "(NOT (status IN ('a')))",
            "(status NOT IN ('a'))",
            "(status IN ('a', NULL))",
            "(status IN (\"a\"))",
            "(status COLLATE NOCASE IN ('a'))",
            "CHECK ((status = ANY (ARRAY['a'::text]))) NOT VALID",
        ] {
            assert_eq!(listed_values(check), None, "{check}");
        }
    }
}
