//! Looks up names in the live schema, and collects faults.

use std::collections::BTreeMap;

use crate::catalog::fault::{ExpectedValue, Fault, Lines};
use crate::catalog::file::Name;
use crate::catalog::filter::Test;
use crate::catalog::reference::Reference;
use crate::catalog::schema::{Column, Schema, SchemaColumn, Table, TableName};

/// A catalog's text, the schema that it is checked against, and the findings so far.
pub struct Resolver<'a> {
    source: &'a str,
    lines: Lines,
    /// The live schema.
    pub schema: &'a Schema,
    /// The tables that the catalog names, each with its first place in the text.
    named: Vec<(&'a Table, usize)>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    expected: Vec<ExpectedValue>,
    /// Tables that the database lacks and has nothing like, each with its first place in the text.
    missing: BTreeMap<String, usize>,
}

impl<'a> Resolver<'a> {
    /// Starts without findings.
    pub fn new(source: &'a str, schema: &'a Schema) -> Self {
        Resolver {
            source,
            lines: Lines::of(source),
            schema,
            named: Vec::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
            expected: Vec::new(),
            missing: BTreeMap::new(),
        }
    }

    /// Returns the faults and the warnings.
    pub fn into_findings(mut self) -> (Vec<Fault>, Vec<Fault>) {
        self.report_missing();
        (self.faults, self.warnings)
    }

    /// Takes the values that some row should have.
    pub fn take_expected(&mut self) -> Vec<ExpectedValue> {
        std::mem::take(&mut self.expected)
    }

    /// Notes values that some row should have, so that a check of the data can tell a misspelled one.
    pub fn expect_values<'v>(
        &mut self,
        table: &Table,
        column: Option<&Column>,
        values: impl IntoIterator<Item = &'v String>,
        byte: usize,
    ) {
        let Some(column) = column else { return };
        let line = self.lines.line_of(byte);
        self.expected.extend(values.into_iter().map(|value| ExpectedValue {
            line,
            table: table.name.clone(),
            column: column.clone(),
            value: value.clone(),
        }));
    }

    /// Adds one fault for all tables that are missing.
    fn report_missing(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        let Some(first) = missing.values().min().copied() else { return };
        let message = match missing.len() {
            1 => format!("the database has no table `{}`", missing.keys().next().map_or("", String::as_str)),
            _ => {
                let line = |byte: &usize| self.lines.line_of(*byte);
                let listed = missing.iter().map(|(name, byte)| format!("`{name}` (line {})", line(byte)));
                format!("the database has no tables {}", listed.collect::<Vec<_>>().join(", "))
            }
        };
        self.fault(first, message);
    }

    /// Adds a fault at a byte of the text.
    pub fn fault(&mut self, byte: usize, message: impl Into<String>) {
        self.faults.push(Fault { line: self.lines.line_of(byte), message: message.into() });
    }

    /// Adds a warning at a byte of the text.
    pub fn warn(&mut self, byte: usize, message: impl Into<String>) {
        self.warnings.push(Fault { line: self.lines.line_of(byte), message: message.into() });
    }

    /// Returns the tables that the catalog names, each with its first place in the text.
    pub fn named_tables(&self) -> &[(&'a Table, usize)] {
        &self.named
    }

    /// Returns the table with this name, or adds a fault.
    pub fn table(&mut self, name: &Name) -> Option<&'a Table> {
        let schema = self.schema;
        let table = schema.table(name.get_ref());
        if let Some(relation) = schema.relation(name.get_ref()).filter(|_| table.is_none()) {
            self.fault(name.span().start, relation.refusal());
            return None;
        }
        if table.is_none() {
            let near = nearest(name.get_ref(), schema.tables.iter().map(|table| table.name.name.as_str()));
            match near.is_empty() {
                true => drop(self.missing.entry(name.get_ref().clone()).or_insert(name.span().start)),
                false => {
                    self.fault(name.span().start, format!("the database has no table `{}`{near}", name.get_ref()));
                }
            }
        }
        if let Some(table) = table
            && self.named.iter().all(|(named, _)| named.name != table.name)
        {
            self.named.push((table, name.span().start));
            self.refuse_shared_rows(table, name.span().start);
        }
        table
    }

    /// Adds a fault if statements on a table reach rows of other relations.
    fn refuse_shared_rows(&mut self, table: &Table, byte: usize) {
        let names = |tables: &[TableName]| tables.iter().map(TableName::to_string).collect::<Vec<_>>().join(", ");
        if !table.facts.heirs.is_empty() {
            let message = format!(
                "{heirs} inherits from {own}: statements on {own} also reach those rows, whose keys may be the same as its own; \
                 end the inheritance, or partition the table",
                heirs = names(&table.facts.heirs),
                own = table.name
            );
            self.fault(byte, message);
        }
        if !table.facts.foreign_partitions.is_empty() {
            let message = format!(
                "{} of {} is on another server, whose rows and the ledger cannot commit together: detach it",
                names(&table.facts.foreign_partitions),
                table.name
            );
            self.fault(byte, message);
        }
    }

    /// Returns the column with this name, or adds a fault.
    pub fn column(&mut self, table: &Table, name: &Name) -> Option<Column> {
        self.column_at(table, name.get_ref(), name.span().start)
    }

    /// Returns the column with this name, or adds a fault at a byte of the text.
    pub fn column_at(&mut self, table: &Table, name: &str, byte: usize) -> Option<Column> {
        let Some(column) = table.column(name) else {
            let near = nearest(name, table.columns.iter().map(|column| column.name.as_str()));
            self.fault(byte, format!("the table {} has no column `{name}`{near}", table.name));
            return None;
        };
        Some(column.into())
    }

    /// Adds a fault if the database computes a column that is to be written.
    pub fn refuse_generated(&mut self, table: &Table, name: &str, byte: usize) {
        if table.column(name).is_some_and(|column| column.generated || column.is_identity) {
            let message = format!(
                "the column `{name}` of {} is computed by the database, so it cannot be written: name the column that it is \
                 computed from",
                table.name
            );
            self.fault(byte, message);
        }
    }

    /// Returns a column that may be absent: `Some(None)` if it is.
    pub fn optional_column(&mut self, table: &Table, name: Option<&Name>) -> Option<Option<Column>> {
        if_written(name, |name| self.column(table, name))
    }

    /// True if the schema shows that every row of the table passes one of the filters. Either one has no tests, or together
    /// they name every value of a column that cannot be NULL.
    pub fn filters_cover(&self, table: &TableName, references: &[&Reference]) -> bool {
        if references.iter().any(|reference| reference.filter.0.is_empty()) {
            return true;
        }
        let Some(table) = self.schema.named(table) else { return false };
        table.columns.iter().any(|column| single_tests_cover(column, references))
    }

    /// Warns that rows of the leaver may pass no filter.
    pub fn warn_uncovered(&mut self, reference: &Reference) {
        let message = format!(
            "rows of {} whose `{}` is the leaver and that pass no reference's `where` (another value, a NULL) count as orphans, \
             so the job does not complete: add a reference without `where` after the others, with `keep` if they may stay",
            reference.table, reference.user.name
        );
        let byte = self.place_of(reference);
        self.warn(byte, message);
    }

    /// Adds a fault at a reference that was read before.
    pub fn fault_of(&mut self, reference: &Reference, message: String) {
        let byte = self.place_of(reference);
        self.fault(byte, message);
    }

    fn place_of(&self, reference: &Reference) -> usize {
        self.source.find(&format!("kind = \"{}\"", reference.kind)).unwrap_or(0)
    }
}

/// Checks a part that may be absent: `Some(None)` if it is, and nothing after a fault.
pub fn if_written<W, T>(written: Option<&W>, check: impl FnOnce(&W) -> Option<T>) -> Option<Option<T>> {
    match written {
        None => Some(None),
        Some(written) => check(written).map(Some),
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

/// Returns a hint at the name that is most like the one written, or an empty text.
fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> String {
    let folded = |name: &str| name.to_lowercase().replace('_', "");
    let wanted = folded(written);
    let near = names.filter(|name| {
        let name = folded(name);
        name == wanted || name.trim_end_matches('s') == wanted.trim_end_matches('s') || name.contains(&wanted)
    });
    near.min_by_key(|name| name.len()).map_or(String::new(), |name| format!(" (it has `{name}`)"))
}
