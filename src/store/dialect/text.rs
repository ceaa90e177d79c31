//! Text that every dialect writes alike.

use super::piece::TEXT;
use super::update_from::UpdateFrom;
use crate::catalog::{Column, TableName};

/// Returns `CAST(expression AS type)`, or the expression if no type is named.
pub fn cast(expression: &str, to: &str) -> String {
    match to {
        "" => expression.to_owned(),
        to => format!("CAST({expression} AS {to})"),
    }
}

/// Casts an expression to text.
pub fn as_text(expression: &str) -> String {
    format!("CAST({expression} AS {TEXT})")
}

/// Returns an UPDATE with a FROM.
pub fn update_from(update: &UpdateFrom<'_>) -> String {
    let UpdateFrom { table, alias, assignments, from, condition } = update;
    format!("UPDATE {table} AS {alias} SET {assignments} FROM {from} WHERE {condition}")
}

/// Returns an `ON CONFLICT` that leaves rows out, with a blank before it.
pub fn on_conflict_do_nothing(columns: &[&str]) -> String {
    format!(" ON CONFLICT ({}) DO NOTHING", columns.join(", "))
}

/// Returns a `RETURNING`, with a blank before it.
pub fn returning(columns: &str) -> String {
    format!(" RETURNING {columns}")
}

/// Returns an `IS DISTINCT FROM`.
pub fn differs(left: &str, right: &str) -> String {
    format!("{left} IS DISTINCT FROM {right}")
}

/// Returns the array that PostgreSQL reads from an array's text.
pub fn array_cast(bound: &str, to: &str) -> String {
    let to = if to.is_empty() { "text" } else { to };
    format!("CAST({bound} AS {to}[])")
}

/// Writes `{"a","b",NULL}`: see "Array Input and Output Syntax" in PostgreSQL's documentation.
pub fn array_text(values: &[Option<String>]) -> String {
    let characters: usize = values.iter().map(|value| value.as_ref().map_or(4, String::len) + 3).sum();
    let mut text = String::with_capacity(characters + 2);
    text.push('{');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match value {
            Some(value) => push_quoted(&mut text, value),
            None => text.push_str("NULL"),
        }
    }
    text.push('}');
    text
}

fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    let mut rest = value;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')) {
        let (plain, special) = rest.split_at(at);
        let (special, after) = special.split_at(1);
        text.extend([plain, "\\", special]);
        rest = after;
    }
    text.push_str(rest);
    text.push('"');
}

/// Quotes an identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a column of an alias, quoted: `t."owner_id"`.
pub fn column(alias: &str, name: &str) -> String {
    format!("{alias}.{}", quoted(name))
}

/// Returns a table's name, quoted, with its schema. A bare name could also be that of a common table expression of ours, so a
/// table without a schema is named with SQLite's, `main`.
pub fn table(name: &TableName) -> String {
    let schema = name.schema.as_deref().map_or("main".to_owned(), quoted);
    format!("{schema}.{}", quoted(&name.name))
}

/// Casts an expression of one column's type to another's, if they differ.
pub fn same_type(expression: &str, from: &Column, to: &Column) -> String {
    match from.cast == to.cast {
        true => expression.to_owned(),
        false => cast(expression, &to.cast),
    }
}

/// Returns the columns of an alias as texts named `k0`, `k1` and so on.
pub fn as_texts(columns: &[Column], alias: &str) -> String {
    let texts: Vec<String> = (columns.iter().enumerate())
        .map(|(index, key)| format!("{} AS k{index}", as_text(&column(alias, &key.name))))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_text_holds_any_value() {
        let values = [Some("a,b".to_owned()), None, Some("say \"hi\" \\ {}".to_owned()), Some("NULL".to_owned())];
        assert_eq!(array_text(&values), r#"{"a,b",NULL,"say \"hi\" \\ {}","NULL"}"#);
    }
}
