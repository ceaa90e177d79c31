//! Columns of hosts that are not as one would make them: version counters, ids kept as text, values that mean nobody.

use serde_json::json;

use crate::support::on_every_path;
use crate::support::people::{leave, reference, start};
use crate::support::world::certificate_of;

on_every_path!(a_version_is_counted_up_by_every_move_and_set, 2, |world| {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, lock_version INTEGER); \
                  INSERT INTO docs VALUES (1, 9, 0), (2, 9, 7), (3, 9, NULL), (4, 2, 5); \
                  CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, access TEXT, version BIGINT NOT NULL); \
                  INSERT INTO seats VALUES (1, 9, 'full', 1), (2, 9, 'read', 1), (3, 9, 'full', 4), (4, 2, 'full', 1);";
    let references = [
        reference("doc", "docs", "disposition = \"transfer\"\nbump = \"lock_version\""),
        reference("seat", "seats", "disposition = \"set\"\nset = { access = \"read\" }\nbump = \"version\""),
    ];
    start(world, tables, &references.concat()).await;
    let shares = json!([{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }]);
    let job = world.hand_over(&leave("9", json!({ "doc": { "logic": "ratio", "shares": shares } }))).await;
    certificate_of(&job);
    let docs = "SELECT CAST(id AS text) || ':' || CAST(owner AS text) || ':' || CAST(lock_version AS text) AS t FROM docs ORDER BY id";
    assert_eq!(world.texts(docs).await, ["1:2:1", "2:3:8", "3:2:1", "4:2:5"]);
    let seats = "SELECT CAST(id AS text) || ':' || CAST(version AS text) AS t FROM seats ORDER BY id";
    assert_eq!(world.texts(seats).await, ["1:2", "2:1", "3:5", "4:1"], "what was so already has not changed");
});

on_every_path!(a_version_is_counted_up_where_one_successor_takes_everything, 2, |world| {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, lock_version INTEGER NOT NULL); \
                  INSERT INTO docs VALUES (1, 9, 0), (2, 9, 7), (3, 9, 0);";
    start(world, tables, &reference("doc", "docs", "disposition = \"transfer\"\nbump = \"lock_version\"")).await;
    certificate_of(&world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await);
    assert_eq!(world.number("SELECT sum(lock_version) FROM docs WHERE owner = 2").await, 10);
});
