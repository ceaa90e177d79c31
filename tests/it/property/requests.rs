//! Random requests: most are valid, some are not.

use std::collections::BTreeSet;

use handover::contract::JobId;
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::shape::{STRANGERS, Shape};
use super::tables::{Place, Rows};

/// A request that was sent, and the model's knowledge about its job.
pub struct Asked {
    pub id: JobId,
    /// The request as sent, with later amendments.
    pub body: Value,
    pub state: String,
    /// The rows before the job.
    pub before: Rows,
    /// Changes to these rows by others since.
    pub touched: BTreeSet<Place>,
    /// True if the work was defined once and started at once, so that the model can tell who receives what.
    pub is_plain: bool,
    /// The number of purged rows whose snapshots have expired.
    pub expired: u64,
}

impl Asked {
    pub fn new(id: JobId, body: Value, before: Rows) -> Asked {
        let is_plain = body.get("lock_out").is_none();
        Asked { id, body, state: String::new(), before, touched: BTreeSet::new(), is_plain, expired: 0 }
    }

    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }

    /// The user concerned; 0 if the request is about a job.
    pub fn user(&self) -> i64 {
        self.body["user_id"].as_str().map_or(0, |user| user.parse().expect("a number"))
    }

    pub fn touch(&mut self, rows: &[Place]) {
        self.touched.extend(rows.iter().map(known_by));
    }

    pub fn is_touched(&self, place: &Place) -> bool {
        self.touched.contains(&known_by(place))
    }

    /// True if the request transfers records.
    pub fn is_handover(&self) -> bool {
        matches!(self.kind(), "deactivate" | "reassign")
    }
}

/// Returns the part of a key without the user. A row whose key contains its user changes that part when it moves.
fn known_by((table, key): &Place) -> Place {
    let is_moving = ["p_members", "p_shares", "p_admins"].contains(table);
    (table, if is_moving { vec![key[0].clone()] } else { key.clone() })
}

/// True if an allotment leaves nothing with the leaver.
pub fn covers(allotment: &Value) -> bool {
    let is_ratio = || allotment["logic"] == "ratio";
    allotment.get("user").is_some() || is_ratio() || allotment.get("rest").is_some_and(covers)
}

/// The input for random requests.
pub struct Asking<'a> {
    pub dice: &'a mut Dice,
    pub shape: &'a Shape,
    pub people: &'a [i64],
    pub rows: &'a Rows,
}

/// The types of requests with their weights, and for commands the states of jobs that they apply to.
const CHOICES: [(u64, &str, &[&str]); 8] = [
    (7, "deactivate", &[]),
    (2, "reassign", &[]),
    (1, "reactivate", &[]),
    (3, "revert", &["completed"]),
    (5, "cancel", &["cutting", "moving", "finalizing", "paused", "needs_attention", "scheduled"]),
    (9, "pause", &["cutting", "moving", "finalizing"]),
    (7, "resume", &["paused", "needs_attention"]),
    (9, "amend", &["paused", "needs_attention", "scheduled"]),
];

impl Asking<'_> {
    /// Returns the next request. Commands mostly target jobs in a suitable state.
    pub fn request(&mut self, asked: &[Asked], number: u64) -> Value {
        let all: Vec<_> = CHOICES.iter().flat_map(|choice| vec![choice; choice.0 as usize]).collect();
        loop {
            let (_, kind, states): (u64, &str, &[&str]) = **self.dice.pick(&all).expect("a choice");
            let mut body = json!({ "type": kind, "request_id": format!("r{number}"), "requested_by": "1" });
            if let Some(org) = self.shape.org() {
                body["org_id"] = json!(org);
            }
            if states.is_empty() {
                self.about_a_user(&mut body);
                return body;
            }
            let fits = |asked: &&Asked| asked.is_handover() && states.contains(&asked.state.as_str());
            let any: Vec<&Asked> = asked.iter().collect();
            let fit: Vec<&Asked> = asked.iter().filter(fits).collect();
            let is_any = self.dice.percent(4);
            let Some(target) = self.dice.pick(if is_any { &any } else { &fit }) else { continue };
            body["job_id"] = json!(target.id);
            if kind == "amend" {
                body["reassign"] = self.allotments(target.user(), 50);
            }
            return body;
        }
    }

    fn about_a_user(&mut self, body: &mut Value) {
        let leaver = if self.dice.percent(95) { *self.dice.pick(&self.people[1..]).expect("a user") } else { 1 };
        body["user_id"] = json!(leaver.to_string());
        if body["type"] != "reactivate" {
            let percent = if body["type"] == "reassign" { 60 } else { 97 };
            body["reassign"] = self.allotments(leaver, percent);
        }
        if body["type"] != "deactivate" {
            return;
        }
        if self.dice.percent(15) {
            body["reassign"] = self.allotments(leaver, 50);
            body["lock_out"] = json!(true);
        }
        if self.dice.percent(15) {
            body["return_at"] = json!("2199-01-01T00:00:00Z");
        }
        // A request for another organization reaches no user of ours.
        if self.shape.has_orgs && self.dice.percent(4) {
            (body["org_id"], body["requested_by"]) = (json!("2"), json!(STRANGERS[0].to_string()));
        }
    }

    fn allotments(&mut self, leaver: i64, percent: u64) -> Value {
        let mut all = Map::new();
        // A reassignment or amendment must name a kind.
        while all.is_empty() {
            for kind in self.shape.allotted() {
                let percent = if kind.is_transfer() && kind.name != "deal" { percent } else { percent / 2 };
                if self.dice.percent(percent) {
                    all.insert(kind.name.into(), self.allotment(leaver, kind.name));
                }
            }
        }
        all.into()
    }

    fn successor(&mut self, leaver: i64) -> String {
        let others: Vec<i64> = self.people.iter().copied().filter(|user| *user != leaver).collect();
        match self.dice.below(60) {
            0 => leaver.to_string(),
            1 => "77".into(),
            2 => STRANGERS[1].to_string(),
            _ => self.dice.pick(&others).expect("a user").to_string(),
        }
    }

    fn allotment(&mut self, leaver: i64, kind: &str) -> Value {
        match self.dice.below(10) {
            0..=3 => json!({ "user": self.successor(leaver) }),
            choice @ 4..=7 => self.shares(leaver, if choice == 7 { "hardcoded" } else { "ratio" }),
            _ if ["doc", "deal"].contains(&kind) => self.each(leaver, kind),
            _ => json!({ "user": self.successor(leaver) }),
        }
    }

    fn shares(&mut self, leaver: i64, logic: &str) -> Value {
        let mut users: BTreeSet<String> = (0..=self.dice.below(3)).map(|_| self.successor(leaver)).collect();
        let last = users.pop_last().expect("a user");
        let mut shares: Vec<Value> =
            users.iter().map(|user| json!({ "user": user, "amount": self.dice.below(4) })).collect();
        shares.push(json!({ "user": last, "amount": 1 + self.dice.below(3) }));
        for (group, _) in &self.shape.groups {
            if self.dice.percent(30) {
                let place = self.dice.below(shares.len() as u64 + 1) as usize;
                shares.insert(place, json!({ "round_robin": group, "amount": 1 + self.dice.below(4) }));
            }
        }
        json!({ "logic": logic, "shares": shares })
    }

    fn each(&mut self, leaver: i64, kind: &str) -> Value {
        let table = super::shape::kind_named(kind).table;
        let theirs = self.rows.iter().filter(|((name, _), row)| *name == table && row.owner == leaver);
        let theirs: Vec<String> = theirs.map(|((_, key), _)| key[0].clone()).collect();
        let mut each = Map::new();
        for _ in 0..2 {
            if let Some(id) = self.dice.pick(&theirs) {
                each.insert(id.clone(), json!(self.successor(leaver)));
            }
        }
        if each.is_empty() {
            return json!({ "user": self.successor(leaver) });
        }
        let rest = match self.dice.below(10) {
            0..=3 => json!({ "user": self.successor(leaver) }),
            4..=6 => self.shares(leaver, "ratio"),
            _ => return json!({ "each": each }),
        };
        json!({ "each": each, "rest": rest })
    }
}
