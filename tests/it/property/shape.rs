//! Random applications: catalog, users and rows.

use std::collections::BTreeSet;

use super::dice::Dice;
use super::edits::insert;
use super::tables::{Place, TABLES, Table};
use crate::support::{Engine, World};

/// A kind that random catalogs may contain, with its table and disposition.
pub struct Kind {
    pub name: &'static str,
    pub table: &'static str,
    pub rest: &'static str,
}

impl Kind {
    /// True if a request names its successors.
    pub fn is_allotted(&self) -> bool {
        self.rest.contains("transfer") || self.rest.contains("resolve")
    }

    pub fn is_transfer(&self) -> bool {
        self.rest.contains("transfer")
    }
}

const fn kind(name: &'static str, table: &'static str, rest: &'static str) -> Kind {
    Kind { name, table, rest }
}

/// References that appear together or not at all: those of one table cover all its rows.
const KINDS: [&[Kind]; 12] = [
    &[kind("login", "p_logins", "disposition = \"detach\"\nat = \"start\"")],
    &[
        kind("sole_admin", "p_admins", "disposition = \"block\"\nsole_in = \"area\"\nresolve = true"),
        kind("admin", "p_admins", "disposition = \"detach\"\nrestore = true"),
    ],
    &[kind("lock", "p_locks", "disposition = \"block\"")],
    &[kind("doc", "p_docs", "disposition = \"transfer\"")],
    &[kind("deal", "p_deals", "disposition = \"transfer\"\nrequired = false")],
    &[
        kind("chore", "p_chores", "disposition = \"transfer\"\nwhere = { state = \"open\" }"),
        kind("done_chore", "p_chores", "disposition = \"purge\"\nkeep_copy = \"30d\""),
    ],
    &[kind("member", "p_members", "disposition = \"transfer\"\non_conflict = \"drop\"")],
    &[kind("share", "p_shares", "disposition = \"transfer\"\non_conflict = { add = [\"level\", \"amount\"] }")],
    &[kind("badge", "p_badges", "disposition = \"detach\"\nrestore = true\nwith = [\"p_pins\"]")],
    &[
        kind("watching", "p_watches", "disposition = \"detach\"\nrestore = true"),
        kind("watcher", "p_watches", "disposition = \"detach\"\nrestore = true"),
    ],
    &[kind("score", "p_scores", "disposition = \"set\"\nset = { level = 0, flag = false }\nrestore = true")],
    &[kind("remark", "p_remarks", "disposition = \"keep\"")],
];

/// Returns the kind with this name. Cascaded rows have the kind of their parents.
pub fn kind_named(name: &str) -> &'static Kind {
    let name = name.split('/').next().unwrap_or(name);
    KINDS.iter().flat_map(|kinds| kinds.iter()).find(|kind| kind.name == name).expect("a kind")
}

/// Users of another organization with rows. No request of ours may touch them.
pub const STRANGERS: [i64; 2] = [101, 102];

/// A random application.
pub struct Shape {
    pub kinds: Vec<&'static Kind>,
    /// True if moves touch a time column.
    touches: bool,
    /// True if moves increase a version column.
    bumps: bool,
    pub has_license: bool,
    pub has_orgs: bool,
    /// True if only members of the west team are eligible.
    pub deals_go_west: bool,
    /// The round-robin groups and their members.
    pub groups: Vec<(&'static str, Vec<i64>)>,
    pub chunk_rows: u64,
    pub chunks_per_cut: u64,
}

impl Shape {
    pub fn new(dice: &mut Dice) -> Shape {
        let mut kinds: Vec<&Kind> = Vec::new();
        while !kinds.iter().any(|kind| kind.is_transfer()) {
            kinds = KINDS.iter().filter(|_| dice.percent(75)).flat_map(|kinds| kinds.iter()).collect();
        }
        let mut members = |always: i64| {
            let some = (1..=6).filter(|user| *user == always || dice.percent(50)).chain(STRANGERS.into_iter().take(1));
            some.collect::<Vec<i64>>()
        };
        let groups = vec![("west", members(2)), ("east", members(3))];
        Shape {
            kinds,
            touches: dice.percent(50),
            bumps: dice.percent(50),
            has_license: dice.percent(75),
            has_orgs: dice.percent(60),
            deals_go_west: dice.percent(20),
            groups,
            chunk_rows: if dice.percent(25) { 60 } else { 1 + dice.below(6) },
            chunks_per_cut: 1 + dice.below(4),
        }
    }

    /// Returns the kinds whose successors a request names.
    pub fn allotted(&self) -> Vec<&'static Kind> {
        self.kinds.iter().copied().filter(|kind| kind.is_allotted()).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.kinds.iter().any(|kind| kind.name == name)
    }

    pub fn is_touched(&self, table: &str) -> bool {
        self.touches && self.kinds.iter().any(|kind| kind.is_transfer() && kind.table == table)
    }

    /// True if changes of these rows increase a version.
    pub fn is_counted(&self, kind: &str) -> bool {
        let rest = kind_named(kind).rest;
        self.bumps && (rest.contains("transfer") || rest.contains("\"set\""))
    }

    /// Returns the organization of a request, which is also the value in the users' column.
    pub fn org(&self) -> Option<&'static str> {
        self.has_orgs.then_some("1")
    }

    pub fn catalog(&self) -> String {
        let mut catalog = crate::support::people::USERS.to_owned();
        let org = if self.has_orgs { "org = \"org_id\"\n" } else { "" };
        catalog.push_str(org);
        if self.has_license {
            catalog.push_str(&format!(
                "[license]\ntable = \"p_seats\"\nuser = \"holder\"\n{org}exempt = {{ column = \"is_partner\", equals = true }}\n",
            ));
        }
        catalog.push_str("[groups]\ntable = \"p_groups\"\ngroup = \"name\"\nuser = \"member\"\n");
        for kind in &self.kinds {
            let table = Table::named(kind.table);
            let user = if kind.name == "watcher" { "watched" } else { table.user.expect("a user") };
            let touch = if self.touches && kind.is_transfer() { "touch = \"changed\"\n" } else { "" };
            let bump = if self.is_counted(kind.name) { "version_column = \"version\"\n" } else { "" };
            let goes_west = kind.name == "deal" && self.deals_go_west;
            let eligible = if goes_west { "eligible = { group = \"west\" }\n" } else { "" };
            catalog.push_str(&format!(
                "[[reference]]\nkind = \"{}\"\ntable = \"{}\"\nkey = {:?}\nuser = \"{user}\"\n{}\n{touch}{bump}{eligible}",
                kind.name,
                kind.table,
                table.key_names(),
                kind.rest
            ));
        }
        catalog
    }
}

/// Creates the application: users 1 to 6 (6 is a partner), their seats and perhaps a spare one, and rows. There may be
/// users and rows of another organization.
pub async fn make(world: &mut World, dice: &mut Dice, shape: &Shape) {
    let mut statements = vec![
        "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, org_id BIGINT, full_name TEXT, mail TEXT, status TEXT, \
         is_partner BOOLEAN NOT NULL);"
            .to_owned(),
        "CREATE TABLE p_seats (id BIGINT NOT NULL PRIMARY KEY, org_id BIGINT, holder BIGINT UNIQUE REFERENCES people (id));"
            .to_owned(),
        "CREATE TABLE p_groups (name TEXT NOT NULL, member BIGINT NOT NULL, PRIMARY KEY (name, member));".to_owned(),
    ];
    statements.extend(TABLES.iter().map(|table| table.create(world.engine)));
    let ours: Vec<i64> = (1..=6).collect();
    let strangers: &[i64] = if shape.has_orgs { &STRANGERS } else { &[] };
    for user in ours.iter().chain(strangers) {
        statements.push(hire(*user, *user == 6));
        if *user != 6 {
            statements.push(format!("INSERT INTO p_seats VALUES ({user}, {}, {user});", org_of(*user)));
        }
    }
    if dice.percent(50) {
        statements.push("INSERT INTO p_seats VALUES (6, 1, NULL);".into());
    }
    for (name, members) in &shape.groups {
        statements.extend(members.iter().map(|member| format!("INSERT INTO p_groups VALUES ('{name}', {member});")));
    }
    fill(dice, world.engine, [&ours, strangers], &mut statements);
    world.sql(&statements.concat()).await;
    world.use_catalog(&shape.catalog()).await;
    world.use_chunks_of(shape.chunk_rows);
    world.context.limits.chunks_per_cut = shape.chunks_per_cut;
    world.context.limits.chunk_attempts = 1;
}

/// Adds a user to their organization.
pub fn hire(user: i64, is_partner: bool) -> String {
    let org = org_of(user);
    format!("INSERT INTO people VALUES ({user}, {org}, 'U{user}', 'u{user}@x.org', 'active', {is_partner});")
}

fn org_of(user: i64) -> i64 {
    if STRANGERS.contains(&user) { 2 } else { 1 }
}

fn fill(dice: &mut Dice, engine: Engine, organizations: [&[i64]; 2], statements: &mut Vec<String>) {
    let mut next = 0;
    for people in organizations {
        let mut rows: BTreeSet<Place> = BTreeSet::new();
        for table in &TABLES {
            for user in people {
                // Few users have a blocking row.
                let most = if table.name == "p_locks" { 1 + u64::from(dice.percent(15)) } else { 8 };
                for _ in 0..dice.below(most) {
                    let badges: Vec<String> = rows.iter().filter_map(badge).collect();
                    let Some(edit) = insert(dice, engine, table, *user, people, &badges, &mut next) else { continue };
                    if rows.insert(edit.rows[0].clone()) {
                        statements.push(edit.statement);
                    }
                }
            }
        }
    }
}

/// Returns the key of a badge.
pub fn badge((table, key): &Place) -> Option<String> {
    (*table == "p_badges").then(|| key[0].clone())
}
