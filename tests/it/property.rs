//! Property tests: random requests about random users of a random application, while its own users keep writing.
//!
//! After each transaction a model replays the journal onto the earlier rows. The result must equal the actual rows in
//! every column, so no record is lost and the journal is true. Separate queries check users, licenses, and completed
//! and undone jobs. A simple model works out who receives what.
//!
//! Another test makes random schemas, and compares with rows in memory.
//!
//! `HANDOVER_PROPERTY_SEEDS=200` runs that many seeds; `HANDOVER_PROPERTY_SEED=17` repeats one.

mod dealt;
pub mod dice;
mod edits;
mod passing;
mod promises;
mod replay;
mod requests;
mod schemas;
mod shape;
mod sums;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use handover::contract::{JobId, read_request};
use handover::stages::Outcome;
use handover::stages::handover::{cutter, finalizer, mover, scheduled};
use handover::stages::intake;
use serde_json::Value;

use self::dice::Dice;
use self::edits::edit;
use self::replay::{Entry, Gone, Replay, read_journal};
use self::requests::{Asked, Asking};
use self::shape::{Shape, hire, make};
use self::tables::{Place, Rows, read_rows};
use crate::support::world::message;
use crate::support::{Engine, World, every_engine, run};

/// The number of requests in a run.
const REQUESTS: u64 = 14;

fn seeds(usual: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("HANDOVER_PROPERTY_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("HANDOVER_PROPERTY_SEEDS").unwrap_or(usual)).collect(),
    }
}

fn run_seeds(engine: Engine) {
    for seed in seeds(3) {
        println!("--- HANDOVER_PROPERTY_SEED={seed}");
        run(engine, async |world| Run::begin(world, seed).await.go().await);
    }
}

#[every_engine]
fn random_requests_lose_nothing_and_journal_the_truth(engine: Engine) {
    run_seeds(engine);
}

/// The world of one seed, and the model's knowledge about it.
struct Run<'w> {
    world: &'w mut World,
    dice: Dice,
    shape: Shape,
    people: Vec<i64>,
    rows: Rows,
    /// The rows of another organization.
    strangers: Rows,
    next_key: i64,
    journal: Vec<Entry>,
    gone: Gone,
    asked: Vec<Asked>,
    /// The member of each round-robin group that was served last.
    turns: BTreeMap<String, i64>,
}

impl Run<'_> {
    async fn begin(world: &mut World, seed: u64) -> Run<'_> {
        let mut dice = Dice::new(seed);
        let shape = Shape::new(&mut dice);
        make(world, &mut dice, &shape).await;
        println!("chunks of {}, {} a cut\n{}", shape.chunk_rows, shape.chunks_per_cut, shape.catalog());
        let rows = read_rows(world, |table| shape.is_touched(table)).await;
        let mut run = Run {
            world,
            dice,
            shape,
            people: (1..=6).collect(),
            rows,
            strangers: Rows::new(),
            next_key: 1000,
            journal: Vec::new(),
            gone: Gone::default(),
            asked: Vec::new(),
            turns: BTreeMap::new(),
        };
        run.strangers = run.of_strangers();
        run
    }

    async fn go(mut self) {
        for number in 1..=REQUESTS {
            self.ask(number).await;
            // Some requests run to their end; the next one interrupts many.
            let steps = if self.dice.percent(30) { u64::MAX } else { self.dice.below(5) };
            self.work(steps).await;
            for _ in 0..self.dice.below(4) {
                self.edit().await;
            }
            self.pass_time().await;
        }
        self.come_back().await;
        self.work(u64::MAX).await;
        self.check_people().await;
    }

    /// Sends one request, sometimes twice.
    async fn ask(&mut self, number: u64) {
        let (people, rows) = (&self.people, &self.rows);
        let mut asking = Asking { dice: &mut self.dice, shape: &self.shape, people, rows };
        let body = asking.request(&self.asked, number);
        let id = read_request(body.to_string().as_bytes()).expect("a readable request").job_id();
        let (before, statuses) = (self.rows.clone(), self.statuses().await);
        self.asked.push(Asked::new(id, body.clone(), before.clone()));
        let people = self.people_and_seats().await;
        self.take(&body).await;
        let dealt = self.expect_deal(id, &statuses).await;
        self.observe().await;
        let state = self.state_of(id);
        println!("{state}: {body}");
        if state == "rejected" {
            assert_eq!(self.people_and_seats().await, people, "a rejected request changes nothing");
        } else if body["type"] == "amend" {
            self.amended(&body);
        }
        self.check_guards(self.asked.last().expect("a request"), &before, &statuses).await;
        self.check_deal(id, dealt).await;
        if self.dice.percent(15) {
            let (people, end) = (self.people_and_seats().await, self.journal_end());
            self.take(&body).await;
            self.observe().await;
            assert_eq!(
                (self.people_and_seats().await, self.journal_end()),
                (people, end),
                "the same request once more"
            );
        }
    }

    async fn take(&self, body: &Value) {
        let message = message(body.to_string());
        let outcomes = intake::take(&self.world.context, &[message]).await;
        assert!(matches!(outcomes[..], [Outcome::Answered(_)]), "{outcomes:?}");
    }

    /// Updates the model for an amended job.
    fn amended(&mut self, command: &Value) {
        let target =
            self.asked.iter_mut().find(|asked| asked.id.to_string() == command["job_id"].as_str().unwrap_or(""));
        let target = target.expect("a job");
        target.is_plain = false;
        let reassign = target.body["reassign"].as_object_mut().expect("allotments");
        reassign.extend(command["reassign"].as_object().expect("allotments").clone());
    }

    fn state_of(&self, id: JobId) -> String {
        self.asked.iter().find(|asked| asked.id == id).map_or_else(String::new, |asked| asked.state.clone())
    }

    fn journal_end(&self) -> i64 {
        self.journal.last().map_or(0, |entry| entry.id)
    }

    /// Takes steps of random jobs in random order.
    async fn work(&mut self, most: u64) {
        let mut waited = BTreeSet::new();
        for step in 0..most {
            assert!(step < 5000, "the jobs do not end");
            let ready = |asked: &&Asked| {
                let state = asked.state.as_str();
                ["cutting", "moving", "finalizing"].contains(&state)
                    || state == "scheduled" && !waited.contains(&asked.id.0)
            };
            let ready: Vec<(JobId, String)> =
                self.asked.iter().filter(ready).map(|asked| (asked.id, asked.state.clone())).collect();
            let Some((id, state)) = self.dice.pick(&ready).cloned() else { return };
            let context = &self.world.context;
            match state.as_str() {
                "scheduled" => scheduled::start_due(context, id).await.expect("started"),
                "finalizing" => finalizer::finalize(context, id).await.expect("finalized"),
                "cutting" if self.dice.percent(50) => cutter::cut(context, id).await.expect("cut"),
                _ => mover::run_ticket(context, id).await.expect("moved"),
            }
            self.observe().await;
            match self.state_of(id) == "scheduled" {
                true => drop(waited.insert(id.0)),
                false => waited.clear(),
            }
        }
    }

    /// Makes one edit of the application's own users, or adds a user.
    async fn edit(&mut self) {
        if self.dice.percent(10) {
            let user = self.people.len() as i64 + 1;
            let free = "SELECT min(id) FROM p_seats WHERE holder IS NULL AND org_id = 1";
            let is_partner = self.world.number(&free.replace("min(id)", "count(*)")).await == 0;
            let seat = format!("UPDATE p_seats SET holder = {user} WHERE id = ({free})");
            self.world.sql(&(hire(user, is_partner) + &seat)).await;
            self.people.push(user);
            return;
        }
        let engine = self.world.engine;
        let edit = edit(&mut self.dice, engine, &self.people, &self.rows, &mut self.next_key);
        let Some(edit) = edit else { return };
        println!("edit: {}", edit.statement);
        self.world.sql(&edit.statement).await;
        self.rows = read_rows(self.world, |table| self.shape.is_touched(table)).await;
        for asked in &mut self.asked {
            asked.touch(&edit.rows);
        }
    }

    /// After each transaction, asserts that the journal explains every difference and that finished jobs keep their
    /// promises.
    async fn observe(&mut self) {
        let entries = read_journal(self.world, self.journal_end()).await;
        let after = read_rows(self.world, |table| self.shape.is_touched(table)).await;
        let mut expected = std::mem::take(&mut self.rows);
        let (engine, shape, gone) = (self.world.engine, &self.shape, &mut self.gone);
        let mut replay = Replay { engine, shape, rows: &mut expected, after: &after, gone };
        entries.iter().for_each(|entry| replay.play(entry));
        let differs = |key: &&Place| expected.get(*key) != after.get(*key);
        let keys: BTreeSet<_> = expected.keys().chain(after.keys()).filter(differs).collect();
        let reported: Vec<_> = keys.iter().map(|key| (key, expected.get(*key), after.get(*key))).collect();
        assert!(reported.is_empty(), "journal and table disagree (journal first): {reported:?}\n{entries:?}");
        self.rows = after;
        self.note_touched(&entries);
        self.journal.extend(entries);
        assert_eq!(self.of_strangers(), self.strangers, "another organization's rows");
        self.look_for_returns().await;
        self.check_jobs().await;
        self.check_licenses().await;
    }

    /// Marks rows as touched for every other job, except the one that undoes this job.
    fn note_touched(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| !entry.action.starts_with("skipped_")) {
            let undone = entry.undone.as_ref().map(|(job, _, _)| job.clone());
            for asked in &mut self.asked {
                let id = asked.id.0.simple().to_string();
                if id != entry.job && undone.as_ref() != Some(&id) {
                    asked.touch(&entry.rows());
                }
            }
        }
    }
}
