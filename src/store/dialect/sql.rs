//! Building statements: bound values, quoted identifiers, and the few things that the engines write differently.

use sea_orm::sea_query::Value;
use sea_orm::{DbBackend, Statement};

use crate::catalog::{Column, Engine, TableName};

/// A statement in the making. Values are bound as `$n`, which both engines read.
#[derive(Debug, Clone)]
pub struct Sql {
    engine: Engine,
    text: String,
    values: Vec<Value>,
}

/// A column of a table made of bound values.
pub struct ColumnArray {
    /// Its name.
    pub name: String,
    /// The type its values are cast to; empty: text.
    pub cast: String,
    /// Its values, as text.
    pub values: Vec<Option<String>>,
}

impl ColumnArray {
    /// A field of host values, of the type of this column.
    pub fn of(name: &str, column: &Column, values: impl IntoIterator<Item = impl Into<String>>) -> ColumnArray {
        let values = values.into_iter().map(|value| Some(value.into())).collect();
        ColumnArray { name: name.into(), cast: column.cast.clone(), values }
    }

    /// A field of host values, some of them NULL.
    pub fn of_some(name: &str, column: &Column, values: impl IntoIterator<Item = Option<String>>) -> ColumnArray {
        ColumnArray { name: name.into(), cast: column.cast.clone(), values: values.into_iter().collect() }
    }

    /// A field of values of the ledger: `bigint`, `uuid`, `text`.
    pub fn cast_to(cast: &str, name: &str, values: impl IntoIterator<Item = Option<impl ToString>>) -> ColumnArray {
        let values = values.into_iter().map(|value| value.map(|value| value.to_string())).collect();
        ColumnArray { name: name.into(), cast: cast.into(), values }
    }
}

impl Sql {
    /// Begins a statement.
    pub fn new(engine: Engine, text: &str) -> Sql {
        Sql { engine, text: text.to_owned(), values: Vec::new() }
    }

    /// The engine that it is for.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Adds text.
    pub fn add(&mut self, text: &str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    /// Binds a value: what stands for it in the text.
    pub fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Binds values that the text names `$1`, `$2` and so on already.
    pub fn with(mut self, values: impl IntoIterator<Item = Value>) -> Sql {
        self.values.extend(values);
        self
    }

    /// Binds the text of a host value, cast to the column's type. A cast of a constant is worked out once, so an index
    /// on the column serves, whatever the type.
    pub fn host(&mut self, column: &Column, text: &str) -> String {
        let bound = self.bind(text);
        cast(&bound, &column.cast)
    }

    /// Binds texts of host values as the right side of `IN`.
    pub fn host_list<'v>(&mut self, column: &Column, texts: impl IntoIterator<Item = &'v str>) -> String {
        let values: Vec<Option<String>> = texts.into_iter().map(|text| Some(text.to_owned())).collect();
        match self.engine {
            Engine::Postgres => {
                let array = self.bind_array(&values);
                format!("(SELECT unnest({}))", uncounted(&array_cast(&array, &column.cast)))
            }
            Engine::Sqlite => {
                let json = self.bind(json_text(&values));
                format!("(SELECT {} FROM json_each({json}))", cast("value", &column.cast))
            }
        }
    }

    /// A table of bound values, to stand in a FROM: the fields side by side, one row for each place.
    pub fn table(&mut self, alias: &str, fields: Vec<ColumnArray>) -> String {
        self.table_of(alias, fields, str::to_owned)
    }

    /// The same of a few rows, such as the leavers of a group.
    pub fn small_table(&mut self, alias: &str, fields: Vec<ColumnArray>) -> String {
        self.table_of(alias, fields, uncounted)
    }

    fn table_of(&mut self, alias: &str, fields: Vec<ColumnArray>, array: impl Fn(&str) -> String) -> String {
        match self.engine {
            Engine::Postgres => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                let names = names.join(", ");
                let arrays: Vec<String> = (fields.iter())
                    .map(|field| array(&array_cast(&self.bind_array(&field.values), &field.cast)))
                    .collect();
                format!("unnest({}) AS {alias}({names})", arrays.join(", "))
            }
            Engine::Sqlite => {
                let columns: Vec<String> = (fields.iter().enumerate())
                    .map(|(index, field)| format!("{} AS {}", sqlite_value(index, &field.cast), field.name))
                    .collect();
                let rows = fields.first().map_or(0, |field| field.values.len());
                let rows: Vec<Vec<&Option<String>>> =
                    (0..rows).map(|row| fields.iter().map(|field| &field.values[row]).collect()).collect();
                let json = self.bind(serde_json::to_string(&rows).unwrap_or_default());
                format!("(SELECT {} FROM json_each({json})) AS {alias}", columns.join(", "))
            }
        }
    }

    /// The statement, for sea-orm.
    pub fn statement(self) -> Statement {
        let backend = match self.engine {
            Engine::Postgres => DbBackend::Postgres,
            Engine::Sqlite => DbBackend::Sqlite,
        };
        Statement::from_sql_and_values(backend, self.text, self.values)
    }

    /// PostgreSQL: an array, in its text form; a cast makes it one of any type.
    fn bind_array(&mut self, values: &[Option<String>]) -> String {
        self.bind(array_text(values))
    }
}

/// `CAST(expression AS type)`, or the expression where no cast is needed.
pub fn cast(expression: &str, to: &str) -> String {
    match to {
        "" => expression.to_owned(),
        to => format!("CAST({expression} AS {to})"),
    }
}

/// A value of a row of bound values. The ledger's ids are bytes in SQLite.
fn sqlite_value(index: usize, to: &str) -> String {
    match to {
        "uuid" => format!("unhex(replace(value ->> {index}, '-', ''))"),
        to => cast(&format!("value ->> {index}"), to),
    }
}

/// An array that PostgreSQL does not count while it plans. It would find a plan for just so many values cheaper than one for
/// any number, and plan the statement anew each time: of some that takes longer than to run them.
fn uncounted(array: &str) -> String {
    format!("(SELECT {array})")
}

/// PostgreSQL: what holds an array's text as an array of this type.
pub fn array_cast(bound: &str, to: &str) -> String {
    let to = if to.is_empty() { "text" } else { to };
    format!("CAST({bound} AS {to}[])")
}

/// `{"a","b",NULL}`: see "Array Input and Output Syntax" in PostgreSQL's documentation.
pub fn array_text(values: &[Option<String>]) -> String {
    let characters: usize = values.iter().map(|value| value.as_ref().map_or(4, String::len) + 3).sum();
    let mut text = String::with_capacity(characters + 2);
    text.push('{');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match value {
            Some(value) => {
                text.push('"');
                let mut rest = value.as_str();
                while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')) {
                    let (plain, special) = rest.split_at(at);
                    let (special, behind) = special.split_at(1);
                    text.extend([plain, "\\", special]);
                    rest = behind;
                }
                text.push_str(rest);
                text.push('"');
            }
            None => text.push_str("NULL"),
        }
    }
    text.push('}');
    text
}

fn json_text(values: &[Option<String>]) -> String {
    serde_json::to_string(values).unwrap_or_default()
}

/// An identifier, quoted.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column of an alias, quoted: `t."owner_id"`.
pub fn column(alias: &str, name: &str) -> String {
    format!("{alias}.{}", quoted(name))
}

/// A table's name, quoted, with its schema where it has one.
pub fn table(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.name)),
        None => quoted(&name.name),
    }
}

/// Columns of an alias as texts named `k0`, `k1` and so on.
pub fn as_texts(columns: &[Column], alias: &str) -> String {
    let texts: Vec<String> = (columns.iter().enumerate())
        .map(|(index, key)| format!("{} AS k{index}", cast(&column(alias, &key.name), "text")))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrays_text_holds_any_value() {
        let values = [Some("a,b".to_owned()), None, Some("say \"hi\" \\ {}".to_owned()), Some("NULL".to_owned())];
        assert_eq!(array_text(&values), r#"{"a,b",NULL,"say \"hi\" \\ {}","NULL"}"#);
    }
}
