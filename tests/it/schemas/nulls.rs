//! NULL as a word: an end of access that is a time, work that goes back to nobody, and columns of the leaver's own row.

use handover::catalog::check;
use handover::store::host::read_schema;
use serde_json::json;

use crate::support::people::{host, leave, reference, reverts_to};
use crate::support::world::{certificate_of, codes_of, result_of};
use crate::support::{Engine, World, every_engine};

const USERS: &str = "[users]\ntable = \"people\"\nkey = \"id\"\nname = \"full_name\"\nemail = \"mail\"\n\
     status = { column = \"deactivated_at\", active = { null = true }, inactive = { now = true } }\n";

const OWN: &str = "[[reference]]\nkind = \"own_secret\"\ntable = \"people\"\nkey = \"id\"\nuser = \"id\"\n\
     disposition = \"set\"\nat = \"start\"\nset = { api_token = { null = true } }\n";

fn tables(world: &World) -> String {
    let time = if world.engine == Engine::Sqlite { "DATETIME" } else { "TIMESTAMPTZ" };
    format!(
        "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, deactivated_at {time}, api_token TEXT); \
         INSERT INTO people VALUES (1, 'Ann', 'ann@example.com', NULL, NULL), (2, 'Ben', 'ben@example.com', NULL, 'his'), \
           (8, 'Old', 'old@example.com', '2025-01-01 00:00:00', NULL), (9, 'Zoe', 'zoe@example.com', NULL, 'hers'); \
         CREATE TABLE talks (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, status TEXT NOT NULL); \
         INSERT INTO talks VALUES (1, 9, 'open'), (2, 9, 'resolved'), (3, 2, 'open'), (4, 9, 'open');"
    )
}

fn unassign() -> String {
    let set = "where = { status = \"open\" }\ndisposition = \"set\"\nset = { owner = { null = true } }";
    reference("open_talk", "talks", set)
}

#[every_engine(also_in_chunks_of = 1)]
async fn time_of_the_end_is_the_status(world: &mut World) {
    world.sql(&tables(world)).await;
    let kept = reference("talk", "talks", "disposition = \"keep\"");
    world.use_catalog(&format!("{USERS}{OWN}{}{kept}", unassign())).await;
    world.start_worker().await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    let certificate = certificate_of(&job);
    assert_eq!(result_of(&certificate, "own_secret").set, Some(1));
    assert_eq!(result_of(&certificate, "open_talk").set, Some(2));
    let talks = "SELECT CAST(id AS text) || ':' || COALESCE(CAST(owner AS text), 'nobody') AS t FROM talks ORDER BY id";
    assert_eq!(world.texts(talks).await, ["1:nobody", "2:9", "3:2", "4:nobody"]);
    let secrets = "SELECT COALESCE(api_token, 'none') AS t FROM people WHERE id IN (2, 9) ORDER BY id";
    assert_eq!(world.texts(secrets).await, ["his", "none"]);
    let ended = "SELECT count(*) FROM people WHERE id = 9 AND deactivated_at > '2026-01-01 00:00:00'";
    assert_eq!(world.number(ended).await, 1);
    reverts_to(world, &job, &before).await;
}

#[every_engine]
async fn user_with_an_end_is_inactive(world: &mut World) {
    world.sql(&tables(world)).await;
    let talk = reference("talk", "talks", "disposition = \"transfer\"");
    world.use_catalog(&format!("{USERS}{OWN}{talk}")).await;
    world.start_worker().await;
    let job = world.hand_over(&leave("9", json!({ "talk": { "user": "8" } }))).await;
    assert_eq!(codes_of(&job), ["successor_inactive"]);
    let mut gone = leave("8", json!({}));
    gone["request_id"] = json!("again");
    assert_eq!(codes_of(&world.hand_over(&gone).await), ["already_inactive"]);
}

#[every_engine]
async fn words_for_null_are_checked(world: &mut World) {
    world.sql(&tables(world)).await;
    let schema = read_schema(&world.store.reader()).await.expect("the schema");
    let with =
        |users: &str, own: &str, set: &str| format!("{users}{own}{}", unassign().replace("{ null = true }", set));
    let users_with = |active: &str| USERS.replace("active = { null = true }", &format!("active = {active}"));
    for (source, cause) in [
        (with(USERS, OWN, "{ nul = true }"), "line 22: a new value is a literal, { null = true } or { now = true }"),
        (with(USERS, OWN, "{ null = false }"), "`null` and `now` are true or absent"),
        (with(&users_with("[1]"), OWN, "7"), "line 6: a new value is a literal"),
        (with(&users_with("{ now = true }"), OWN, "7"), "are the same value"),
        (with(USERS, &OWN.replace("api_token", "id"), "7"), "the column `id` of people cannot be NULL"),
        (with(USERS, &OWN.replace("api_token", "deactivated_at"), "7"), "must not set `deactivated_at`"),
        (
            with(
                USERS,
                &OWN.replace("\"set\"", "\"keep\"").replace("at = ", "# at = ").replace("set = {", "# set"),
                "7",
            ),
            "allows only a `set`, or a `block`",
        ),
    ] {
        let faults = check("test", &source, &schema).expect_err(cause).to_string();
        assert!(faults.contains(cause), "{cause}: {faults}");
    }
    let users = schema.table("people").expect("people");
    let draft = handover::catalog::draft(&schema, users, &[], &[]).expect("a draft");
    assert!(
        draft.contains("column = \"deactivated_at\", active = { null = true }, inactive = { now = true }"),
        "{draft}"
    );
}
