//! Forced row-level security, with and without the session setting that its policies read. PostgreSQL only.

use std::collections::BTreeMap;
use std::sync::Arc;

use handover::catalog::{Checked, Faults, check};
use handover::contract::{SkipReason, UserId};
use handover::job::State;
use handover::stages::{Catalogs, Context, undo};
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
    for says in ["hides rows of people, docs", "[session] settings = { \"app.org\" = \"{org}\" }", "BYPASSRLS"] {
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

/// Proves that `[session]` must set what the policies read, directly or by a function, and nothing else.
#[on_postgres]
async fn session_settings_are_those_of_the_policies(world: &mut World) {
    let tenant = Tenant::new(world).await;
    hide(world).await;
    let with = |name: &str, value: &str| format!("{USERS}[session]\nsettings = {{ \"{name}\" = \"{value}\" }}\n{DOC}");
    for (name, value, faults) in [
        ("app.org", "{org}", &[][..]),
        (
            "app.org_id",
            "{org}",
            &["people, docs reads the setting `app.org`", "no policy of row-level security reads `app.org_id`"],
        ),
        ("app.org", "{organization}", &["`{organization}` is not known: only `{org}`"]),
    ] {
        match tenant.check(&with(name, value)).await {
            Ok(_) => assert!(faults.is_empty(), "{name} = {value}"),
            Err(found) => {
                let found = found.to_string();
                assert!(!faults.is_empty() && faults.iter().all(|says| found.contains(says)), "{found}");
            }
        }
    }
    world
        .sql(
            "CREATE FUNCTION tenant() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN current_setting('app.tenant', true); END $$; \
             DROP POLICY own ON docs; CREATE POLICY own ON docs USING (org = tenant())",
        )
        .await;
    let found = tenant.check(&with("app.org", "{org}")).await.expect_err("a fault").to_string();
    assert!(found.contains("docs reads the setting `app.tenant`"), "{found}");

    // The owner of the database is a superuser.
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    let both = "[session]\nsettings = { \"app.org\" = \"{org}\", \"app.tenant\" = \"{org}\" }\n";
    let checked = check("test", &format!("{USERS}{both}{DOC}"), &schema).expect("no faults");
    assert!(checked.warnings.iter().any(|warning| warning.message.contains("this role sees all rows of people, docs")));
    tenant.end(world).await;
}

/// Proves that a job stops if a row points at a row that its transactions do not see.
#[on_postgres]
async fn hidden_parents_stop_the_job(world: &mut World) {
    let tenant = Tenant::new(world).await;
    world
        .sql(&format!(
            "CREATE TABLE stars (id BIGINT PRIMARY KEY, doc BIGINT REFERENCES docs, owner BIGINT); \
             INSERT INTO stars SELECT id, id, owner FROM docs WHERE owner = 9; ALTER TABLE stars OWNER TO {role}; \
             ALTER TABLE docs ENABLE ROW LEVEL SECURITY; ALTER TABLE docs FORCE ROW LEVEL SECURITY; \
             CREATE POLICY own ON docs USING (org = current_setting('app.org', true) AND id <> 4)",
            role = tenant.role
        ))
        .await;
    let star = DOC.replace("doc", "star");
    tenant.start(world, &format!("{USERS}{SESSION}{star}{DOC}")).await;
    let mut request = leave("a", "9", "2");
    request["reassign"]["star"] = json!({ "user": "2" });
    let job = world.hand_over(&request).await;
    assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["row_refused".to_owned()]));
    assert!(job.reasons.expect("reasons").to_string().contains("row-level security hides"));
    world.sql("DROP TABLE stars").await;
    tenant.end(world).await;
}

/// Proves that a preview of an undo reads only its own snapshots, counts as the undo does, and finds rows that are occupied.
#[on_postgres]
async fn undo_is_previewed_under_row_level_security(world: &mut World) {
    let tenant = Tenant::new(world).await;
    hide(world).await;
    world
        .sql(&format!(
            "CREATE TABLE marks (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), doc BIGINT NOT NULL, owner BIGINT NOT NULL, org TEXT NOT NULL, UNIQUE (doc, owner)); \
             INSERT INTO marks (doc, owner, org) SELECT n, 9, 'a' FROM generate_series(1, 300) n; \
             CREATE TABLE pins (id BIGINT PRIMARY KEY, owner BIGINT NOT NULL, org TEXT NOT NULL); INSERT INTO pins SELECT n, 9, 'a' FROM generate_series(1, 1000) n; \
             ALTER TABLE marks OWNER TO {role}; ALTER TABLE pins OWNER TO {role}; \
             ALTER TABLE marks ENABLE ROW LEVEL SECURITY; ALTER TABLE marks FORCE ROW LEVEL SECURITY; \
             CREATE POLICY own ON marks USING (org = current_setting('app.org', true)); ANALYZE marks; ANALYZE pins",
            role = tenant.role
        ))
        .await;
    let removed = |kind: &str| DOC.replace("doc", kind).replace("transfer", "detach");
    tenant.start(world, &format!("{USERS}{SESSION}{}{}{DOC}", removed("pin"), removed("mark"))).await;
    let job = world.hand_over(&leave("a", "9", "2")).await;
    certificate_of(&job);
    world
        .sql("ANALYZE handover.row_snapshots; INSERT INTO marks (doc, owner, org) VALUES (1, 9, 'a'), (2, 9, 'a')")
        .await;
    let requester = UserId::try_from("1".to_owned()).expect("an id");
    let preview = undo::preview::revert(&world.context, &job, &requester).await.expect("a preview");
    let previewed =
        |kind: &str| preview.references.iter().find(|result| result.kind == kind).expect("a result").clone();
    assert_eq!(previewed("mark").skipped, BTreeMap::from([(SkipReason::Occupied, 2)]));
    let undone = reverted(world, &job).await;
    for kind in ["mark", "pin", "doc"] {
        let (undone, previewed) = (result_of(&undone, kind), previewed(kind));
        assert_eq!(
            (undone.restored, undone.skipped, undone.found),
            (previewed.restored, previewed.skipped, previewed.found),
            "{kind}"
        );
    }
    world.sql("DROP TABLE marks, pins").await;
    tenant.end(world).await;
}
