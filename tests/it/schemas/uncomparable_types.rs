//! PostgreSQL column types without equality (such as JSON, XML, points, and types built on them): set, filtered and
//! restored like others.

use handover::contract::SkipReason;
use handover::job::State;
use handover::stages::handover::cutter;
use handover::worker::Role;
use serde_json::json;

use crate::support::people::{host, leave, reference, reverted, reverts_to, start};
use crate::support::world::{certificate_of, result_of};
use crate::support::{Engine, World, on_postgres, run};

/// Rows of the leaver with no values, all values, one value missing, and empty values; and a row of someone else.
const ROWS: &str = "(1, 9, '{\"mail\": true}', '<on/>', '(0,0)', ARRAY['1'::json], NULL, '((0,0),(1,1))'), \
     (2, 9, '{\"mail\": false}', '<off/>', '(1,2)', ARRAY['{}'::json, NULL], ROW('[]', 1), '((0,0),(2,2))'), \
     (3, 9, '{\"mail\":false}', '<off/>', '(1,2)', ARRAY['{}'::json, NULL], ROW('[]', 1), '((0,0),(2,2))'), \
     (4, 9, NULL, NULL, NULL, NULL, NULL, NULL), (5, 2, NULL, NULL, NULL, NULL, NULL, NULL)";

const SET: &str = "disposition = \"set\"\nset = { options = '{\"mail\": false}', page = \"<off/>\", place = \"(1,2)\", \
     parts = '{\"{}\",NULL}', mixed = '([],1)', area = \"((0,0),(2,2))\" }\n";

fn tables() -> String {
    let columns = "owner BIGINT, options JSON, page XML, place POINT, parts JSON[], mixed mixed, area BOX";
    let table = |name: &str, key: &str| {
        format!("CREATE TABLE {name} (id BIGINT{key}, {columns}); INSERT INTO {name} VALUES {ROWS}; ")
    };
    let named = ["prefs", "layouts"].map(|name| table(name, " NOT NULL PRIMARY KEY"));
    format!("CREATE TYPE mixed AS (a JSON, b INTEGER); {} {}", named.concat(), table("heap", ""))
}

fn references() -> String {
    let heap = reference("heap", "heap", SET).replace("key = \"id\"", "key = []");
    let filtered =
        "where = { options = ['{\"mail\": true}', '{\"mail\": false}'], page = \"<on/>\" }\ndisposition = \"detach\"\n";
    let rest = "disposition = \"transfer\"\n";
    [
        reference("pref", "prefs", &format!("{SET}restore = true\n")),
        heap,
        reference("loud", "layouts", filtered),
        reference("layout", "layouts", rest),
    ]
    .concat()
}

async fn under_way(world: &mut World) -> handover::contract::JobId {
    world.stop_workers().await;
    world.start_roles(&[Role::Planner]).await;
    let id = world.send(&leave("9", json!({ "layout": { "user": "2" } }))).await;
    world.until("the request is accepted", async || world.job(id).await).await;
    while world.job(id).await.is_some_and(|job| job.state == State::Cutting) {
        cutter::cut(&world.context, id).await.expect("a cut");
    }
    id
}

#[test]
fn uncomparable_columns_are_set_and_restored() {
    for rows in [100, 1] {
        run(Engine::Postgres, async |world| {
            world.use_chunks_of(rows);
            start(world, &tables(), &references()).await;
            let before = host(world).await;
            let job = world.hand_over(&leave("9", json!({ "layout": { "user": "2" } }))).await;
            let certificate = certificate_of(&job);
            assert_eq!(result_of(&certificate, "pref").set, Some(3), "one has every value already");
            assert_eq!(result_of(&certificate, "heap").set, Some(3));
            assert_eq!(result_of(&certificate, "loud").removed, Some(1));
            assert_eq!(result_of(&certificate, "layout").moved, Some(3));
            assert_eq!(world.number("SELECT count(*) FROM prefs WHERE options::text LIKE '%: false%'").await, 4);
            reverts_to(world, &job, &before).await;
        });
    }
}

#[on_postgres]
async fn late_uncomparable_columns_are_set(world: &mut World) {
    world.use_chunks_of(1);
    start(world, &tables(), &references()).await;
    let id = under_way(world).await;
    world.sql("INSERT INTO prefs (id, owner, options) VALUES (0, 9, '[0]'); INSERT INTO heap (id, owner, options) VALUES (7, 9, '[7]')").await;
    world.start_worker().await;
    let job = world.end_of(id).await;
    let certificate = certificate_of(&job);
    assert_eq!((result_of(&certificate, "pref").set, result_of(&certificate, "heap").set), (Some(4), Some(4)));
    world
        .sql("UPDATE prefs SET options = '{\"mail\": null}' WHERE id = 1; UPDATE heap SET page = '<own/>' WHERE id = 4")
        .await;
    let undone = reverted(world, &job).await;
    for kind in ["pref", "heap"] {
        let result = result_of(&undone, kind);
        assert_eq!(
            (result.restored, result.skipped.get(&SkipReason::Changed)),
            (Some(3), Some(&1)),
            "{kind}: {result:?}"
        );
    }
    assert_eq!(
        world.texts("SELECT options::text AS t FROM prefs WHERE id IN (0, 1) ORDER BY id").await,
        ["[0]", "{\"mail\": null}"]
    );
}

#[on_postgres]
async fn uncomparable_columns_are_restored_on_reactivation(world: &mut World) {
    start(world, &tables(), &references()).await;
    let options = "SELECT COALESCE(options::text, '') || COALESCE(place::text, '') AS t FROM prefs ORDER BY id";
    let before = world.texts(options).await;
    certificate_of(&world.hand_over(&leave("9", json!({ "layout": { "user": "2" } }))).await);
    assert_ne!(world.texts(options).await, before);
    let back = json!({ "type": "reactivate", "request_id": "back", "user_id": "9", "requested_by": "1" });
    certificate_of(&world.hand_over(&back).await);
    assert_eq!(world.texts(options).await, before);
}
