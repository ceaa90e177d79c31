//! The text of indexes: expressions, and conditions of partial indexes.

use super::tokens::{Token, spanned_tokens};
use crate::catalog::{IndexPart, IndexValue, SchemaColumn};

/// Lists the columns that expressions and the condition of an index name.
pub fn mentioned(parts: &[IndexPart], condition: Option<&str>, columns: &[SchemaColumn]) -> Vec<String> {
    let expressions = parts.iter().filter_map(|part| match &part.value {
        IndexValue::Expression(text) => Some(text.as_str()),
        IndexValue::Column(_) => None,
    });
    let tokens: Vec<Token> = expressions.chain(condition).flat_map(spanned_tokens).map(|(token, _)| token).collect();
    let is_named = |column: &&SchemaColumn| {
        tokens.iter().any(|token| token.name().is_some_and(|name| name.eq_ignore_ascii_case(&column.name)))
    };
    columns.iter().filter(is_named).map(|column| column.name.clone()).collect()
}

/// The parts of a CREATE INDEX statement, as texts.
#[derive(Debug, PartialEq, Eq)]
pub struct IndexText<'t> {
    /// The parts, without order and collation.
    pub parts: Vec<&'t str>,
    /// The condition of a partial index.
    pub condition: Option<&'t str>,
}

/// Reads a CREATE INDEX statement.
pub fn index_text(create: &str) -> Option<IndexText<'_>> {
    let tokens = spanned_tokens(create);
    let (mut parts, mut depth, mut start, mut end) = (Vec::new(), 0, None, None);
    for (token, span) in &tokens {
        depth += step(token);
        let Some(from) = start else {
            start = (depth == 1).then_some(span.end);
            continue;
        };
        let closes = depth == 0;
        if closes || (depth == 1 && *token == Token::Symbol(',')) {
            parts.push(without_order(create.get(from..span.start)?));
            start = Some(span.end);
        }
        if closes {
            end = Some(span.end);
            break;
        }
    }
    let rest = create.get(end?..)?;
    let condition = spanned_tokens(rest).into_iter().find(|(token, _)| token.is_word("WHERE"));
    let condition = condition.and_then(|(_, span)| rest.get(span.end..)).map(str::trim);
    Some(IndexText { parts, condition })
}

/// Returns by how much a token changes the depth of parentheses.
fn step(token: &Token) -> i32 {
    match token {
        Token::Symbol('(') => 1,
        Token::Symbol(')') => -1,
        Token::Word(_) | Token::Name(_) | Token::Text(_) | Token::Symbol(_) => 0,
    }
}

/// Returns a part up to its collation and order: `lower(code) COLLATE NOCASE DESC`.
fn without_order(part: &str) -> &str {
    let mut depth = 0;
    for (token, span) in spanned_tokens(part) {
        depth += step(&token);
        if depth == 0 && ["COLLATE", "ASC", "DESC"].iter().any(|end| token.is_word(end)) {
            return part.get(..span.start).unwrap_or(part).trim();
        }
    }
    part.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_condition_of_an_index_are_read() {
        let create =
            "CREATE UNIQUE INDEX \"a (b\" ON m (\"doc\" DESC, lower(code || ',') COLLATE NOCASE) WHERE ended = ')'";
        let parts = vec!["\"doc\"", "lower(code || ',')"];
        assert_eq!(index_text(create), Some(IndexText { parts, condition: Some("ended = ')'") }));
        assert_eq!(index_text("CREATE UNIQUE INDEX i ON m(a)").map(|text| text.condition), Some(None));
    }
}
