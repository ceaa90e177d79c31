//! A site: an application with one of the embedded catalogs, its own database, users and records.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sea_orm::sqlx::PgPool;
use serde_json::{Value, json};

use crate::plan::{Dice, Plan};
use crate::servers::Servers;
use crate::sql;
use crate::tally::Tally;

/// The catalogs of the sites.
pub const CATALOGS: [(&str, &str); 3] = [
    ("keap", include_str!("../../config/catalogs/keap.toml")),
    ("agent-connect", include_str!("../../config/catalogs/agent-connect.toml")),
    ("apto", include_str!("../../config/catalogs/apto.toml")),
];

/// The tables whose records have an owner in `owner_id`. Every change of an owner is logged.
pub const OWNED: [&str; 4] = ["contacts", "opportunities", "tasks", "accounts"];

/// The users who stay. User 1 sends the requests.
pub const STAYERS: std::ops::Range<u64> = 11..19;
/// The first user who leaves.
const FIRST_LEAVER: u64 = 101;

/// A site.
pub struct Site {
    pub name: &'static str,
    pub database: String,
    pub pool: PgPool,
    pub logs: PathBuf,
    /// The numbers of contacts, leads, tasks and accounts of each leaver.
    pub leavers: Vec<(u64, [u64; 4])>,
    /// The share of leavers, in thousandths, whose requests may be sent by now.
    pub progress: AtomicU64,
    /// True once no more faults are injected.
    pub is_over: AtomicBool,
    pub tally: Arc<Tally>,
    dice: Dice,
    recount_every: u64,
}

impl Site {
    /// Creates the application: tables, users, records, and the log of owners.
    pub async fn make(
        place: usize,
        plan: &Plan,
        dice: &Dice,
        servers: &Servers,
        tally: &Arc<Tally>,
    ) -> Result<Site, String> {
        let (name, catalog) = CATALOGS[place];
        let database = format!("storm_{}", name.replace('-', "_"));
        let url = servers.database_url(servers.database_port, &database);
        let failed = |error: sea_orm::sqlx::Error| format!("making the site {name}: {error}");
        let server = sql::pool(&servers.database_url(servers.database_port, "handover"));
        sql::run(&server, &format!("CREATE DATABASE {database}")).await.map_err(failed)?;
        server.close().await;
        let dice = dice.apart(name);
        let site = Site {
            name,
            database,
            pool: sql::pool(&url),
            logs: plan.logs(),
            leavers: leavers(&mut dice.clone(), plan),
            progress: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            tally: tally.clone(),
            dice,
            recount_every: 20 + 5 * plan.scale,
        };
        let settings = site.settings(&url, "local");
        let migrated = crate::worker::binary(&settings, &["migrate", "--reference-crm"]).output();
        let migrated = migrated.map_err(|error| error.to_string())?;
        if !migrated.status.success() {
            return Err(String::from_utf8_lossy(&migrated.stderr).into_owned());
        }
        sql::run(&site.pool, PARTITIONED).await.map_err(failed)?;
        sql::run(&site.pool, LOG).await.map_err(failed)?;
        sql::run(&site.pool, &site.people()).await.map_err(failed)?;
        sql::run(&site.pool, &kinds(catalog)?).await.map_err(failed)?;
        Ok(site)
    }

    /// Returns the settings of a worker, as in production but with short intervals.
    pub fn settings(&self, database: &str, broker: &str) -> Vec<(String, String)> {
        let recount_every = format!("{}s", self.recount_every);
        let settings = [
            ("CATALOG", self.name),
            ("DATABASE__URL", database),
            ("DATABASE__MAX_CONNECTIONS", "6"),
            ("DATABASE__LOCK_TIMEOUT", "1s"),
            ("DATABASE__STATEMENT_TIMEOUT", "5s"),
            ("DATABASE__IDLE_IN_TRANSACTION_TIMEOUT", "4s"),
            ("DATABASE__ACQUIRE_TIMEOUT", "5s"),
            ("BROKER__URL", broker),
            ("BROKER__PREFIX", self.name),
            ("BROKER__PUBLISH_TIMEOUT", "5s"),
            ("BROKER__CONNECT_TIMEOUT", "5s"),
            ("BROKER__HEARTBEAT", "5s"),
            ("WORKER__POLL", "200ms"),
            ("WORKER__SWEEP_EVERY", "1s"),
            ("WORKER__GRACE", "10s"),
            ("LIMITS__CHUNK_ROWS", "40"),
            ("LIMITS__CHUNKS_PER_CUT", "10"),
            ("LIMITS__STALLED_AFTER", "3s"),
            ("LIMITS__RECOUNT_EVERY", &recount_every),
            ("HTTP__LISTEN", ""),
            ("LOG__FILTER", "info"),
            ("LOG__FORMAT", "text"),
        ];
        settings.map(|(name, value)| (format!("HANDOVER_{name}"), value.to_owned())).to_vec()
    }

    /// Returns the leavers whose requests may be sent by now.
    pub fn asked(&self) -> &[(u64, [u64; 4])] {
        let asked = (self.leavers.len() as u64 * self.progress.load(Ordering::Relaxed)).div_ceil(1000);
        &self.leavers[..self.leavers.len().min(asked as usize)]
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn people(&self) -> String {
        let person = |(id, [contacts, leads, tasks, accounts]): &(u64, [u64; 4])| {
            format!("({id}, {contacts}, {leads}, {tasks}, {accounts})")
        };
        let stayers = STAYERS.map(|id| (id, [3, 2, 2, 1]));
        let all: Vec<String> = [(1, [0; 4])].into_iter().chain(stayers).map(|one| person(&one)).collect();
        let leaving: Vec<String> = self.leavers.iter().map(person).collect();
        PEOPLE.replace("{people}", &[all, leaving].concat().join(", "))
    }

    /// Returns the request of a leaver. Together the requests use every kind of allotment.
    pub fn request(&self, leaver: u64, records: [u64; 4], attempt: u32) -> Value {
        let mut dice = self.dice.apart(&format!("{leaver}"));
        let lead = if self.name == "apto" { "opportunity" } else { "lead" };
        let kinds = ["contact", lead, "task", "account"];
        let mut reassign = serde_json::Map::new();
        for (kind, count) in kinds.into_iter().zip(records) {
            reassign.insert(kind.into(), allotment(&mut dice, count));
        }
        json!({
            "type": "deactivate", "request_id": format!("leave-{leaver}-{attempt}"), "org_id": "1", "user_id": leaver.to_string(),
            "requested_by": "1", "reason": "the storm", "reassign": reassign,
        })
    }
}

fn allotment(dice: &mut Dice, count: u64) -> Value {
    let mut stayers: Vec<u64> = STAYERS.collect();
    dice.shuffle(&mut stayers);
    let share = |user: u64, amount: u64| json!({ "user": user.to_string(), "amount": amount.max(1) });
    match dice.below(5) {
        0 => json!({ "user": stayers[0].to_string() }),
        1 => json!({ "logic": "ratio", "shares": [share(stayers[0], 1 + dice.below(5)), share(stayers[1], 3)] }),
        2 => json!({ "logic": "ratio", "shares": [{ "round_robin": "West team", "amount": 1 + dice.below(9) }] }),
        // Some records stay and are reported.
        3 => json!({ "logic": "hardcoded", "shares": [share(stayers[0], count / 2), share(stayers[1], count / 4)] }),
        _ => json!({ "logic": "ratio", "shares": stayers[..4].iter().map(|user| share(*user, 2)).collect::<Vec<_>>() }),
    }
}

/// Returns the leavers: most own few records, some own many, a few very many. The sum is the plan's.
fn leavers(dice: &mut Dice, plan: &Plan) -> Vec<(u64, [u64; 4])> {
    let sites = CATALOGS.len() as u64;
    let weight = |dice: &mut Dice| match dice.below(10) {
        0..6 => 1 + dice.below(4),
        6..9 => 10 + dice.below(20),
        _ => 60 + dice.below(60),
    };
    let weights: Vec<u64> = (0..plan.jobs().div_ceil(sites)).map(|_| weight(dice)).collect();
    let (all, records) = (weights.iter().sum::<u64>().max(1), plan.records().div_ceil(sites));
    let of = |(place, weight): (usize, &u64)| {
        let owned = (records * weight).div_ceil(all) + 4;
        let parts = [owned / 5, owned / 5, owned / 10];
        (FIRST_LEAVER + place as u64, [owned - parts.iter().sum::<u64>(), parts[0], parts[1], parts[2]])
    };
    weights.iter().enumerate().map(of).collect()
}

/// Returns the kinds of the catalog whose records have an owner, with their tables.
fn kinds(catalog: &str) -> Result<String, String> {
    let catalog: toml::Table = catalog.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let references = catalog["reference"].as_array().ok_or("a catalog has references")?;
    let text = |reference: &toml::Value, field: &str| reference[field].as_str().unwrap_or_default().to_owned();
    let rows: Vec<String> = (references.iter())
        .filter(|reference| text(reference, "user") == "owner_id" && OWNED.contains(&text(reference, "table").as_str()))
        .map(|reference| format!("('{}', '{}')", text(reference, "kind"), text(reference, "table")))
        .collect();
    Ok(format!("INSERT INTO storm.kinds VALUES {}", rows.join(", ")))
}

/// Gives the tasks partitions, to which deployments add others.
const PARTITIONED: &str = "
    ALTER TABLE tasks RENAME TO tasks_first;
    CREATE TABLE tasks (LIKE tasks_first INCLUDING DEFAULTS INCLUDING IDENTITY, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE INDEX ON tasks (owner_id, id);
    ALTER TABLE tasks ATTACH PARTITION tasks_first FOR VALUES FROM (MINVALUE) TO (1000000000);";

/// The storm's own tables: the log of owners, written by triggers in each transaction that changes one, and the errors
/// that the database raises on purpose.
const LOG: &str = "
    CREATE SCHEMA storm;
    CREATE TABLE storm.kinds (kind text PRIMARY KEY, tab text NOT NULL);
    CREATE TABLE storm.people (id bigint PRIMARY KEY, contacts int, leads int, tasks int, accounts int);
    CREATE TABLE storm.asked (request_id text PRIMARY KEY);
    CREATE TABLE storm.acknowledged (request_id text NOT NULL, is_committed boolean NOT NULL);
    CREATE TABLE storm.events (id text PRIMARY KEY, job uuid NOT NULL, sequence bigint NOT NULL, type text NOT NULL);
    CREATE TABLE storm.answers (code text NOT NULL, chance float8 NOT NULL, until timestamptz NOT NULL);
    CREATE TABLE storm.log (
        id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), actor text NOT NULL,
        tab text NOT NULL, record bigint NOT NULL, from_user bigint, to_user bigint);
    CREATE INDEX ON storm.log (tab, record, id);
    CREATE FUNCTION storm.note() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE actor text := current_setting('application_name');
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO storm.log (actor, tab, record, to_user) VALUES (actor, TG_ARGV[0], NEW.id, NEW.owner_id);
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO storm.log (actor, tab, record, from_user) VALUES (actor, TG_ARGV[0], OLD.id, OLD.owner_id);
        ELSIF OLD.owner_id <> NEW.owner_id THEN
            INSERT INTO storm.log (actor, tab, record, from_user, to_user)
                VALUES (actor, TG_ARGV[0], NEW.id, OLD.owner_id, NEW.owner_id);
        END IF;
        RETURN NULL;
    END $$;
    CREATE FUNCTION storm.answer() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE found text;
    BEGIN
        IF current_setting('application_name') = 'handover' THEN
            SELECT code INTO found FROM storm.answers WHERE until > clock_timestamp() AND random() < chance LIMIT 1;
            IF found IS NOT NULL THEN
                RAISE EXCEPTION 'the storm raises %', found USING ERRCODE = found;
            END IF;
        END IF;
        RETURN NULL;
    END $$;
    DO $$
    DECLARE tab text;
    BEGIN
        FOREACH tab IN ARRAY ARRAY['contacts', 'opportunities', 'tasks', 'accounts'] LOOP
            EXECUTE format('CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %I
                            FOR EACH ROW EXECUTE FUNCTION storm.note(%L)', tab, tab);
            EXECUTE format('CREATE TRIGGER answer BEFORE UPDATE OR DELETE ON %I
                            FOR EACH STATEMENT EXECUTE FUNCTION storm.answer()', tab);
        END LOOP;
    END $$;";

/// Users, seats, groups, and records whose ids alternate between their owners.
const PEOPLE: &str = "
    INSERT INTO storm.people VALUES {people};
    INSERT INTO organizations (id, name) VALUES (1, 'Stormy');
    INSERT INTO users (id, org_id, name, username, email, status, role, can_manage_team)
        SELECT id, 1, 'User ' || id, 'user' || id, 'user' || id || '@example.com', 'active',
               CASE id WHEN 1 THEN 'admin' ELSE 'member' END, id < 100 FROM storm.people;
    INSERT INTO primary_administrators (org_id, user_id) VALUES (1, 1);
    INSERT INTO licenses (org_id, user_id) SELECT 1, id FROM storm.people ORDER BY id;
    INSERT INTO groups (org_id, name) VALUES (1, 'Sales Rep'), (1, 'West team');
    INSERT INTO group_members (org_id, group_name, user_id) SELECT 1, 'Sales Rep', id FROM storm.people WHERE id > 1;
    INSERT INTO group_members (org_id, group_name, user_id) VALUES (1, 'West team', 15), (1, 'West team', 16), (1, 'West team', 17);
    INSERT INTO sessions (id, user_id) SELECT 'session-' || id, id FROM storm.people;
    INSERT INTO follows (follower_id, followed_id) SELECT id, 11 + id % 8 FROM storm.people WHERE id > 100;
    INSERT INTO follows (follower_id, followed_id) SELECT 11 + id % 7, id FROM storm.people WHERE id > 100;
    INSERT INTO contacts (org_id, owner_id, created_by, name)
        SELECT 1, id, id, 'Contact ' || n FROM storm.people, generate_series(1, contacts) n ORDER BY n, id;
    INSERT INTO opportunities (org_id, owner_id, created_by, name, stage)
        SELECT 1, id, id, 'Lead ' || n, 'new' FROM storm.people, generate_series(1, leads) n ORDER BY n, id;
    INSERT INTO tasks (org_id, owner_id, created_by, title, status)
        SELECT 1, id, id, 'Task ' || n, CASE WHEN n % 3 = 0 THEN 'completed' ELSE 'pending' END
        FROM storm.people, generate_series(1, tasks) n ORDER BY n, id;
    INSERT INTO accounts (org_id, owner_id, created_by, name)
        SELECT 1, id, id, 'Account ' || n FROM storm.people, generate_series(1, accounts) n ORDER BY n, id;
    SELECT setval(pg_get_serial_sequence('users', 'id'), max(id)) FROM users;
    SELECT setval(pg_get_serial_sequence('organizations', 'id'), 1);";
