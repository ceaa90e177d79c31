//! A database for each test, copied from a template with the reference CRM, the ledger and the demo's data.

use std::path::PathBuf;
use std::time::Duration;

use handover::catalog::{EMBEDDED, Rights, check};
use handover::store::{Settings, Store, grants, host};
use tokio::sync::OnceCell;

use super::Engine;

/// The role of the workers on PostgreSQL. It has exactly the grants that `handover catalog grants` prints.
pub const WORKER: &str = "handover_worker_of_tests";

/// The role's password. It appears nowhere else, so that any occurrence is a leak.
pub const PASSWORD: &str = "w0rker s3cret/word";

/// A test's database, dropped by [`Database::drop_it`].
pub struct Database {
    /// The settings of its owner.
    pub settings: Settings,
    /// The settings of a worker.
    pub worker: Settings,
    engine: Engine,
    name: String,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    pub async fn create(engine: Engine) -> Database {
        match engine {
            Engine::Sqlite => create_sqlite().await,
            Engine::Postgres => create_postgres().await,
        }
    }

    pub async fn remove(&self) {
        if self.engine == Engine::Postgres {
            administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
        }
    }
}

pub fn settings(url: String) -> Settings {
    Settings {
        url,
        max_connections: 8,
        lock_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(30),
        idle_in_transaction_timeout: Duration::from_secs(30),
        acquire_timeout: Duration::from_secs(20),
        time_zone: String::new(),
    }
}

/// Creates the reference CRM and the ledger. The demo's leaver gets this many contacts.
pub async fn fill(store: &Store, records: u32) {
    store.migrate_reference_crm().await.expect("the reference CRM");
    store.migrate().await.expect("the ledger");
    let seed = handover_migrations::KEAP_SEED.replace("{records}", &records.to_string());
    store.run_script("filling the template", &seed).await.expect("the seed");
}

async fn create_sqlite() -> Database {
    static TEMPLATE: OnceCell<(tempfile::TempDir, PathBuf)> = OnceCell::const_new();
    let (_, template) = TEMPLATE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("template.db");
            let store =
                Store::create(&settings(format!("sqlite://{}?mode=rwc", file.display()))).await.expect("SQLite");
            fill(&store, 104).await;
            store.close().await;
            (folder, file)
        })
        .await;
    let folder = folder();
    let file = folder.path().join("test.db");
    std::fs::copy(template, &file).expect("a copy of the template");
    let settings = settings(format!("sqlite://{}?mode=rwc", file.display()));
    let worker = settings.clone();
    Database { settings, worker, engine: Engine::Sqlite, name: String::new(), _folder: Some(folder) }
}

/// A folder for a database, in memory where `deploy/services env` names such a place.
fn folder() -> tempfile::TempDir {
    let parent = std::env::var_os("HANDOVER_TEST_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).expect("a folder")
}

async fn create_postgres() -> Database {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(postgres_template).await;
    let name = format!("handover_test_{}", uuid::Uuid::new_v4().simple());
    administer(&format!("CREATE DATABASE {name} TEMPLATE {template} {}", copying().await)).await;
    let mut worker = url::Url::parse(&url_of(&name)).expect("a URL");
    worker.set_username(WORKER).expect("a name");
    worker.set_password(Some(PASSWORD)).expect("a password");
    let (settings, worker) = (settings(url_of(&name)), settings(worker.to_string()));
    Database { settings, worker, engine: Engine::Postgres, name, _folder: None }
}

/// The option to copy a template by file where the server can, which takes a tenth of the time of writing it to the log.
async fn copying() -> &'static str {
    static IS_BY_FILE: OnceCell<bool> = OnceCell::const_new();
    let is_by_file = IS_BY_FILE
        .get_or_init(|| is_true("SELECT 1 WHERE current_setting('server_version_num')::integer >= 150000"))
        .await;
    if *is_by_file { "STRATEGY FILE_COPY" } else { "" }
}

/// Returns the template for this build, created once for all runs. Its name is a hash of its sources.
async fn postgres_template() -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let sequences = include_str!("../../../migrations/seed/postgres_sequences.sql");
    let mut hasher = DefaultHasher::new();
    let ledger = [
        include_str!("../../../migrations/src/ledger.rs"),
        include_str!("../../../migrations/src/access_ended.rs"),
        include_str!("../../../migrations/src/outbox_due.rs"),
        include_str!("../../../migrations/src/catalog_versions.rs"),
        include_str!("../../../migrations/src/job_chain.rs"),
        include_str!("../../../migrations/src/tokens.rs"),
        include_str!("../../../migrations/src/scim_connections.rs"),
        include_str!("../../../migrations/src/uploads.rs"),
        include_str!("../../../migrations/src/scim_links.rs"),
        include_str!("../../../migrations/src/sign_ins.rs"),
    ];
    let sources = [handover_migrations::KEAP_SEED, sequences];
    let granted = [
        include_str!("../../../src/store/driver/postgres/grants.rs"),
        include_str!("../../../src/catalog/rights.rs"),
        EMBEDDED[0].1,
    ];
    (ledger, sources, granted, WORKER, PASSWORD, CRM_SOURCES).hash(&mut hasher);
    let template = format!("handover_template_{:016x}", hasher.finish());
    if is_true(&format!("SELECT 1 FROM pg_database WHERE datname = '{template}'")).await {
        return template;
    }
    let making = format!("handover_making_{}", uuid::Uuid::new_v4().simple());
    administer(&format!("CREATE DATABASE {making}")).await;
    let store = Store::open(&settings(url_of(&making))).await.expect("PostgreSQL");
    fill(&store, 104).await;
    store.run_script("moving sequences on", sequences).await.expect("sequences");
    administer(&CREATE_WORKER.replace("{worker}", WORKER).replace("{password}", PASSWORD)).await;
    let schema = host::read_schema(&store.reader()).await.expect("the schema");
    let (name, source) = EMBEDDED[0];
    grant(&store, &Rights::of(&check(name, source, &schema).expect("a catalog").catalog)).await;
    store.close().await;
    administer(&format!("ALTER DATABASE {making} RENAME TO {template}")).await;
    template
}

/// Another run may create it at the same time.
const CREATE_WORKER: &str = "DO $$ BEGIN CREATE ROLE {worker} LOGIN PASSWORD '{password}'; \
     EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// Grants these rights to the workers' role and revokes all others.
pub async fn grant(store: &Store, rights: &Rights) {
    let script = grants::script(&store.reader(), rights, WORKER).await.expect("grants");
    store.run_script("granting", &script).await.expect("granted");
}

/// The sources of the reference CRM.
const CRM_SOURCES: [&str; 6] = [
    include_str!("../../../migrations/src/crm.rs"),
    include_str!("../../../migrations/src/crm/administration.rs"),
    include_str!("../../../migrations/src/crm/people.rs"),
    include_str!("../../../migrations/src/crm/records.rs"),
    include_str!("../../../migrations/src/crm/table.rs"),
    include_str!("../../../migrations/src/crm/teams.rs"),
];

/// Returns true if the query on the server's own database finds a row.
async fn is_true(query: &str) -> bool {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};
    let connection = sea_orm::Database::connect(server_url().to_string()).await.expect("PostgreSQL");
    let found = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await.expect("a query");
    connection.close().await.expect("closing");
    found.is_some()
}

fn server_url() -> url::Url {
    let url = std::env::var("HANDOVER_TEST_POSTGRES_URL");
    let url = url.expect("HANDOVER_TEST_POSTGRES_URL is not set: run `make test`, or eval \"$(deploy/services env)\"");
    url::Url::parse(&url).expect("HANDOVER_TEST_POSTGRES_URL is a URL")
}

fn url_of(database: &str) -> String {
    let mut url = server_url();
    url.set_path(database);
    url.to_string()
}

/// Runs a statement on the server's own database. Databases are created one at a time, because a template must not be
/// in use.
pub async fn administer(statement: &str) {
    use sea_orm::ConnectionTrait;
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let connection = sea_orm::Database::connect(server_url().to_string()).await.expect("PostgreSQL");
    connection.execute_unprepared(statement).await.expect(statement);
    connection.close().await.expect("closing");
}

/// Ends every connection to a database and refuses new ones.
pub async fn go_away(database: &str) {
    administer(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false")).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname";
    administer(&format!("{end} = '{database}'")).await;
}

/// Accepts connections again.
pub async fn come_back(database: &str) {
    administer(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).await;
}
