//! Composing statements: a text of pieces that is rendered once, for one dialect.
//!
//! Parts of a statement are plain strings, so that `format!` composes them. What a dialect must render stands in them as a
//! piece between two NUL characters, which no SQL text can contain.

use sea_orm::Statement;
use sea_orm::sea_query::Value;

use super::capabilities::Capabilities;
pub use super::column_array::ColumnArray;
pub use super::piece::{INT64, MATERIALIZED, TEXT};
use super::piece::{MARK, Piece};
use super::syntax::{SharedDialect, TableSize};
use super::tables::LedgerTable;
pub use super::text::{array_cast, array_text, as_text, as_texts, cast, column, quoted, same_type, table};
use super::types::Type;
pub use super::update_from::UpdateFrom;
use crate::catalog::Column;

/// A statement in the making.
#[derive(Debug, Clone)]
pub struct Sql {
    dialect: SharedDialect,
    text: String,
    values: Vec<Value>,
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
        let dialect = self.dialect;
        dialect.in_list(&mut |value| self.bind(value), &Type::of(column), &values)
    }

    /// Binds texts as the right side of `IN`, cast to a type.
    pub fn list_of<'v>(&mut self, of: &Type, texts: impl IntoIterator<Item = &'v str>) -> String {
        let values: Vec<Option<String>> = texts.into_iter().map(|text| Some(text.to_owned())).collect();
        let dialect = self.dialect;
        dialect.in_list(&mut |value| self.bind(value), of, &values)
    }

    /// Returns a table of bound values for a FROM: one row for each position in the arrays.
    pub fn table(&mut self, alias: &str, columns: Vec<ColumnArray>) -> String {
        self.value_table(alias, &columns, TableSize::Any)
    }

    /// Returns a table of a few bound rows, such as the leavers of a group.
    pub fn small_table(&mut self, alias: &str, columns: Vec<ColumnArray>) -> String {
        self.value_table(alias, &columns, TableSize::Small)
    }

    fn value_table(&mut self, alias: &str, columns: &[ColumnArray], size: TableSize) -> String {
        let dialect = self.dialect;
        dialect.value_table(&mut |value| self.bind(value), alias, columns, size)
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
                Some(Piece::Type(name)) => text.push_str(self.dialect.type_name(&name.of())),
                Some(Piece::Materialized) => text.push_str(self.dialect.materialized()),
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

/// Returns the name of a table of the ledger.
pub fn ledger_table(dialect: SharedDialect, table: LedgerTable) -> String {
    match dialect.ledger_table(table) {
        (Some(schema), name) => format!("{schema}.{name}"),
        (None, name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::dialect::{JOBS, OUTBOX, POSTGRES, Sqlite};

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
            update(&POSTGRES),
            "UPDATE handover.jobs SET state = $2 WHERE id = $1 AND ' handover.x' <> $2 \
             AND NOT EXISTS (SELECT 1 FROM handover.outbox)"
        );
        assert_eq!(
            update(&Sqlite),
            "UPDATE handover_jobs SET state = ?2 WHERE id = ?1 AND ' handover.x' <> ?2 \
             AND NOT EXISTS (SELECT 1 FROM handover_outbox)"
        );
    }
}
