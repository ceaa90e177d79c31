//! Rows that follow removed rows, along every foreign key: they go with a snapshot or are emptied with one, and an undo
//! restores them all.

use handover::store::ledger::jobs::Job;
use serde_json::json;

use crate::support::people::{USERS, host, leave, reference, reverts_to, start};
use crate::support::world::{certificate_of, result_of};
use crate::support::{World, every_engine, on_postgres, on_sqlite};

/// A shape of a schema: its tables, the references over them, and what is left after the leaver's job.
struct Shape {
    tables: &'static str,
    kind: &'static str,
    table: &'static str,
    rest: &'static str,
    /// Queries of one text each, and the texts after the job.
    left: &'static [(&'static str, &'static [&'static str])],
    /// The counts of rows that followed, by kind.
    followed: &'static [(&'static str, u64)],
}

const SHAPES: &[Shape] = &[
    // Relations, transfers, messages: two foreign keys to the same table.
    Shape {
        tables: "CREATE TABLE a_item (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
                 CREATE TABLE a_link (id BIGINT NOT NULL PRIMARY KEY, subject BIGINT NOT NULL REFERENCES a_item (id) ON DELETE CASCADE, \
                   object BIGINT NOT NULL REFERENCES a_item (id) ON DELETE CASCADE); \
                 INSERT INTO a_item VALUES (1, 9), (2, 2), (3, 2), (4, 9); INSERT INTO a_link VALUES (10, 1, 2), (11, 2, 1), (12, 2, 3), (13, 4, 1);",
        kind: "a",
        table: "a_item",
        rest: "disposition = \"detach\"\nwith = [{ table = \"a_link\", column = \"subject\" }, { table = \"a_link\", column = [\"object\"] }]",
        left: &[("SELECT CAST(id AS text) AS t FROM a_link ORDER BY id", &["12"])],
        followed: &[("a/a_link", 3)],
    },
    // A tree whose branches have rows of others.
    Shape {
        tables: "CREATE TABLE b_task (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, up BIGINT REFERENCES b_task (id) ON DELETE CASCADE); \
                 INSERT INTO b_task VALUES (1, 9, NULL), (2, 9, 1), (3, 2, 1), (4, 3, 3), (5, 2, NULL), (6, 9, 5);",
        kind: "b",
        table: "b_task",
        rest: "disposition = \"purge\"\nwith = [\"b_task\"]",
        left: &[("SELECT CAST(id AS text) AS t FROM b_task ORDER BY id", &["5"])],
        followed: &[],
    },
    // A tree whose rows outlive their parents.
    Shape {
        tables: "CREATE TABLE c_task (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, up BIGINT REFERENCES c_task (id) ON DELETE SET NULL); \
                 INSERT INTO c_task VALUES (1, 9, NULL), (2, 9, 1), (3, 2, 1), (4, 3, 2);",
        kind: "c",
        table: "c_task",
        rest: "disposition = \"detach\"\nwith = [\"c_task\"]",
        left: &[(
            "SELECT CAST(id AS text) || COALESCE(CAST(up AS text), '') AS t FROM c_task ORDER BY id",
            &["3", "4"],
        )],
        followed: &[],
    },
    // A tree of another table, and a grandchild that two ways lead to.
    Shape {
        tables: "CREATE TABLE d_item (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
                 CREATE TABLE d_line (id BIGINT NOT NULL PRIMARY KEY, item BIGINT REFERENCES d_item (id) ON DELETE CASCADE, \
                   twin BIGINT REFERENCES d_line (id) ON DELETE CASCADE); \
                 CREATE TABLE d_tag (id BIGINT NOT NULL PRIMARY KEY, line BIGINT REFERENCES d_line (id) ON DELETE CASCADE, \
                   item BIGINT REFERENCES d_item (id) ON DELETE CASCADE); \
                 INSERT INTO d_item VALUES (1, 9), (2, 2), (3, 9); INSERT INTO d_line VALUES (10, 1, NULL), (11, 2, 10), (12, 3, 11), (13, 2, NULL); \
                 INSERT INTO d_tag VALUES (20, 10, NULL), (21, NULL, 1), (22, 10, 1), (23, 11, 1), (24, 10, 2), (25, 11, 2), (26, 13, 2);",
        kind: "d",
        table: "d_item",
        rest: "disposition = \"detach\"\nwith = [\"d_tag\", \"d_line\"]",
        left: &[
            ("SELECT CAST(id AS text) AS t FROM d_line ORDER BY id", &["13"]),
            ("SELECT CAST(id AS text) AS t FROM d_tag ORDER BY id", &["26"]),
        ],
        followed: &[("d/d_line", 3), ("d/d_tag", 6)],
    },
    // Keys that refuse, another unique key, a default, several columns, and rows without a key.
    Shape {
        tables: "CREATE TABLE e_item (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, code TEXT NOT NULL UNIQUE, part BIGINT NOT NULL, \
                   UNIQUE (code, part)); \
                 CREATE TABLE e_note (id BIGINT NOT NULL PRIMARY KEY, code TEXT REFERENCES e_item (code)); \
                 CREATE TABLE e_mark (code TEXT NOT NULL, part BIGINT NOT NULL, body TEXT, FOREIGN KEY (code, part) REFERENCES e_item (code, part) ON DELETE CASCADE); \
                 CREATE TABLE e_seat (id BIGINT NOT NULL PRIMARY KEY, item BIGINT DEFAULT 3 REFERENCES e_item (id) ON DELETE SET DEFAULT); \
                 INSERT INTO e_item VALUES (1, 9, 'x', 7), (2, 9, 'y', 7), (3, 2, 'z', 7); \
                 INSERT INTO e_note VALUES (10, 'x'), (11, 'z'), (12, NULL); \
                 INSERT INTO e_mark VALUES ('x', 7, 'one'), ('x', 7, 'one'), ('y', 7, 'two'), ('z', 7, 'three'); \
                 INSERT INTO e_seat VALUES (20, 1), (21, 2), (22, 3);",
        kind: "e",
        table: "e_item",
        rest: "disposition = \"detach\"\nwith = [\"e_note\", \"e_mark\", \"e_seat\"]",
        left: &[
            ("SELECT CAST(id AS text) AS t FROM e_note ORDER BY id", &["11", "12"]),
            ("SELECT body AS t FROM e_mark", &["three"]),
            ("SELECT CAST(item AS text) AS t FROM e_seat ORDER BY id", &["3", "3", "3"]),
        ],
        followed: &[("e/e_note", 1), ("e/e_mark", 3)],
    },
    // No foreign key at all: ids in the other table, as text.
    Shape {
        tables: "CREATE TABLE f_member (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
                 CREATE TABLE f_role (id BIGINT NOT NULL PRIMARY KEY, member TEXT); \
                 INSERT INTO f_member VALUES (1, 9), (7, 2); INSERT INTO f_role VALUES (1, '1'), (2, '7'), (3, NULL), (4, 'none');",
        kind: "f",
        table: "f_member",
        rest: "disposition = \"detach\"\nwith = [{ table = \"f_role\", on = { member = \"id\" } }]",
        left: &[("SELECT CAST(id AS text) AS t FROM f_role ORDER BY id", &["2", "3", "4"])],
        followed: &[("f/f_role", 1)],
    },
    // Memberships that the successor has, with what hangs on them: dropped, or added up.
    Shape {
        tables: "CREATE TABLE g_member (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT NOT NULL, project BIGINT NOT NULL, UNIQUE (owner, project)); \
                 CREATE TABLE g_role (id BIGINT NOT NULL PRIMARY KEY, member BIGINT NOT NULL REFERENCES g_member (id) ON DELETE CASCADE, \
                   heir BIGINT REFERENCES g_role (id) ON DELETE SET NULL); \
                 INSERT INTO g_member VALUES (1, 9, 7), (2, 2, 7), (3, 9, 8); INSERT INTO g_role VALUES (1, 1, NULL), (2, 2, 1), (3, 3, NULL);",
        kind: "g",
        table: "g_member",
        rest: "disposition = \"transfer\"\non_conflict = \"drop\"\nwith = [\"g_role\"]",
        left: &[
            ("SELECT CAST(id AS text) || ':' || CAST(owner AS text) AS t FROM g_member ORDER BY id", &["2:2", "3:2"]),
            ("SELECT CAST(id AS text) || COALESCE(CAST(heir AS text), '') AS t FROM g_role ORDER BY id", &["2", "3"]),
        ],
        followed: &[("g/g_role", 1), ("g/g_role.heir", 1)],
    },
    Shape {
        tables: "CREATE TABLE h_share (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT NOT NULL, deal BIGINT NOT NULL, part BIGINT, UNIQUE (owner, deal)); \
                 CREATE TABLE h_line (id BIGINT NOT NULL PRIMARY KEY, share BIGINT REFERENCES h_share (id) ON DELETE CASCADE); \
                 INSERT INTO h_share VALUES (1, 9, 7, 30), (2, 2, 7, 20), (3, 9, 8, 5); INSERT INTO h_line VALUES (1, 1), (2, 2), (3, 3);",
        kind: "h",
        table: "h_share",
        rest: "disposition = \"transfer\"\non_conflict = { add = [\"part\"] }\nwith = [\"h_line\"]",
        left: &[
            ("SELECT CAST(id AS text) || ':' || CAST(part AS text) AS t FROM h_share ORDER BY id", &["2:50", "3:5"]),
            ("SELECT CAST(id AS text) AS t FROM h_line ORDER BY id", &["2", "3"]),
        ],
        followed: &[("h/h_line", 1)],
    },
    // Names of ours, and columns of ours, in the host's tables.
    Shape {
        tables: "CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, copy_id BIGINT, COPY_ID_ BIGINT, content TEXT, job_id TEXT, key TEXT, k0 TEXT, n BIGINT); \
                 CREATE TABLE x (copy_id BIGINT NOT NULL PRIMARY KEY, item BIGINT REFERENCES item (id) ON DELETE CASCADE, leaver BIGINT REFERENCES item (id) ON DELETE SET NULL); \
                 INSERT INTO item VALUES (1, 9, 77, 78, 'c', 'j', 'k', 'l', 5), (2, 2, 1, 2, '', '', '', '', 6); INSERT INTO x VALUES (5, 1, 2), (6, 2, 1);",
        kind: "item",
        table: "item",
        rest: "disposition = \"detach\"\nwith = [\"x\"]",
        left: &[("SELECT CAST(copy_id AS text) || COALESCE(CAST(leaver AS text), '') AS t FROM x", &["6"])],
        followed: &[("item/x", 1), ("item/x.leaver", 1)],
    },
];

fn entry(shape: &Shape) -> String {
    reference(shape.kind, shape.table, shape.rest)
}

/// Promise: rows that go with removed rows, and rows that are emptied by them, come back, whatever keys lead to them.
#[every_engine(also_in_chunks_of = 1)]
async fn every_row_that_follows_returns(world: &mut World) {
    let tables: String = SHAPES.iter().map(|shape| shape.tables).collect();
    let references: String = SHAPES.iter().map(entry).collect();
    start(world, &tables, &references).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({ "g": { "user": "2" }, "h": { "user": "2" } }))).await;
    let certificate = certificate_of(&job);
    for shape in SHAPES {
        for (query, left) in shape.left {
            assert_eq!(world.texts(query).await, *left, "{query}");
        }
        for (kind, count) in shape.followed {
            let result = result_of(&certificate, kind);
            let counts = [result.removed, result.purged, result.dropped, result.set];
            assert_eq!(counts.into_iter().flatten().sum::<u64>(), *count, "{kind}");
        }
    }
    let tree = world.number("SELECT sum(records) FROM handover.journal WHERE kind IN ('b', 'b/b_task')").await;
    assert_eq!(tree, 5, "the branch is journaled with the rows that it hangs on");
    reverts_to(world, &job, &before).await;
}

/// Promise: without `keep_copy`, rows that follow are counted, and no snapshot is left of them.
#[every_engine]
async fn purged_branch_without_copies_leaves_none(world: &mut World) {
    let shape = &SHAPES[1];
    let rest = format!("{}\nkeep_copy = \"0d\"", shape.rest);
    start(world, shape.tables, &reference(shape.kind, shape.table, &rest)).await;
    let certificate = certificate_of(&world.hand_over(&leave("9", json!({}))).await);
    assert_eq!(result_of(&certificate, "b/b_task").purged, Some(2));
    assert_eq!(world.number("SELECT count(*) FROM handover.row_snapshots").await, 0);
}

/// Promise: a row that changed since it was emptied keeps its new value.
#[every_engine]
async fn emptied_row_changed_since_is_skipped(world: &mut World) {
    let shape = &SHAPES[2];
    start(world, shape.tables, &entry(shape)).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    certificate_of(&job);
    world.sql("UPDATE c_task SET up = 4 WHERE id = 3").await;
    let certificate = crate::support::people::reverted(world, &job).await;
    let emptied = result_of(&certificate, "c/c_task.up");
    assert_eq!(emptied.skipped.values().sum::<u64>(), 1, "{emptied:?}");
    let rows = "SELECT CAST(id AS text) || ':' || COALESCE(CAST(up AS text), '') AS t FROM c_task ORDER BY id";
    assert_eq!(world.texts(rows).await, ["1:", "2:1", "3:4", "4:2"]);
}

/// Promise: snapshots hold the columns that a row has when it is removed, not those that a worker saw at its start.
#[every_engine]
async fn snapshots_hold_columns_added_since_the_start(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
                  CREATE TABLE lines (id BIGINT NOT NULL PRIMARY KEY, doc BIGINT REFERENCES docs (id) ON DELETE CASCADE); \
                  CREATE TABLE keys (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
                  INSERT INTO docs VALUES (1, 9); INSERT INTO lines VALUES (1, 1); INSERT INTO keys VALUES (1, 9);";
    let references = [
        reference("doc", "docs", "disposition = \"detach\"\nwith = [\"lines\"]"),
        reference("key", "keys", "disposition = \"purge\""),
    ];
    start(world, tables, &references.concat()).await;
    for table in ["docs", "lines", "keys"] {
        world.sql(&format!("ALTER TABLE {table} ADD COLUMN remark TEXT")).await;
        world.sql(&format!("UPDATE {table} SET remark = 'signed'")).await;
    }
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    certificate_of(&job);
    reverts_to(world, &job, &before).await;
}

/// Promise: a row that is inserted below a removed row at the same time has a snapshot, too (the parent is locked first).
#[on_postgres]
async fn row_inserted_below_a_removed_row_returns(world: &mut World) {
    let tables = "CREATE TABLE tickets (id BIGINT PRIMARY KEY, owner BIGINT); \
                  CREATE TABLE remarks (id BIGINT PRIMARY KEY, ticket BIGINT NOT NULL REFERENCES tickets ON DELETE CASCADE); \
                  INSERT INTO tickets VALUES (1, 9); INSERT INTO remarks VALUES (1, 1);";
    start(world, tables, &reference("ticket", "tickets", "disposition = \"purge\"\nwith = [\"remarks\"]")).await;
    let session = world.store.begin("host").await.expect("a transaction");
    let insert = session.sql("INSERT INTO public.remarks VALUES (2, 1)");
    session.run("inserting", insert).await.expect("a remark");
    let id = world.send(&leave("9", json!({}))).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    world.until("the worker waits", async || (world.number(waits).await > 0).then_some(())).await;
    session.commit().await.expect("committed");
    let job: Job = world.end_of(id).await;
    certificate_of(&job);
    let kept = "SELECT count(*) FROM handover.row_snapshots WHERE kind = 'ticket/remarks'";
    assert_eq!(world.number(kept).await, 2);
    crate::support::people::reverted(world, &job).await;
    assert_eq!(world.number("SELECT count(*) FROM remarks").await, 2);
}

/// Promise: partitions are parts of their table: `with` names the table, and a new partition changes nothing.
#[on_postgres]
async fn partitions_follow_as_their_table(world: &mut World) {
    let tables = "CREATE TABLE tickets (id BIGINT PRIMARY KEY, owner BIGINT); \
                  CREATE TABLE remarks (id BIGINT NOT NULL, at DATE NOT NULL, ticket BIGINT NOT NULL REFERENCES tickets ON DELETE CASCADE, \
                    owner BIGINT, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); \
                  CREATE TABLE remarks_10 PARTITION OF remarks FOR VALUES FROM ('2026-10-01') TO ('2026-11-01'); \
                  INSERT INTO tickets VALUES (1, 9), (2, 2); INSERT INTO remarks VALUES (1, '2026-10-05', 1, 2), (2, '2026-10-06', 2, 9);";
    let references = [
        reference("ticket", "tickets", "disposition = \"purge\"\nwith = [\"remarks\"]"),
        reference("remark", "remarks", "disposition = \"keep\"").replace("key = \"id\"", "key = [\"id\", \"at\"]"),
    ];
    start(world, tables, &references.concat()).await;
    world
        .sql(
            "CREATE TABLE remarks_11 PARTITION OF remarks FOR VALUES FROM ('2026-11-01') TO ('2026-12-01'); \
              INSERT INTO remarks VALUES (3, '2026-11-05', 1, 2);",
        )
        .await;
    world.use_catalog(&format!("{USERS}{}", references.concat())).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(result_of(&certificate_of(&job), "ticket/remarks").purged, Some(2));
    reverts_to(world, &job, &before).await;
}

/// Promise: SQLite compares names without case, and so do the foreign keys that the check sees.
#[on_sqlite]
async fn foreign_keys_in_another_case_are_followed(world: &mut World) {
    let tables = "CREATE TABLE Docs (Id INTEGER PRIMARY KEY, owner BIGINT); \
                  CREATE TABLE lines (id INTEGER PRIMARY KEY, doc BIGINT REFERENCES DOCS (ID) ON DELETE CASCADE); \
                  INSERT INTO Docs VALUES (1, 9); INSERT INTO lines VALUES (1, 1);";
    let rest = "disposition = \"detach\"\nwith = [\"lines\"]";
    start(world, tables, &reference("doc", "Docs", rest).replace("key = \"id\"", "key = \"Id\"")).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(world.number("SELECT count(*) FROM lines").await, 0);
    reverts_to(world, &job, &before).await;
}
