//! Undo with deferred foreign keys: restored rows have their parents, and rows without one are reported.

use handover::contract::ReferenceResult;
use serde_json::json;

use crate::support::people::{host, leave, owners, reference, reverted, reverts_to, start};
use crate::support::world::{certificate_of, result_of};
use crate::support::{Engine, World, every_engine, on_postgres};

/// Returns the restored count of a kind, and the skipped counts by reason.
fn reported(result: &ReferenceResult) -> (Option<u64>, Vec<(&str, u64)>) {
    (result.restored, result.skipped.iter().map(|(reason, count)| (reason.name(), *count)).collect())
}

/// Orders with lines. Each order references one of its lines as its cover, so the two reference each other. A line has
/// a product; the first order has a line of product 7.
fn orders(world: &World) -> String {
    let cover = "FOREIGN KEY (cover) REFERENCES lines (id) DEFERRABLE INITIALLY DEFERRED";
    let (within, later) = match world.engine {
        Engine::Sqlite => (format!(", {cover}"), String::new()),
        Engine::Postgres => (String::new(), format!("ALTER TABLE orders ADD {cover};")),
    };
    format!(
        "CREATE TABLE products (id BIGINT NOT NULL PRIMARY KEY); INSERT INTO products VALUES (7), (8); \
         CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, cover BIGINT{within}); \
         CREATE TABLE lines (id BIGINT NOT NULL PRIMARY KEY, order_id BIGINT NOT NULL REFERENCES orders (id), \
           product BIGINT REFERENCES products (id) DEFERRABLE INITIALLY DEFERRED); {later} \
         INSERT INTO orders VALUES (1, 9, NULL), (2, 9, NULL), (3, 2, NULL), (4, 9, NULL), (5, 9, NULL); \
         INSERT INTO lines VALUES (10, 1, 8), (11, 1, 7), (20, 2, NULL), (21, 2, 8), (30, 3, 7), (50, 5, 7); \
         UPDATE orders SET cover = 11 WHERE id = 1; UPDATE orders SET cover = 20 WHERE id = 2; UPDATE orders SET cover = 30 WHERE id = 3;"
    )
}

const ORDER: &str = "disposition = \"detach\"\nwith = [\"lines\", \"orders\"]";

#[every_engine(also_in_chunks_of = 1)]
async fn circular_parents_and_children_return_together(world: &mut World) {
    let tables = orders(world);
    start(world, &tables, &reference("order", "orders", ORDER)).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    certificate_of(&job);
    assert_eq!(world.number("SELECT count(*) FROM lines").await, 1);
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 1)]
async fn circular_rows_without_parent_are_skipped(world: &mut World) {
    let tables = orders(world);
    start(world, &tables, &reference("order", "orders", ORDER)).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    certificate_of(&job);
    world
        .sql("DELETE FROM lines; UPDATE orders SET cover = NULL WHERE id = 3; DELETE FROM products WHERE id = 7")
        .await;
    let certificate = reverted(world, &job).await;
    // The first order depends on its cover, and its other line on the order. The fifth loses only its line.
    assert_eq!(reported(&result_of(&certificate, "order")), (Some(3), vec![("parent_gone", 1)]));
    assert_eq!(reported(&result_of(&certificate, "order/lines")), (Some(2), vec![("parent_gone", 3)]));
    assert_eq!(owners(world, "orders").await, ["2:9", "3:2", "4:9", "5:9"]);
    let lines = "SELECT CAST(id AS text) || ':' || CAST(order_id AS text) AS t FROM lines ORDER BY id";
    assert_eq!(world.texts(lines).await, ["20:2", "21:2"]);
}

#[every_engine(also_in_chunks_of = 5)]
async fn missing_parent_is_reported_despite_deferred_checks(world: &mut World) {
    let wait = "DEFERRABLE INITIALLY DEFERRED";
    // Two tags follow each other: they are removed and restored in one transaction.
    let tables = format!(
        "CREATE TABLE places (room BIGINT, person BIGINT, PRIMARY KEY (room, person)); INSERT INTO places VALUES (1, 9), (2, 9), (1, 2), (2, 2); \
         CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, room BIGINT, FOREIGN KEY (room, owner) REFERENCES places (room, person) {wait}); \
         INSERT INTO docs VALUES (1, 9, 1), (2, 9, 2), (3, 9, 1), (4, 9, NULL); \
         CREATE TABLE levels (name TEXT NOT NULL PRIMARY KEY); INSERT INTO levels VALUES ('read'), ('write'), ('full'); \
         CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, access TEXT REFERENCES levels (name) {wait}); \
         INSERT INTO seats VALUES (1, 9, 'full'), (2, 9, 'write'), (3, 9, 'full'), (4, 9, NULL); \
         CREATE TABLE tags (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, room BIGINT, person BIGINT, after BIGINT REFERENCES tags {wait}, \
           FOREIGN KEY (room, person) REFERENCES places (room, person) {wait}); \
         INSERT INTO tags VALUES (1, 9, 1, 9, NULL), (2, 9, 2, 9, 1), (3, 9, 1, 2, 2), (4, 9, 2, NULL, 5), (5, 9, 1, 2, 4);"
    );
    let references = [
        reference("doc", "docs", "disposition = \"transfer\""),
        reference("seat", "seats", "disposition = \"set\"\nset = { access = \"read\" }"),
        reference("tag", "tags", "disposition = \"detach\"\nwith = [\"tags\"]"),
    ];
    start(world, &tables, &references.concat()).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    certificate_of(&job);
    world.sql("DELETE FROM places WHERE room = 2 AND person = 9").await;
    world.sql("DELETE FROM levels WHERE name = 'full'").await;
    let certificate = reverted(world, &job).await;
    assert_eq!(reported(&result_of(&certificate, "doc")), (Some(3), vec![("parent_gone", 1)]));
    assert_eq!(owners(world, "docs").await, ["1:9", "2:2", "3:9", "4:9"]);
    assert_eq!(reported(&result_of(&certificate, "seat")), (Some(2), vec![("parent_gone", 2)]));
    // The third depends on the second.
    assert_eq!(reported(&result_of(&certificate, "tag")), (Some(3), vec![("parent_gone", 2)]));
    assert_eq!(owners(world, "tags").await, ["1:9", "4:9", "5:9"]);
}

/// Promise: a row comes back although the last chunk that had its parent commits just after the row was tried.
#[on_postgres]
async fn parent_of_another_chunk_may_return_last(world: &mut World) {
    // The link belongs to the chunk of the first item. It is refused as long as the second item is away. At its second try after the
    // cut, the second item comes back between the refusal and the look at the other chunks.
    let others_open = "(SELECT count(*) FROM handover.chunks WHERE state = 'open') > 1";
    let is_cut = "(SELECT state FROM handover.jobs WHERE target IS NOT NULL) <> 'cutting'";
    let tables = format!(
        "CREATE TABLE items (id BIGINT PRIMARY KEY, owner BIGINT); \
         CREATE TABLE links (id BIGINT PRIMARY KEY, a BIGINT NOT NULL REFERENCES items ON DELETE CASCADE, \
           b BIGINT NOT NULL REFERENCES items ON DELETE CASCADE); \
         INSERT INTO items VALUES (1, 9), (2, 9); INSERT INTO links VALUES (7, 1, 2); CREATE SEQUENCE tries; \
         CREATE FUNCTION wait_for_tries() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
           WHILE NEW.id = 2 AND (SELECT last_value FROM tries) < 2 AND {others_open} LOOP PERFORM pg_sleep(0.01); END LOOP; \
           RETURN NEW; END $$; \
         CREATE FUNCTION refuse_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
           IF NOT EXISTS (SELECT FROM items WHERE id = NEW.b) THEN \
             WHILE {is_cut} AND nextval('tries') >= 2 AND {others_open} LOOP PERFORM pg_sleep(0.01); END LOOP; \
             RAISE foreign_key_violation; END IF; \
           RETURN NEW; END $$;"
    );
    let with = "disposition = \"detach\"\nwith = [{ table = \"links\", column = \"a\" }, { table = \"links\", column = \"b\" }]";
    world.use_chunks_of(1);
    start(world, &tables, &reference("item", "items", with)).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    certificate_of(&job);
    for (table, function) in [("items", "wait_for_tries"), ("links", "refuse_first")] {
        let trigger = format!("CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()");
        world.sql(&trigger).await;
    }
    reverts_to(world, &job, &before).await;
}
