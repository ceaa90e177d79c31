//! Forced row-level security, with and without the session setting that its policies read. PostgreSQL only.

use std::sync::Arc;

use handover::catalog::{Checked, Faults, check};
use handover::stages::{Catalogs, Context};
use handover::store::{Store, host};
use serde_json::{Value, json};

use crate::support::database::settings;
use crate::support::people::{host as rows, reverted, reverts_to};
use crate::support::process::{binary, borrowed, finish, settings as settings_of, text};
use crate::support::world::{certificate_of, codes_of, result_of};
use crate::support::{World, on_postgres};

const USERS: &str = "[users]\ntable = \"people\"\nkey = \"id\"\norg = \"org\"\nname = \"full_name\"\nemail = \"mail\"\n\
     status = { column = \"status\", active = \"active\", inactive = \"inactive\" }\n";

const SESSION: &str = "[session]\nsettings = { \"app.org\" = \"{org}\" }\n";

const DOC: &str =
    "[[reference]]\nkind = \"doc\"\ntable = \"docs\"\nkey = \"id\"\nuser = \"owner\"\ndisposition = \"transfer\"\n";

/// Two organizations, each with a requester (1, 11), a leaver (9, 19) and a user who stays (2, 12). Policies show only
/// an organization's own rows, even to the owner of the tables.
const TABLES: &str = "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, org TEXT NOT NULL, full_name TEXT, mail TEXT, status TEXT); \
     INSERT INTO people SELECT n, CASE WHEN n < 10 THEN 'a' ELSE 'b' END, 'P', 'p@example.com', 'active' FROM unnest(ARRAY[1, 2, 9, 11, 12, 19]) n; \
     CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, org TEXT NOT NULL, owner BIGINT REFERENCES people (id)); \
     INSERT INTO docs SELECT n, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, CASE WHEN n % 2 = 0 THEN 9 ELSE 19 END FROM generate_series(1, 20) n;";

/// A role of the test that owns the tables and sees only what the policies show.
struct Tenant {
    role: String,
    url: String,
    store: Store,
}

async fn hide(world: &World) {
    for table in ["people", "docs"] {
        world
            .sql(&format!(
                "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY; \
                 CREATE POLICY own ON {table} USING (org = current_setting('app.org', true))"
            ))
            .await;
    }
}

impl Tenant {
    async fn new(world: &World) -> Tenant {
        let role = format!("tenant_{}", uuid::Uuid::new_v4().simple());
        world.sql(TABLES).await;
        world
            .sql(&format!(
                "CREATE ROLE {role} LOGIN PASSWORD 'tenant'; ALTER TABLE people OWNER TO {role}; ALTER TABLE docs OWNER TO {role}; \
                 GRANT USAGE ON SCHEMA public, handover TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA handover TO {role}; \
                 GRANT ALL ON ALL SEQUENCES IN SCHEMA handover TO {role}"
            ))
            .await;
        let mut url = url::Url::parse(world.database_url()).expect("a URL");
        url.set_username(&role).expect("a name");
        url.set_password(Some("tenant")).expect("a password");
        let store = Store::open(&settings(url.to_string())).await.expect("the role's own connections");
        Tenant { role, url: url.into(), store }
    }

    async fn check(&self, source: &str) -> Result<Checked, Faults> {
        let schema = host::read_schema(&self.store.reader()).await.expect("the schema");
        check("test", source, &schema)
    }

    /// Connects as this role from here on.
    async fn start(&self, world: &mut World, source: &str) {
        let checked = self.check(source).await.unwrap_or_else(|faults| panic!("{faults}"));
        let catalogs = Arc::new(Catalogs::new(checked.catalog));
        world.context = Context { store: self.store.clone(), catalogs, ..world.context.clone() };
        world.context.limits.chunk_attempts = 1;
        world.start_worker().await;
    }

    async fn end(self, world: &mut World) {
        world.stop_workers().await;
        self.store.close().await;
        world
            .sql(&format!(
                "DROP OWNED BY {role}; DROP TABLE IF EXISTS docs, people; DROP ROLE {role}",
                role = self.role
            ))
            .await;
    }
}

fn leave(org: &str, user: &str, to: &str) -> Value {
    let asks = if org == "a" { "1" } else { "11" };
    json!({ "type": "deactivate", "request_id": "leaves", "org_id": org, "user_id": user, "requested_by": asks, "reassign": { "doc": { "user": to } } })
}

/// Deactivates users of both organizations at once, as small or chunked jobs.
async fn each_organization_is_worked_on_by_itself(world: &mut World) {
    let tenant = Tenant::new(world).await;
    hide(world).await;
    tenant.start(world, &format!("{USERS}{SESSION}{DOC}")).await;
    let before = rows(world).await;
    let jobs = [world.send(&leave("a", "9", "2")).await, world.send(&leave("b", "19", "12")).await];
    let mut ended = Vec::new();
    for job in jobs {
        let job = world.end_of(job).await;
        let certificate = certificate_of(&job);
        ended.push(job);
        assert_eq!((result_of(&certificate, "doc").moved, certificate.orphans), (Some(10), Some(0)));
    }
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner = CASE org WHEN 'a' THEN 2 ELSE 12 END").await, 20);
    assert_eq!(world.number("SELECT count(*) FROM people WHERE status = 'inactive'").await, 2);
    // Users of one organization do not exist for the other.
    let mut across = leave("a", "2", "12");
    across["request_id"] = json!("across");
    assert_eq!(codes_of(&world.hand_over(&across).await), ["unknown_successor"]);
    reverted(world, &ended[0]).await;
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner = 9").await, 10);
    assert_eq!(
        world.number("SELECT count(*) FROM docs WHERE owner = 12").await,
        10,
        "the other organization's job is unaffected"
    );
    reverts_to(world, &ended[1], &before).await;
    tenant.end(world).await;
}

#[on_postgres]
async fn session_setting_limits_work_to_one_organization(world: &mut World) {
    each_organization_is_worked_on_by_itself(world).await;
}

#[on_postgres]
async fn session_setting_works_with_chunks(world: &mut World) {
    world.use_chunks_of(3);
    each_organization_is_worked_on_by_itself(world).await;
}

#[on_postgres]
async fn catalog_over_hidden_rows_needs_session_setting(world: &mut World) {
    let tenant = Tenant::new(world).await;
    let source = format!("{USERS}{DOC}");
    assert!(tenant.check(&source).await.is_ok(), "nothing is hidden yet");
    hide(world).await;
    let faults = tenant.check(&source).await.expect_err("a fault").to_string();
    for says in ["hides rows of people", "hides rows of docs", "[session]", "BYPASSRLS"] {
        assert!(faults.contains(says), "{faults}");
    }
    assert!(tenant.check(&format!("{USERS}{SESSION}{DOC}")).await.is_ok());
    tenant.end(world).await;
}

#[on_postgres]
async fn rows_hidden_later_are_not_certified(world: &mut World) {
    let tenant = Tenant::new(world).await;
    tenant.start(world, &format!("{USERS}{DOC}")).await;
    // Only the documents: users are visible, but none of their documents would be.
    world.sql("ALTER TABLE docs ENABLE ROW LEVEL SECURITY; ALTER TABLE docs FORCE ROW LEVEL SECURITY").await;
    world.send(&leave("a", "9", "2")).await;
    let dead_letter = world.next_dead_letter().await;
    assert!(dead_letter.headers["x-handover-detail"].contains("row-level security"), "{:?}", dead_letter.headers);
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner = 9").await, 10);
    assert_eq!(world.number("SELECT count(*) FROM people WHERE id = 9 AND status = 'active'").await, 1);
    tenant.end(world).await;
}

#[on_postgres]
async fn impossible_session_settings_are_faults(world: &mut World) {
    let tenant = Tenant::new(world).await;
    let own = SESSION.replace("app.org", "search_path");
    let faults = tenant.check(&format!("{USERS}{own}{DOC}")).await.expect_err("a fault").to_string();
    assert!(faults.contains("such a name has a dot"), "{faults}");
    let orgless = USERS.replace("org = \"org\"\n", "");
    let faults = tenant.check(&format!("{orgless}{SESSION}{DOC}")).await.expect_err("a fault").to_string();
    assert!(faults.contains("has no column `org`"), "{faults}");
    tenant.end(world).await;
}

#[on_postgres]
async fn bulk_addresses_are_resolved_within_their_organization(world: &mut World) {
    let tenant = Tenant::new(world).await;
    world.sql("UPDATE people SET mail = 'p' || CAST(id % 10 AS text) || '@example.com'").await;
    hide(world).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (catalog, file) = (folder.path().join("catalog.toml"), folder.path().join("leavers.csv"));
    std::fs::write(&catalog, format!("{USERS}{SESSION}{DOC}")).expect("a catalog");
    let rows = "org_id,email,deactivated,requested_by,successor\n\
        a,p9@example.com,y,p1@example.com,p2@example.com\nb,P9@example.com,y,11,p2@example.com\n";
    std::fs::write(&file, rows).expect("a file");
    let mut settings = settings_of(world);
    settings.retain(|(name, _)| name != "HANDOVER_DATABASE__URL");
    settings.push(("HANDOVER_DATABASE__URL".into(), tenant.url.clone()));
    settings.push(("HANDOVER_CATALOG".into(), text(&catalog).into()));
    let child = binary(&borrowed(&settings), &["bulk", text(&file), "--json"]).spawn().expect("the binary");
    let ended = tokio::task::block_in_place(|| finish(child, b"")).expect(0).json_lines();
    // The same addresses belong to other users there.
    let reported = |row: &Value| (row["user"].clone(), row["outcome"].clone(), row["records"].clone());
    assert_eq!(reported(&ended[0]), (json!("9"), json!("ok"), json!(10)));
    assert_eq!(reported(&ended[1]), (json!("19"), json!("ok"), json!(10)));
    tenant.end(world).await;
}
