//! Triggers of the host that give a record to somebody else, keep it, or turn a delete into something else. Journal, certificate
//! and undo follow what the database holds.

use handover::job::State;
use serde_json::json;

use crate::support::people::{leave, owners, reference, reverted, start};
use crate::support::world::{certificate_of, result_of, successors_of};
use crate::support::{Engine, World, every_engine, on_postgres};

const TICKETS: &str = "CREATE TABLE tickets (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, queue INT NOT NULL, state TEXT); \
    INSERT INTO tickets VALUES (1, 9, 1, 'open'), (2, 9, 2, 'open'), (3, 9, 1, 'open'), (4, 2, 1, 'open');";

/// Returns a trigger that runs a statement after an event on a row of the tickets. `NEW` and `OLD` are the row.
fn trigger(engine: Engine, timing: &str, when: &str, does: &str) -> String {
    match engine {
        Engine::Sqlite => format!("CREATE TRIGGER host {timing} ON tickets WHEN {when} BEGIN {does}; END;"),
        Engine::Postgres => format!(
            "CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN IF {when} THEN {does}; END IF; \
             RETURN {row}; END $$; CREATE TRIGGER host {timing} ON tickets FOR EACH ROW EXECUTE FUNCTION host();",
            row = if timing.contains("DELETE") { "OLD" } else { "NEW" },
        ),
    }
}

/// Promise: the journal names the user who has a record afterwards, and an undo takes it back from them (a deputy's queue).
#[every_engine(also_in_chunks_of = 2)]
async fn redirected_record_is_journaled_where_it_is(world: &mut World) {
    let deputy = match world.engine {
        Engine::Sqlite => trigger(
            world.engine,
            "AFTER UPDATE OF owner",
            "NEW.owner = 2 AND NEW.queue = 2",
            "UPDATE tickets SET owner = 3 WHERE id = NEW.id",
        ),
        Engine::Postgres => {
            trigger(world.engine, "BEFORE UPDATE OF owner", "NEW.owner = 2 AND NEW.queue = 2", "NEW.owner := 3")
        }
    };
    start(world, &format!("{TICKETS} {deputy}"), &reference("ticket", "tickets", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "ticket": { "user": "2" } }))).await;
    let certificate = certificate_of(&job);
    assert_eq!(owners(world, "tickets").await, ["1:2", "2:3", "3:2", "4:2"]);
    let received = successors_of(&certificate, "ticket");
    assert_eq!((received.get("2"), received.get("3")), (Some(&2), Some(&1)), "{received:?}");
    assert_eq!(world.number("SELECT sum(records) FROM handover.journal").await, 3, "each record is journaled once");
    assert_eq!(result_of(&reverted(world, &job).await, "ticket").restored, Some(3));
    assert_eq!(owners(world, "tickets").await, ["1:9", "2:9", "3:9", "4:2"]);
}

/// Promise: a trigger that runs after the statement is followed, too.
#[every_engine]
async fn record_redirected_after_the_update_is_followed(world: &mut World) {
    let deputy = trigger(
        world.engine,
        "AFTER UPDATE",
        "NEW.owner = 2 AND NEW.queue = 2",
        "UPDATE tickets SET owner = 3 WHERE id = NEW.id",
    );
    start(world, &format!("{TICKETS} {deputy}"), &reference("ticket", "tickets", "disposition = \"transfer\"")).await;
    let certificate = certificate_of(&world.hand_over(&leave("9", json!({ "ticket": { "user": "2" } }))).await);
    assert_eq!(successors_of(&certificate, "ticket").get("3"), Some(&1));
}

/// Promise: a trigger that would run at the commit runs before the record is read back.
#[on_postgres]
async fn record_redirected_at_the_commit_is_followed(world: &mut World) {
    let deputy = trigger(
        world.engine,
        "AFTER UPDATE",
        "NEW.owner = 2 AND NEW.queue = 2",
        "UPDATE tickets SET owner = 3 WHERE id = NEW.id",
    )
    .replace("CREATE TRIGGER", "CREATE CONSTRAINT TRIGGER")
    .replace("ON tickets", "ON tickets DEFERRABLE INITIALLY DEFERRED");
    start(world, &format!("{TICKETS} {deputy}"), &reference("ticket", "tickets", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "ticket": { "user": "2" } }))).await;
    assert_eq!(successors_of(&certificate_of(&job), "ticket").get("3"), Some(&1));
    assert_eq!(result_of(&reverted(world, &job).await, "ticket").restored, Some(3));
}

/// Promise: a record that a trigger keeps is refused by its key; the others move.
#[every_engine(also_in_chunks_of = 2)]
async fn record_kept_by_trigger_is_refused_by_key(world: &mut World) {
    let frozen = match world.engine {
        Engine::Sqlite => {
            trigger(world.engine, "BEFORE UPDATE OF owner", "NEW.owner = 2 AND NEW.queue = 2", "SELECT RAISE(IGNORE)")
        }
        Engine::Postgres => {
            trigger(world.engine, "BEFORE UPDATE OF owner", "NEW.owner = 2 AND NEW.queue = 2", "RETURN NULL")
        }
    };
    start(world, &format!("{TICKETS} {frozen}"), &reference("ticket", "tickets", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "ticket": { "user": "2" } }))).await;
    assert_eq!(job.state, State::NeedsAttention);
    let reasons = serde_json::to_string(&job.reasons).expect("reasons");
    assert!(reasons.contains("row_refused") && reasons.contains("trigger"), "{reasons}");
    assert_eq!(owners(world, "tickets").await, ["1:2", "2:9", "3:2", "4:2"]);
}

/// Promise: a row that a trigger puts into the trash instead of deleting it is refused, and stays as it was.
#[every_engine(also_in_chunks_of = 2)]
async fn soft_deleted_row_is_refused_by_key(world: &mut World) {
    let softly = match world.engine {
        Engine::Sqlite => trigger(
            world.engine,
            "BEFORE DELETE",
            "OLD.queue = 2 AND OLD.state = 'open'",
            "UPDATE tickets SET state = 'trash' WHERE id = OLD.id; SELECT RAISE(IGNORE)",
        ),
        Engine::Postgres => trigger(
            world.engine,
            "BEFORE DELETE",
            "OLD.queue = 2 AND OLD.state = 'open'",
            "UPDATE tickets SET state = 'trash' WHERE id = OLD.id; RETURN NULL",
        ),
    };
    let references = [
        reference("ticket", "tickets", "disposition = \"purge\"\nwhere = { state = \"open\" }"),
        reference("trash", "tickets", "disposition = \"keep\""),
    ];
    start(world, &format!("{TICKETS} {softly}"), &references.concat()).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(job.state, State::NeedsAttention);
    let reasons = serde_json::to_string(&job.reasons).expect("reasons");
    assert!(reasons.contains("row_refused") && reasons.contains("trigger"), "{reasons}");
    let rows = "SELECT CAST(id AS text) || state AS t FROM tickets ORDER BY id";
    assert_eq!(world.texts(rows).await, ["2open", "4open"]);
}

/// Promise: a value that a trigger keeps from being set is refused, not counted as set.
#[every_engine]
async fn value_kept_by_trigger_is_refused(world: &mut World) {
    let keeps = match world.engine {
        Engine::Sqlite => trigger(
            world.engine,
            "AFTER UPDATE OF state",
            "NEW.state = 'closed' AND NEW.queue = 2",
            "UPDATE tickets SET state = 'open' WHERE id = NEW.id",
        ),
        Engine::Postgres => {
            trigger(world.engine, "BEFORE UPDATE", "NEW.state = 'closed' AND NEW.queue = 2", "NEW.state := 'open'")
        }
    };
    let set = reference("ticket", "tickets", "disposition = \"set\"\nset = { state = \"closed\" }");
    start(world, &format!("{TICKETS} {keeps}"), &set).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(job.state, State::NeedsAttention);
    let rows = "SELECT CAST(id AS text) || state AS t FROM tickets ORDER BY id";
    assert_eq!(world.texts(rows).await, ["1closed", "2open", "3closed", "4open"]);
}

/// Promise: a record that a trigger does not give back to the leaver is skipped by the undo, not counted as restored.
#[every_engine]
async fn record_not_given_back_is_skipped(world: &mut World) {
    start(world, TICKETS, &reference("ticket", "tickets", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "ticket": { "user": "2" } }))).await;
    certificate_of(&job);
    let away = match world.engine {
        Engine::Sqlite => trigger(
            world.engine,
            "AFTER UPDATE OF owner",
            "NEW.owner = 9 AND NEW.queue = 2",
            "UPDATE tickets SET owner = 3 WHERE id = NEW.id",
        ),
        Engine::Postgres => {
            trigger(world.engine, "BEFORE UPDATE OF owner", "NEW.owner = 9 AND NEW.queue = 2", "NEW.owner := 3")
        }
    };
    world.stop_workers().await;
    world.sql(&away).await;
    let source = world.context.catalogs.current().source.clone();
    world.use_catalog(&source).await;
    world.start_worker().await;
    let ticket = result_of(&reverted(world, &job).await, "ticket");
    assert_eq!((ticket.restored, ticket.skipped.values().sum::<u64>()), (Some(2), 1), "{ticket:?}");
    assert_eq!(owners(world, "tickets").await, ["1:9", "2:2", "3:9", "4:2"]);
}
