//! The live database, as far as a catalog is checked against it.

use std::collections::BTreeSet;

use super::relation::{Relation, TableFacts};
pub use super::table_name::TableName;

/// The tables of a database, and what the database can do.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The abilities of the database.
    pub traits: SchemaTraits,
    /// Every table except the ledger's. A partitioned table stands for its partitions.
    pub tables: Vec<Table>,
    /// Relations with rows that are no tables of their own.
    pub relations: Vec<Relation>,
}

/// The abilities of a database that the check of a catalog depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaTraits {
    /// True if the database has no boolean type: a flag is 0 or 1.
    pub booleans_are_integers: bool,
    /// True if a transaction can have settings, which row-level security policies read.
    pub has_session_settings: bool,
    /// True if a column holds only values of its type. Otherwise a UUID is a text, in any spelling, and a time any value.
    pub checks_types: bool,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name.
    pub name: TableName,
    /// True if the bare name finds the table (it is on the search path).
    pub visible: bool,
    /// The columns, in order.
    pub columns: Vec<SchemaColumn>,
    /// The columns of each unique index without a condition, the primary key first.
    pub uniques: Vec<Vec<String>>,
    /// Every unique index, with or without a condition, as it decides which rows collide.
    pub unique_indexes: Vec<UniqueIndex>,
    /// The leading columns of each index, unique or not.
    pub indexes: Vec<Vec<String>>,
    /// The foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// True if row-level security hides rows from the database role.
    pub row_security: bool,
    /// The policies of row-level security, whether or not they apply to the role.
    pub policies: Policies,
    /// The columns that hold the physical address of a row, if the database has such columns and the table does not hide
    /// them. An address is valid for one transaction.
    pub row_address: Option<Vec<Column>>,
    /// Further facts that decide about the effect of a statement.
    pub facts: TableFacts,
}

/// The policies of a table with row-level security.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// True if row-level security is switched on.
    pub are_enabled: bool,
    /// The settings of a session that they read, and the functions that they call.
    pub settings: BTreeSet<String>,
    /// True if one of them reads no setting: it is unknown what it depends on.
    pub is_any_opaque: bool,
}

/// A unique index. Two rows collide if the condition holds for both and all parts are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueIndex {
    /// The parts, in order.
    pub parts: Vec<IndexPart>,
    /// The condition of a partial index: SQL over the table's columns.
    pub condition: Option<String>,
    /// True if NULLs are equal. Otherwise a row with a NULL collides with none.
    pub nulls_are_equal: bool,
    /// The columns that the condition and the expressions name.
    pub mentioned: Vec<String>,
}

/// A part of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPart {
    /// The value.
    pub value: IndexValue,
    /// The collation by which it is compared, if the database reports it.
    pub collation: Option<String>,
    /// The operator that compares it, if it is not equality: an exclusion constraint has any.
    pub operator: Option<String>,
}

/// The value of a part of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexValue {
    /// A column.
    Column(String),
    /// An expression: SQL over the table's columns.
    Expression(String),
}

impl UniqueIndex {
    /// True if a row's user decides about collisions.
    pub fn is_over(&self, user: &str) -> bool {
        self.parts.iter().any(|part| match &part.value {
            IndexValue::Column(column) => column == user,
            IndexValue::Expression(_) => self.mentioned.iter().any(|column| column == user),
        })
    }

    /// Returns the columns besides the user, if the index is over columns alone and compares them as the columns do.
    pub fn plain_columns(&self, user: &str) -> Option<Vec<String>> {
        let plain = |part: &IndexPart| match &part.value {
            IndexValue::Column(column) if part.collation.is_none() && part.operator.is_none() => Some(column.clone()),
            IndexValue::Column(_) | IndexValue::Expression(_) => None,
        };
        let columns: Vec<String> = self.parts.iter().map(plain).collect::<Option<_>>()?;
        let is_plain = self.condition.is_none() && !self.nulls_are_equal && columns.iter().any(|column| column == user);
        is_plain.then(|| columns.into_iter().filter(|column| column != user).collect())
    }

    /// True if it compares the users of two rows by another operator than equality.
    pub fn compares_otherwise(&self, user: &str) -> bool {
        let is_of_user = |part: &IndexPart| match &part.value {
            IndexValue::Column(column) => column == user,
            IndexValue::Expression(_) => self.mentioned.iter().any(|column| column == user),
        };
        self.parts.iter().any(|part| part.operator.is_some() && is_of_user(part))
    }

    /// Describes the index for people.
    pub fn describe(&self) -> String {
        let part = |part: &IndexPart| match &part.value {
            IndexValue::Column(text) | IndexValue::Expression(text) => {
                part.operator.as_ref().map_or(text.clone(), |operator| format!("{text} WITH {operator}"))
            }
        };
        let parts: Vec<String> = self.parts.iter().map(part).collect();
        let condition = self.condition.as_ref().map_or(String::new(), |condition| format!(" where {condition}"));
        format!("({}){condition}", parts.join(", "))
    }
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct SchemaColumn {
    /// The name.
    pub name: String,
    /// The type that text is cast to before it is compared with the column or written to it. Empty: no cast.
    pub cast: String,
    /// The kind of its values.
    pub family: Family,
    /// True if one value may hold several ids: an array, or a JSON document.
    pub holds_many: bool,
    /// True if the database compares texts of the column without regard to case.
    pub ignores_case: bool,
    /// True if the database computes the values, so that no statement writes them.
    pub generated: bool,
    /// True if the database alone numbers rows in the column: no UPDATE writes it.
    pub is_identity: bool,
    /// True if the column can be NULL.
    pub nullable: bool,
    /// Every possible value, if the schema lists them (an enumeration, a boolean, a check on a list).
    pub values: Option<Vec<String>>,
}

/// A column of a host's table.
///
/// Values travel as text and are cast to the column's type in SQL. So a key may be a number, a UUID, text or any other type
/// with a textual form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, unquoted.
    pub name: String,
    /// The type that bound text is cast to. Empty: no cast.
    pub cast: String,
    /// The kind of its values: an id of another shape cannot be in the column.
    pub family: Family,
    /// The ways in which the column may write the id of one user.
    pub spelling: Spelling,
    /// The form in which the column takes the time.
    pub time: TimeForm,
}

/// The form in which a column takes the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeForm {
    /// A time of the column's type; where columns have no types, the form in which it holds times already.
    #[default]
    OfType,
    /// The seconds since 1970, in UTC.
    Seconds,
    /// The milliseconds since 1970, in UTC.
    Milliseconds,
}

/// The ways in which a column may write one id. Statements bring both sides of a comparison into one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spelling {
    /// One way, or several that the database itself compares as equal.
    #[default]
    One,
    /// Letters in any case.
    AnyCase,
    /// A UUID in any case, with or without hyphens and braces.
    Uuid,
    /// A whole number, with or without leading zeros.
    LeadingZeros,
}

impl From<&SchemaColumn> for Column {
    fn from(column: &SchemaColumn) -> Column {
        let (name, cast) = (column.name.clone(), column.cast.clone());
        Column { name, cast, family: column.family, spelling: Spelling::One, time: TimeForm::OfType }
    }
}

/// The kind of a column's values. A catalog's literals and a request's ids are checked against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Whole numbers with a sign.
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
    /// Values of any type: the column has no type of its own, so that a bound text equals only a stored text (SQLite).
    Any,
    /// Any other values that can be compared.
    Other,
    /// Values that the database cannot compare (JSON, XML, shapes). Two of them are equal if their texts are.
    Opaque,
}

impl Family {
    /// Describes the values for people.
    pub fn describe(self) -> &'static str {
        match self {
            Family::Integer { .. } => "whole numbers",
            Family::Number => "numbers",
            Family::Boolean => "true or false",
            Family::Text => "text",
            Family::Uuid => "UUIDs",
            Family::Time => "dates or times, written as text",
            Family::Any => "values of any type",
            Family::Other | Family::Opaque => "values of another type",
        }
    }
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The constraint's name, if it has one.
    pub name: Option<String>,
    /// The columns that point.
    pub columns: Vec<String>,
    /// The table pointed at.
    pub table: TableName,
    /// The columns pointed at.
    pub target: Vec<String>,
    /// The effect here when the row pointed at is deleted.
    pub on_delete: KeyAction,
    /// The effect here when the columns pointed at take other values.
    pub on_update: KeyAction,
    /// True if it can be checked at the commit instead of at once.
    pub is_deferrable: bool,
}

/// The effect of a statement on rows that point at the rows that it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAction {
    /// The statement fails.
    Refuse,
    /// The row that points is deleted or changed too.
    Cascade,
    /// The column that points becomes NULL or takes its default.
    Empty,
}

impl Schema {
    /// Returns the table that a catalog names as `table` or `schema.table`.
    pub fn table(&self, written: &str) -> Option<&Table> {
        let bare = self.tables.iter().find(|table| table.visible && table.name.name == written);
        bare.or_else(|| {
            let (schema, name) = written.split_once('.')?;
            self.tables.iter().find(|table| table.name.schema.as_deref() == Some(schema) && table.name.name == name)
        })
    }

    /// Returns the relation that no catalog can name, by the name as written.
    pub fn relation(&self, written: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| match (&relation.name.schema, written.split_once('.')) {
            _ if relation.visible && relation.name.name == written => true,
            (Some(own), Some((schema, name))) => own == schema && relation.name.name == name,
            (Some(_) | None, Some(_) | None) => false,
        })
    }

    /// Returns the table with this resolved name.
    pub fn named(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == *name)
    }

    /// Lists the foreign keys of any table that point at this one.
    pub fn inbound<'a>(&'a self, target: &'a TableName) -> impl Iterator<Item = (&'a Table, &'a ForeignKey)> {
        (self.tables.iter())
            .flat_map(|table| table.foreign_keys.iter().map(move |key| (table, key)))
            .filter(move |(_, key)| key.table == *target)
    }
}

impl Table {
    /// Lists the columns that statements write.
    pub fn written_columns(&self) -> impl Iterator<Item = &SchemaColumn> {
        self.columns.iter().filter(|column| !column.generated)
    }

    /// Lists the columns of which one value may hold several ids.
    pub fn many_columns(&self) -> impl Iterator<Item = &SchemaColumn> {
        self.columns.iter().filter(|column| column.holds_many)
    }

    /// Lists the foreign keys that can be checked at the commit.
    pub fn deferrable_keys(&self) -> Vec<ForeignKey> {
        self.foreign_keys.iter().filter(|key| key.is_deferrable).cloned().collect()
    }

    /// Returns the column with this name.
    pub fn column(&self, name: &str) -> Option<&SchemaColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// True if these columns together are unique, by an index over them or some of them.
    pub fn is_unique(&self, columns: &[&str]) -> bool {
        self.uniques.iter().any(|unique| unique.iter().all(|column| columns.contains(&column.as_str())))
    }

    /// True if an index leads with the user column and the key's columns, in this order.
    pub fn has_ordered_index(&self, user: &str, key: &[Column]) -> bool {
        let wanted = || std::iter::once(user).chain(key.iter().map(|key| key.name.as_str()));
        let leads = |index: &Vec<String>| {
            index.len() > key.len() && index.iter().zip(wanted()).all(|(has, wants)| has == wants)
        };
        self.indexes.iter().any(leads)
    }

    /// True if an index leads with this column.
    pub fn has_index_on(&self, column: &str) -> bool {
        self.indexes.iter().any(|index| index.first().is_some_and(|first| first == column))
    }
}
