//! The world of one test.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use handover::broker::{Broker, Sender};
use handover::catalog::{Catalog, Rights, check};
use handover::contract::{Certificate, HandoverRequest, JobId, Reason, ReferenceResult, read_request};
use handover::job::State;
use handover::stages::intake::Message;
use handover::stages::{Catalogs, Context, EventSettings, Limits, ScimLimits};
use handover::store::ledger::jobs::{self, Job};
use handover::store::{Store, host};
use handover::worker::throttle::Pace;
use handover::worker::{self, Role};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::broker::{self, BrokerClient, DeadMessage, amqp_url};
use super::database::{self, Database};
use super::rabbitmq::RabbitMq;

/// The time limit for every wait in a test.
pub const LIMIT: Duration = Duration::from_secs(60);

/// An application with the reference CRM and the demo's data, Handover's ledger, and a broker.
pub struct World {
    pub engine: Engine,
    /// The database as its owner sees it.
    pub store: Store,
    /// The context of the workers. Their role has exactly the grants that it needs.
    pub context: Context,
    rights: Rights,
    pub client: BrokerClient,
    pub prefix: String,
    database: Database,
    /// RabbitMQ of this test, if the shared server does not suffice.
    rabbitmq: Option<Arc<RabbitMq>>,
    workers: Vec<(CancellationToken, JoinHandle<anyhow::Result<()>>)>,
}

/// Runs a test in its own world, and cleans up even if the test fails.
pub fn run(engine: Engine, test: impl AsyncFnOnce(&mut World)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut world = World::new(engine).await;
        let passed = AssertUnwindSafe(test(&mut world)).catch_unwind().await;
        world.end().await;
        if let Err(panic) = passed {
            std::panic::resume_unwind(panic);
        }
    });
}

impl World {
    async fn new(engine: Engine) -> World {
        let database = Database::create(engine).await;
        let store = Store::open(&database.settings).await.expect("the database");
        let prefix = format!("test-{}", uuid::Uuid::new_v4().simple());
        let client = match engine {
            Engine::Sqlite => BrokerClient::local(&store).await,
            Engine::Postgres => {
                // The first worker declares the topology. This broker does the same and consumes nothing.
                broker::amqp(&amqp_url(), &prefix).await.close().await;
                BrokerClient::amqp(&amqp_url(), &prefix).await
            }
        };
        let worker = Store::open(&database.worker).await.expect("the database");
        let context = context(&worker, &catalog_source("keap")).await;
        let rights = Rights::of(&context.catalogs.current());
        World { engine, store, context, rights, client, prefix, database, rabbitmq: None, workers: Vec::new() }
    }

    async fn end(&mut self) {
        self.stop_workers().await;
        if self.rabbitmq.is_none() {
            self.client.clean_up().await;
        }
        self.context.store.clone().close().await;
        self.store.clone().close().await;
        self.database.remove().await;
    }

    /// Switches to a RabbitMQ server of the test with these settings, which the test may break. Returns nothing, and
    /// prints a message, if it cannot be started here.
    pub async fn use_own_rabbitmq(&mut self, tested: &str, settings: &str) -> Option<Arc<RabbitMq>> {
        let rabbitmq = Arc::new(tokio::task::block_in_place(|| RabbitMq::start(tested, settings))?);
        self.client.clean_up().await;
        self.rabbitmq = Some(rabbitmq.clone());
        self.broker().await.close().await;
        self.client = BrokerClient::amqp(&self.broker_url(), &self.prefix).await;
        Some(rabbitmq)
    }

    /// Makes workers use another database address from here on.
    pub async fn use_database_url(&mut self, url: String) {
        self.database.worker.url = url;
        let store = Store::open(&self.database.worker).await.expect("the database");
        std::mem::replace(&mut self.context.store, store).close().await;
    }

    /// Returns RabbitMQ's address.
    pub fn broker_url(&self) -> String {
        self.rabbitmq.as_ref().map_or_else(amqp_url, |rabbitmq| rabbitmq.url())
    }

    /// Switches to another catalog over the tables of this database.
    pub async fn use_catalog(&mut self, source: &str) {
        let limits = self.context.limits;
        self.context = context(&self.context.store, source).await;
        self.context.limits = limits;
        self.grant_more().await;
    }

    /// Uses a catalog as [`World::use_catalog`] does, after the tables of earlier ones were dropped.
    pub async fn use_catalog_alone(&mut self, source: &str) {
        self.rights.0.clear();
        self.use_catalog(source).await;
    }

    /// Grants the workers what the current catalog needs, in addition to earlier grants.
    pub async fn grant_more(&mut self) {
        self.rights.add(&self.context.catalogs.current());
        if self.engine == Engine::Postgres {
            database::grant(&self.store, &self.rights).await;
        }
    }

    /// Adds a company to the application: one of the demo's seeds, with the catalog of the same name.
    pub async fn use_product(&mut self, name: &str, records: u32) {
        let found = handover_migrations::SEEDS.into_iter().find(|(seed, _)| *seed == name);
        let seed = found.expect("a seed").1.replace("{records}", &records.to_string());
        self.store.run_script("adding a company", &seed).await.expect("the seed");
        if self.engine == Engine::Postgres {
            let sequences = include_str!("../../../migrations/seed/postgres_sequences.sql");
            self.store.run_script("moving sequences on", sequences).await.expect("sequences");
        }
        self.use_catalog(&catalog_source(name)).await;
    }

    /// Sets the size of chunks, so that small jobs become chunked ones.
    pub fn use_chunks_of(&mut self, rows: u64) {
        self.context.limits.chunk_rows = rows;
    }

    /// Opens a broker as a worker does.
    pub async fn broker(&self) -> Arc<dyn Broker> {
        match self.engine {
            Engine::Sqlite => broker::local(&self.store).await,
            Engine::Postgres => broker::amqp(&self.broker_url(), &self.prefix).await,
        }
    }

    /// Starts a worker with all roles.
    pub async fn start_worker(&mut self) {
        self.start_roles(&Role::ALL).await;
    }

    /// Starts a worker with some roles.
    pub async fn start_roles(&mut self, roles: &[Role]) {
        let broker = self.broker().await;
        self.start_roles_on(roles, broker);
    }

    /// Starts a worker on a broker of the test.
    pub fn start_roles_on(&mut self, roles: &[Role], broker: Arc<dyn Broker>) {
        let (context, roles) = (self.context.clone(), roles.to_vec());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move { worker::run(context, broker, &roles, settings(), stopped).await });
        self.workers.push((stop, task));
    }

    /// Drains the workers.
    pub async fn stop_workers(&mut self) {
        for (stop, task) in self.workers.drain(..) {
            stop.cancel();
            task.await.expect("the worker").expect("the worker ends without an error");
        }
    }

    /// Sends a request to the queue and returns the id of its job.
    pub async fn send(&self, request: &Value) -> JobId {
        let body = request.to_string().into_bytes();
        let id = read_request(&body).expect("a readable request").job_id();
        self.client.send(body).await;
        id
    }

    /// Sends a request and waits until its job ends or is held. Needs a worker.
    pub async fn hand_over(&self, request: &Value) -> Job {
        let id = self.send(request).await;
        self.end_of(id).await
    }

    /// Sends a request and returns the certificate of its completed job.
    pub async fn certificate(&self, request: &Value) -> Certificate {
        let job = self.hand_over(request).await;
        certificate_of(&job)
    }

    /// Waits until a job ends or is held.
    pub async fn end_of(&self, id: JobId) -> Job {
        let ended = |state: State| state.is_final() || state.is_held();
        self.until(&format!("the job {id} ends"), async || {
            let job = match jobs::get(&self.store.reader(), id.0).await {
                // After an outage the next attempt uses a new connection.
                Err(error) if error.is_transient() => None,
                job => job.expect("the ledger"),
            }?;
            ended(job.state).then_some(job)
        })
        .await
    }

    /// Returns a job as it is now.
    pub async fn job(&self, id: JobId) -> Option<Job> {
        jobs::get(&self.store.reader(), id.0).await.expect("the ledger")
    }

    /// Waits for a condition, within the limit.
    pub async fn until<T>(&self, what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
        self.until_within(LIMIT, what, condition).await
    }

    /// Waits for a condition with a longer limit.
    pub async fn until_within<T>(&self, limit: Duration, what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            assert!(tokio::time::Instant::now() < deadline, "timed out waiting until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns the next event of a job, and skips others.
    pub async fn next_event_of(&mut self, job: JobId) -> Value {
        loop {
            let event = self.client.next_event(LIMIT).await.expect("an event within the limit");
            if event["data"]["job_id"] == job.to_string() {
                return event;
            }
        }
    }

    /// Takes the next dead letter.
    pub async fn next_dead_letter(&self) -> DeadMessage {
        self.client.next_dead_letter(LIMIT).await.expect("a dead letter within the limit")
    }

    /// Runs a statement on the host's tables, as the application does.
    pub async fn sql(&self, statement: &str) {
        let statement = &self.with_ledger_names(statement);
        let session = self.store.begin("host").await.expect("a transaction");
        if self.engine == Engine::Postgres {
            // On PostgreSQL the role and the ledger's schema share a name, so that schema comes first on the search
            // path.
            session.execute_unprepared("SET LOCAL search_path TO public").await.expect("the host's own tables");
        }
        session.execute_unprepared(statement).await.expect(statement);
        session.commit().await.expect("committed");
    }

    /// Returns the database's address for its owner.
    pub fn database_url(&self) -> &str {
        &self.database.settings.url
    }

    /// Returns the database's address for a worker.
    pub fn worker_url(&self) -> &str {
        &self.database.worker.url
    }

    /// Simulates an active host on PostgreSQL: runs transactions without pause until aborted.
    pub async fn host_at_work(&self) -> JoinHandle<()> {
        let url = format!("{}?application_name=host", self.database_url());
        let host = sea_orm::Database::connect(url).await.expect("a connection of the host");
        tokio::spawn(async move { while host.execute_unprepared("SELECT pg_sleep(0.05)").await.is_ok() {} })
    }

    /// Names the ledger's tables as the engine does: on SQLite, a prefix takes the place of the schema.
    pub fn with_ledger_names(&self, statement: &str) -> String {
        match self.engine {
            Engine::Sqlite => statement.replace(" handover.", " handover_"),
            Engine::Postgres => statement.to_owned(),
        }
    }

    /// Returns the number of a query with one column and one row.
    pub async fn number(&self, query: &str) -> i64 {
        let query = &self.with_ledger_names(query);
        let session = self.store.reader();
        let sql = session.sql(&format!("SELECT CAST(q.n AS bigint) AS n FROM ({query}) AS q(n)"));
        let sql = if self.engine == Engine::Sqlite {
            session.sql(&format!("SELECT CAST(({query}) AS bigint) AS n"))
        } else {
            sql
        };
        let row = session.one("counting", sql).await.expect(query).expect("a row");
        row.get("n").expect("a number")
    }

    /// Returns the texts of a query with one column, cast to text and named `t`.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let query = &self.with_ledger_names(query);
        let session = self.store.reader();
        let rows = session.all("reading", session.sql(query)).await.expect(query);
        rows.iter().map(|row| row.get("t").expect("a text")).collect()
    }
}

/// Returns the certificate of a completed job.
pub fn certificate_of(job: &Job) -> Certificate {
    let certificate = job.certificate.clone();
    let certificate = certificate.unwrap_or_else(|| panic!("the job is {}: {:?}", job.state, job.reasons));
    serde_json::from_value(certificate).expect("a certificate")
}

/// Returns a certificate's result for a kind.
pub fn result_of(certificate: &Certificate, kind: &str) -> ReferenceResult {
    let found = certificate.references.iter().find(|reference| reference.kind == kind);
    found.unwrap_or_else(|| panic!("the certificate has no result for {kind}")).clone()
}

/// Returns how many records of a kind each successor received.
pub fn successors_of(certificate: &Certificate, kind: &str) -> BTreeMap<String, u64> {
    result_of(certificate, kind).successors
}

/// Returns counts by user, to compare with a certificate's.
pub fn counts<U: ToString, const N: usize>(expected: [(U, u64); N]) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(user, count)| (user.to_string(), count)).collect()
}

/// Returns the codes of a job's reasons.
pub fn codes_of(job: &Job) -> Vec<String> {
    reasons_of(job).into_iter().map(|reason| reason.code.to_string()).collect()
}

/// Returns the reasons of a rejected or held job.
pub fn reasons_of(job: &Job) -> Vec<Reason> {
    let reasons = job.reasons.clone().unwrap_or_else(|| panic!("the job is {}, without a reason", job.state));
    serde_json::from_value(reasons).expect("reasons")
}

/// Returns the request of the Keap help page's example.
pub fn keap_request(request_id: &str) -> Value {
    super::keap::example(request_id).clone()
}

/// Returns a body as it comes from the queue.
pub fn message(body: impl Into<Vec<u8>>) -> Message<'static> {
    let body = body.into();
    Message {
        routing_key: broker::key_of(&body).into(),
        body: body.into(),
        sender: &Sender::Claimed,
        traceparent: None,
    }
}

/// Reads a request as the planner does.
pub fn read(request: &Value) -> HandoverRequest {
    let read = read_request(request.to_string().as_bytes()).expect("a readable request");
    read.into_handover().expect("a handover request")
}

/// Returns the text of an embedded catalog.
pub fn catalog_source(name: &str) -> String {
    let found = handover::catalog::EMBEDDED.into_iter().find(|(embedded, _)| *embedded == name);
    found.expect("an embedded catalog").1.to_owned()
}

async fn context(store: &Store, source: &str) -> Context {
    let schema = host::read_schema(&store.reader()).await.expect("the schema");
    let checked = check("test", source, &schema).unwrap_or_else(|faults| panic!("{faults}"));
    let fingerprints = host::fingerprints(&store.reader(), &checked.catalog).await.expect("the schema");
    let catalogs = Arc::new(Catalogs::new(Catalog { fingerprints, ..checked.catalog }));
    let events = EventSettings { assigned: true };
    Context { store: store.clone(), catalogs, limits: limits(), events, throughput: Arc::default() }
}

fn limits() -> Limits {
    Limits {
        group: 50,
        chunk_rows: 1000,
        // The test alone decides the chunk size, however busy the machine is.
        chunk_time: Duration::from_secs(3600),
        chunks_per_cut: 7,
        window: 3,
        chunk_attempts: 3,
        deferrals: 10,
        late_passes: 5,
        stalled_after: Duration::from_secs(2),
        recount_for: Duration::from_secs(3600),
        recount_every: Duration::from_secs(600),
        keep_events: Duration::from_secs(3600),
        scim: ScimLimits::default(),
    }
}

fn settings() -> worker::Settings {
    worker::Settings {
        planners: 2,
        movers: 2,
        pace: Pace::DEFAULT,
        relay_batch: 100,
        poll: Duration::from_millis(50),
        sweep_every: Duration::from_millis(200),
        grace: Duration::from_secs(20),
    }
}
