//! Who sends a request over AMQP: RabbitMQ validates `user_id`, and the settings say whose it is.

use std::path::Path;

use handover::contract::{JobId, RequestType, TokenScope};
use handover::job::State;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::api::{ApiServer, service_token};
use crate::support::broker::{BrokerClient, DeadMessage};
use crate::support::keap::{ADMIN, AMANDA, leaver};
use crate::support::process::{Ended, WorkerProcess, binary, borrowed, finish, run, settings, start_worker, text};
use crate::support::{World, on_postgres};

/// The RabbitMQ users of these tests. The settings list the first two.
const ACCOUNTS: [&str; 3] = ["crm-app", "Amanda", "mallory"];

const LISTED: &str = r#"crm-app = { service = "crm", org = "1" }, Amanda = { user = "12", org = 1 }"#;

const SCOPES: [TokenScope; 2] = [TokenScope::JobsRead, TokenScope::JobsWrite];

/// A RabbitMQ of the test with users, and settings that list some of them.
struct Senders {
    folder: TempDir,
    server: String,
}

impl Senders {
    async fn start(world: &mut World) -> Option<Senders> {
        let rabbitmq = world.use_own_rabbitmq("who sends a message", "").await?;
        for account in ACCOUNTS {
            rabbitmq.control(&["add_user", account, "secret"]);
            rabbitmq.control(&["set_permissions", account, ".*", ".*", ".*"]);
        }
        let senders = Senders { folder: tempfile::tempdir().expect("a folder"), server: world.broker_url() };
        senders.list(LISTED);
        Some(senders)
    }

    fn list(&self, principals: &str) {
        std::fs::write(self.file(), format!("[broker]\nprincipals = {{ {principals} }}\n")).expect("a file");
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("handover.toml")
    }

    fn worker(&self, world: &World, more: &[(&str, &str)]) -> WorkerProcess {
        let file = self.file();
        start_worker(world, &[&[("HANDOVER_CONFIG", text(&file))], more].concat())
    }

    /// Sends a body from the account of a RabbitMQ user.
    async fn send(&self, world: &World, account: &str, body: &Value, properties: BasicProperties) {
        let url = self.server.replace("guest:guest", &format!("{account}:secret"));
        let client = BrokerClient::amqp(&url, &world.prefix).await;
        client.send_with(body.to_string().into_bytes(), properties.with_delivery_mode(2)).await;
    }

    /// Sends a body from the account that its `user_id` states.
    async fn send_as(&self, world: &World, account: &str, body: &Value) {
        self.send(world, account, body, stating(account)).await;
    }
}

fn stating(account: &str) -> BasicProperties {
    BasicProperties::default().with_user_id(account.into())
}

/// Returns properties that forge the header of a stored principal.
fn forging(properties: BasicProperties, principal: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("x-handover-principal".into(), AMQPValue::LongString(principal.into()));
    properties.with_headers(headers)
}

/// The leaver's request, without requester and organization.
fn unsigned(request_id: &str) -> Value {
    let mut request = leaver().with("request_id", json!(request_id)).clone();
    let fields = request.as_object_mut().expect("an object");
    fields.remove("requested_by");
    fields.remove("org_id");
    request
}

fn job_of(request_id: &str) -> JobId {
    JobId::of("1", &request_id.to_owned().try_into().expect("an id"))
}

async fn granted(world: &World) -> String {
    service_token(world, "crm", &[RequestType::Deactivate], &SCOPES).await
}

/// Runs a command with the settings of a test.
fn command(world: &World, file: &Path, arguments: &[&str]) -> Ended {
    let settings = settings(world);
    let environment = [borrowed(&settings), vec![("HANDOVER_CONFIG", text(file))]].concat();
    let child = binary(&environment, arguments).spawn().expect("the binary");
    tokio::task::block_in_place(|| finish(child, b""))
}

fn replayed(letter: &DeadMessage) -> Option<&str> {
    letter.headers.get("x-handover-replays").map(String::as_str)
}

/// Promise: the account of a message is a principal, as the owner of a token is, and the same request over HTTP is the same job.
#[on_postgres]
async fn listed_account_says_who_asks(world: &mut World) {
    let Some(senders) = Senders::start(world).await else { return };
    let token = &granted(world).await;
    let _worker = senders.worker(world, &[]);
    senders.send_as(world, "Amanda", &unsigned("of amanda")).await;
    let refused = world.end_of(job_of("of amanda")).await;
    assert_eq!((refused.state, refused.requested_by.as_str()), (State::Rejected, AMANDA));
    senders.send_as(world, "crm-app", &unsigned("r1")).await;
    let job = world.end_of(job_of("r1")).await;
    assert_eq!((job.state, job.requested_by.as_str()), (State::Completed, "service:crm"));
    let server = ApiServer::start(world).await;
    server.put(token, &unsigned("r1")).answer().await.expect(200);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE request_id = 'r1'").await, 1);
}

/// Promise: with a list of principals, a message of any other account does nothing, whatever it claims, and its id stays free.
#[on_postgres]
async fn unlisted_accounts_and_claims_do_nothing(world: &mut World) {
    let Some(senders) = Senders::start(world).await else { return };
    granted(world).await;
    let _worker = senders.worker(world, &[]);
    let request = leaver().with("request_id", json!("r1"));
    let forged = r#"{"user":"1","org":"1"}"#;
    for (account, properties) in [
        ("mallory", stating("mallory")),
        ("mallory", BasicProperties::default()),
        ("crm-app", BasicProperties::default()),
        ("mallory", forging(stating("mallory"), forged)),
        ("crm-app", forging(BasicProperties::default(), forged)),
    ] {
        senders.send(world, account, &request, properties).await;
        let letter = world.next_dead_letter().await;
        assert_eq!((letter.reason(), letter.path()), ("unknown_sender", "."), "{account}: {letter:?}");
    }
    let elsewhere = leaver().with("request_id", json!("r1")).with("org_id", json!("2"));
    for (body, field) in [(&request, "requested_by"), (&elsewhere, "org_id")] {
        senders.send(world, "crm-app", body, forging(stating("crm-app"), forged)).await;
        let letter = world.next_dead_letter().await;
        assert_eq!((letter.reason(), letter.path()), ("other_principal", field), "{letter:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 0);
    senders.send_as(world, "crm-app", &unsigned("r1")).await;
    assert_eq!(world.end_of(job_of("r1")).await.state, State::Completed);
}

/// Promise: a replay is of who sent the message first, not of the operator; an account that is listed by then is a principal.
#[on_postgres]
async fn replay_keeps_the_sender(world: &mut World) {
    let Some(senders) = Senders::start(world).await else { return };
    granted(world).await;
    let file = senders.file();
    let replay = |world: &World| command(world, &file, &["dead", "replay", "--all", "--by", "ops"]).expect(0);
    let worker = senders.worker(world, &[]);
    // As a claim of the worker's own account, the administrator's request would be taken.
    senders.send_as(world, "crm-app", &leaver()).await;
    let dead = async |count| (world.client.waiting("dead").await == count).then_some(());
    world.until("the claim is set aside", async || dead(1).await).await;
    replay(world);
    let letter = world.next_dead_letter().await;
    assert_eq!((letter.reason(), replayed(&letter)), ("other_principal", Some("1")), "{letter:?}");
    senders.send_as(world, "mallory", &unsigned("r2")).await;
    world.until("the stranger is set aside", async || dead(1).await).await;
    replay(world);
    world
        .until("the stranger is set aside again", async || {
            let listed = command(world, &file, &["dead", "list", "--json"]).expect(0).json_lines();
            listed.first().is_some_and(|letter| letter["replays"] == 1).then_some(())
        })
        .await;
    assert_eq!(worker.stop(), 0);
    senders.list(&format!("{LISTED}, mallory = {{ service = \"crm\", org = \"1\" }}"));
    let _worker = senders.worker(world, &[]);
    replay(world);
    assert_eq!(world.end_of(job_of("r2")).await.requested_by, "service:crm");
}

/// Promise: a request that is put off keeps its sender.
#[on_postgres]
async fn deferred_request_keeps_the_sender(world: &mut World) {
    let Some(senders) = Senders::start(world).await else { return };
    granted(world).await;
    let held = world.store.begin("test").await.expect("a transaction");
    let row = held.sql("UPDATE users SET status = status WHERE id = 53");
    held.run("holding the leaver", row).await.expect("held");
    let _worker = senders.worker(world, &[("HANDOVER_DATABASE__LOCK_TIMEOUT", "200ms")]);
    senders.send_as(world, "crm-app", &unsigned("r1")).await;
    let put_off = "SELECT count(*) FROM handover.outbox WHERE channel = 'requests'";
    world.until("it is put off", async || (world.number(put_off).await > 0).then_some(())).await;
    held.commit().await.expect("released");
    assert_eq!(world.end_of(job_of("r1")).await.requested_by, "service:crm");
}

/// Promise: the worker's own account is the operator's, who may send requests for anybody.
#[on_postgres]
async fn operator_sends_for_any_requester(world: &mut World) {
    let Some(senders) = Senders::start(world).await else { return };
    let _worker = senders.worker(world, &[]);
    let file = senders.folder.path().join("request.json");
    std::fs::write(&file, leaver().to_string()).expect("a file");
    command(world, &senders.file(), &["submit", text(&file)]).expect(0);
    assert_eq!(world.end_of(job_of("r1")).await.requested_by, ADMIN);
}

/// Promise: principals that cannot work are refused at the start.
#[test]
fn impossible_principals_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("handover.toml");
    for (url, principals, says) in [
        ("local", "{ a = { service = \"crm\" } }", "requires RabbitMQ"),
        ("amqp://worker:x@127.0.0.1", "{ worker = { service = \"crm\" } }", "a user of its own"),
        ("amqp://a:x@127.0.0.1,amqp://b:x@127.0.0.1", "{ crm = { service = \"crm\" } }", "one user name"),
        ("amqp://a:x@127.0.0.1", "{ crm = { user = \"7\", service = \"crm\" } }", "a table of RabbitMQ users"),
        ("amqp://a:x@127.0.0.1", "\"crm\"", "a table of RabbitMQ users"),
    ] {
        std::fs::write(&file, format!("[broker]\nurl = \"{url}\"\nprincipals = {principals}\n")).expect("a file");
        let refused = run(&[("HANDOVER_CONFIG", text(&file))], &["jobs"]).expect(1);
        assert!(refused.err.contains("broker.principals") && refused.err.contains(says), "{url}: {}", refused.err);
    }
}
