//! What the live database has, as far as a catalog needs to know it.

use std::fmt;

/// The database engine a schema was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// The tables of a database.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Where it was read from.
    pub engine: Engine,
    /// Every table that is not the ledger's own.
    pub tables: Vec<Table>,
}

/// A table's name, with its schema where the engine has schemas.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema, in PostgreSQL.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) if schema != "public" => write!(f, "{schema}.{}", self.name),
            _ => f.write_str(&self.name),
        }
    }
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Whether its bare name finds it (it is on the search path).
    pub visible: bool,
    /// Its columns, in their order.
    pub columns: Vec<SchemaColumn>,
    /// The columns of each unique index without a condition, the primary key first.
    pub uniques: Vec<Vec<String>>,
    /// The leading columns of each index, unique or not.
    pub indexes: Vec<Vec<String>>,
    /// Its foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Whether row-level security hides rows of it from us.
    pub row_security: bool,
}

/// A column.
#[derive(Debug, Clone)]
pub struct SchemaColumn {
    /// Its name.
    pub name: String,
    /// The type that text is cast to before it is compared with the column or written to it; empty: no cast.
    pub cast: String,
    /// What kind of values it holds.
    pub family: Family,
    /// Whether the database works its values out, so that nobody writes them.
    pub generated: bool,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// Every value it can hold, where the schema says so (an enumeration, a boolean, a check on a list).
    pub values: Option<Vec<String>>,
}

/// Kinds of column types, as far as a catalog's literals and a request's ids are checked against them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Whole numbers, of so many bits and with a sign.
    Integer {
        /// 16, 32 or 64.
        bits: u32,
    },
    /// Other numbers.
    Number,
    /// True and false.
    Boolean,
    /// Text and enumerations.
    Text,
    /// UUIDs.
    Uuid,
    /// Dates and times.
    Time,
    /// Anything else.
    Other,
    /// What the database does not compare (JSON, XML, shapes): two such values are the same when their texts are.
    Opaque,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    /// How the database calls it, where it has a name.
    pub name: Option<String>,
    /// The columns that point.
    pub columns: Vec<String>,
    /// The table pointed at.
    pub table: TableName,
    /// The columns pointed at.
    pub target: Vec<String>,
    /// What a delete of the row pointed at does here.
    pub on_delete: OnDelete,
    /// Whether it can wait for the commit before it is checked.
    pub is_deferrable: bool,
}

/// What a delete of the row pointed at does to the row that points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The delete fails.
    Refuse,
    /// The row that points goes too.
    Cascade,
    /// The column that points takes NULL or its default.
    Forget,
}

impl Schema {
    /// The table that a catalog means: `table`, or `schema.table`.
    pub fn table(&self, written: &str) -> Option<&Table> {
        let bare = self.tables.iter().find(|table| table.visible && table.name.name == written);
        bare.or_else(|| {
            let (schema, name) = written.split_once('.')?;
            self.tables.iter().find(|table| table.name.schema.as_deref() == Some(schema) && table.name.name == name)
        })
    }

    /// The table of that resolved name.
    pub fn named(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == *name)
    }

    /// Foreign keys of any table that point at this one.
    pub fn inbound<'a>(&'a self, target: &'a TableName) -> impl Iterator<Item = (&'a Table, &'a ForeignKey)> {
        (self.tables.iter())
            .flat_map(|table| table.foreign_keys.iter().map(move |key| (table, key)))
            .filter(move |(_, key)| key.table == *target)
    }
}

impl Table {
    /// The columns that somebody writes: what a copy of a row is made of.
    pub fn written_columns(&self) -> impl Iterator<Item = &SchemaColumn> {
        self.columns.iter().filter(|column| !column.generated)
    }

    /// Its foreign keys that can wait for the commit.
    pub fn deferrable_keys(&self) -> Vec<ForeignKey> {
        self.foreign_keys.iter().filter(|key| key.is_deferrable).cloned().collect()
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&SchemaColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether these columns together are unique, by an index over just them or fewer of them.
    pub fn is_unique(&self, columns: &[&str]) -> bool {
        self.uniques.iter().any(|unique| unique.iter().all(|column| columns.contains(&column.as_str())))
    }

    /// Whether an index leads with this column.
    pub fn has_index_on(&self, column: &str) -> bool {
        self.indexes.iter().any(|index| index.first().is_some_and(|first| first == column))
    }
}
