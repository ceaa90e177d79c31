//! Promises about users, licenses, and completed and undone jobs, checked on the rows and through the application.

use std::collections::{BTreeMap, BTreeSet};

use handover::contract::Certificate;
use handover::job::State;
use handover::store::ledger::jobs::Job;
use serde_json::Value;

use super::Run;
use super::requests::{Asked, covers};
use super::shape::{Kind, STRANGERS};
use super::tables::{Place, Row, Rows, TABLES, set_values, user_of};
use crate::support::world::certificate_of;

impl Run<'_> {
    /// Checks jobs whose state has changed.
    pub(super) async fn check_jobs(&mut self) {
        for place in 0..self.asked.len() {
            let Some(job) = self.world.job(self.asked[place].id).await else { continue };
            let before = std::mem::replace(&mut self.asked[place].state, job.state.name().into());
            if before == job.state.name() {
                continue;
            }
            let asked = &self.asked[place];
            let reasons = job.reasons.as_ref().map(Value::to_string).unwrap_or_default();
            println!("    {}: {before} -> {} {reasons}", asked.body["request_id"], job.state);
            match job.state.name() {
                "completed" if asked.is_handover() => self.check_done(asked, &job).await,
                "completed" if asked.kind() == "revert" => self.check_impossible(asked, &job),
                "reverted" => self.check_undone(asked).await,
                "cancelled" if asked.is_handover() && before == "reverting" => self.check_undone(asked).await,
                _ => {}
            }
        }
    }

    async fn check_done(&self, asked: &Asked, job: &Job) {
        let certificate = certificate_of(job);
        self.check_told(asked, &certificate);
        if asked.kind() == "deactivate" {
            self.check_left(asked, &certificate).await;
            self.check_areas(asked).await;
        }
    }

    /// Asserts that a certificate equals the journal.
    pub(super) fn check_told(&self, asked: &Asked, certificate: &Certificate) {
        let id = asked.id.0.simple().to_string();
        for result in &certificate.references {
            let entries = self.journal.iter().filter(|entry| entry.job == id && entry.kind == result.kind);
            let mut moved: BTreeMap<String, u64> = BTreeMap::new();
            for entry in entries.filter(|entry| ["moved", "merged"].contains(&entry.action.as_str())) {
                *moved.entry(entry.to.expect("a receiver").to_string()).or_default() += entry.records as u64;
            }
            assert_eq!(result.successors, moved, "{} of {}", result.kind, asked.body);
        }
    }

    /// Asserts that a leaver owns only what the rules leave behind.
    async fn check_left(&self, asked: &Asked, certificate: &Certificate) {
        let leaver = asked.user();
        assert_eq!(certificate.orphans, Some(0));
        for kind in self.shape.kinds.iter().filter(|kind| !["remark", "sole_admin"].contains(&kind.name)) {
            let left = self.left(kind, leaver);
            let reported = certificate.references.iter().find(|reference| reference.kind == kind.name);
            let left_behind = reported.and_then(|reported| reported.left_behind).unwrap_or(0);
            assert_eq!(left, left_behind, "{} of {leaver}", kind.name);
            let allotment = asked.body["reassign"].get(kind.name);
            let may_stay = kind.is_transfer() && !allotment.is_some_and(covers);
            let must_be_allotted = kind.is_transfer() && !kind.rest.contains("required = false");
            assert!(left == 0 || may_stay, "{} of {leaver}", kind.name);
            assert!(left == 0 || !must_be_allotted || allotment.is_some(), "{}", kind.name);
        }
        assert_eq!(self.statuses().await[&leaver], "inactive");
    }

    /// Returns a user's rows of a kind that the kind would act on.
    pub(super) fn left(&self, kind: &Kind, leaver: i64) -> u64 {
        let is_set =
            |row: &Row| set_values(self.world.engine).iter().all(|(place, value)| row.columns[*place] == *value);
        let of_kind = |((table, key), row): &(&Place, &Row)| {
            let owner = if kind.name == "watcher" { key[1].parse().expect("a user") } else { row.owner };
            *table == kind.table
                && owner == leaver
                && (*table != "p_chores" || (kind.name == "chore") == row.is_open())
                && (kind.name != "score" || !is_set(row))
        };
        self.rows.iter().filter(|row| row.0.0 == kind.table).filter(of_kind).count() as u64
    }

    /// Asserts that each of the leaver's areas still has someone in charge.
    async fn check_areas(&self, asked: &Asked) {
        if !self.shape.has("sole_admin") {
            return;
        }
        let statuses = self.statuses().await;
        for (place, _) in of_user(&asked.before, asked.user()).filter(|((table, _), _)| *table == "p_admins") {
            let here = |((table, key), row): (&Place, &Row)| {
                *table == "p_admins" && key[0] == place.1[0] && statuses[&row.owner] == "active"
            };
            assert!(asked.is_touched(place) || self.rows.iter().any(here), "no one is left in {place:?}");
        }
    }

    /// Asserts that no blocked user starts to leave: one with blocking rows, or alone in charge of an area.
    pub(super) async fn check_guards(&self, asked: &Asked, before: &Rows, statuses: &BTreeMap<i64, String>) {
        let went = !["rejected", "scheduled", "needs_attention"].contains(&asked.state.as_str());
        if asked.kind() != "deactivate" || !went {
            return;
        }
        let leaving = self.leaving_users();
        for ((table, key), _) in of_user(before, asked.user()).map(|(place, _)| (place, ())) {
            assert!(*table != "p_locks" || !self.shape.has("lock"), "{key:?} blocks {}", asked.body);
            let stays = |row: &Row| row.owner != asked.user() && statuses[&row.owner] == "active";
            let others: Vec<&Row> = before
                .iter()
                .filter(|((name, other), row)| *name == "p_admins" && other[0] == key[0] && stays(row))
                .map(|(_, row)| row)
                .collect();
            if *table == "p_admins"
                && self.shape.has("sole_admin")
                && others.iter().all(|row| leaving.contains(&row.owner))
            {
                assert!(
                    asked.body["reassign"].get("sole_admin").is_some(),
                    "only they are in charge of {key:?}: {}",
                    asked.body
                );
            }
        }
    }

    /// Asserts that an undo reports rows whose snapshots have expired.
    fn check_impossible(&self, command: &Asked, job: &Job) {
        let target = self.asked.iter().find(|asked| command.body["job_id"] == asked.id.to_string());
        let Some(target) = target else { return };
        let certificate = certificate_of(job);
        let reported = |kind: &str| certificate.references.iter().find(|result| result.kind == kind);
        let impossible = reported("done_chore").and_then(|result| result.impossible).unwrap_or(0);
        assert_eq!(impossible, target.expired, "{}", command.body);
    }

    /// Asserts that every row of the leaver is as before the job, except rows that others touched since.
    async fn check_undone(&self, asked: &Asked) {
        let (statuses, open) = (self.statuses().await, self.open_users());
        for place in asked.before.keys() {
            let watches = place.0 == "p_watches";
            let is_theirs = user_of(&asked.before, place) == Some(asked.user())
                || watches && place.1[1] == asked.user().to_string();
            // A row between two users returns when both are active; the other's return may still be running.
            let is_here = |user: i64| statuses[&user] == "active" && (user == asked.user() || !open.contains(&user));
            let waits = watches && !place.1.iter().all(|user| is_here(user.parse().expect("a user")));
            let row = &asked.before[place];
            let parent = asked.before.keys().find(|(table, key)| *table == "p_badges" && row.is_child_of(key));
            let is_touched = asked.is_touched(place) || parent.is_some_and(|parent| asked.is_touched(parent));
            if is_theirs && !waits && !is_touched {
                let now = self.rows.get(place).map(Row::uncounted);
                assert_eq!(now, Some(row.uncounted()), "{place:?} after the undo of {}", asked.body);
            }
        }
        if asked.kind() == "deactivate" {
            assert_eq!(statuses[&asked.user()], "active");
        }
    }

    pub(super) async fn statuses(&self) -> BTreeMap<i64, String> {
        let texts = self.world.texts("SELECT CAST(id AS text) || ' ' || status AS t FROM people").await;
        let split =
            |text: &String| text.split_once(' ').map(|(id, status)| (id.parse().expect("an id"), status.to_owned()));
        texts.iter().filter_map(split).collect()
    }

    pub(super) async fn people_and_seats(&self) -> Vec<String> {
        let person = "'person ' || CAST(id AS text) || full_name || mail || status";
        let seat = "'seat ' || CAST(id AS text) || ' ' || COALESCE(CAST(holder AS text), '-')";
        self.world
            .texts(&format!("SELECT {person} AS t FROM people UNION ALL SELECT {seat} FROM p_seats ORDER BY 1"))
            .await
    }

    /// Returns the users of open jobs.
    pub(super) fn open_users(&self) -> BTreeSet<i64> {
        let is_open = |asked: &&Asked| asked.state.parse().is_ok_and(|state: State| !state.is_final());
        self.asked.iter().filter(is_open).map(|asked| self.concerned(asked)).collect()
    }

    /// Returns the users who leave by a job that has not ended. A user whom an undo under way has let in again stays.
    fn leaving_users(&self) -> BTreeSet<i64> {
        let leaves = |asked: &&Asked| {
            asked.kind() == "deactivate" && asked.state.parse().is_ok_and(|state: State| State::OPEN.contains(&state))
        };
        self.asked.iter().filter(leaves).map(|asked| self.concerned(asked)).collect()
    }

    /// Returns the user of a request; for a command, the user of its job.
    pub(super) fn concerned(&self, asked: &Asked) -> i64 {
        let target = self.asked.iter().find(|target| asked.body["job_id"] == target.id.to_string());
        target.map_or(asked.user(), Asked::user)
    }

    /// Asserts that owners are permitted, and that no active user lacks rows that must have returned.
    pub(super) async fn check_people(&self) {
        for table in &TABLES {
            let Some(user) = table.user else { continue };
            let lost = format!("SELECT count(*) FROM {} WHERE {user} NOT IN (SELECT id FROM people)", table.name);
            assert_eq!(self.world.number(&lost).await, 0, "{}", table.name);
        }
        let busy: Vec<String> = self.open_users().iter().map(|user| format!("'{user}'")).collect();
        let busy = if busy.is_empty() { "''".to_owned() } else { busy.join(", ") };
        let active = "(SELECT CAST(id AS text) FROM people WHERE status = 'active')";
        let waiting = format!(
            "SELECT kind || CAST(content AS text) AS t FROM handover.row_snapshots \
             WHERE outcome IS NULL AND kind IN ('admin', 'badge', 'watching', 'watcher', 'score') \
             AND from_user IN {active} AND (other_user IS NULL OR other_user IN {active}) \
             AND from_user NOT IN ({busy}) AND COALESCE(other_user, '') NOT IN ({busy})"
        );
        assert_eq!(
            self.world.texts(&waiting).await,
            Vec::<String>::new(),
            "the user is active, but these rows did not return"
        );
    }

    /// Asserts that every active user has one license and every leaver none.
    pub(super) async fn check_licenses(&self) {
        if !self.shape.has_license {
            return;
        }
        let open = self.open_users();
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
        let seats = self.world.number("SELECT count(*) FROM p_seats WHERE org_id = 1").await;
        assert!([5, 6].contains(&seats), "a license was created or lost");
    }

    /// Returns the rows of another organization.
    pub(super) fn of_strangers(&self) -> Rows {
        let is_theirs = |place: &&Place| user_of(&self.rows, place).is_some_and(|user| STRANGERS.contains(&user));
        self.rows.keys().filter(is_theirs).map(|place| (place.clone(), self.rows[place].clone())).collect()
    }
}

fn of_user(rows: &Rows, user: i64) -> impl Iterator<Item = (&Place, &Row)> {
    rows.iter().filter(move |(_, row)| row.owner == user)
}
