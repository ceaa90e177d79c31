//! Requests that dice have made: most make sense, some do not.

use std::collections::BTreeSet;

use handover::contract::JobId;
use serde_json::{Map, Value, json};

use super::application::{Dice, Rows, Shape};

/// A request that was sent, and what is known of its job.
pub struct Asked {
    pub id: JobId,
    /// As it was sent, and amended since.
    pub body: Value,
    pub state: String,
    /// The rows before it.
    pub before: Rows,
    /// What others have done to these rows since.
    pub touched: BTreeSet<(&'static str, Vec<i64>)>,
}

impl Asked {
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }

    /// The user concerned; 0 where it is about a job.
    pub fn user(&self) -> i64 {
        self.body["user_id"].as_str().map_or(0, |user| user.parse().expect("a number"))
    }

    pub fn touch(&mut self, rows: &[(&'static str, Vec<i64>)]) {
        self.touched.extend(rows.iter().map(|(table, key)| known_by(table, key)));
    }

    pub fn is_touched(&self, table: &'static str, key: &[i64]) -> bool {
        self.touched.contains(&known_by(table, key))
    }
}

/// A membership changes its key when it moves: it is known by its document.
fn known_by(table: &'static str, key: &[i64]) -> (&'static str, Vec<i64>) {
    (table, if table == "p_members" { vec![key[0]] } else { key.to_vec() })
}

/// Whether an allotment leaves nothing with the leaver.
pub fn covers(allotment: &Value) -> bool {
    let is_ratio = || allotment["logic"] == "ratio";
    allotment.get("user").is_some() || is_ratio() || allotment.get("rest").is_some_and(covers)
}

fn successor(dice: &mut Dice, people: &[i64], leaver: i64) -> String {
    match dice.below(20) {
        0 => leaver.to_string(),
        1 => "77".into(),
        _ => loop {
            let user = *dice.pick(people).expect("somebody");
            if user != leaver {
                return user.to_string();
            }
        },
    }
}

fn allotment(dice: &mut Dice, people: &[i64], leaver: i64, kind: &str, rows: &Rows) -> Value {
    let to = |dice: &mut Dice| successor(dice, people, leaver);
    match dice.below(10) {
        0..=4 => json!({ "user": to(dice) }),
        choice @ 5..=7 => {
            let logic = if choice == 7 { "hardcoded" } else { "ratio" };
            let mut users: BTreeSet<String> = (0..=dice.below(3)).map(|_| to(dice)).collect();
            let last = users.pop_last().expect("a user");
            let mut shares: Vec<Value> =
                users.iter().map(|user| json!({ "user": user, "amount": dice.below(4) })).collect();
            shares.push(json!({ "user": last, "amount": 1 + dice.below(3) }));
            json!({ "logic": logic, "shares": shares })
        }
        _ if kind == "doc" => {
            let theirs = rows.iter().filter(|((table, _), row)| *table == "p_docs" && row.owner == leaver);
            let theirs: Vec<i64> = theirs.map(|((_, key), _)| key[0]).collect();
            let mut each = Map::new();
            for _ in 0..2 {
                if let Some(id) = dice.pick(&theirs) {
                    each.insert(id.to_string(), json!(to(dice)));
                }
            }
            if each.is_empty() {
                return json!({ "user": to(dice) });
            }
            match dice.percent(70) {
                true => json!({ "each": each, "rest": { "user": to(dice) } }),
                false => json!({ "each": each }),
            }
        }
        _ => json!({ "user": to(dice) }),
    }
}

fn allotments(dice: &mut Dice, shape: &Shape, people: &[i64], leaver: i64, rows: &Rows, percent: u64) -> Value {
    let mut all = Map::new();
    // Who reassigns or amends has to name something.
    while all.is_empty() {
        for kind in shape.transferred() {
            let percent = if kind.name == "deal" { percent / 2 } else { percent };
            if dice.percent(percent) {
                all.insert(kind.name.into(), allotment(dice, people, leaver, kind.name, rows));
            }
        }
    }
    all.into()
}

/// What may be asked for: how often, and of an order the states of jobs that it makes sense for.
const CHOICES: [(u64, &str, &[&str]); 8] = [
    (6, "deactivate", &[]),
    (2, "reassign", &[]),
    (1, "reactivate", &[]),
    (3, "revert", &["completed"]),
    (3, "cancel", &["cutting", "moving", "finalizing", "paused", "needs_attention", "scheduled"]),
    (3, "pause", &["cutting", "moving", "finalizing", "scheduled"]),
    (2, "resume", &["paused", "needs_attention"]),
    (3, "amend", &["paused", "needs_attention", "scheduled"]),
];

/// The next request. Orders are mostly about jobs that stand as they should for it.
pub fn request(dice: &mut Dice, shape: &Shape, people: &[i64], rows: &Rows, asked: &[Asked], number: u64) -> Value {
    let all: Vec<_> = CHOICES.iter().flat_map(|choice| vec![choice; choice.0 as usize]).collect();
    loop {
        let (_, kind, states): (u64, &str, &[&str]) = **dice.pick(&all).expect("a choice");
        let mut body = json!({ "type": kind, "request_id": format!("r{number}"), "requested_by": "1" });
        if states.is_empty() {
            about_a_user(dice, shape, people, rows, &mut body);
            return body;
        }
        let is_handover = |asked: &&Asked| ["deactivate", "reassign"].contains(&asked.kind());
        let fits = |asked: &&Asked| is_handover(asked) && states.contains(&asked.state.as_str());
        let any: Vec<&Asked> = asked.iter().collect();
        let fit: Vec<&Asked> = asked.iter().filter(fits).collect();
        let is_any = dice.percent(5);
        let Some(target) = dice.pick(if is_any { &any } else { &fit }) else { continue };
        body["job_id"] = json!(target.id);
        if kind == "amend" {
            body["reassign"] = allotments(dice, shape, people, target.user(), rows, 50);
        }
        return body;
    }
}

fn about_a_user(dice: &mut Dice, shape: &Shape, people: &[i64], rows: &Rows, body: &mut Value) {
    let leaver = if dice.percent(95) { *dice.pick(&people[1..]).expect("somebody") } else { 1 };
    body["user_id"] = json!(leaver.to_string());
    if body["type"] != "reactivate" {
        let percent = if body["type"] == "reassign" { 60 } else { 97 };
        body["reassign"] = allotments(dice, shape, people, leaver, rows, percent);
    }
    if body["type"] == "deactivate" && dice.percent(20) {
        body["reassign"] = allotments(dice, shape, people, leaver, rows, 50);
        body["lock_out"] = json!(true);
    }
}
