//! Random catalogs and crowds: users who share rows of many tables, by many columns, leave at once and come back at once. PostgreSQL ends
//! no transaction of ours for another of ours, as long as no trigger and no cascade of the application takes part.
//!
//! `HANDOVER_CROWD_SEED=17` starts with that seed.

use std::fmt::Write as _;

use handover::contract::JobId;
use handover::job::State;
use handover::worker::Role;
use serde_json::{Map, Value, json};

use crate::property::dice::Dice;
use crate::support::people::{PEOPLE, USERS, leave, reference, revert};
use crate::support::{World, on_postgres};

/// The leavers. Users 2 and 3 stay.
const CROWD: std::ops::Range<u64> = 100..112;

const ROUNDS: u64 = 3;

/// A column that points at a user, and what becomes of its rows.
const DISPOSITIONS: [&str; 5] = [
    "disposition = \"transfer\"",
    "disposition = \"transfer\"",
    "disposition = \"detach\"",
    "disposition = \"detach\"\nat = \"start\"",
    "disposition = \"set\"\nset = { note = \"left\" }",
];

/// The application and the catalog of a round.
struct Round {
    tables: String,
    references: String,
    /// The kinds that move to successors.
    moved: Vec<String>,
}

impl Round {
    fn of(dice: &mut Dice, number: u64) -> Round {
        let mut round = Round { tables: String::new(), references: String::new(), moved: Vec::new() };
        for table in 0..2 + dice.below(2) {
            round.add_table(dice, &format!("t{number}_{table}"));
        }
        round.add_duties(dice, &format!("duties{number}"));
        // The crowd also report to each other.
        round.add("report", "people", "boss", DISPOSITIONS[0]);
        for user in CROWD {
            let _ =
                write!(round.tables, "UPDATE people SET boss = {} WHERE id = {user}; ", CROWD.start + dice.below(12));
        }
        round
    }

    /// Adds a table with two or three columns of users. Each row points at several of the crowd.
    fn add_table(&mut self, dice: &mut Dice, name: &str) {
        let columns = &["a", "b", "c"][..2 + dice.below(2) as usize];
        let list = columns.iter().map(|column| format!(", {column} BIGINT")).collect::<String>();
        let _ = write!(self.tables, "CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY{list}, note TEXT); ");
        for row in 0..40 {
            let users = columns.iter().map(|_| format!(", {}", CROWD.start + dice.below(12))).collect::<String>();
            let _ = write!(self.tables, "INSERT INTO {name} VALUES ({row}{users}); ");
        }
        for column in columns {
            let (kind, disposition) = (format!("{name}{column}"), dice.pick(&DISPOSITIONS).expect("one"));
            self.add(&kind, name, column, disposition);
        }
    }

    /// Adds a table whose rows a guard locks: the last holder of a duty must hand it on.
    fn add_duties(&mut self, dice: &mut Dice, name: &str) {
        let columns = "id BIGINT NOT NULL PRIMARY KEY, duty BIGINT, holder BIGINT, deputy BIGINT";
        let _ = write!(self.tables, "CREATE TABLE {name} ({columns}); ");
        for row in 0..30 {
            let (holder, deputy) = (CROWD.start + dice.below(12), CROWD.start + dice.below(12));
            let _ = write!(self.tables, "INSERT INTO {name} VALUES ({row}, {}, {holder}, {deputy}); ", row % 6);
        }
        // User 2 has every duty, too, so that nobody is the last.
        let _ = write!(self.tables, "INSERT INTO {name} SELECT 100 + i, i, 2, 3 FROM generate_series(0, 5) i; ");
        self.add(&format!("{name}last"), name, "holder", "disposition = \"block\"\nsole_in = \"duty\"");
        self.add(&format!("{name}holder"), name, "holder", "disposition = \"detach\"");
        self.add(&format!("{name}deputy"), name, "deputy", "disposition = \"detach\"");
    }

    fn add(&mut self, kind: &str, table: &str, column: &str, disposition: &str) {
        let text = reference(kind, table, disposition).replace("\"owner\"", &format!("\"{column}\""));
        self.references.push_str(&text);
        if disposition.contains("transfer") {
            self.moved.push(kind.to_owned());
        }
    }

    fn request(&self, dice: &mut Dice, number: u64, user: u64) -> Value {
        let successor = |dice: &mut Dice| json!({ "user": (2 + dice.below(2)).to_string() });
        let reassign: Map<String, Value> = self.moved.iter().map(|kind| (kind.clone(), successor(dice))).collect();
        let mut request = leave(&user.to_string(), Value::Object(reassign));
        request["request_id"] = json!(format!("{number} {user}"));
        request
    }
}

#[on_postgres]
async fn random_crowds_leave_and_return_without_deadlock(world: &mut World) {
    let crowd = format!(
        "INSERT INTO people SELECT i, 'Many', 'm', 'active' FROM generate_series({}, {}) i",
        CROWD.start,
        CROWD.end - 1
    );
    world.sql(&format!("{PEOPLE} {crowd}; ALTER TABLE people ADD COLUMN boss BIGINT")).await;
    let first = std::env::var("HANDOVER_CROWD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + ROUNDS {
        println!("--- HANDOVER_CROWD_SEED={seed}");
        run(world, seed).await;
    }
    // A session reports its deadlocks at its end, at the latest.
    world.context.store.clone().close().await;
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename <> current_user";
    world.until("the workers' sessions end", async || (world.number(sessions).await == 0).then_some(())).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(world.number(deadlocks).await, 0);
}

/// Half of the crowd leaves. They come back while the others leave, who come back at last.
async fn run(world: &mut World, seed: u64) {
    let mut dice = Dice::new(seed);
    let round = Round::of(&mut dice, seed);
    world.sql(&round.tables).await;
    world.use_catalog(&format!("{USERS}{}", round.references)).await;
    world.use_chunks_of(*dice.pick(&[2, 5, 1_000]).expect("one"));
    world.context.limits.group = *dice.pick(&[1, 3, 5]).expect("one");
    let middle = CROWD.start + 6;
    let first: Vec<Value> = (CROWD.start..middle).map(|user| round.request(&mut dice, seed, user)).collect();
    let second: Vec<Value> = (middle..CROWD.end).map(|user| round.request(&mut dice, seed, user)).collect();
    for _ in 0..2 {
        world.start_roles(&[Role::Planner, Role::Mover, Role::Relay, Role::Sweeper]).await;
    }
    let back = all_complete(world, seed, first).await;
    let mixed = back.into_iter().zip(second).flat_map(|(revert, leave)| [revert, leave]).collect();
    let back = all_complete(world, seed, mixed).await;
    all_complete(world, seed, back).await;
    world.stop_workers().await;
}

/// Sends requests at once, and waits for all. Returns the requests that take those back which made somebody leave.
async fn all_complete(world: &World, seed: u64, requests: Vec<Value>) -> Vec<Value> {
    let mut jobs: Vec<JobId> = Vec::new();
    for request in &requests {
        jobs.push(world.send(request).await);
    }
    let mut reverts = Vec::new();
    for (id, request) in jobs.into_iter().zip(requests) {
        let job = world.end_of(id).await;
        assert_eq!(job.state, State::Completed, "seed {seed}: {:?}", job.reasons);
        if request["type"] == "deactivate" {
            reverts.push(revert(&job));
        }
    }
    reverts
}
