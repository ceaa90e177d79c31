//! The columns and checks of a CREATE TABLE statement, as far as SQLite's pragmas do not report them.

use crate::catalog::{ComputedColumn, RowCheck, SchemaColumn};
use crate::store::driver::listed_values::{ListedValues, values_of};
use crate::store::driver::tokens::{Token, tokens};

/// The words with which a constraint of the table begins. Any other definition is a column's.
const CONSTRAINTS: [&str; 5] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];

/// The definitions of a table: columns and constraints.
pub struct Definitions(Vec<Vec<Token>>);

impl Definitions {
    /// Reads a CREATE TABLE statement.
    pub fn of(create: &str) -> Definitions {
        let mut definitions = vec![Vec::new()];
        let mut depth = 0;
        for token in tokens(create) {
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth -= 1,
                Token::Word(_) | Token::Name(_) | Token::Text(_) | Token::Symbol(_) => {}
            }
            match (depth, &token) {
                // The parentheses of the list itself.
                (1, Token::Symbol('(')) => definitions = vec![Vec::new()],
                (0, Token::Symbol(')')) => break,
                (1, Token::Symbol(',')) => definitions.push(Vec::new()),
                _ => {
                    if let Some(last) = definitions.last_mut() {
                        last.push(token);
                    }
                }
            }
        }
        Definitions(definitions)
    }

    /// True if texts of a column are compared without regard to case.
    pub fn ignores_case(&self, column: &str) -> bool {
        let is_nocase = |pair: &[Token]| {
            pair[0].is_word("COLLATE") && pair[1].name().is_some_and(|name| name.eq_ignore_ascii_case("NOCASE"))
        };
        let own = self.0.iter().filter(|definition| is_column(definition, column));
        own.flat_map(|definition| definition.windows(2)).any(is_nocase)
    }

    /// Returns the checks that are no lists of values, with the columns that each names.
    pub fn row_checks(&self, columns: &[SchemaColumn]) -> Vec<RowCheck> {
        let checks = self.0.iter().flat_map(|definition| checks(definition));
        let row_check = |check: &[Token]| {
            let names: Vec<&str> = check.iter().filter_map(Token::name).collect();
            let is_named = |column: &&SchemaColumn| names.iter().any(|name| name.eq_ignore_ascii_case(&column.name));
            let columns = columns.iter().filter(is_named).map(|column| column.name.clone()).collect();
            RowCheck { name: None, columns, is_valid: true }
        };
        checks.filter(|check| values_of(check).is_none()).map(row_check).collect()
    }

    /// Returns the computed columns, with those that their definitions name.
    pub fn computed(&self, columns: &[SchemaColumn]) -> Vec<ComputedColumn> {
        let computed = columns.iter().filter(|column| column.generated);
        let reads = |own: &SchemaColumn| {
            let definition = self.0.iter().filter(|definition| is_column(definition, &own.name)).flatten();
            let names: Vec<&str> = definition.filter_map(Token::name).collect();
            let is_named = |column: &&SchemaColumn| {
                column.name != own.name && names.iter().any(|name| name.eq_ignore_ascii_case(&column.name))
            };
            columns.iter().filter(is_named).map(|column| column.name.clone()).collect()
        };
        computed.map(|column| ComputedColumn { name: column.name.clone(), reads: reads(column) }).collect()
    }

    /// True if a check says that a column holds JSON documents.
    pub fn holds_json(&self, column: &str) -> bool {
        let is_tested = |words: &[Token]| {
            words[0].is_word("json_valid") && words[2].name().is_some_and(|name| name.eq_ignore_ascii_case(column))
        };
        self.0.iter().flat_map(|definition| definition.windows(3)).any(is_tested)
    }

    /// True if the key is the number of a row, and the numbers of deleted rows are given again.
    pub fn reuses_keys(&self) -> bool {
        let is_key = |words: &[Token]| words[0].is_word("INTEGER") && words[1].is_word("PRIMARY");
        let numbered = self.0.iter().find(|definition| definition.windows(2).any(is_key));
        numbered.is_some_and(|definition| !definition.iter().any(|word| word.is_word("AUTOINCREMENT")))
    }

    /// Returns the conflict clauses by which a write deletes other rows, is skipped, or ends the transaction.
    pub fn conflict_clauses(&self) -> Vec<String> {
        const HARMFUL: [&str; 3] = ["REPLACE", "IGNORE", "ROLLBACK"];
        let clauses = self.0.iter().flat_map(|definition| definition.windows(3));
        let harmful = clauses.filter_map(|words| match words {
            [on, conflict, how] if on.is_word("ON") && conflict.is_word("CONFLICT") => {
                HARMFUL.into_iter().find(|word| how.is_word(word))
            }
            _ => None,
        });
        let mut found: Vec<String> = harmful.map(|how| format!("ON CONFLICT {how}")).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns the values that a check allows for a column.
    pub fn listed_values(&self, column: &str) -> Option<Vec<String>> {
        let checks = self.0.iter().flat_map(|definition| checks(definition));
        let mut lists = checks.filter_map(values_of).filter(|listed| listed.column.eq_ignore_ascii_case(column));
        lists.next().map(|ListedValues { values, .. }| values)
    }
}

/// Returns the collations in CREATE statements that SQLite itself does not have.
pub fn foreign_collations(creates: &[&str]) -> Vec<String> {
    const OWN: [&str; 3] = ["BINARY", "NOCASE", "RTRIM"];
    let tokens: Vec<Token> = creates.iter().flat_map(|create| tokens(create)).collect();
    let names = tokens.windows(2).filter(|pair| pair[0].is_word("COLLATE")).filter_map(|pair| pair[1].name());
    let foreign = names.filter(|name| !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)));
    let mut found: Vec<String> = foreign.map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn is_column(definition: &[Token], column: &str) -> bool {
    let Some((first, _)) = definition.split_first() else { return false };
    !CONSTRAINTS.iter().any(|word| first.is_word(word))
        && first.name().is_some_and(|name| name.eq_ignore_ascii_case(column))
}

/// Returns the checks in a definition, each with its parentheses.
fn checks(definition: &[Token]) -> Vec<&[Token]> {
    let starts = definition.iter().enumerate().filter(|(_, token)| token.is_word("CHECK"));
    starts.filter_map(|(start, _)| parenthesized(&definition[start + 1..])).collect()
}

/// Returns the parenthesis with which these tokens begin, up to its end.
fn parenthesized(tokens: &[Token]) -> Option<&[Token]> {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth -= 1,
            Token::Word(_) | Token::Name(_) | Token::Text(_) | Token::Symbol(_) => {}
        }
        if depth == 0 {
            return (place > 0).then(|| &tokens[..=place]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Definitions;

    #[test]
    fn definitions_in_any_alphabet_are_read() {
        let create = "CREATE TABLE \"görevler\" (id INTEGER PRIMARY KEY, note TEXT DEFAULT 'ΐΐΐΐ, (ΐ', \
             [login name] TEXT COLLATE NOCASE, -- a comment, (with signs\n \
             durum TEXT NOT NULL CHECK (durum IN ('açık', 'kapalı')), level INT, \
             CONSTRAINT levels CHECK (level IN (1, 2)), CHECK (lower(note) IN ('a')), UNIQUE (durum COLLATE NOCASE))";
        let definitions = Definitions::of(create);
        let owned = |values: &[&str]| Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<String>>());
        assert_eq!(definitions.listed_values("durum"), owned(&["açık", "kapalı"]));
        assert_eq!(definitions.listed_values("level"), owned(&["1", "2"]));
        assert_eq!(definitions.listed_values("note"), None);
        assert_eq!(["login name", "durum"].map(|column| definitions.ignores_case(column)), [true, false]);
    }
}
