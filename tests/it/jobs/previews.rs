//! A preview counts exactly what the job then does.

use handover::job::State;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::people::{PEOPLE, USERS, leave, reference, start};
use crate::support::world::{certificate_of, counts, result_of};
use crate::support::{Engine, World, every_engine, on_postgres, process};

/// Runs a preview by the binary, of a request against a catalog.
fn preview(world: &World, catalog: &str, request: &Value) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        file
    };
    let (catalog, request) = (write("catalog.toml", catalog), write("request.json", &request.to_string()));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_handover"));
    command.arg("preview").arg("--json").arg(request);
    command.env("HANDOVER_DATABASE__URL", world.database_url()).env("HANDOVER_CATALOG", catalog);
    let output = tokio::task::block_in_place(|| command.output()).expect("the binary");
    serde_json::from_slice(&output.stdout).expect("a preview")
}

/// Returns the found counts of a preview or certificate, by kind.
fn found(references: &Value) -> BTreeMap<String, u64> {
    let references = references.as_array().expect("references").iter();
    let one = |reference: &Value| Some((reference["kind"].as_str()?.to_owned(), reference["found"].as_u64()?));
    references.filter_map(one).collect()
}

#[every_engine(also_in_chunks_of = 2)]
async fn guard_transfers_are_not_counted_twice(world: &mut World) {
    let tables = "CREATE TABLE alerted (alert BIGINT NOT NULL, owner BIGINT NOT NULL, note TEXT, PRIMARY KEY (alert, owner)); \
         INSERT INTO alerted VALUES (1, 9, 'alone'), (2, 9, 'a'), (2, 2, 'b'), (3, 9, 'alone'), (4, 9, 'c'), (4, 3, 'd'), (5, 9, 'e'), (5, 1, 'f');";
    let alerted = |kind: &str, rest: &str| {
        reference(kind, "alerted", rest).replace("key = \"id\"", "key = [\"alert\", \"owner\"]")
    };
    let references = [
        alerted("sole_alerted", "disposition = \"block\"\nsole_in = \"alert\"\nresolve = true"),
        alerted("alerted", "disposition = \"detach\""),
    ];
    start(world, tables, &references.concat()).await;
    let request = leave("9", json!({ "sole_alerted": { "user": "2" } }));
    let previewed = preview(world, &format!("{USERS}{}", references.concat()), &request);
    let job = world.hand_over(&request).await;
    let certificate = serde_json::to_value(certificate_of(&job)).expect("JSON");
    let expected = BTreeMap::from([("sole_alerted".to_owned(), 2), ("alerted".to_owned(), 3)]);
    assert_eq!((found(&previewed["references"]), found(&certificate["references"])), (expected.clone(), expected));
}

#[every_engine]
async fn preview_warns_about_unneeded_successors(world: &mut World) {
    let tables = "ALTER TABLE people ADD COLUMN sells INTEGER; UPDATE people SET sells = 0; UPDATE people SET sells = 1 WHERE id = 3; \
         CREATE TABLE quotas (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO quotas VALUES (1, 3); \
         CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO docs VALUES (1, 9), (2, 3);";
    world.sql(&format!("{PEOPLE} {tables}")).await;
    let quota = "disposition = \"transfer\"\nwhen = { column = \"sells\", equals = 1 }";
    let catalog =
        [USERS, &reference("quota", "quotas", quota), &reference("doc", "docs", "disposition = \"transfer\"")];
    let both = json!({ "quota": { "user": "2" }, "doc": { "user": "2" } });
    let of_who_sells_not = preview(world, &catalog.concat(), &leave("9", both.clone()));
    assert_eq!(of_who_sells_not["accepted"], true, "it is reported and does not block the job");
    assert_eq!(of_who_sells_not["without_effect"], json!(["quota"]));
    assert_eq!(preview(world, &catalog.concat(), &leave("3", both))["without_effect"], json!([]));
}

#[every_engine(also_in_chunks_of = 1)]
async fn certificate_lists_successors_who_received_nothing(world: &mut World) {
    let tables = "ALTER TABLE people ADD COLUMN sells INTEGER; UPDATE people SET sells = 0; \
         CREATE TABLE quotas (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO quotas VALUES (1, 3); \
         CREATE TABLE deals (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO deals VALUES (1, 3); \
         CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO docs VALUES (1, 9), (2, 9), (3, 3);";
    world.sql(&format!("{PEOPLE} {tables}")).await;
    let quota = "disposition = \"transfer\"\nwhen = { column = \"sells\", equals = 1 }";
    let moves = "disposition = \"transfer\"";
    let catalog = [
        USERS,
        &reference("quota", "quotas", quota),
        &reference("deal", "deals", moves),
        &reference("doc", "docs", moves),
    ];
    world.use_catalog(&catalog.concat()).await;
    world.start_worker().await;
    let share = |user: &str, amount: u64| json!({ "user": user, "amount": amount });
    let docs = json!({ "logic": "ratio", "shares": [share("2", 5), share("1", 5), share("3", 5)] });
    let request = leave("9", json!({ "quota": { "user": "2" }, "deal": { "user": "2" }, "doc": docs }));
    let previewed = preview(world, &catalog.concat(), &request);
    let job = world.hand_over(&request).await;
    let certificate = certificate_of(&job);
    assert_eq!(certificate.without_effect, ["deal", "quota"]);
    assert_eq!(previewed["without_effect"], json!(certificate.without_effect));
    let doc = result_of(&certificate, "doc");
    assert_eq!((doc.successors, doc.received_nothing), (counts([(2, 2)]), vec!["1".to_owned(), "3".to_owned()]));
    let reported = process::on(world, &["job", &job.id.to_string()]).expect(0).out;
    assert!(reported.contains("nothing of kind `quota`") && reported.contains("3: none"), "{reported}");
    let events = world.events().await.remove(&job.id.to_string()).expect("events");
    let completed = events.iter().find(|event| event["type"] == "handover.deactivation.completed").expect("its end");
    assert_eq!(completed["data"]["without_effect"], json!(["deal", "quota"]));
}

#[on_postgres]
async fn estimate_considers_host_activity(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
         INSERT INTO docs SELECT i, 9 FROM generate_series(1, 20000) AS s(i);";
    let catalog = reference("doc", "docs", "disposition = \"transfer\"");
    start(world, tables, &catalog).await;
    let catalog = format!("{USERS}{catalog}");
    let preview = || preview(world, &catalog, &leave("9", json!({ "doc": { "user": "2" } })));
    let alone = preview();
    let host = world.host_at_work().await;
    let with_host = preview();
    host.abort();
    let estimates = [alone, with_host].map(|previewed| previewed["estimate_ms"].as_u64().expect("an estimate"));
    // Two movers with twenty chunks of 25 ms plus 5 ms each; one mover with two hundred chunks, active two thirds of
    // the time.
    assert_eq!(estimates, [10 + 300, 10 + 2_250]);
}

#[every_engine]
async fn estimate_uses_measured_chunk_times(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
         INSERT INTO docs WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT i, 9 FROM n; \
         INSERT INTO docs SELECT 1000 + id, 3 FROM docs;";
    let catalog = reference("doc", "docs", "disposition = \"transfer\"");
    world.use_chunks_of(20);
    start(world, tables, &catalog).await;
    let catalog = format!("{USERS}{catalog}");
    let estimate = |world: &World| {
        let previewed = preview(world, &catalog, &leave("3", json!({ "doc": { "user": "2" } })));
        previewed["estimate_ms"].as_u64().expect("an estimate")
    };
    let guessed = estimate(world);
    assert!((1..1_000).contains(&guessed), "without measurements, 200 rows are expected to be fast: {guessed} ms");
    assert_eq!(world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await.state, State::Completed);
    let chunks = if world.engine == Engine::Postgres { "handover.chunks" } else { "handover_chunks" };
    world.sql(&format!("UPDATE {chunks} SET duration_ms = 20000")).await;
    let measured = estimate(world);
    assert!((200_000..201_000).contains(&measured), "twenty rows took twenty seconds: {measured} ms");
}
