//! Requests with ids that the database's types cannot hold.

use handover::contract::DeadLetterCode;
use handover::job::State;
use handover::stages::Outcome;
use handover::stages::intake::take;
use serde_json::{Value, json};

use super::allotting;
use crate::support::world::{LIMIT, keap_request, message, read};
use crate::support::{Engine, World, every_engine};

#[every_engine]
async fn id_beyond_a_domain_fails_alone(world: &mut World) {
    // SQLite has no types of the host's own. PostgreSQL's range is the one of the type below the domain.
    if world.engine == Engine::Sqlite {
        return;
    }
    world
        .sql(
            "CREATE DOMAIN small AS smallint; \
             CREATE TABLE small_records (id small PRIMARY KEY, owner_id bigint NOT NULL REFERENCES users (id))",
        )
        .await;
    let source = crate::support::world::catalog_source("keap")
        + "\n[[reference]]\nkind = \"small\"\ntable = \"small_records\"\nkey = \"id\"\nuser = \"owner_id\"\ndisposition = \"transfer\"\n";
    world.use_catalog(&source).await;
    let bad = allotting("bad", "small", json!({ "each": { "70000": "11" } }));
    let good = keap_request("good");
    let messages = [&bad, &good].map(|request| message(request.to_string()));
    let outcomes = tokio::time::timeout(LIMIT, take(&world.context, &messages)).await.expect("an end");
    assert!(
        matches!(&outcomes[0], Outcome::DeadLetter(reason) if reason.fault.code == DeadLetterCode::InvalidId && reason.attempts == 1),
        "{outcomes:?}"
    );
    assert!(matches!(outcomes[1], Outcome::Answered(_)), "{outcomes:?}");
    assert_eq!(world.job(read(&good).job_id()).await.expect("a job").state, State::Completed);
}

/// A host whose id range is smaller than that of a request.
const STAFF: &str = r#"
[users]
table = "staff"
key = "id"
name = "name"
email = "email"
manager = "boss"
status = { column = "status", active = "in", inactive = "out" }

[[reference]]
kind = "item"
table = "items"
key = "id"
user = "holder"
disposition = "transfer"
"#;

/// Creates the staff and their items with ids of that type, and starts a worker.
async fn employ(world: &mut World, id: &str) {
    world
        .sql(&format!(
            "CREATE TABLE staff (id {id} PRIMARY KEY, name text, email text, status text NOT NULL, boss integer); \
             CREATE TABLE items (id smallint PRIMARY KEY, holder integer NOT NULL REFERENCES staff (id)); \
             INSERT INTO staff VALUES (1, 'a', 'a', 'in', NULL), (2, 'b', 'b', 'in', 1), (3, 'c', 'c', 'in', 1); \
             INSERT INTO items VALUES (1, 2), (2, 2)"
        ))
        .await;
    world.use_catalog(STAFF).await;
    world.start_worker().await;
}

#[every_engine]
async fn id_too_large_is_dead_lettered(world: &mut World) {
    employ(world, "integer").await;
    let leaves = |user: &str, item: Value| {
        json!({ "type": "deactivate", "request_id": format!("{user} {item}"), "user_id": user, "requested_by": "1",
            "reassign": { "item": item } })
    };
    let to_3 = json!({ "user": "3" });
    let cases = [
        (leaves("2147483648", to_3.clone()), "user_id"),
        (leaves("-2147483649", to_3.clone()), "user_id"),
        (leaves("2", json!({ "user": "99999999999" })), "reassign.item.user"),
        (leaves("2", json!({ "each": { "32768": "3" } })), "reassign.item.each.32768"),
    ];
    for (request, path) in cases {
        let job = world.send(&request).await;
        match world.engine {
            // All integers have 64 bits there, so this id is valid and belongs to no one.
            Engine::Sqlite => assert_eq!(world.end_of(job).await.state, State::Rejected, "{request}"),
            Engine::Postgres => {
                let dead_letter = world.next_dead_letter().await;
                assert_eq!(
                    (dead_letter.reason(), dead_letter.path()),
                    ("invalid_id", path),
                    "{:?}",
                    dead_letter.headers
                );
            }
        }
    }
    for largest in [leaves("2147483647", to_3), leaves("2", json!({ "each": { "32767": "3" } }))] {
        assert_eq!(world.hand_over(&largest).await.state, State::Rejected, "{largest}");
    }
}

#[every_engine]
async fn user_beyond_a_domain_fails_alone(world: &mut World) {
    if world.engine == Engine::Postgres {
        world.sql("CREATE DOMAIN staff_id AS integer").await;
        employ(world, "staff_id").await;
    } else {
        employ(world, "integer").await;
    }
    let leaves = |user: &str| {
        json!({ "type": "deactivate", "request_id": format!("leaver {user}"), "user_id": user, "requested_by": "1",
            "reassign": { "item": { "manager": true } } })
    };
    let (bad, good) = (leaves("3000000000"), leaves("2"));
    let bad_job = world.send(&bad).await;
    assert_eq!(world.hand_over(&good).await.state, State::Completed);
    match world.engine {
        // A valid integer that belongs to no one.
        Engine::Sqlite => assert_eq!(world.end_of(bad_job).await.state, State::Rejected),
        Engine::Postgres => {
            let dead_letter = world.next_dead_letter().await;
            assert_eq!((dead_letter.reason(), dead_letter.path()), ("invalid_id", "user_id"));
        }
    }
    assert_eq!(world.number("SELECT count(*) FROM items WHERE holder = 1").await, 2);
}
