//! Keys of records and of users.

use serde_json::{Value, json};

use super::{HOST, Host, MEMBERS, copies, journaled, leave, members, owners, reference};
use crate::support::world::{counts, successors_of};
use crate::support::{World, every_engine};

/// Moves, detaches and purges rows with keys of one type. The last row in key order belongs to someone else.
async fn keys_serve(world: &mut World, sql_type: &str, keys: [&str; 6]) {
    let quote = if sql_type == "BIGINT" { "" } else { "'" };
    let rows: Vec<String> = (keys.iter().enumerate())
        .map(|(index, key)| format!("({quote}{}{quote}, {})", key.replace('\'', "''"), if index == 5 { 2 } else { 9 }))
        .collect();
    let create = |name: &str| {
        let rows = rows.join(", ");
        format!(
            "CREATE TABLE {name} (id {sql_type} NOT NULL PRIMARY KEY, owner BIGINT NOT NULL); INSERT INTO {name} VALUES {rows};"
        )
    };
    let references = [
        reference("moved", "moved_rows", "disposition = \"transfer\""),
        reference("removed", "removed_rows", "disposition = \"detach\""),
        reference("purged", "purged_rows", "disposition = \"purge\""),
        reference("set", "set_rows", "disposition = \"set\"\nset = { note = \"gone\" }"),
    ];
    let noted = format!("{} ALTER TABLE set_rows ADD COLUMN note TEXT;", create("set_rows"));
    let tables = [create("moved_rows"), create("removed_rows"), create("purged_rows"), noted].concat();
    HOST.start(world, &tables, &references.concat()).await;
    let shares = json!([{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }]);
    let certificate = world.certificate(&leave(json!({ "moved": { "logic": "ratio", "shares": shares } }))).await;

    assert_eq!(successors_of(&certificate, "moved"), counts([(2, 3), (3, 2)]));
    let expected: Vec<String> =
        keys.iter().zip([2, 3, 2, 3, 2, 2]).map(|(key, owner)| format!("{key}:{owner}")).collect();
    assert_eq!(owners(world, "moved_rows").await, expected);
    let mut all: Vec<Value> = keys[..5].iter().map(|key| json!(key)).collect();
    all.sort_by_key(Value::to_string);
    for kind in ["moved", "removed", "purged", "set"] {
        assert_eq!(journaled(world, kind).await, all, "{kind}");
    }
    for kind in ["removed", "purged"] {
        assert_eq!(owners(world, &format!("{kind}_rows")).await, [format!("{}:2", keys[5])]);
        assert_eq!(copies(world, kind).await.len(), 5);
    }
    assert_eq!(world.number("SELECT count(*) FROM set_rows WHERE note = 'gone' AND owner = 9").await, 5);
}

#[every_engine(also_in_chunks_of = 2)]
async fn keys_may_be_integers(world: &mut World) {
    // In numeric order, not in the order of the texts.
    keys_serve(world, "BIGINT", ["-3", "2", "10", "9007199254740993", "9223372036854775806", "9223372036854775807"])
        .await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn keys_may_be_uuids(world: &mut World) {
    keys_serve(
        world,
        "UUID",
        [
            "00000000-0000-0000-0000-000000000001",
            "11111111-1111-4111-8111-111111111111",
            "12345678-9abc-4def-8123-456789abcdef",
            "9e999999-0000-4000-8000-000000000000",
            "abcdefab-cdef-4abc-8def-abcdefabcdef",
            "ffffffff-ffff-4fff-8fff-ffffffffffff",
        ],
    )
    .await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn keys_may_be_text(world: &mut World) {
    keys_serve(world, "TEXT", ["001", "a, b", "b\"{}\\", "c'd", "e e", "f"]).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn keys_may_have_several_columns(world: &mut World) {
    let create = |name: &str| {
        format!(
            "CREATE TABLE {name} (place TEXT NOT NULL, number INTEGER NOT NULL, owner BIGINT NOT NULL, PRIMARY KEY (place, number)); \
         INSERT INTO {name} VALUES ('a', 1, 9), ('a', 2, 9), ('a', 10, 9), ('b', 1, 9), ('b', 2, 2), ('c', 1, 9);"
        )
    };
    let of = |kind: &str, disposition: &str| {
        reference(kind, &format!("{kind}_rows"), &format!("disposition = \"{disposition}\""))
            .replace("key = \"id\"", "key = [\"place\", \"number\"]")
    };
    let references = [of("moved", "transfer"), of("removed", "detach"), of("purged", "purge")];
    let tables = [create("moved_rows"), create("removed_rows"), create("purged_rows")];
    HOST.start(world, &tables.concat(), &references.concat()).await;
    let shares = json!([{ "user": "2", "amount": 2 }, { "user": "3", "amount": 1 }]);
    let certificate = world.certificate(&leave(json!({ "moved": { "logic": "ratio", "shares": shares } }))).await;
    assert_eq!(successors_of(&certificate, "moved"), counts([(2, 4), (3, 1)]));
    let row = "place || CAST(number AS text) || ':' || CAST(owner AS text)";
    let moved = world.texts(&format!("SELECT {row} AS t FROM moved_rows ORDER BY place, number")).await;
    assert_eq!(moved, ["a1:2", "a2:2", "a10:3", "b1:2", "b2:2", "c1:2"]);
    let keys = [json!(["a", "1"]), json!(["a", "10"]), json!(["a", "2"]), json!(["b", "1"]), json!(["c", "1"])];
    for kind in ["moved", "removed", "purged"] {
        assert_eq!(journaled(world, kind).await, keys, "{kind}");
    }
    for kind in ["removed", "purged"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM {kind}_rows")).await, 1);
        assert_eq!(copies(world, kind).await.len(), 5);
    }
}

#[every_engine(also_in_chunks_of = 2)]
async fn the_user_may_be_part_of_the_key(world: &mut World) {
    HOST.start(world, MEMBERS, &members("")).await;
    world.sql("DELETE FROM members WHERE owner <> 9").await;
    let certificate = world.certificate(&leave(json!({ "member": { "user": "2" } }))).await;
    assert_eq!(successors_of(&certificate, "member"), counts([(2, 3)]));
    assert_eq!(
        world.texts("SELECT CAST(doc AS text) AS t FROM members WHERE owner = 2 ORDER BY doc").await,
        ["1", "2", "3"]
    );
    // The journal uses the key that the record had while the leaver owned it.
    let keys = [json!(["1", "9"]), json!(["2", "9"]), json!(["3", "9"])];
    assert_eq!(journaled(world, "member").await, keys);
}

#[every_engine(also_in_chunks_of = 2)]
async fn users_may_be_known_by_uuids(world: &mut World) {
    let host = Host {
        ids: [
            "00000000-0000-4000-8000-000000000001",
            "00000000-0000-4000-8000-000000000002",
            "00000000-0000-4000-8000-000000000003",
            "00000000-0000-4000-8000-000000000004",
            "abcdef00-0000-4000-8000-000000000009",
        ],
        key: "UUID",
        ..HOST
    };
    users_serve(world, &host).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn users_may_be_known_by_text(world: &mut World) {
    let host = Host { ids: ["ann", "ben", "cleo", "dan", "zo\u{eb}, \"z\\"], key: "TEXT", ..HOST };
    users_serve(world, &host).await;
}

async fn users_serve(world: &mut World, host: &Host) {
    let rows: Vec<String> = (1..=5).map(|id| format!("({id}, '{}')", host.ids[4])).collect();
    let create = |name: &str| {
        let (key, rows) = (host.key, rows.join(", "));
        format!("CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY, owner {key}); INSERT INTO {name} VALUES {rows};")
    };
    let references = [
        reference("moved", "moved_rows", "disposition = \"transfer\""),
        reference("removed", "removed_rows", "disposition = \"detach\""),
    ];
    host.start(world, &[create("moved_rows"), create("removed_rows")].concat(), &references.concat()).await;
    let shares = json!([{ "user": host.ids[2], "amount": 1 }, { "user": host.ids[1], "amount": 1 }]);
    let certificate = world.certificate(&host.leave(json!({ "moved": { "logic": "ratio", "shares": shares } }))).await;
    let moved = successors_of(&certificate, "moved");
    assert_eq!((moved[host.ids[1]], moved[host.ids[2]]), (2, 3));
    let owners = world.texts("SELECT CAST(owner AS text) AS t FROM moved_rows ORDER BY id").await;
    assert_eq!(owners, [host.ids[2], host.ids[1], host.ids[2], host.ids[1], host.ids[2]]);
    assert_eq!(world.number("SELECT count(*) FROM removed_rows").await, 0);
    assert_eq!(certificate.user_id, host.ids[4]);
}
