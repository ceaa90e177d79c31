//! Reads jobs from the database and checks the invariants, independently of the code under test.

use handover::job::State;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use handover::contract::JobId;
use serde_json::{Value, json};

use super::{Engine, World};

impl World {
    /// Changes the ledger as only time or a database client does.
    pub async fn change_ledger(&self, statement: &str) {
        let session = self.store.begin("test").await.expect("a transaction");
        session.run("meddling", session.sql(&self.with_ledger_names(statement))).await.expect(statement);
        session.commit().await.expect("committed");
    }

    /// Makes a scheduled job due, as time does.
    pub async fn make_due(&self, job: JobId) {
        let id = self.uuid(job);
        self.change_ledger(&format!("UPDATE handover.jobs SET effective_at = requested_at WHERE id = {id}")).await;
        self.change_ledger(&format!("UPDATE handover.outbox SET due_at = created_at WHERE job_id = {id}")).await;
    }

    /// Returns every row of every table except the outbox, as text.
    pub async fn everything(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::new();
        for table in self.tables().await {
            let rows = self.rows_where(&table, "TRUE").await;
            all.insert(table, rows);
        }
        all
    }

    async fn tables(&self) -> Vec<String> {
        self.texts(match self.engine {
            Engine::Sqlite => {
                "SELECT name AS t FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%outbox' AND name NOT LIKE 'sqlite%' ORDER BY 1"
            }
            Engine::Postgres => {
                "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS t FROM information_schema.tables \
                 WHERE table_schema IN ('public', 'handover') AND table_name <> 'outbox' ORDER BY 1"
            }
        })
        .await
    }

    /// Returns the rows of a table that satisfy a condition, as text.
    pub async fn rows_where(&self, table: &str, test: &str) -> Vec<String> {
        let query = match self.engine {
            Engine::Postgres => format!("SELECT CAST(x AS text) AS t FROM {table} x WHERE {test} ORDER BY 1"),
            Engine::Sqlite => {
                let columns = format!("SELECT name AS t FROM pragma_table_xinfo('{}')", table.replace('\'', "''"));
                let columns = self.texts(&columns).await;
                // Unusual texts are compared by their bytes: they may contain a NUL or be invalid.
                let columns: Vec<String> = (columns.iter())
                    .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
                    .map(|c| {
                        let strange = format!("length({c}) <> length(CAST({c} AS BLOB)) OR {c} GLOB '*[^ -~]*'");
                        format!("CASE WHEN typeof({c}) = 'text' AND ({strange}) THEN hex({c}) ELSE quote({c}) END")
                    })
                    .collect();
                format!("SELECT {} AS t FROM \"{table}\" WHERE {test} ORDER BY 1", columns.join(" || ',' || "))
            }
        };
        self.texts(&query).await
    }

    /// PostgreSQL: waits until a session waits for the lock on a user.
    pub async fn until_user_lock_is_awaited(&self) {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        self.until("a session waits for the lock", async || (self.number(waiting).await > 0).then_some(())).await;
    }

    /// Waits until no message is in transit.
    pub async fn until_all_is_published(&self) {
        let waiting = "SELECT count(*) FROM handover.outbox WHERE channel IN ('requests', 'steps')";
        let waiting = match self.engine {
            Engine::Sqlite => waiting,
            Engine::Postgres => "SELECT count(*) FROM handover.outbox",
        };
        self.until("everything is carried", async || (self.number(waiting).await == 0).then_some(())).await;
    }

    /// Returns every published and unread event, by job (or subject, if it is about no job) and sequence, deduplicated by id. Fails if one
    /// id has two bodies or a sequence has a gap.
    pub async fn events(&mut self) -> BTreeMap<String, Vec<Value>> {
        let mut by_id: BTreeMap<String, Value> = BTreeMap::new();
        while let Some(event) = self.client.next_event(Duration::from_millis(500)).await {
            let id = event["id"].as_str().expect("an id").to_owned();
            if let Some(earlier) = by_id.insert(id.clone(), event.clone()) {
                assert_eq!(earlier, event, "the event id {id} has two bodies");
            }
        }
        let mut by_job: BTreeMap<String, BTreeMap<i64, Value>> = BTreeMap::new();
        for event in by_id.into_values() {
            let job = event["data"]["job_id"].as_str().or(event["subject"].as_str()).expect("a job or a subject");
            let sequence = event["sequence"].as_str().and_then(|sequence| sequence.parse().ok());
            let events = by_job.entry(job.to_owned()).or_default();
            let twice = events.insert(sequence.expect("a sequence"), event.clone());
            assert!(twice.is_none(), "two events of one job have one sequence: {twice:?} and {event}");
        }
        for (job, events) in &by_job {
            let sequences: Vec<i64> = events.keys().copied().collect();
            let expected: Vec<i64> = (1..=events.len() as i64).collect();
            assert_eq!(sequences, expected, "the sequence of the job {job} has a gap");
        }
        by_job.into_iter().map(|(job, events)| (job, events.into_values().collect())).collect()
    }

    /// Checks a job's journal against the host's tables and the certificate.
    pub async fn check_journal(&self, job: JobId) {
        let row = self.job(job).await.expect("a job");
        let mut journaled: BTreeMap<String, i64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let rows = self
            .texts(&format!(
                "SELECT kind || ' ' || to_user || ' ' || CAST(records AS text) || ' ' || CAST(keys AS text) AS t \
                 FROM handover.journal WHERE job_id = {} AND action = 'moved'",
                self.uuid(job)
            ))
            .await;
        for text in rows {
            let (kind, rest) = text.split_once(' ').expect("a kind");
            let (to, rest) = rest.split_once(' ').expect("a receiver");
            let (records, keys) = rest.split_once(' ').expect("a number");
            let keys: Vec<Value> = serde_json::from_str(keys).expect("keys");
            assert_eq!(keys.len() as i64, records.parse::<i64>().expect("a number"), "{text}");
            *journaled.entry(kind.to_owned()).or_default() += keys.len() as i64;
            for key in keys {
                assert!(seen.insert((kind.to_owned(), key.to_string())), "{kind} {key} moved twice");
                let table = match kind {
                    "contact" => "contacts",
                    "lead" => "opportunities",
                    "task" => "tasks",
                    _ => continue,
                };
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                let owner = self.number(&format!("SELECT owner_id FROM {table} WHERE id = {key}")).await;
                let expected = if row.state == State::Reverted { &row.user_id } else { to };
                assert_eq!(owner.to_string(), expected, "the journal agrees with the owner of {kind} {key}");
            }
        }
        let Some(certificate) = row.certificate else { return };
        let references = certificate["references"].as_array().expect("references");
        for reference in references.iter().filter(|reference| reference["moved"].is_number()) {
            let kind = reference["kind"].as_str().expect("a kind");
            let moved = reference["moved"].as_i64().expect("a number");
            assert_eq!(journaled.get(kind).copied().unwrap_or(0), moved, "{kind} of the job {job}");
        }
    }

    /// Inserts a user with contacts, as the host does.
    pub async fn hire(&self, user: u32, contacts: u32) {
        self.sql(&format!(
            "INSERT INTO users (id, org_id, name, email, status, role) \
             VALUES ({user}, 1, 'User {user}', 'user{user}@example.com', 'active', 'member')"
        ))
        .await;
        self.sql(&format!("INSERT INTO licenses (org_id, user_id) VALUES (1, {user})")).await;
        for n in 1..=contacts {
            let owned = format!("(1, {user}, {user}, 'Contact {n} of {user}')");
            self.sql(&format!("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES {owned}")).await;
        }
    }

    /// Returns a job's id as an SQL literal.
    pub fn uuid(&self, job: JobId) -> String {
        match self.engine {
            Engine::Sqlite => format!("X'{}'", job.0.simple()),
            Engine::Postgres => format!("CAST('{job}' AS uuid)"),
        }
    }

    /// Counts the records whose owner is inactive. There are none after the last job.
    pub async fn orphans(&self) -> i64 {
        let owned = ["contacts", "opportunities", "tasks", "accounts"].map(|table| {
            format!("SELECT r.id FROM {table} r JOIN users u ON u.id = r.owner_id WHERE u.status = 'inactive'")
        });
        let owned = owned.join(" UNION ALL ");
        self.number(&format!("SELECT count(*) FROM ({owned}) o")).await
    }

    /// Counts the records of each user, by table.
    pub async fn owners(&self) -> Value {
        let mut owners = BTreeMap::new();
        for table in ["contacts", "opportunities", "tasks"] {
            let query = format!(
                "SELECT CAST(owner_id AS text) || ': ' || CAST(count(*) AS text) AS t FROM {table} GROUP BY owner_id ORDER BY owner_id"
            );
            owners.insert(table, self.texts(&query).await);
        }
        json!(owners)
    }
}
