//! The contract for applications that send requests: its document, its examples, and client programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::broker::amqp_url;
use crate::support::process::{Ended, borrowed, finish, run as run_process, settings, text};
use crate::support::world::{LIMIT, keap_request};
use crate::support::{Engine, World, on_postgres, run};

/// Returns the document for a world's settings.
fn asyncapi(world: &World) -> Value {
    let settings = settings(world);
    tokio::task::block_in_place(|| run_process(&borrowed(&settings), &["schema", "asyncapi"])).expect(0).json()
}

/// Returns the folder of the client programs.
fn clients() -> PathBuf {
    let set_up = Command::new("deploy/clients").output().expect("deploy/clients");
    let said = String::from_utf8_lossy(&set_up.stderr);
    assert!(set_up.status.success(), "deploy/clients: {said}");
    PathBuf::from(String::from_utf8(set_up.stdout).expect("UTF-8").trim())
}

/// Runs a client program to its end.
fn run_client(mut command: Command, input: &[u8]) -> Ended {
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    tokio::task::block_in_place(|| {
        finish(command.stderr(std::process::Stdio::piped()).spawn().expect("a program"), input)
    })
}

#[on_postgres]
async fn official_parser_accepts_the_asyncapi_document(world: &mut World) {
    let document = asyncapi(world);
    let folder = clients().join("asyncapi");
    let validate = |document: &Value| {
        let mut node = Command::new("node");
        node.arg(folder.join("validate.mjs"));
        run_client(node, document.to_string().as_bytes())
    };
    validate(&document).expect(0);
    let mut wrong = document.clone();
    wrong["channels"]["requests"]["messages"]["request"]["$ref"] = json!("#/components/messages/nothing");
    validate(&wrong).expect(1);
}

/// Masks values that differ between runs: times.
fn timeless(value: &Value) -> Value {
    match value {
        Value::String(text) if OffsetDateTime::parse(text, &Rfc3339).is_ok() => json!("a time"),
        Value::Array(values) => values.iter().map(timeless).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), timeless(value))).collect())
        }
        other => other.clone(),
    }
}

/// Sends a request and waits for its reply.
async fn ask(channel: &lapin::Channel, replies: &mut lapin::Consumer, world: &World, request: &Value) -> Value {
    let queue = "amq.rabbitmq.reply-to";
    let key = format!("request.{}", request["type"].as_str().expect("a type"));
    let properties = BasicProperties::default().with_delivery_mode(2).with_reply_to(queue.into());
    let (exchange, body) = (world.prefix.as_str().into(), request.to_string());
    let sent = channel.basic_publish(exchange, key.into(), BasicPublishOptions::default(), body.as_bytes(), properties);
    sent.await.expect("sent");
    let reply = tokio::time::timeout(LIMIT, replies.next()).await.expect("a reply within the limit");
    serde_json::from_slice(&reply.expect("a reply").expect("a delivery").data).expect("JSON")
}

#[on_postgres]
async fn contract_examples_match_real_messages(world: &mut World) {
    let file = std::fs::read_to_string("src/cli/schema/examples.json").expect("the examples");
    let examples: Value = serde_json::from_str(&file).expect("JSON");
    world.start_worker().await;
    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await.expect("RabbitMQ");
    let channel = connection.create_channel().await.expect("a channel");
    let consume = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let replies = channel.basic_consume("amq.rabbitmq.reply-to".into(), "".into(), consume, FieldTable::default());
    let mut replies = replies.await.expect("consuming");
    let mut exchanges = Vec::new();
    for exchange in examples["exchanges"].as_array().expect("exchanges") {
        let reply = ask(&channel, &mut replies, world, &exchange["request"]).await;
        if let Some(job) = reply["job_id"].as_str().and_then(|job| job.parse().ok()) {
            world.end_of(handover::contract::JobId(job)).await;
        }
        exchanges.push(json!({ "name": exchange["name"], "request": exchange["request"], "reply": reply }));
    }
    world.until_all_is_published().await;
    let mut events = Map::new();
    for event in world.events().await.into_values().flatten() {
        let kind = event["type"].as_str().expect("a type").to_owned();
        events.entry(kind).or_insert(event);
    }
    let seen = json!({ "exchanges": exchanges, "events": events });
    if timeless(&seen) != timeless(&examples) {
        let kept = "target/contract-examples.json";
        std::fs::write(kept, serde_json::to_string_pretty(&seen).expect("JSON")).expect(kept);
        panic!("the examples differ from the observed messages, which are in {kept}");
    }
    fits_its_schemas(&asyncapi(world), &seen);
}

/// Asserts that the observed messages match the document's schemas.
fn fits_its_schemas(document: &Value, seen: &Value) {
    let check = |message: &str, value: &Value| {
        let mut schema = document["components"]["messages"][message]["payload"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{message}: {error}"));
        let faults: Vec<String> =
            validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{message}: {faults:?}: {value}");
    };
    for exchange in seen["exchanges"].as_array().expect("exchanges") {
        check("reply", &exchange["reply"]);
        if exchange["reply"]["outcome"] != "parked" {
            check("request", &exchange["request"]);
        }
    }
    for (kind, event) in seen["events"].as_object().expect("events") {
        check(kind, event);
    }
}

#[on_postgres]
async fn document_lists_every_queue_exchange_and_header(world: &mut World) {
    let document = asyncapi(world);
    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await.expect("RabbitMQ");
    let mut queues = 0;
    for channel in document["channels"].as_object().expect("channels").values() {
        let amqp = &channel["bindings"]["amqp"];
        let passive = connection.create_channel().await.expect("a channel");
        if let Some(queue) = amqp["queue"]["name"].as_str() {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            passive.queue_declare(queue.into(), options, FieldTable::default()).await.expect(queue);
            queues += 1;
        }
        if let Some(exchange) = amqp["exchange"]["name"].as_str() {
            let options = lapin::options::ExchangeDeclareOptions { passive: true, ..Default::default() };
            let declared =
                passive.exchange_declare(exchange.into(), lapin::ExchangeKind::Topic, options, FieldTable::default());
            declared.await.expect(exchange);
        }
    }
    assert_eq!(queues, 3);
    world.start_worker().await;
    let properties =
        BasicProperties::default().with_delivery_mode(2).with_reply_to("nowhere".into()).with_message_id("m".into());
    world.client.send_with(b"no request".to_vec(), properties.with_correlation_id("c".into())).await;
    let dead_letter: BTreeMap<String, String> = world.next_dead_letter().await.headers;
    let documented = document["components"]["messages"]["dead"]["headers"]["properties"].as_object().expect("headers");
    for name in dead_letter.keys() {
        assert!(documented.contains_key(name), "{name} is not documented");
    }
    assert!(dead_letter.len() >= 9, "{dead_letter:?}");
}

#[test]
fn reply_and_catalog_schemas_accept_real_ones() {
    let schema = |of: &str| {
        let schema = run_process(&[], &["schema", of]).expect(0).json();
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("no JSON Schema: {error}"));
        jsonschema::validator_for(&schema).expect("a schema")
    };
    let file = std::fs::read_to_string("src/cli/schema/examples.json").expect("the examples");
    let examples: Value = serde_json::from_str(&file).expect("JSON");
    let reply = schema("reply");
    assert!(
        examples["exchanges"].as_array().expect("exchanges").iter().all(|exchange| reply.is_valid(&exchange["reply"]))
    );
    assert!(!reply.is_valid(&json!({ "outcome": "perhaps" })));
    let catalog = schema("catalog");
    for (name, source) in handover::catalog::EMBEDDED {
        let written: toml::Table = toml::from_str(source).expect("TOML");
        let written = serde_json::to_value(written).expect("JSON");
        let faults: Vec<String> =
            catalog.iter_errors(&written).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
        let mut slip = written.clone();
        slip["reference"][0]["disposal"] = json!("transfer");
        assert!(!catalog.is_valid(&slip), "{name}");
        let mut slip = written;
        slip["users"].as_object_mut().expect("users").remove("table");
        assert!(!catalog.is_valid(&slip), "{name}");
    }
}

#[test]
fn catalog_schema_describes_every_field() {
    let schema = run_process(&[], &["schema", "catalog"]).expect(0).json();
    let mut objects: Vec<(&str, &Value)> = vec![("Catalog", &schema)];
    objects.extend(schema["$defs"].as_object().expect("definitions").iter().map(|(name, of)| (name.as_str(), of)));
    let mut silent = Vec::new();
    for (name, object) in objects {
        for (field, of) in object["properties"].as_object().into_iter().flatten() {
            if of["description"].as_str().is_none_or(str::is_empty) {
                silent.push(format!("{name}.{field}"));
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// Arguments and variables for a program.
type SetUp<'s> = &'s dyn Fn(&mut Command);

/// Runs an example program on requests, and checks its exit codes and the reply and event that it prints.
fn hand_over(world: &World, program: impl Fn() -> Command, name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("request.json");
    let work = |request: &Value, code: i32| {
        std::fs::write(&file, request.to_string()).expect("a file");
        let mut command = program();
        command.arg(text(&file)).env("AMQP_URL", amqp_url()).env("HANDOVER_PREFIX", &world.prefix);
        run_client(command, b"").expect(code).json_lines()
    };
    let with_id = |id: &str, body: Value| {
        let mut request = json!({ "request_id": format!("{id} {name}"), "org_id": "1", "requested_by": "1" });
        request.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
        request
    };
    let request = keap_request(name);
    let reported = work(&request, 0);
    assert_eq!((reported.len(), &reported[0]["outcome"]), (2, &json!("accepted")), "{reported:?}");
    assert_eq!(reported[1]["type"], "handover.deactivation.completed");
    assert_eq!((&reported[1]["data"]["request_id"], &reported[1]["data"]["orphans"]), (&json!(name), &json!(0)));
    assert_eq!(work(&request, 0)[0]["outcome"], "duplicate");

    let job = &reported[0]["job_id"];
    let revert = work(&with_id("revert", json!({ "type": "revert", "job_id": job })), 0);
    assert_eq!((&revert[1]["type"], &revert[1]["data"]["job_id"]), (&json!("handover.deactivation.reverted"), job));
    let rejected = with_id("rejected", json!({ "type": "reactivate", "user_id": "53" }));
    assert_eq!(work(&rejected, 1)[0]["outcome"], "rejected");
    let again = work(&rejected, 1);
    assert_eq!((&again[0]["outcome"], &again[0]["first_outcome"]), (&json!("duplicate"), &json!("rejected")));
    let mut later = keap_request(&format!("later {name}"));
    later["effective_at"] = json!("2126-01-01T00:00:00Z");
    let scheduled = work(&later, 0);
    assert_eq!(scheduled[1]["type"], "handover.deactivation.scheduled");
    let pause = with_id("pause", json!({ "type": "pause", "job_id": scheduled[0]["job_id"] }));
    assert_eq!(work(&pause, 0).len(), 1, "a command that is done at once has no event of its own");

    let without_url = |command: &mut Command| {
        command.env_remove("AMQP_URL").arg(text(&file));
    };
    let elsewhere = |command: &mut Command| {
        command.arg(text(&file)).env("AMQP_URL", amqp_url()).env("HANDOVER_PREFIX", "no-worker-has-run-here");
    };
    let set_ups: [(SetUp<'_>, &str); 3] =
        [(&|_| {}, "usage"), (&without_url, "AMQP_URL"), (&elsewhere, "no queue takes requests")];
    for (set_up, says) in set_ups {
        let mut command = program();
        set_up(&mut command);
        let ended = run_client(command, b"");
        assert!(ended.code != 0 && ended.err.contains(says), "{says}: {} {}", ended.code, ended.err);
        assert!(!ended.err.contains("Traceback") && !ended.err.contains("    at "), "{}", ended.err);
    }
}

/// Runs a test with a worker process on the world.
fn with_worker(test: impl AsyncFnOnce(&mut World)) {
    run(Engine::Postgres, async |world| {
        let worker = crate::support::process::start_worker(world, &[]);
        test(world).await;
        assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    });
}

#[test]
fn python_example_runs() {
    with_worker(async |world| {
        let folder = clients().join("python");
        let program = || {
            let mut python = Command::new(folder.join("venv/bin/python"));
            python.arg(folder.join("hand_over.py"));
            python
        };
        hand_over(world, program, "from Python");
    });
}

#[test]
fn node_example_runs() {
    with_worker(async |world| {
        let script = clients().join("node").join("hand_over.mjs");
        let program = || {
            let mut node = Command::new("node");
            node.arg(&script);
            node
        };
        hand_over(world, program, "from Node");
    });
}

#[test]
fn rust_example_runs() {
    with_worker(async |world| {
        // A test of the whole workspace, such as `make test`, builds it.
        let example = Path::new(env!("CARGO_BIN_EXE_handover")).with_file_name("handover-example");
        assert!(example.exists(), "{} is missing: cargo test --workspace --no-run", example.display());
        let program = || {
            let mut program = Command::new(&example);
            program.env("RUST_BACKTRACE", "0");
            program
        };
        hand_over(world, program, "from Rust");
    });
}
