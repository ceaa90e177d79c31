//! The rules of a catalog, each over a small application of the test's own and proved by looking at its tables.

use handover::contract::Certificate;
use handover::job::State;
use handover::worker::Role;
use serde_json::{Value, json};

use crate::support::world::{certificate_of, codes_of, counts, reasons_of, result_of, successors_of};
use crate::support::{Setting, World, on_both, on_every_path, run};

/// An application: its users' table, and whatever a test adds. User 1 asks, 9 leaves, 2 and 3 stay, 4 has left.
struct Host {
    /// The users' ids, in the order 1, 2, 3, 4, 9.
    ids: [&'static str; 5],
    /// Their type in SQL.
    key: &'static str,
    /// The type of the status, and its values in SQL; TOML writes them alike but for quotes.
    status: (&'static str, &'static str, &'static str),
    /// A schema, with the dot, in front of every table.
    schema: &'static str,
}

const HOST: Host =
    Host { ids: ["1", "2", "3", "4", "9"], key: "BIGINT", status: ("TEXT", "'active'", "'inactive'"), schema: "" };

impl Host {
    /// Creates the users and the test's own tables, uses a catalog of these references and starts a worker.
    async fn start(&self, world: &mut World, tables: &str, references: &str) {
        self.create(world, tables, references).await;
        world.start_worker().await;
    }

    async fn create(&self, world: &mut World, tables: &str, references: &str) {
        let Host { key, status: (status, active, inactive), schema, .. } = self;
        let quote = if *key == "BIGINT" { "" } else { "'" };
        let people: Vec<String> = (self.ids.iter().zip(["Ann", "Ben", "Cleo", "Dan", "Zoe"]))
            .map(|(id, name)| {
                let status = if name == "Dan" { inactive } else { active };
                let leads = if ["Ben", "Zoe"].contains(&name) { "TRUE" } else { "FALSE" };
                format!("({quote}{id}{quote}, '{name}', '{name}@example.com', {status}, {leads})")
            })
            .collect();
        world.sql(&format!(
            "CREATE TABLE {schema}people (id {key} NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status {status}, can_lead BOOLEAN NOT NULL); \
             INSERT INTO {schema}people VALUES {}; {tables}",
            people.join(", ")
        )).await;
        let toml = |value: &str| value.replace('\'', "\"").to_lowercase();
        world
            .use_catalog(&format!(
                "[users]\ntable = \"{schema}people\"\nkey = \"id\"\nname = \"full_name\"\nemail = \"mail\"\n\
             status = {{ column = \"status\", active = {}, inactive = {} }}\n{references}",
                toml(active),
                toml(inactive)
            ))
            .await;
    }

    /// The leaver leaves.
    fn leave(&self, reassign: Value) -> Value {
        json!({ "request_id": "r1", "user_id": self.ids[4], "requested_by": self.ids[0], "reassign": reassign })
    }
}

fn leave(reassign: Value) -> Value {
    HOST.leave(reassign)
}

/// A reference of the leaver's rows of a table: `owner` has the user, `id` is the key.
fn reference(kind: &str, table: &str, rest: &str) -> String {
    format!("[[reference]]\nkind = \"{kind}\"\ntable = \"{table}\"\nkey = \"id\"\nuser = \"owner\"\n{rest}\n")
}

/// A table of numbered rows with an owner: five of the leaver's, one of user 2.
fn table(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT); \
         INSERT INTO {name} VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 9, 'c'), (4, 9, 'd'), (5, 9, 'e'), (6, 2, 'f');"
    )
}

/// Each row of a table with an owner, as `id:owner`.
async fn owners(world: &World, table: &str) -> Vec<String> {
    let row = "CAST(id AS text) || ':' || COALESCE(CAST(owner AS text), '')";
    world.texts(&format!("SELECT {row} AS t FROM {table} ORDER BY id")).await
}

/// What was copied of a kind's rows, in no order: several movers write at once.
async fn copies(world: &World, kind: &str) -> Vec<Value> {
    let query = format!("SELECT CAST(content AS text) AS t FROM handover.copies WHERE kind = '{kind}' ORDER BY id");
    world.texts(&query).await.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

/// The keys that the journal has of a kind, in order.
async fn journaled(world: &World, kind: &str) -> Vec<Value> {
    let query = format!("SELECT CAST(keys AS text) AS t FROM handover.journal WHERE kind = '{kind}' ORDER BY id");
    let lists = world.texts(&query).await;
    let lists = lists.iter().map(|text| serde_json::from_str::<Vec<Value>>(text).expect("a list"));
    let mut keys: Vec<Value> = lists.flatten().collect();
    keys.sort_by_key(Value::to_string);
    keys
}

// --- Keys -----------------------------------------------------------------------------------------------------------

/// Moves, removes and purges rows with keys of one type; in order, the last is somebody else's.
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

on_every_path!(keys_may_be_integers, 2, |world| {
    // In the order of numbers, not of their texts.
    keys_serve(world, "BIGINT", ["-3", "2", "10", "9007199254740993", "9223372036854775806", "9223372036854775807"])
        .await;
});

on_every_path!(keys_may_be_uuids, 2, |world| {
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
});

on_every_path!(keys_may_be_text, 2, |world| {
    keys_serve(world, "TEXT", ["001", "a, b", "b\"{}\\", "c'd", "e e", "f"]).await;
});

on_every_path!(keys_may_have_several_columns, 2, |world| {
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
});

/// Who has which document in common with whom.
const MEMBERS: &str = "CREATE TABLE members (doc BIGINT NOT NULL, owner BIGINT NOT NULL, since TEXT, PRIMARY KEY (doc, owner)); \
    INSERT INTO members VALUES (1, 9, 'x'), (2, 9, 'x'), (3, 9, 'x'), (1, 2, 'y'), (4, 2, 'y'), (3, 3, 'z');";

fn members(rest: &str) -> String {
    reference("member", "members", &format!("disposition = \"transfer\"\n{rest}"))
        .replace("key = \"id\"", "key = [\"doc\", \"owner\"]")
}

on_every_path!(the_user_may_be_part_of_the_key, 2, |world| {
    HOST.start(world, MEMBERS, &members("")).await;
    world.sql("DELETE FROM members WHERE owner <> 9").await;
    let certificate = world.certificate(&leave(json!({ "member": { "user": "2" } }))).await;
    assert_eq!(successors_of(&certificate, "member"), counts([(2, 3)]));
    assert_eq!(
        world.texts("SELECT CAST(doc AS text) AS t FROM members WHERE owner = 2 ORDER BY doc").await,
        ["1", "2", "3"]
    );
    // The journal names a record by the key that it had when it was the leaver's.
    let keys = [json!(["1", "9"]), json!(["2", "9"]), json!(["3", "9"])];
    assert_eq!(journaled(world, "member").await, keys);
});

on_every_path!(users_may_be_known_by_uuids, 2, |world| {
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
});

on_every_path!(users_may_be_known_by_text, 2, |world| {
    let host = Host { ids: ["ann", "ben", "cleo", "dan", "zo\u{eb}, \"z\\"], key: "TEXT", ..HOST };
    users_serve(world, &host).await;
});

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

// --- Statuses ---------------------------------------------------------------------------------------------------------

async fn status_serves(world: &mut World, status: (&'static str, &'static str, &'static str)) {
    let host = Host { status, ..HOST };
    host.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let to_dan = world.hand_over(&host.leave(json!({ "doc": { "user": "4" } }))).await;
    assert_eq!((to_dan.state.as_str(), codes_of(&to_dan)), ("rejected", vec!["successor_inactive".to_owned()]));
    let mut request = host.leave(json!({ "doc": { "user": "2" } }));
    request["request_id"] = json!("r2");
    world.certificate(&request).await;
    let (_, _, inactive) = status;
    assert_eq!(
        world.texts(&format!("SELECT full_name AS t FROM people WHERE status = {inactive} ORDER BY id")).await,
        ["Dan", "Zoe"]
    );
    request["request_id"] = json!("r3");
    assert_eq!(codes_of(&world.hand_over(&request).await), ["already_inactive"]);
}

on_every_path!(a_status_may_be_text, 2, |world| { status_serves(world, ("TEXT", "'on'", "'off'")).await });
on_every_path!(a_status_may_be_a_number, 2, |world| { status_serves(world, ("INTEGER", "1", "0")).await });
on_every_path!(a_status_may_be_a_boolean, 2, |world| { status_serves(world, ("BOOLEAN", "TRUE", "FALSE")).await });

on_both!(a_status_that_the_catalog_does_not_name_is_rejected, |world| {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"transfer\"")).await;
    world.sql("UPDATE people SET status = NULL WHERE id = 9").await;
    assert_eq!(codes_of(&world.hand_over(&leave(json!({ "doc": { "user": "2" } }))).await), ["not_active"]);
});

// --- Which rows -------------------------------------------------------------------------------------------------------

const ITEMS: &str = "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, stage TEXT, archived TEXT, urgent BOOLEAN); \
    INSERT INTO items VALUES (1, 9, 'new', NULL, TRUE), (2, 9, 'open', NULL, FALSE), (3, 9, 'open', 'yes', TRUE), \
    (4, 9, 'closed', NULL, NULL), (5, 9, NULL, NULL, TRUE), (6, 9, 'closed', 'yes', TRUE), (7, 2, 'new', NULL, TRUE), (8, 9, NULL, 'yes', FALSE);";

on_every_path!(where_takes_lists_and_nulls_and_the_first_of_overlapping_references_wins, 2, |world| {
    let references = [
        reference(
            "open",
            "items",
            "where = { stage = [\"new\", \"open\"], archived = { null = true } }\ndisposition = \"transfer\"",
        ),
        reference("archived", "items", "where = { archived = { null = false } }\ndisposition = \"keep\""),
        reference("rest", "items", "disposition = \"detach\""),
    ];
    HOST.start(world, ITEMS, &references.concat()).await;
    let certificate = world.certificate(&leave(json!({ "open": { "user": "2" } }))).await;
    assert_eq!(owners(world, "items").await, ["1:2", "2:2", "3:9", "6:9", "7:2", "8:9"]);
    assert_eq!(result_of(&certificate, "open").moved, Some(2));
    assert_eq!(result_of(&certificate, "archived").kept, Some(3));
    assert_eq!(result_of(&certificate, "rest").removed, Some(2));
});

on_every_path!(where_takes_booleans, 2, |world| {
    let references = [
        reference("urgent", "items", "where = { urgent = true }\ndisposition = \"transfer\""),
        reference("other", "items", "disposition = \"purge\""),
    ];
    HOST.start(world, ITEMS, &references.concat()).await;
    let certificate = world.certificate(&leave(json!({ "urgent": { "user": "3" } }))).await;
    assert_eq!(owners(world, "items").await, ["1:3", "3:3", "5:3", "6:3", "7:2"]);
    assert_eq!(result_of(&certificate, "other").purged, Some(3));
});

on_every_path!(when_a_reference_counts_only_for_some_leavers_it_leaves_others_alone, 2, |world| {
    let references = [
        reference("led", "docs", "when = { column = \"can_lead\", equals = true }\ndisposition = \"detach\""),
        reference("other", "docs", "when = { column = \"can_lead\", equals = false }\ndisposition = \"keep\""),
    ];
    HOST.start(world, &table("docs"), &references.concat()).await;
    world.sql("INSERT INTO docs VALUES (7, 3, 'g')").await;
    let certificate = world.certificate(&leave(json!({}))).await;
    assert_eq!(kinds(&certificate), ["led"]);
    assert_eq!(owners(world, "docs").await, ["6:2", "7:3"]);
    let mut request = leave(json!({}));
    (request["request_id"], request["user_id"]) = (json!("r2"), json!("3"));
    let certificate = world.certificate(&request).await;
    assert_eq!(kinds(&certificate), ["other"]);
    assert_eq!(owners(world, "docs").await, ["6:2", "7:3"]);
});

on_every_path!(a_row_belongs_to_the_first_reference_that_counts_for_its_leaver, 2, |world| {
    let references = [
        reference("led", "docs", "when = { column = \"can_lead\", equals = true }\ndisposition = \"transfer\""),
        reference("other", "docs", "disposition = \"purge\""),
    ];
    HOST.start(world, &table("docs"), &references.concat()).await;
    let certificate = world.certificate(&leave(json!({ "led": { "user": "3" } }))).await;
    assert_eq!(owners(world, "docs").await, ["1:3", "2:3", "3:3", "4:3", "5:3", "6:2"]);
    assert_eq!(result_of(&certificate, "other").purged, Some(0));
    assert_eq!(
        world.number("SELECT count(*) FROM handover.chunks WHERE position = 1").await,
        0,
        "nobody else may take them"
    );
});

on_every_path!(rows_that_no_reference_covers_keep_a_job_from_completing, 2, |world| {
    // Two with no stage, one closed: a third value, and NULL.
    let references = [
        reference("open", "items", "where = { stage = [\"new\", \"open\"] }\ndisposition = \"transfer\""),
        "[license]\ntable = \"seats\"\nuser = \"holder\"\n".to_owned(),
    ];
    let seats = "CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, holder BIGINT); INSERT INTO seats VALUES (1, 9);";
    HOST.start(world, &[ITEMS, seats].concat(), &references.concat()).await;
    let job = world.hand_over(&leave(json!({ "open": { "user": "2" } }))).await;
    assert_eq!((job.state.as_str(), codes_of(&job)), ("needs_attention", vec!["orphans_left".to_owned()]));
    assert_eq!(reasons_of(&job)[0].concerning.count, Some(4));
    assert!(reasons_of(&job)[0].message.contains("items.owner"), "{}", reasons_of(&job)[0].message);
    assert!(job.certificate.is_none());
    assert_eq!(world.number("SELECT count(*) FROM seats WHERE holder = 9").await, 1, "nothing is claimed");
    assert_eq!(owners(world, "items").await, ["1:2", "2:2", "3:2", "4:9", "5:9", "6:9", "7:2", "8:9"]);
});

/// The kinds that a certificate speaks of.
fn kinds(certificate: &Certificate) -> Vec<&str> {
    certificate.references.iter().map(|reference| reference.kind.as_str()).collect()
}

// --- Transfer ---------------------------------------------------------------------------------------------------------

on_every_path!(what_need_not_be_allotted_may_stay, 2, |world| {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"transfer\"\nrequired = false")).await;
    let certificate = world.certificate(&leave(json!({}))).await;
    let doc = result_of(&certificate, "doc");
    assert_eq!((doc.found, doc.moved, doc.left_behind), (Some(5), Some(0), Some(5)));
    assert_eq!(owners(world, "docs").await, ["1:9", "2:9", "3:9", "4:9", "5:9", "6:2"]);
});

on_every_path!(what_need_not_be_allotted_moves_where_the_request_allots_it, 2, |world| {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"transfer\"\nrequired = false")).await;
    let certificate = world.certificate(&leave(json!({ "doc": { "user": "3" } }))).await;
    let doc = result_of(&certificate, "doc");
    assert_eq!((doc.moved, doc.left_behind), (Some(5), Some(0)));
});

on_every_path!(only_users_with_a_value_in_a_column_are_eligible, 2, |world| {
    let eligible = "disposition = \"transfer\"\neligible = { column = \"can_lead\", equals = true }";
    HOST.start(world, &table("docs"), &reference("doc", "docs", eligible)).await;
    let job = world.hand_over(&leave(json!({ "doc": { "user": "3" } }))).await;
    assert_eq!(codes_of(&job), ["successor_not_eligible"]);
    let mut request = leave(json!({ "doc": { "user": "2" } }));
    request["request_id"] = json!("r2");
    assert_eq!(result_of(&world.certificate(&request).await, "doc").moved, Some(5));
});

on_every_path!(on_conflict_drop_lets_the_leavers_row_go_where_the_successor_has_the_record, 2, |world| {
    HOST.start(world, MEMBERS, &members("on_conflict = \"drop\"")).await;
    let certificate = world.certificate(&leave(json!({ "member": { "user": "2" } }))).await;
    let member = result_of(&certificate, "member");
    assert_eq!((member.found, member.moved, member.dropped), (Some(3), Some(2), Some(1)));
    let rows = world
        .texts("SELECT CAST(doc AS text) || ':' || CAST(owner AS text) || since AS t FROM members ORDER BY doc, owner")
        .await;
    assert_eq!(rows, ["1:2y", "2:2x", "3:2x", "3:3z", "4:2y"]);
    assert_eq!(copies(world, "member").await, [json!({ "doc": 1, "owner": 9, "since": "x" })]);
});

on_every_path!(on_conflict_drop_looks_at_the_successor_of_each_record, 2, |world| {
    HOST.start(world, MEMBERS, &members("on_conflict = \"drop\"")).await;
    let shares = json!([{ "user": "3", "amount": 2 }, { "user": "2", "amount": 1 }]);
    let certificate = world.certificate(&leave(json!({ "member": { "logic": "ratio", "shares": shares } }))).await;
    let member = result_of(&certificate, "member");
    // 1 and 2 go to user 3, who has neither; 3 to user 2, who has not.
    assert_eq!((member.moved, member.dropped), (Some(3), None));
    let rows = world
        .texts("SELECT CAST(doc AS text) || ':' || CAST(owner AS text) AS t FROM members ORDER BY doc, owner")
        .await;
    assert_eq!(rows, ["1:2", "1:3", "2:3", "3:2", "3:3", "4:2"]);
});

on_every_path!(without_on_conflict_an_occupied_record_needs_attention_and_the_others_move, 1, |world| {
    HOST.start(world, MEMBERS, &members("")).await;
    let job = world.hand_over(&leave(json!({ "member": { "user": "2" } }))).await;
    assert_eq!((job.state.as_str(), codes_of(&job)), ("needs_attention", vec!["row_refused".to_owned()]));
    assert_eq!(reasons_of(&job)[0].concerning.kind.as_deref(), Some("member"));
    assert_eq!(world.number("SELECT count(*) FROM members WHERE owner = 9 AND doc = 1").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM members WHERE owner = 2 AND since = 'y'").await, 2);
});

on_every_path!(touch_sets_the_time_of_the_move, 2, |world| {
    let time = if world.setting == Setting::Embedded { "TEXT" } else { "TIMESTAMPTZ" };
    let tables = format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, changed {time} NOT NULL); \
         INSERT INTO docs VALUES (1, 9, '2001-02-03 04:05:06'), (2, 9, '2001-02-03 04:05:06'), (3, 9, '2001-02-03 04:05:06'), (4, 2, '2001-02-03 04:05:06');"
    );
    HOST.start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"\ntouch = \"changed\"")).await;
    world.certificate(&leave(json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(world.texts("SELECT CAST(id AS text) AS t FROM docs WHERE changed < '2020-01-01'").await, ["4"]);
});

// --- Detach, purge, set -----------------------------------------------------------------------------------------------

on_both!(what_is_done_at_the_start_is_done_before_any_record_moves, |world| {
    world.use_chunks_of(2);
    let references = [
        reference("doc", "docs", "disposition = \"transfer\""),
        reference("key", "door_keys", "disposition = \"detach\"\nat = \"start\""),
        reference("draft", "drafts", "disposition = \"purge\"\nat = \"start\""),
        reference("access", "accesses", "disposition = \"set\"\nset = { note = \"none\" }\nat = \"start\""),
    ];
    let tables = [table("docs"), table("door_keys"), table("drafts"), table("accesses")];
    HOST.create(world, &tables.concat(), &references.concat()).await;
    world.start_roles(&[Role::Planner]).await;
    let id = world.send(&leave(json!({ "doc": { "user": "2" } }))).await;
    let job = world.until("the request is accepted", async || world.job(id).await).await;
    assert_eq!(job.state().expect("a state"), State::Cutting);
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner = 9").await, 5);
    assert_eq!(world.number("SELECT count(*) FROM door_keys WHERE owner = 9").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM drafts WHERE owner = 9").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM accesses WHERE owner = 9 AND note = 'none'").await, 5);
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(id).await);
    assert_eq!(result_of(&certificate, "key").removed, Some(5));
    assert_eq!(result_of(&certificate, "access").set, Some(5));
    assert_eq!(result_of(&certificate, "doc").moved, Some(5));
});

/// Drafts with lines, and remarks on the lines, which the database would delete behind our back.
const DRAFTS: &str = "CREATE TABLE drafts (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, name TEXT); \
    CREATE TABLE lines (id BIGINT NOT NULL PRIMARY KEY, draft BIGINT NOT NULL REFERENCES drafts (id) ON DELETE CASCADE, body TEXT); \
    CREATE TABLE remarks (id BIGINT NOT NULL PRIMARY KEY, line BIGINT NOT NULL REFERENCES lines (id) ON DELETE CASCADE, body TEXT); \
    INSERT INTO drafts VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 9, 'c'), (4, 2, 'd'); \
    INSERT INTO lines VALUES (11, 1, 'l1'), (12, 1, 'l2'), (13, 3, 'l3'), (14, 4, 'l4'); \
    INSERT INTO remarks VALUES (21, 12, 'r1'), (22, 13, 'r2'), (23, 14, 'r3');";

async fn children_go(world: &mut World, disposition: &str) -> Certificate {
    let with = format!("disposition = \"{disposition}\"\nwith = [\"lines\", \"remarks\"]");
    HOST.start(world, DRAFTS, &reference("draft", "drafts", &with)).await;
    let certificate = world.certificate(&leave(json!({}))).await;
    for (table, left) in [("drafts", "4"), ("lines", "14"), ("remarks", "23")] {
        assert_eq!(world.texts(&format!("SELECT CAST(id AS text) AS t FROM {table}")).await, [left], "{table}");
    }
    certificate
}

on_every_path!(rows_of_other_tables_go_with_purged_ones_and_are_copied, 2, |world| {
    let certificate = children_go(world, "purge").await;
    assert_eq!(result_of(&certificate, "draft").purged, Some(3));
    let copies = copies(world, "draft").await;
    let of = |field: &str, value: Value| copies.iter().filter(|copy| copy[field] == value).count();
    assert_eq!(copies.len(), 8, "three drafts, three lines, two remarks: {copies:?}");
    assert_eq!((of("name", json!("a")), of("draft", json!(1)), of("line", json!(12))), (1, 2, 1));
    let until = world.number("SELECT count(*) FROM handover.copies WHERE keep_until > at").await;
    assert_eq!(until, 8);
});

on_every_path!(rows_of_other_tables_go_with_detached_ones_and_are_copied, 2, |world| {
    let certificate = children_go(world, "detach").await;
    assert_eq!(result_of(&certificate, "draft").removed, Some(3));
    assert_eq!(copies(world, "draft").await.len(), 8);
    assert_eq!(world.number("SELECT count(*) FROM handover.copies WHERE keep_until IS NOT NULL").await, 0);
});

on_every_path!(a_copy_that_is_not_kept_is_not_made, 2, |world| {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"purge\"\nkeep_copy = \"0d\"")).await;
    let certificate = world.certificate(&leave(json!({}))).await;
    assert_eq!(result_of(&certificate, "doc").purged, Some(5));
    assert_eq!(owners(world, "docs").await, ["6:2"]);
    assert_eq!(world.number("SELECT count(*) FROM handover.copies").await, 0);
    assert_eq!(journaled(world, "doc").await.len(), 5);
});

on_every_path!(rows_with_children_whose_copies_are_not_kept_are_not_copied, 2, |world| {
    let gone = "disposition = \"purge\"\nkeep_copy = \"0d\"\nwith = [\"lines\", \"remarks\"]";
    HOST.start(world, DRAFTS, &reference("draft", "drafts", gone)).await;
    world.certificate(&leave(json!({}))).await;
    assert_eq!(world.number("SELECT count(*) FROM remarks").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM handover.copies").await, 0);
});

on_every_path!(set_keeps_the_old_values, 2, |world| {
    let set = "disposition = \"set\"\nset = { note = \"frozen\" }\nrestore = true";
    HOST.start(world, &table("docs"), &reference("doc", "docs", set)).await;
    world.sql("UPDATE docs SET note = NULL WHERE id = 2").await;
    world.sql("UPDATE docs SET note = 'frozen' WHERE id = 3").await;
    let certificate = world.certificate(&leave(json!({}))).await;
    assert_eq!(result_of(&certificate, "doc").set, Some(4), "one was so already");
    assert_eq!(
        world.texts("SELECT note AS t FROM docs ORDER BY id").await,
        ["frozen", "frozen", "frozen", "frozen", "frozen", "f"]
    );
    assert_eq!(owners(world, "docs").await, ["1:9", "2:9", "3:9", "4:9", "5:9", "6:2"]);
    let mut copies = copies(world, "doc").await;
    copies.sort_by_key(|copy| copy["id"].as_i64());
    let old = |id: i64, note: Value| json!({ "id": id, "note": note });
    assert_eq!(copies, [old(1, json!("a")), old(2, Value::Null), old(4, json!("d")), old(5, json!("e"))]);
});

on_every_path!(set_takes_now_numbers_and_booleans, 2, |world| {
    let time = if world.setting == Setting::Embedded { "TEXT" } else { "TIMESTAMPTZ" };
    let tables = format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, frozen {time}, level INTEGER, open BOOLEAN); \
         INSERT INTO docs VALUES (1, 9, NULL, 5, TRUE), (2, 9, '2001-02-03 04:05:06', 0, FALSE), (3, 9, NULL, NULL, NULL), (4, 2, NULL, 5, TRUE);"
    );
    let set = "disposition = \"set\"\nset = { frozen = { now = true }, level = 0, open = false }";
    HOST.start(world, &tables, &reference("doc", "docs", set)).await;
    let certificate = world.certificate(&leave(json!({}))).await;
    assert_eq!(result_of(&certificate, "doc").set, Some(2), "the second was so already");
    assert_eq!(
        world
            .number("SELECT count(*) FROM docs WHERE owner = 9 AND frozen IS NOT NULL AND level = 0 AND NOT open")
            .await,
        3
    );
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE id = 2 AND frozen < '2002-01-01'").await, 1);
    assert_eq!(
        world.number("SELECT count(*) FROM docs WHERE id = 4 AND frozen IS NULL AND level = 5 AND open").await,
        1
    );
});

on_every_path!(detached_rows_that_are_to_be_restored_are_copied_for_good, 2, |world| {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"detach\"\nrestore = true")).await;
    world.certificate(&leave(json!({}))).await;
    assert!(copies(world, "doc").await.contains(&json!({ "id": 1, "owner": 9, "note": "a" })));
    assert_eq!(world.number("SELECT count(*) FROM handover.copies WHERE keep_until IS NULL").await, 5);
});

// --- Block ------------------------------------------------------------------------------------------------------------

const BLOCK: &str = "disposition = \"block\"";

on_every_path!(a_user_may_not_leave_while_a_blocking_row_exists, 2, |world| {
    HOST.start(world, &table("docs"), &reference("doc", "docs", BLOCK)).await;
    let job = world.hand_over(&leave(json!({}))).await;
    assert_eq!((job.state.as_str(), codes_of(&job)), ("rejected", vec!["blocked".to_owned()]));
    let reason = &reasons_of(&job)[0];
    assert_eq!(reason.concerning.keys, ["1", "2", "3", "4", "5"]);
    assert_eq!(world.texts("SELECT status AS t FROM people WHERE id = 9").await, ["active"]);
    world.sql("UPDATE docs SET owner = 2").await;
    let mut request = leave(json!({}));
    request["request_id"] = json!("r2");
    world.certificate(&request).await;
});

on_every_path!(a_block_that_may_be_resolved_is_transferred_to_whom_the_request_names, 2, |world| {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"block\"\nresolve = true")).await;
    assert_eq!(codes_of(&world.hand_over(&leave(json!({}))).await), ["blocked"]);
    let mut request = leave(json!({ "doc": { "each": { "2": "3" }, "rest": { "user": "2" } } }));
    request["request_id"] = json!("r2");
    let certificate = world.certificate(&request).await;
    assert_eq!(successors_of(&certificate, "doc"), counts([(2, 4), (3, 1)]));
    assert_eq!(owners(world, "docs").await, ["1:2", "2:3", "3:2", "4:2", "5:2", "6:2"]);
});

/// Who is told of an alert. 1: the leaver alone; 2: with user 2; 3: with one who has left; 4: others.
const RECIPIENTS: &str = "CREATE TABLE recipients (alert BIGINT NOT NULL, owner BIGINT NOT NULL, PRIMARY KEY (alert, owner)); \
    INSERT INTO recipients VALUES (1, 9), (2, 9), (2, 2), (3, 9), (3, 4), (4, 2), (4, 3), (5, 9), (5, 3);";

fn recipients(resolve: &str) -> String {
    let of = |kind: &str, rest: &str| {
        reference(kind, "recipients", rest).replace("key = \"id\"", "key = [\"alert\", \"owner\"]")
    };
    let sole = of("sole_recipient", &format!("disposition = \"block\"\nsole_in = \"alert\"\n{resolve}"));
    [sole, of("recipient", "disposition = \"detach\"")].concat()
}

on_every_path!(only_the_last_active_one_of_a_group_is_held, 2, |world| {
    HOST.start(world, RECIPIENTS, &recipients("")).await;
    let job = world.hand_over(&leave(json!({}))).await;
    assert_eq!(codes_of(&job), ["blocked"]);
    assert_eq!(reasons_of(&job)[0].concerning.keys, ["1,9", "3,9"]);
    world.sql("INSERT INTO recipients VALUES (1, 3), (3, 2)").await;
    let mut request = leave(json!({}));
    request["request_id"] = json!("r2");
    let certificate = world.certificate(&request).await;
    assert_eq!(result_of(&certificate, "recipient").removed, Some(4));
    assert_eq!(world.number("SELECT count(*) FROM recipients WHERE owner = 9").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM recipients").await, 7);
});

on_every_path!(the_last_one_of_a_group_is_handed_on_where_the_request_says_to_whom, 1, |world| {
    HOST.start(world, RECIPIENTS, &recipients("resolve = true")).await;
    let certificate = world.certificate(&leave(json!({ "sole_recipient": { "user": "2" } }))).await;
    let rows = world
        .texts("SELECT CAST(alert AS text) || ':' || CAST(owner AS text) AS t FROM recipients ORDER BY alert, owner")
        .await;
    assert_eq!(rows, ["1:2", "2:2", "3:2", "3:4", "4:2", "4:3", "5:3"]);
    assert_eq!(result_of(&certificate, "sole_recipient").moved, Some(2));
    assert_eq!(result_of(&certificate, "recipient").removed, Some(2));
});

on_every_path!(what_a_block_hands_on_is_not_what_a_later_reference_removes, 1, |world| {
    let references = [
        reference("split", "docs", "where = { note = { null = false } }\ndisposition = \"block\"\nresolve = true"),
        reference("member", "docs", "disposition = \"detach\""),
    ];
    HOST.start(world, &table("docs"), &references.concat()).await;
    world.sql("UPDATE docs SET note = NULL WHERE id IN (2, 4)").await;
    let certificate = world.certificate(&leave(json!({ "split": { "user": "3" } }))).await;
    assert_eq!(owners(world, "docs").await, ["1:3", "3:3", "5:3", "6:2"]);
    assert_eq!(result_of(&certificate, "split").moved, Some(3));
    assert_eq!(result_of(&certificate, "member").removed, Some(2));
    let cut = "SELECT COALESCE(sum(records), 0) FROM handover.chunks WHERE position = 1";
    assert!(world.number(cut).await <= 2, "nobody else may take them");
});

// --- Names ------------------------------------------------------------------------------------------------------------

on_every_path!(names_may_need_quotes, 2, |world| {
    let create = |name: &str| {
        format!(
            "CREATE TABLE \"{name}\" (\"line no\" BIGINT NOT NULL PRIMARY KEY, \"owner id\" BIGINT, \"order\" TEXT, \"it's \"\"so\"\"\" TEXT); \
         INSERT INTO \"{name}\" VALUES (1, 9, 'a', 'x'), (2, 9, 'b', 'y'), (3, 9, 'c', NULL), (4, 2, 'd', 'z');"
        )
    };
    let of = |kind: &str, table: &str, rest: &str| {
        format!(
            "[[reference]]\nkind = \"{kind}\"\ntable = \"{table}\"\nkey = \"line no\"\nuser = \"owner id\"\n{rest}\n"
        )
    };
    let references = [
        of("line", "Order Lines", "disposition = \"transfer\"\nwhere = { \"it's \\\"so\\\"\" = { null = false } }"),
        of("empty_line", "Order Lines", "disposition = \"keep\""),
        of("share", "Shared Lines", "disposition = \"detach\""),
        of("mark", "select", "disposition = \"set\"\nset = { \"it's \\\"so\\\"\" = \"it's\", order = \"$1; --\" }"),
    ];
    let tables = [create("Order Lines"), create("Shared Lines"), create("select")];
    HOST.start(world, &tables.concat(), &references.concat()).await;
    let shares = json!([{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }]);
    let certificate = world.certificate(&leave(json!({ "line": { "logic": "ratio", "shares": shares } }))).await;
    assert_eq!(successors_of(&certificate, "line"), counts([(2, 1), (3, 1)]));
    assert_eq!(result_of(&certificate, "empty_line").kept, Some(1));
    assert_eq!(world.number("SELECT count(*) FROM \"Shared Lines\"").await, 1);
    assert!(copies(world, "share").await.iter().any(|copy| copy["it's \"so\""] == json!("x")));
    assert_eq!(
        world
            .number("SELECT count(*) FROM \"select\" WHERE \"it's \"\"so\"\"\" = 'it''s' AND \"order\" = '$1; --'")
            .await,
        3
    );
    let old = copies(world, "mark").await;
    assert!(old.contains(&json!({ "line no": 1, "order": "a", "it's \"so\"": "x" })), "{old:?}");
});

on_every_path!(a_table_may_be_called_like_one_of_the_ledgers, 2, |world| {
    HOST.start(world, &table("jobs"), &reference("job", "jobs", "disposition = \"transfer\"")).await;
    let certificate = world.certificate(&leave(json!({ "job": { "user": "2" } }))).await;
    assert_eq!(result_of(&certificate, "job").moved, Some(5));
    let jobs = if world.setting == Setting::Servers { "public.jobs" } else { "jobs" };
    assert_eq!(owners(world, jobs).await, ["1:2", "2:2", "3:2", "4:2", "5:2", "6:2"]);
});

#[test]
fn tables_may_stand_in_a_schema_of_their_own() {
    run(Setting::Servers, async |world| {
        for rows in [1000, 2] {
            world.stop_workers().await;
            world.sql("DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop; CREATE TABLE IF NOT EXISTS docs (id BIGINT)").await;
            world.use_chunks_of(rows);
            let host = Host { schema: "shop.", ..HOST };
            let references = [
                reference("doc", "shop.docs", "disposition = \"transfer\""),
                reference("share", "shop.shares", "disposition = \"detach\""),
                reference("draft", "shop.drafts", "disposition = \"purge\"\nwith = [\"shop.lines\", \"shop.remarks\"]"),
            ];
            let drafts = DRAFTS
                .replace("TABLE ", "TABLE shop.")
                .replace("INTO ", "INTO shop.")
                .replace("REFERENCES ", "REFERENCES shop.");
            let tables = [table("shop.docs"), table("shop.shares"), drafts];
            host.start(world, &tables.concat(), &references.concat()).await;
            let mut request = leave(json!({ "doc": { "user": "2" } }));
            request["request_id"] = json!(format!("r{rows}"));
            let certificate = world.certificate(&request).await;
            assert_eq!(result_of(&certificate, "doc").moved, Some(5));
            assert_eq!(owners(world, "shop.docs").await, ["1:2", "2:2", "3:2", "4:2", "5:2", "6:2"]);
            assert_eq!(owners(world, "shop.shares").await, ["6:2"]);
            assert_eq!(world.number("SELECT count(*) FROM shop.remarks").await, 1);
        }
    });
}
