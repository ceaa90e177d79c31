//! Random requests about random people of a random application, with its own users busy in between.
//!
//! After every single transaction the journal is played onto the rows as they were before: nothing else may have changed,
//! to the last column. So no record is lost or comes from nowhere, and the journal tells the truth. What must hold of
//! people, licenses, completed and undone jobs is asked by statements of its own.
//!
//! `HANDOVER_PROPERTY_SEEDS=200` tries that many seeds; `HANDOVER_PROPERTY_SEED=17` repeats one.

mod application;
mod replay;
mod requests;

use std::collections::{BTreeMap, BTreeSet};

use handover::contract::{JobId, read_request};
use handover::job::State;
use handover::stages::planner::Message;
use handover::stages::{Outcome, cutter, due, finalizer, mover, planner};
use serde_json::Value;

use self::application::{Dice, Rows, Shape, edit, make, read_rows};
use self::replay::{Entry, Gone, play, read_journal};
use self::requests::{Asked, covers, request};
use crate::support::world::certificate_of;
use crate::support::{Setting, World, run};

/// How many requests a story has.
const REQUESTS: u64 = 12;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("HANDOVER_PROPERTY_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("HANDOVER_PROPERTY_SEEDS").unwrap_or(3)).collect(),
    }
}

fn tell_stories(setting: Setting) {
    for seed in seeds() {
        println!("--- HANDOVER_PROPERTY_SEED={seed}");
        run(setting, async |world| Story::begin(world, seed).await.go().await);
    }
}

#[test]
fn whatever_is_asked_for_in_whatever_order_nothing_is_lost_and_the_journal_is_true_embedded() {
    tell_stories(Setting::Embedded);
}

#[test]
fn whatever_is_asked_for_in_whatever_order_nothing_is_lost_and_the_journal_is_true_servers() {
    tell_stories(Setting::Servers);
}

/// One seed's world, and what is known of it.
struct Story<'w> {
    world: &'w mut World,
    dice: Dice,
    shape: Shape,
    people: Vec<i64>,
    rows: Rows,
    next_key: i64,
    journal_end: i64,
    gone: Gone,
    asked: Vec<Asked>,
}

impl Story<'_> {
    async fn begin(world: &mut World, seed: u64) -> Story<'_> {
        let mut dice = Dice::new(seed);
        let shape = Shape::new(&mut dice);
        make(world, &mut dice, &shape).await;
        println!("chunks of {}\n{}", shape.chunk_rows, shape.catalog());
        let rows = read_rows(world, &shape).await;
        let (people, gone) = ((1..=6).collect(), Gone::default());
        Story { world, dice, shape, people, rows, next_key: 1000, journal_end: 0, gone, asked: Vec::new() }
    }

    async fn go(mut self) {
        for number in 1..=REQUESTS {
            self.ask(number).await;
            // Some requests are worked on to their end, some are overtaken by the next.
            let steps = if self.dice.percent(45) { u64::MAX } else { self.dice.below(8) };
            self.work(steps).await;
            for _ in 0..self.dice.below(4) {
                self.edit().await;
            }
        }
        self.work(u64::MAX).await;
        self.check_people().await;
    }

    /// Sends one request, sometimes twice.
    async fn ask(&mut self, number: u64) {
        let body = request(&mut self.dice, &self.shape, &self.people, &self.rows, &self.asked, number);
        let id = read_request(body.to_string().as_bytes()).expect("a readable request").job_id();
        let before = self.rows.clone();
        self.asked.push(Asked { id, body: body.clone(), state: String::new(), before, touched: BTreeSet::new() });
        let people = self.people_and_seats().await;
        self.take(&body).await;
        self.observe().await;
        let state = self.state_of(id);
        println!("{state}: {body}");
        if state == "rejected" {
            assert_eq!(self.people_and_seats().await, people, "a request that is refused changes nothing");
        } else if body["type"] == "amend" {
            self.amended(&body);
        }
        if self.dice.percent(15) {
            let (people, end) = (self.people_and_seats().await, self.journal_end);
            self.take(&body).await;
            self.observe().await;
            assert_eq!((self.people_and_seats().await, self.journal_end), (people, end), "the same request once more");
        }
    }

    async fn take(&self, body: &Value) {
        let message = Message { body: body.to_string().into_bytes(), traceparent: None };
        let outcomes = planner::take(&self.world.context, &[message]).await.expect("taken");
        assert_eq!(outcomes, [Outcome::Done]);
    }

    /// What an amended job has to do from now on.
    fn amended(&mut self, order: &Value) {
        let target = self.asked.iter_mut().find(|asked| asked.id.to_string() == order["job_id"].as_str().unwrap_or(""));
        let reassign = target.expect("a job").body["reassign"].as_object_mut().expect("allotments");
        reassign.extend(order["reassign"].as_object().expect("allotments").clone());
    }

    fn state_of(&self, id: JobId) -> String {
        self.asked.iter().find(|asked| asked.id == id).map_or_else(String::new, |asked| asked.state.clone())
    }

    /// Takes steps of whatever jobs have some to take, in no order.
    async fn work(&mut self, most: u64) {
        let mut waited = BTreeSet::new();
        for step in 0..most {
            assert!(step < 3000, "the jobs come to no end");
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
                "scheduled" => due::start_due(context, id).await.expect("started"),
                "finalizing" => finalizer::finalize(context, id).await.expect("finalized"),
                "cutting" if self.dice.percent(50) => cutter::cut(context, id).await.expect("cut"),
                _ => mover::redeem(context, id).await.expect("moved"),
            }
            self.observe().await;
            match self.state_of(id) == "scheduled" {
                true => drop(waited.insert(id.0)),
                false => waited.clear(),
            }
        }
    }

    /// The application's own users do something; sometimes they hire somebody.
    async fn edit(&mut self) {
        if self.dice.percent(10) {
            let user = self.people.len() as i64 + 1;
            let seat = "SELECT min(id) FROM p_seats WHERE holder IS NULL";
            let is_partner = self.world.number("SELECT count(*) FROM p_seats WHERE holder IS NULL").await == 0;
            self.world
                .sql(&format!(
                    "INSERT INTO people VALUES ({user}, 'U{user}', 'u{user}@x.org', 'active', {is_partner}); \
                     UPDATE p_seats SET holder = {user} WHERE id = ({seat})"
                ))
                .await;
            self.people.push(user);
            return;
        }
        let Some(edit) = edit(&mut self.dice, &self.people, &self.rows, &mut self.next_key) else { return };
        println!("by hand: {}", edit.statement);
        self.world.sql(&edit.statement).await;
        self.rows = read_rows(self.world, &self.shape).await;
        for asked in &mut self.asked {
            asked.touch(&edit.rows);
        }
    }

    /// After each transaction: the journal explains every difference, and what has ended keeps its promises.
    async fn observe(&mut self) {
        let entries = read_journal(self.world, self.journal_end).await;
        let after = read_rows(self.world, &self.shape).await;
        let mut expected = std::mem::take(&mut self.rows);
        for entry in &entries {
            play(entry, &mut expected, &after, &mut self.gone);
        }
        let differs = |key: &&(&'static str, Vec<i64>)| expected.get(*key) != after.get(*key);
        let keys: BTreeSet<_> = expected.keys().chain(after.keys()).filter(differs).collect();
        let told: Vec<_> = keys.iter().map(|key| (key, expected.get(*key), after.get(*key))).collect();
        assert!(told.is_empty(), "the journal says the first, the table the second: {told:?}\n{entries:?}");
        self.rows = after;
        self.journal_end = entries.last().map_or(self.journal_end, |entry| entry.id);
        self.note_touched(&entries);
        self.check_jobs().await;
        self.check_licenses().await;
    }

    /// A job's rows are touched by every other job, but for the one that undoes it.
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

    async fn check_jobs(&mut self) {
        for place in 0..self.asked.len() {
            let Some(job) = self.world.job(self.asked[place].id).await else { continue };
            let before = std::mem::replace(&mut self.asked[place].state, job.state.clone());
            if before == job.state {
                continue;
            }
            println!(
                "    {}: {before} -> {} {}",
                self.asked[place].body["request_id"],
                job.state,
                job.reasons.as_ref().map(Value::to_string).unwrap_or_default()
            );
            let asked = &self.asked[place];
            let is_handover = matches!(asked.kind(), "deactivate" | "reassign");
            match job.state.as_str() {
                "completed" if asked.kind() == "deactivate" => self.check_left(asked, &certificate_of(&job)).await,
                "reverted" => self.check_undone(asked).await,
                "cancelled" if is_handover && before == "reverting" => self.check_undone(asked).await,
                _ => {}
            }
        }
    }

    /// Who has left owns nothing but what was left behind by rule.
    async fn check_left(&self, asked: &Asked, certificate: &handover::contract::Certificate) {
        let leaver = asked.user();
        assert_eq!(certificate.orphans, 0);
        let left = |kind: &str| {
            let of_kind = |((table, key), row): &(&(&'static str, Vec<i64>), &application::Row)| {
                let owner = if kind == "watcher" && *table == "p_watches" { key[1] } else { row.owner };
                let state = row.columns[3].as_str();
                *table == application::kind_named(kind).table
                    && owner == leaver
                    && (*table != "p_chores" || (kind == "chore") == (state == "open"))
                    && (kind != "score" || row.columns[application::LEVEL] != "0")
            };
            self.rows.iter().filter(of_kind).count() as u64
        };
        for kind in self.shape.kinds.iter().filter(|kind| kind.name != "remark") {
            let left = left(kind.name);
            let told = certificate.references.iter().find(|reference| reference.kind == kind.name);
            let left_behind = told.and_then(|told| told.left_behind).unwrap_or(0);
            assert_eq!(left, left_behind, "{} of {leaver}", kind.name);
            let may_stay = kind.rest.contains("transfer") && !covers(&asked.body["reassign"][kind.name]);
            let must_be_allotted = kind.rest.contains("transfer") && !kind.rest.contains("required = false");
            assert!(left == 0 || may_stay, "{} of {leaver}", kind.name);
            assert!(left == 0 || !must_be_allotted || asked.body["reassign"].get(kind.name).is_some(), "{}", kind.name);
        }
        assert_eq!(self.statuses().await[&leaver], "inactive");
    }

    /// Every row of the leaver's is as it was before the job, but for those that somebody else touched since.
    async fn check_undone(&self, asked: &Asked) {
        let statuses = self.statuses().await;
        for ((table, key), row) in &asked.before {
            let is_theirs = row.owner == asked.user() || *table == "p_watches" && key[1] == asked.user();
            // A row between two comes back when both are here.
            let waits = *table == "p_watches" && key.iter().any(|user| statuses[user] != "active");
            if is_theirs && !waits && !asked.is_touched(table, key) {
                assert_eq!(
                    self.rows.get(&(*table, key.clone())),
                    Some(row),
                    "{table} {key:?} after the undo of {}",
                    asked.body
                );
            }
        }
        if asked.kind() == "deactivate" {
            assert_eq!(statuses[&asked.user()], "active");
        }
    }

    async fn statuses(&self) -> BTreeMap<i64, String> {
        let texts = self.world.texts("SELECT CAST(id AS text) || ' ' || status AS t FROM people").await;
        let split =
            |text: &String| text.split_once(' ').map(|(id, status)| (id.parse().expect("an id"), status.to_owned()));
        texts.iter().filter_map(split).collect()
    }

    async fn people_and_seats(&self) -> Vec<String> {
        let person = "'person ' || CAST(id AS text) || full_name || mail || status";
        let seat = "'seat ' || CAST(id AS text) || ' ' || COALESCE(CAST(holder AS text), '-')";
        self.world
            .texts(&format!("SELECT {person} AS t FROM people UNION ALL SELECT {seat} FROM p_seats ORDER BY 1"))
            .await
    }

    /// Nobody owns what nobody may, and nobody who is here waits for what comes back to them.
    async fn check_people(&self) {
        for table in &application::TABLES {
            let lost =
                format!("SELECT count(*) FROM {} WHERE {} NOT IN (SELECT id FROM people)", table.name, table.user);
            assert_eq!(self.world.number(&lost).await, 0, "{}", table.name);
        }
        let is_open = |asked: &&Asked| State::from_name(&asked.state).is_some_and(|state| !state.is_final());
        let busy: Vec<String> = self
            .asked
            .iter()
            .filter(is_open)
            .map(|asked| format!("'{}'", asked.body["user_id"].as_str().unwrap_or("")))
            .collect();
        let busy = if busy.is_empty() { "''".to_owned() } else { busy.join(", ") };
        let active = "(SELECT CAST(id AS text) FROM people WHERE status = 'active')";
        let waiting = format!(
            "SELECT kind || CAST(content AS text) AS t FROM handover.copies WHERE outcome IS NULL AND kind IN ('badge', 'watching', 'watcher', 'score') \
             AND from_user IN {active} AND (other_user IS NULL OR other_user IN {active}) \
             AND from_user NOT IN ({busy}) AND COALESCE(other_user, '') NOT IN ({busy})"
        );
        assert_eq!(self.world.texts(&waiting).await, Vec::<String>::new(), "they are back, and these are not");
    }

    /// Licenses are neither made nor lost: who is here has one, who has left has none.
    async fn check_licenses(&self) {
        if !self.shape.has_license {
            return;
        }
        let is_open = |asked: &&Asked| State::from_name(&asked.state).is_some_and(|state| !state.is_final());
        let open: BTreeSet<i64> =
            self.asked.iter().filter(is_open).filter(|asked| asked.kind() == "deactivate").map(Asked::user).collect();
        let person = "CAST(p.id AS text) || ' ' || p.status || ' ' || CASE WHEN p.is_partner THEN 1 ELSE 0 END || ' ' \
            || CAST((SELECT count(*) FROM p_seats s WHERE s.holder = p.id) AS text)";
        for text in self.world.texts(&format!("SELECT {person} AS t FROM people p")).await {
            let fields: Vec<&str> = text.split(' ').collect();
            let user: i64 = fields[0].parse().expect("a user");
            let expected = match (fields[1], fields[2]) {
                (_, "1") => "0",
                ("active", _) => "1",
                _ if open.contains(&user) => continue,
                _ => "0",
            };
            assert_eq!(fields[3], expected, "licenses of {text}");
        }
        assert!(
            [5, 6].contains(&self.world.number("SELECT count(*) FROM p_seats").await),
            "a license was made or lost"
        );
    }
}
