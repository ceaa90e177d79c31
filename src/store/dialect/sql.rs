//! Composing statements: a text of pieces that is rendered once, for one dialect.
//!
//! Parts of a statement are plain strings, so that `format!` composes them. What a dialect must render stands in them as a
//! [`Piece`] between two NUL characters, which no SQL text can contain.

use std::fmt;

use sea_orm::Statement;
use sea_orm::sea_query::Value;

use super::{Capabilities, LedgerTable, SharedDialect, TableSize, Type};
use crate::catalog::{Column, TableName};

/// A statement in the making.
#[derive(Debug, Clone)]
pub struct Sql {
    dialect: SharedDialect,
    text: String,
    values: Vec<Value>,
}

/// A part of a statement that the dialect renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The bound value with this index.
    Bind(usize),
    /// A table of the ledger.
    Table(LedgerTable),
}

/// A column of a table made of bound values.
pub struct ColumnArray {
    /// Its name, quoted where it needs to be.
    pub name: String,
    /// The type that its values are cast to.
    pub of: Type,
    /// Its values, as text.
    pub values: Vec<Option<String>>,
}

impl ColumnArray {
    /// Builds an array of host values, of the type of a column.
    pub fn of(name: &str, column: &Column, values: impl IntoIterator<Item = impl Into<String>>) -> ColumnArray {
        ColumnArray::of_some(name, column, values.into_iter().map(|value| Some(value.into())))
    }

    /// Builds an array of host values, some of them NULL.
    pub fn of_some(name: &str, column: &Column, values: impl IntoIterator<Item = Option<String>>) -> ColumnArray {
        ColumnArray { name: name.into(), of: Type::of(column), values: values.into_iter().collect() }
    }

    /// Builds an array of values of this type.
    pub fn new(of: Type, name: &str, values: impl IntoIterator<Item = Option<impl ToString>>) -> ColumnArray {
        let values = values.into_iter().map(|value| value.map(|value| value.to_string())).collect();
        ColumnArray { name: name.into(), of, values }
    }
}

impl Sql {
    /// Begins a statement.
    pub fn new(dialect: SharedDialect, text: &str) -> Sql {
        Sql { dialect, text: text.to_owned(), values: Vec::new() }
    }

    /// Returns the dialect that it is rendered for.
    pub fn dialect(&self) -> SharedDialect {
        self.dialect
    }

    /// Returns the engine that it is for.
    pub fn engine(&self) -> crate::catalog::Engine {
        match self.dialect.backend() {
            sea_orm::DbBackend::Sqlite => crate::catalog::Engine::Sqlite,
            _ => crate::catalog::Engine::Postgres,
        }
    }

    /// Binds values that the text names `$1`, `$2` and so on already.
    pub fn with(mut self, values: impl IntoIterator<Item = Value>) -> Sql {
        self.values.extend(values);
        self
    }

    /// Returns what its database can do.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.dialect.capabilities()
    }

    /// Appends text.
    pub fn add(&mut self, text: &str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    /// Binds a value and returns the piece that stands for it.
    pub fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        Piece::Bind(self.values.len() - 1).to_string()
    }

    /// Binds the text of a host value, cast to the column's type. The database computes the cast of a constant once, so an
    /// index on the column serves, whatever the type.
    pub fn host(&mut self, column: &Column, text: &str) -> String {
        let bound = self.bind(text);
        self.dialect.cast(&bound, &Type::of(column))
    }

    /// Binds texts of host values as the right side of `IN`.
    pub fn host_list<'v>(&mut self, column: &Column, texts: impl IntoIterator<Item = &'v str>) -> String {
        let values: Vec<Option<String>> = texts.into_iter().map(|text| Some(text.to_owned())).collect();
        self.dialect.in_list(self, &Type::of(column), &values)
    }

    /// Returns a table of bound values for a FROM: one row for each position in the arrays.
    pub fn table(&mut self, alias: &str, columns: Vec<ColumnArray>) -> String {
        self.dialect.value_table(self, alias, columns, TableSize::Any)
    }

    /// Returns a table of a few bound rows, such as the leavers of a group.
    pub fn small_table(&mut self, alias: &str, columns: Vec<ColumnArray>) -> String {
        self.dialect.value_table(self, alias, columns, TableSize::Small)
    }

    /// Renders the text and the values in the order in which its placeholders take them.
    pub fn render(self) -> (String, Vec<Value>) {
        let repeats = self.dialect.placeholder(1) == self.dialect.placeholder(2);
        let mut text = String::with_capacity(self.text.len() + 64);
        let mut repeated = Vec::new();
        // Texts and pieces alternate.
        for (place, part) in self.text.split(MARK).enumerate() {
            match Piece::read(part).filter(|_| place % 2 == 1) {
                None => text.push_str(part),
                Some(Piece::Table(table)) => text.push_str(&ledger_table(self.dialect, table)),
                Some(Piece::Bind(index)) => {
                    text.push_str(&self.dialect.placeholder(index + 1));
                    repeated.extend(self.values.get(index).filter(|_| repeats).cloned());
                }
            }
        }
        (text, if repeats { repeated } else { self.values })
    }

    /// Renders the statement for sea-orm.
    pub fn statement(self) -> Statement {
        let backend = self.dialect.backend();
        let (text, values) = self.render();
        Statement::from_sql_and_values(backend, text, values)
    }
}

const MARK: char = '\0';

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Bind(index) => write!(f, "{MARK}bind {index}{MARK}"),
            Piece::Table(table) => write!(f, "{MARK}table {}{MARK}", table.name()),
        }
    }
}

impl Piece {
    fn read(text: &str) -> Option<Piece> {
        match text.split_once(' ')? {
            ("bind", index) => index.parse().ok().map(Piece::Bind),
            ("table", name) => LedgerTable::ALL.iter().copied().find(|table| table.name() == name).map(Piece::Table),
            _ => None,
        }
    }
}

/// Returns the name of a table of the ledger.
pub fn ledger_table(dialect: SharedDialect, table: LedgerTable) -> String {
    match dialect.ledger_table(table) {
        (Some(schema), name) => format!("{schema}.{name}"),
        (None, name) => name,
    }
}

/// Returns `CAST(expression AS type)`, or the expression if no type is named.
pub fn cast(expression: &str, to: &str) -> String {
    match to {
        "" => expression.to_owned(),
        to => format!("CAST({expression} AS {to})"),
    }
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

/// Returns a table's name, quoted, with its schema if it has one.
pub fn table(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.name)),
        None => quoted(&name.name),
    }
}

/// Returns the columns of an alias as texts named `k0`, `k1` and so on.
pub fn as_texts(columns: &[Column], alias: &str) -> String {
    let texts: Vec<String> = (columns.iter().enumerate())
        .map(|(index, key)| format!("{} AS k{index}", cast(&column(alias, &key.name), "text")))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::dialect::{JOBS, OUTBOX, Postgres, Sqlite};

    fn update(dialect: SharedDialect) -> String {
        let mut sql = Sql::new(dialect, "");
        let (id, state) = (sql.bind(7i64), sql.bind("open"));
        sql.add(&format!("UPDATE {JOBS} SET state = {state} WHERE id = {id} AND ' handover.x' <> {state}"));
        sql.add(&format!(" AND NOT EXISTS (SELECT 1 FROM {OUTBOX})"));
        sql.render().0
    }

    #[test]
    fn pieces_are_rendered_by_the_dialect() {
        assert_eq!(
            update(&Postgres),
            "UPDATE handover.jobs SET state = $2 WHERE id = $1 AND ' handover.x' <> $2 \
             AND NOT EXISTS (SELECT 1 FROM handover.outbox)"
        );
        assert_eq!(
            update(&Sqlite),
            "UPDATE handover_jobs SET state = ?2 WHERE id = ?1 AND ' handover.x' <> ?2 \
             AND NOT EXISTS (SELECT 1 FROM handover_outbox)"
        );
    }

    #[test]
    fn array_text_holds_any_value() {
        let values = [Some("a,b".to_owned()), None, Some("say \"hi\" \\ {}".to_owned()), Some("NULL".to_owned())];
        assert_eq!(array_text(&values), r#"{"a,b",NULL,"say \"hi\" \\ {}","NULL"}"#);
    }
}
