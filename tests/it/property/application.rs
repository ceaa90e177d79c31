//! A small application that dice have made: its tables, its catalog, its rows, and what its own users do to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::World;

/// Chance from a seed, the same for ever (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'t, T>(&mut self, things: &'t [T]) -> Option<&'t T> {
        match things.len() {
            0 => None,
            len => things.get(self.below(len as u64) as usize),
        }
    }
}

/// A table of the application. Beside its key and its user, each has the same columns.
pub struct Table {
    pub name: &'static str,
    pub key: &'static [&'static str],
    pub user: &'static str,
}

/// The columns beside the key and the user, in the order of [`Row::columns`].
pub const COLUMNS: [&str; 4] = ["changed", "body", "level", "state"];
const CHANGED: usize = 0;
/// What `set` changes.
pub const LEVEL: usize = 2;

pub const TABLES: [Table; 9] = [
    Table { name: "p_docs", key: &["id"], user: "owner" },
    Table { name: "p_deals", key: &["id"], user: "owner" },
    Table { name: "p_chores", key: &["id"], user: "owner" },
    Table { name: "p_members", key: &["doc", "owner"], user: "owner" },
    Table { name: "p_badges", key: &["id"], user: "owner" },
    Table { name: "p_logins", key: &["id"], user: "owner" },
    Table { name: "p_watches", key: &["watcher", "watched"], user: "watcher" },
    Table { name: "p_scores", key: &["id"], user: "owner" },
    Table { name: "p_remarks", key: &["id"], user: "owner" },
];

impl Table {
    pub fn named(name: &str) -> &'static Table {
        TABLES.iter().find(|table| table.name == name).expect("a table")
    }

    /// Where the user stands in the key.
    pub fn user_in_key(&self) -> Option<usize> {
        self.key.iter().position(|column| *column == self.user)
    }

    /// That a row is the one with this key.
    pub fn is(&self, key: &[i64]) -> String {
        let equal: Vec<String> =
            self.key.iter().zip(key).map(|(column, value)| format!("{column} = {value}")).collect();
        equal.join(" AND ")
    }

    fn create(&self) -> String {
        let keys: Vec<String> = self.key.iter().map(|column| format!("{column} BIGINT NOT NULL")).collect();
        let user = match self.user_in_key() {
            Some(_) => String::new(),
            None => format!(", {} BIGINT NOT NULL REFERENCES people (id)", self.user),
        };
        format!(
            "CREATE TABLE {} ({}{user}, changed TIMESTAMP, body TEXT, level BIGINT, state TEXT, PRIMARY KEY ({}));",
            self.name,
            keys.join(", "),
            self.key.join(", ")
        )
    }
}

/// A kind of the catalogs that may come out, with its table and what becomes of it.
pub struct Kind {
    pub name: &'static str,
    pub table: &'static str,
    pub rest: &'static str,
}

/// What stands in a catalog together or not at all: the references of one table's columns cover all its rows.
const KINDS: [&[Kind]; 9] = [
    &[Kind { name: "login", table: "p_logins", rest: "disposition = \"detach\"\nat = \"start\"" }],
    &[Kind { name: "doc", table: "p_docs", rest: "disposition = \"transfer\"" }],
    &[Kind { name: "deal", table: "p_deals", rest: "disposition = \"transfer\"\nrequired = false" }],
    &[
        Kind { name: "chore", table: "p_chores", rest: "disposition = \"transfer\"\nwhere = { state = \"open\" }" },
        Kind { name: "done_chore", table: "p_chores", rest: "disposition = \"purge\"\nkeep_copy = \"30d\"" },
    ],
    &[Kind { name: "member", table: "p_members", rest: "disposition = \"transfer\"\non_conflict = \"drop\"" }],
    &[Kind { name: "badge", table: "p_badges", rest: "disposition = \"detach\"\nrestore = true" }],
    &[
        Kind { name: "watching", table: "p_watches", rest: "disposition = \"detach\"\nrestore = true" },
        Kind { name: "watcher", table: "p_watches", rest: "disposition = \"detach\"\nrestore = true" },
    ],
    &[Kind { name: "score", table: "p_scores", rest: "disposition = \"set\"\nset = { level = 0 }\nrestore = true" }],
    &[Kind { name: "remark", table: "p_remarks", rest: "disposition = \"keep\"" }],
];

pub fn kind_named(name: &str) -> &'static Kind {
    KINDS.iter().flat_map(|kinds| kinds.iter()).find(|kind| kind.name == name).expect("a kind")
}

/// What the dice have made of the application.
pub struct Shape {
    pub kinds: Vec<&'static Kind>,
    /// Whether moves touch a column.
    pub touches: bool,
    pub has_license: bool,
    pub chunk_rows: u64,
}

impl Shape {
    pub fn new(dice: &mut Dice) -> Shape {
        let mut kinds: Vec<&Kind> = Vec::new();
        while !kinds.iter().any(|kind| kind.rest.contains("transfer")) {
            kinds = KINDS.iter().filter(|_| dice.percent(75)).flat_map(|kinds| kinds.iter()).collect();
        }
        Shape { kinds, touches: dice.percent(50), has_license: dice.percent(75), chunk_rows: 1 + dice.below(10) }
    }

    /// The kinds that go to successors.
    pub fn transferred(&self) -> Vec<&'static Kind> {
        self.kinds.iter().copied().filter(|kind| kind.rest.contains("transfer")).collect()
    }

    fn is_touched(&self, table: &str) -> bool {
        self.touches && self.transferred().iter().any(|kind| kind.table == table)
    }

    pub fn catalog(&self) -> String {
        let mut catalog = crate::support::people::USERS.to_owned();
        if self.has_license {
            catalog.push_str(
                "[license]\ntable = \"p_seats\"\nuser = \"holder\"\nexempt = { column = \"is_partner\", equals = true }\n",
            );
        }
        for kind in &self.kinds {
            let table = Table::named(kind.table);
            let user = if kind.name == "watcher" { "watched" } else { table.user };
            let touch = if self.touches && kind.rest.contains("transfer") { "touch = \"changed\"\n" } else { "" };
            catalog.push_str(&format!(
                "[[reference]]\nkind = \"{}\"\ntable = \"{}\"\nkey = {:?}\nuser = \"{user}\"\n{}\n{touch}",
                kind.name, kind.table, table.key, kind.rest
            ));
        }
        catalog
    }
}

/// A row, but for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub owner: i64,
    pub columns: Vec<String>,
}

/// Every row of every table, by table and key.
pub type Rows = BTreeMap<(&'static str, Vec<i64>), Row>;

/// Reads every row. The column that moves touch is left out where they do.
pub async fn read_rows(world: &World, shape: &Shape) -> Rows {
    let select = |table: &Table| {
        let keys: Vec<String> = table.key.iter().map(|column| format!("CAST({column} AS text)")).collect();
        let columns = COLUMNS.map(|column| format!("COALESCE(CAST({column} AS text), 'NULL')"));
        format!(
            "SELECT '{}|' || {} || '|' || CAST({} AS text) || '|' || {} AS t FROM {}",
            table.name,
            keys.join(" || ',' || "),
            table.user,
            columns.join(" || '|' || "),
            table.name
        )
    };
    let all: Vec<String> = TABLES.iter().map(select).collect();
    let mut rows = Rows::new();
    for text in world.texts(&all.join(" UNION ALL ")).await {
        let mut fields = text.split('|');
        let table = Table::named(fields.next().expect("a table"));
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let key: Vec<i64> = fields.next().expect("a key").split(',').map(number).collect();
        let owner = number(fields.next().expect("an owner"));
        let mut columns: Vec<String> = fields.map(str::to_owned).collect();
        if shape.is_touched(table.name) {
            columns[CHANGED].clear();
        }
        assert!(rows.insert((table.name, key), Row { owner, columns }).is_none(), "{text} is there twice");
    }
    rows
}

/// What a user of the application does: writes a row, hands one on, changes one, deletes one.
pub struct Edit {
    pub statement: String,
    /// The rows that are no longer as they were, by table and key.
    pub rows: Vec<(&'static str, Vec<i64>)>,
}

fn values(dice: &mut Dice) -> String {
    let body = *dice.pick(&["NULL", "'it''s'", "'\"{}\\'", "'\u{fc}, x'", "''"]).expect("a body");
    let level = *dice.pick(&["NULL", "0", "1", "7", "9007199254740993"]).expect("a level");
    let state = *dice.pick(&["'open'", "'done'"]).expect("a state");
    format!("'2026-01-02 03:04:05', {body}, {level}, {state}")
}

/// A new row of a user.
pub fn insert(
    dice: &mut Dice,
    table: &'static Table,
    owner: i64,
    people: &[i64],
    rows: &Rows,
    next: &mut i64,
) -> Option<Edit> {
    *next += 1;
    let key = match table.name {
        "p_members" => vec![1 + dice.below(6) as i64, owner],
        "p_watches" => vec![owner, *dice.pick(people)?],
        _ => vec![*next],
    };
    if rows.contains_key(&(table.name, key.clone())) || table.name == "p_watches" && key[0] == key[1] {
        return None;
    }
    let mut names: Vec<&str> = table.key.to_vec();
    let mut written: Vec<String> = key.iter().map(i64::to_string).collect();
    if table.user_in_key().is_none() {
        names.push(table.user);
        written.push(owner.to_string());
    }
    let statement = format!(
        "INSERT INTO {} ({}, {}) VALUES ({}, {});",
        table.name,
        names.join(", "),
        COLUMNS.join(", "),
        written.join(", "),
        values(dice)
    );
    Some(Edit { statement, rows: vec![(table.name, key)] })
}

/// One edit of the application's own.
pub fn edit(dice: &mut Dice, people: &[i64], rows: &Rows, next: &mut i64) -> Option<Edit> {
    let owner = *dice.pick(people)?;
    if dice.percent(35) {
        let table = dice.pick(&TABLES)?;
        return insert(dice, table, owner, people, rows, next);
    }
    let keys: Vec<_> = rows.keys().cloned().collect();
    let (name, key) = dice.pick(&keys)?.clone();
    let table = Table::named(name);
    let mut touched = vec![(name, key.clone())];
    let change = match dice.below(3) {
        0 => format!("DELETE FROM {name}"),
        1 => format!("UPDATE {name} SET body = 'by hand {next}', level = {next}"),
        _ => {
            let mut to = key.clone();
            if let Some(place) = table.user_in_key() {
                to[place] = owner;
            }
            if name == "p_watches" || to != key && rows.contains_key(&(name, to.clone())) {
                return None;
            }
            touched.push((name, to));
            format!("UPDATE {name} SET {} = {owner}", table.user)
        }
    };
    *next += 1;
    Some(Edit { statement: format!("{change} WHERE {}", table.is(&key)), rows: touched })
}

/// Makes the application: people 1 to 6, the last of them a partner, seats for them and perhaps one more, and rows.
pub async fn make(world: &mut World, dice: &mut Dice, shape: &Shape) {
    let mut statements = vec![
        "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT, is_partner BOOLEAN NOT NULL);"
            .to_owned(),
        "CREATE TABLE p_seats (id BIGINT NOT NULL PRIMARY KEY, holder BIGINT UNIQUE REFERENCES people (id));".to_owned(),
    ];
    statements.extend(TABLES.iter().map(Table::create));
    let people: Vec<i64> = (1..=6).collect();
    for user in &people {
        statements
            .push(format!("INSERT INTO people VALUES ({user}, 'U{user}', 'u{user}@x.org', 'active', {});", *user == 6));
        if *user != 6 {
            statements.push(format!("INSERT INTO p_seats VALUES ({user}, {user});"));
        }
    }
    if dice.percent(50) {
        statements.push("INSERT INTO p_seats VALUES (6, NULL);".into());
    }
    let mut rows = BTreeSet::new();
    let mut next = 0;
    for table in &TABLES {
        for user in &people {
            for _ in 0..dice.below(8) {
                let Some(edit) = insert(dice, table, *user, &people, &Rows::new(), &mut next) else { continue };
                if rows.insert(edit.rows[0].clone()) {
                    statements.push(edit.statement);
                }
            }
        }
    }
    world.sql(&statements.concat()).await;
    world.use_catalog(&shape.catalog()).await;
    world.use_chunks_of(shape.chunk_rows);
    world.context.limits.chunk_attempts = 1;
}
