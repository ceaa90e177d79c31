//! Looks names and literals up in the live schema, and collects what is wrong with them.

use toml::Spanned;

use super::reference::check_tests;
use crate::catalog::condition::{Condition, Holds, Listing};
use crate::catalog::fault::{Fault, Lines};
use crate::catalog::file::{ConditionEntry, ListingEntry, Name, Scalar};
use crate::catalog::model::Column;
use crate::catalog::reference::{Reference, Test};
use crate::catalog::schema::{Engine, Family, Schema, SchemaColumn, Table, TableName};

/// A catalog's text and its lines, the schema it is checked against, and what was found so far.
pub struct Resolver<'a> {
    source: &'a str,
    lines: Lines,
    pub schema: &'a Schema,
    /// Whether the catalog says what row-level security looks at.
    pub has_session: bool,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl<'a> Resolver<'a> {
    pub fn new(source: &'a str, schema: &'a Schema) -> Self {
        Resolver {
            source,
            lines: Lines::of(source),
            schema,
            has_session: false,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub fn into_findings(self) -> (Vec<Fault>, Vec<Fault>) {
        (self.faults, self.warnings)
    }

    pub fn fault(&mut self, byte: usize, message: impl Into<String>) {
        self.faults.push(Fault { line: self.lines.line_of(byte), message: message.into() });
    }

    pub fn warn(&mut self, byte: usize, message: impl Into<String>) {
        self.warnings.push(Fault { line: self.lines.line_of(byte), message: message.into() });
    }

    pub fn table(&mut self, name: &Name) -> Option<&'a Table> {
        let schema = self.schema;
        let table = schema.table(name.get_ref());
        if table.is_none() {
            let near = nearest(name.get_ref(), schema.tables.iter().map(|table| table.name.name.as_str()));
            self.fault(name.span().start, format!("the database has no table `{}`{near}", name.get_ref()));
        }
        if let Some(table) = table.filter(|table| table.row_security && !self.has_session) {
            let message = format!(
                "row-level security hides rows of {} from this role, and what cannot be seen cannot be proved: give the role \
                 BYPASSRLS, or say what the policies look at: [session] settings = {{ \"app.org_id\" = \"{{org}}\" }}",
                table.name
            );
            self.fault(name.span().start, message);
        }
        table
    }

    pub fn column(&mut self, table: &Table, name: &Name) -> Option<Column> {
        self.column_at(table, name.get_ref(), name.span().start)
    }

    pub fn column_at(&mut self, table: &Table, name: &str, byte: usize) -> Option<Column> {
        let Some(column) = table.column(name) else {
            let near = nearest(name, table.columns.iter().map(|column| column.name.as_str()));
            self.fault(byte, format!("the table {} has no column `{name}`{near}", table.name));
            return None;
        };
        Some(column.into())
    }

    /// A column that may be absent: `Some(None)` where it is.
    pub fn optional_column(&mut self, table: &Table, name: Option<&Name>) -> Option<Option<Column>> {
        match name {
            None => Some(None),
            Some(name) => self.column(table, name).map(Some),
        }
    }

    pub fn condition(&mut self, users: &Table, entry: &ConditionEntry) -> Option<Condition> {
        self.condition_of(users, &entry.column, entry.equals.as_ref(), entry.listed.as_ref())
    }

    /// A condition on a column of the users' table, as every entry that has one spells it.
    pub fn condition_of(
        &mut self,
        users: &Table,
        column: &Name,
        equals: Option<&Spanned<Scalar>>,
        listed: Option<&ListingEntry>,
    ) -> Option<Condition> {
        let resolved = self.column(users, column);
        let holds = match (equals, listed) {
            (Some(equals), None) => self.literal(users, column.get_ref(), equals).map(Holds::Value),
            (None, Some(listed)) => self.listing(listed).map(Holds::ListedIn),
            _ => {
                let message = "a condition is { column = \"...\", equals = ... }, or \
                               { column = \"...\", in = { table = \"...\", column = \"...\", where = { ... } } }";
                self.fault(column.span().start, message);
                None
            }
        };
        Some(Condition { column: resolved?, holds: holds? })
    }

    fn listing(&mut self, entry: &ListingEntry) -> Option<Listing> {
        let table = self.table(&entry.table)?;
        let column = self.column(table, &entry.column);
        let filter = check_tests(self, table, &entry.filter);
        Some(Listing { table: table.name.clone(), column: column?, filter: filter? })
    }

    pub fn literal(&mut self, table: &Table, column: &str, value: &Spanned<Scalar>) -> Option<String> {
        self.literal_at(table, column, value.get_ref(), value.span().start)
    }

    /// The text of a literal, as the column's own text form has it.
    pub fn literal_at(&mut self, table: &Table, column: &str, value: &Scalar, byte: usize) -> Option<String> {
        // A column that does not exist was reported where it was looked up.
        let column = table.column(column)?;
        let fits = match (column.family, value) {
            (Family::Integer { .. }, Scalar::Integer(_)) | (Family::Boolean, Scalar::Boolean(_)) => true,
            // SQLite has no booleans of its own: a flag is a number there.
            (Family::Integer { .. } | Family::Number, Scalar::Boolean(_)) => self.schema.engine == Engine::Sqlite,
            (Family::Number, Scalar::Integer(_) | Scalar::Number(_)) => true,
            (Family::Integer { .. } | Family::Number | Family::Boolean, _) => false,
            (_, Scalar::Text(_)) => true,
            (_, Scalar::Boolean(_) | Scalar::Integer(_) | Scalar::Number(_)) => {
                matches!(column.family, Family::Other | Family::Opaque)
            }
        };
        if !fits {
            let wants = family_name(column.family);
            self.fault(
                byte,
                format!("the column `{}` of {} holds {wants}, this value does not", column.name, table.name),
            );
            return None;
        }
        let text = literal_text(value, self.schema.engine);
        if let Some(values) = &column.values
            && !values.contains(&text)
        {
            let allowed = values.join(", ");
            self.fault(
                byte,
                format!("the column `{}` of {} never holds this value; it has: {allowed}", column.name, table.name),
            );
            return None;
        }
        Some(text)
    }

    /// Whether every row of the table passes one of the filters, as far as the schema can tell: one has no tests, or
    /// together they name every value of a column that may not be NULL.
    pub fn filters_cover(&self, table: &TableName, references: &[&Reference]) -> bool {
        if references.iter().any(|reference| reference.filter.0.is_empty()) {
            return true;
        }
        let Some(table) = self.schema.named(table) else { return false };
        table.columns.iter().any(|column| single_tests_cover(column, references))
    }

    pub fn warn_uncovered(&mut self, reference: &Reference) {
        let message = format!(
            "rows of {} whose `{}` is the leaver and that pass no reference's `where` (another value, a NULL) count as orphans \
             and keep the job from completing: add a reference without `where` after the others, `keep` if they may stay",
            reference.table, reference.user.name
        );
        let byte = self.place_of(reference);
        self.warn(byte, message);
    }

    /// A fault of a reference that was read already.
    pub fn fault_of(&mut self, reference: &Reference, message: String) {
        let byte = self.place_of(reference);
        self.fault(byte, message);
    }

    fn place_of(&self, reference: &Reference) -> usize {
        self.source.find(&format!("kind = \"{}\"", reference.kind)).unwrap_or(0)
    }
}

fn single_tests_cover(column: &SchemaColumn, references: &[&Reference]) -> bool {
    let Some(values) = &column.values else { return false };
    let mut named: Vec<&String> = Vec::new();
    let mut null = !column.nullable;
    for reference in references {
        match reference.filter.0.as_slice() {
            [Test::OneOf(tested, some)] if tested.name == column.name => named.extend(some),
            [Test::Null(tested, true)] if tested.name == column.name => null = true,
            _ => {}
        }
    }
    null && values.iter().all(|value| named.contains(&value))
}

fn literal_text(value: &Scalar, engine: Engine) -> String {
    match (value, engine) {
        (Scalar::Boolean(flag), Engine::Postgres) => flag.to_string(),
        (Scalar::Boolean(flag), Engine::Sqlite) => u8::from(*flag).to_string(),
        (Scalar::Integer(number), _) => number.to_string(),
        (Scalar::Number(number), _) => number.to_string(),
        (Scalar::Text(text), _) => text.clone(),
    }
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Integer { .. } => "whole numbers",
        Family::Number => "numbers",
        Family::Boolean => "true or false",
        Family::Text => "text",
        Family::Uuid => "UUIDs",
        Family::Time => "dates or times, written as text",
        Family::Other | Family::Opaque => "values of another type",
    }
}

/// A hint at a name that is nearly the one written, or nothing.
fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> String {
    let folded = |name: &str| name.to_lowercase().replace('_', "");
    let wanted = folded(written);
    let near = names.filter(|name| {
        let name = folded(name);
        name == wanted || name.trim_end_matches('s') == wanted.trim_end_matches('s') || name.contains(&wanted)
    });
    near.min_by_key(|name| name.len()).map_or(String::new(), |name| format!(" (it has `{name}`)"))
}
