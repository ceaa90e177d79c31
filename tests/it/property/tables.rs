//! The tables of a small application: keys and values of every type, on both engines.

use std::collections::BTreeMap;

use crate::support::{Engine, World};

/// The type of a key column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    Number,
    Text,
    Uuid,
}

/// A table of the application. Apart from key and user, all tables have the same columns.
pub struct Table {
    pub name: &'static str,
    pub key: &'static [(&'static str, KeyType)],
    /// The user column; none if the row belongs to another row.
    pub user: Option<&'static str>,
    /// The column that references a parent table, and that table. Rows are deleted with their parents.
    pub parent: Option<(&'static str, &'static str)>,
}

/// The columns apart from key and user, in the order of [`Row::columns`].
const COLUMNS: [&str; 9] = ["changed", "body", "level", "state", "flag", "amount", "seen", "extra", "version"];
pub const CHANGED: usize = 0;
pub const LEVEL: usize = 2;
const STATE: usize = 3;
const FLAG: usize = 4;
pub const AMOUNT: usize = 5;
pub const VERSION: usize = 8;
/// The column that references a parent, if any, comes last.
pub const PARENT: usize = 9;

use KeyType::{Number, Text, Uuid};

const fn of_user(name: &'static str, key: &'static [(&'static str, KeyType)]) -> Table {
    Table { name, key, user: Some("owner"), parent: None }
}

const ID: &[(&str, KeyType)] = &[("id", Number)];

pub const TABLES: [Table; 13] = [
    of_user("p_docs", ID),
    of_user("p_deals", &[("id", Uuid)]),
    of_user("p_chores", ID),
    of_user("p_members", &[("doc", Number), ("owner", Number)]),
    of_user("p_shares", &[("doc", Number), ("owner", Number)]),
    of_user("p_badges", &[("id", Text)]),
    Table { name: "p_pins", key: ID, user: None, parent: Some(("badge", "p_badges")) },
    of_user("p_logins", ID),
    Table { name: "p_watches", key: &[("watcher", Number), ("watched", Number)], user: Some("watcher"), parent: None },
    of_user("p_scores", &[("area", Text), ("place", Number)]),
    of_user("p_remarks", ID),
    of_user("p_admins", &[("area", Text), ("owner", Number)]),
    of_user("p_locks", ID),
];

impl Table {
    pub fn named(name: &str) -> &'static Table {
        TABLES.iter().find(|table| table.name == name).expect("a table")
    }

    pub fn key_names(&self) -> Vec<&'static str> {
        self.key.iter().map(|(name, _)| *name).collect()
    }

    /// The position of the user in the key.
    pub fn user_in_key(&self) -> Option<usize> {
        self.key.iter().position(|(column, _)| Some(*column) == self.user)
    }

    /// Returns the values of a key as SQL.
    pub fn literals(&self, key: &[String]) -> Vec<String> {
        let literal = |((_, kind), value): (&(&str, KeyType), &String)| match kind {
            Number => value.clone(),
            Text | Uuid => format!("'{}'", value.replace('\'', "''")),
        };
        self.key.iter().zip(key).map(literal).collect()
    }

    /// Returns the condition for the row with this key.
    pub fn is(&self, key: &[String]) -> String {
        let equal = self.key.iter().zip(self.literals(key)).map(|((column, _), value)| format!("{column} = {value}"));
        equal.collect::<Vec<_>>().join(" AND ")
    }

    /// Returns the columns apart from key and user.
    pub fn columns(&self) -> Vec<&'static str> {
        COLUMNS.into_iter().chain(self.parent.map(|(column, _)| column)).collect()
    }

    pub fn create(&self, engine: Engine) -> String {
        let (uuid, json) = match engine {
            Engine::Sqlite => ("TEXT", "TEXT"),
            Engine::Postgres => ("UUID", "JSONB"),
        };
        let kind = |kind: KeyType| match kind {
            Number => "BIGINT",
            Text => "TEXT",
            Uuid => uuid,
        };
        let keys: Vec<String> =
            self.key.iter().map(|(column, of)| format!("{column} {} NOT NULL", kind(*of))).collect();
        let user = match (self.user, self.user_in_key()) {
            (Some(user), None) => format!(", {user} BIGINT NOT NULL REFERENCES people (id)"),
            _ => String::new(),
        };
        let parent = self.parent.map_or(String::new(), |(column, parent)| {
            format!(", {column} TEXT NOT NULL REFERENCES {parent} (id) ON DELETE CASCADE")
        });
        format!(
            "CREATE TABLE {} ({}{user}, changed TIMESTAMP, body TEXT, level BIGINT, state TEXT, flag BOOLEAN, \
             amount NUMERIC(14,2), seen TIMESTAMP WITH TIME ZONE, extra {json}, version BIGINT{parent}, PRIMARY KEY ({}));",
            self.name,
            keys.join(", "),
            self.key_names().join(", ")
        )
    }

    /// Returns a query for every row as text.
    fn select(&self, engine: Engine) -> String {
        let exact = |column: &&str| match engine {
            // Distinguishes a numeric-looking text from a number.
            Engine::Sqlite => format!("quote({column})"),
            Engine::Postgres => format!("COALESCE(CAST({column} AS text), 'NULL')"),
        };
        let keys: Vec<String> = self.key_names().iter().map(|column| format!("CAST({column} AS text)")).collect();
        let columns: Vec<String> = self.columns().iter().map(exact).collect();
        format!(
            "SELECT '{}|' || {} || '|' || CAST({} AS text) || '|' || {} AS t FROM {}",
            self.name,
            keys.join(" || ',' || "),
            self.user.unwrap_or("0"),
            columns.join(" || '|' || "),
            self.name
        )
    }
}

/// The key of a row.
pub type Key = Vec<String>;

/// A row's table and key.
pub type Place = (&'static str, Key);

/// A row without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The user; 0 if the row belongs to another row.
    pub owner: i64,
    /// The values, spelled as the database does.
    pub columns: Vec<String>,
}

impl Row {
    pub fn is_open(&self) -> bool {
        self.columns[STATE].trim_matches('\'') == "open"
    }

    pub fn is_child_of(&self, parent: &Key) -> bool {
        self.columns.get(PARENT).is_some_and(|badge| badge.trim_matches('\'').replace("''", "'") == parent[0])
    }

    /// Returns the row without its version column.
    pub fn uncounted(&self) -> Row {
        let mut row = self.clone();
        row.columns[VERSION].clear();
        row
    }

    pub fn count_up(&mut self) {
        let version = self.columns[VERSION].parse::<i64>().unwrap_or(0);
        self.columns[VERSION] = (version + 1).to_string();
    }
}

/// Returns the values that the kind `score` sets, and their spelling.
pub fn set_values(engine: Engine) -> [(usize, &'static str); 2] {
    match engine {
        Engine::Sqlite => [(LEVEL, "0"), (FLAG, "0")],
        Engine::Postgres => [(LEVEL, "0"), (FLAG, "false")],
    }
}

/// Every row of every table, by table and key.
pub type Rows = BTreeMap<Place, Row>;

/// Reads every row, without the time column if moves touch it.
pub async fn read_rows(world: &World, is_touched: impl Fn(&str) -> bool) -> Rows {
    let all: Vec<String> = TABLES.iter().map(|table| table.select(world.engine)).collect();
    let mut rows = Rows::new();
    for text in world.texts(&all.join(" UNION ALL ")).await {
        let mut fields = text.split('|');
        let table = Table::named(fields.next().expect("a table"));
        let key: Key = fields.next().expect("a key").split(',').map(str::to_owned).collect();
        let owner = fields.next().expect("an owner").parse().expect("a number");
        let mut columns: Vec<String> = fields.map(str::to_owned).collect();
        if is_touched(table.name) {
            columns[CHANGED].clear();
        }
        assert!(rows.insert((table.name, key), Row { owner, columns }).is_none(), "{text} occurs twice");
    }
    rows
}

/// Returns the user of a row; for a child row, the user of its parent.
pub fn user_of(rows: &Rows, place: &Place) -> Option<i64> {
    let row = rows.get(place)?;
    let parent = || rows.iter().find(|((table, key), _)| *table == "p_badges" && row.is_child_of(key));
    match row.columns.len() > PARENT {
        true => parent().map(|(_, badge)| badge.owner),
        false => Some(row.owner),
    }
}
