//! The passing of time: late records, expired snapshots and returns from leave; and who must receive what.

use handover::job::State;
use std::collections::BTreeMap;

use handover::contract::JobId;
use handover::stages::handover::finalizer;
use handover::stages::sweeper;
use serde_json::json;
use uuid::Uuid;

use super::Run;
use super::dealt::{Dealt, Groups, deal};
use super::requests::Asked;
use crate::support::world::certificate_of;

impl Run<'_> {
    /// Sometimes recounts certificates, expires snapshots, or lets a day pass.
    pub(super) async fn pass_time(&mut self) {
        if self.dice.percent(25) {
            self.recount().await;
        }
        if self.dice.percent(8) {
            self.expire().await;
        }
        if self.dice.percent(15) {
            self.come_back().await;
        }
    }

    /// Recounts users' latest deactivations. A late record does not stay with a user who has left.
    async fn recount(&mut self) {
        let mut last: BTreeMap<i64, usize> = BTreeMap::new();
        let done = |asked: &Asked| asked.kind() == "deactivate" && asked.state == "completed";
        last.extend(
            (0..self.asked.len()).filter(|place| done(&self.asked[*place])).map(|at| (self.asked[at].user(), at)),
        );
        for (leaver, place) in last {
            let statuses = self.statuses().await;
            if statuses[&leaver] == "active" || self.open_users().contains(&leaver) {
                continue;
            }
            let id = self.asked[place].id;
            loop {
                let end = self.journal_end();
                finalizer::recount(&self.world.context, id).await.expect("counted");
                self.observe().await;
                if self.journal_end() == end {
                    break;
                }
            }
            let (asked, open) = (&self.asked[place], self.open_users());
            let certificate = certificate_of(&self.world.job(id).await.expect("a job"));
            self.check_told(asked, &certificate);
            for kind in self.shape.kinds.iter().filter(|kind| !kind.rest.contains("block")) {
                let to =
                    asked.body["reassign"][kind.name]["user"].as_str().map(|to| to.parse::<i64>().expect("a user"));
                let is_fit =
                    |to: i64| statuses.get(&to).is_some_and(|status| status == "active") && !open.contains(&to);
                let stays = kind.rest.contains("keep\"") || kind.is_transfer() && !to.is_some_and(is_fit);
                let may_not = kind.name == "deal" && self.shape.deals_go_west;
                assert!(stays || may_not || self.left(kind, leaver) == 0, "late {} of {leaver} remain", kind.name);
            }
        }
    }

    /// Expires snapshots with a retention time.
    async fn expire(&mut self) {
        let past = "UPDATE handover.row_snapshots SET keep_until = at WHERE keep_until IS NOT NULL";
        self.world.change_ledger(past).await;
        let kept = "SELECT count(*) FROM handover.row_snapshots WHERE kind = 'done_chore' AND outcome IS NULL";
        for asked in &mut self.asked {
            let of_job = match self.world.engine {
                crate::support::Engine::Sqlite => format!("lower(hex(job_id)) = '{}'", asked.id.0.simple()),
                crate::support::Engine::Postgres => format!("job_id = '{}'", asked.id),
            };
            asked.expired += self.world.number(&format!("{kept} AND {of_job}")).await as u64;
            let purged = self.journal.iter().filter(|entry| entry.kind == "done_chore" && entry.action == "purged");
            let purged = purged.filter(|entry| entry.job == asked.id.0.simple().to_string());
            let rows: Vec<_> = purged.flat_map(|entry| entry.rows()).collect();
            asked.touch(&rows);
        }
        sweeper::purge(&self.world.context, false).await.expect("purged");
        assert_eq!(self.world.number(kept).await, 0, "expired snapshots");
    }

    /// Asserts that the return from a completed leave is scheduled.
    pub(super) async fn look_for_returns(&mut self) {
        for place in 0..self.asked.len() {
            let asked = &self.asked[place];
            let id = JobId(Uuid::new_v5(&asked.id.0, b"return"));
            let is_new = asked.body.get("return_at").is_some() && self.asked.iter().all(|asked| asked.id != id);
            if !is_new || self.world.job(id).await.is_none() {
                continue;
            }
            let name = format!("return of {}", asked.body["request_id"]);
            let body = json!({ "type": "revert", "request_id": name, "job_id": asked.id, "org_id": self.shape.org() });
            self.asked.push(Asked::new(id, body, self.rows.clone()));
        }
    }

    /// Makes the return of every user on leave due.
    pub(super) async fn come_back(&mut self) {
        let due = "UPDATE handover.jobs SET effective_at = requested_at, wake_at = requested_at \
                   WHERE kind = 'revert' AND state = 'scheduled'";
        self.world.change_ledger(due).await;
    }

    /// Returns the expected deal of a request that starts at once, or nothing if the model cannot tell.
    pub(super) async fn expect_deal(&mut self, id: JobId, statuses: &BTreeMap<i64, String>) -> Option<Dealt> {
        let job = self.world.job(id).await?;
        let asked = self.asked.last()?;
        let begun = [State::Cutting, State::Moving, State::Finalizing, State::Completed].contains(&job.state);
        if !asked.is_handover() || !begun || !asked.is_plain {
            return None;
        }
        let leaver = asked.user();
        let open = self.open_users();
        let mut fit = BTreeMap::new();
        for (group, members) in &self.shape.groups {
            let of_org = members.iter().copied().filter(|user| self.people.contains(user) && *user != leaver);
            let here: Vec<i64> = of_org.filter(|user| statuses[user] == "active").collect();
            if here.iter().any(|user| open.contains(user)) {
                return None;
            }
            fit.insert(*group, here);
        }
        let mut groups = Groups { fit, last: &mut self.turns };
        Some(deal(&self.shape, &asked.body["reassign"], leaver, &asked.before, &mut groups))
    }

    /// Asserts that a small job was dealt as expected, and updates the groups' turns.
    pub(super) async fn check_deal(&mut self, id: JobId, dealt: Option<Dealt>) {
        let Some(dealt) = dealt.filter(|_| self.state_of(id) == "completed") else { return self.read_turns().await };
        let job = id.0.simple().to_string();
        let mut received: Dealt = dealt.keys().map(|key| (key.clone(), None)).collect();
        // A record that the member has already is dropped, but still uses up the member's turn.
        let is_dealt = |action: &str| ["moved", "merged", "dropped"].contains(&action);
        for entry in self.journal.iter().filter(|entry| entry.job == job && is_dealt(&entry.action)) {
            let kind = super::shape::kind_named(&entry.kind).name;
            received.extend(entry.keys.iter().map(|key| ((kind, key.clone()), entry.to)));
        }
        received.retain(|(kind, _), _| *kind != "sole_admin");
        assert_eq!(received, dealt, "actual and expected deal");
        let turns = self.turns.clone();
        self.read_turns().await;
        assert_eq!(self.turns, turns, "the next turns");
    }

    /// Reads the groups' turns from the ledger, for cases that the model cannot tell.
    async fn read_turns(&mut self) {
        let turns = "SELECT group_name || ' ' || last_user AS t FROM handover.round_robin WHERE last_user <> ''";
        let texts = self.world.texts(turns).await;
        let split =
            |text: &String| text.split_once(' ').map(|(group, user)| (group.to_owned(), user.parse().expect("a user")));
        self.turns = texts.iter().filter_map(split).collect();
    }
}
