//! Rows that come again: the same request, undone requests, and people who come back.

use handover::job::State;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{Sheet, codes, outcomes};
use crate::support::process::{binary, borrowed, finish, on, settings, start_worker, text};
use crate::support::{World, every_engine, on_postgres};

fn submitted(world: &World, name: &str, content: &str, code: i32) -> Vec<Value> {
    Sheet::of(name, content).rows(world, &["--submit", "--time-zone", "UTC"], code)
}

async fn jobs(world: &World) -> i64 {
    world.number("SELECT count(*) FROM handover.jobs WHERE kind = 'deactivate'").await
}

fn revert(world: &World, row: &Value) {
    on(world, &["revert", row["job_id"].as_str().expect("a job"), "--by", "1", "--wait"]).expect(0);
}

#[every_engine]
async fn same_row_is_the_same_request_in_any_file(world: &mut World) {
    let worker = start_worker(world, &[]);
    let done = submitted(world, "january.csv", "user_id,deactivated,successor\n53,y,11\n", 0);
    assert_eq!(outcomes(&done), ["completed"]);
    // Other columns, another order, another spelling; the meaning is the same.
    let other = "Email,Successor,Effective At,Deactivated\nDANA@example.com,support@example.com,,ja\n";
    let again = submitted(world, "february.csv", other, 0);
    assert_eq!((&again[0]["job_id"], &again[0]["outcome"]), (&done[0]["job_id"], &json!("completed")));
    assert_eq!(jobs(world).await, 1);
    // Another successor, or a time, is another request.
    let changed = submitted(world, "january.csv", "user_id,deactivated,successor\n53,y,12\n", 3);
    assert_eq!(codes(&changed[0]), ["already_inactive"]);
    tokio::task::block_in_place(|| worker.stop());
}

#[every_engine]
async fn row_that_was_undone_is_reported(world: &mut World) {
    let worker = start_worker(world, &[]);
    let file = "user_id,deactivated,successor,request_id\n53,y,11,\n16,y,11,\n";
    let done = submitted(world, "leavers.csv", file, 0);
    revert(world, &done[0]);
    let reactivated = world
        .hand_over(
            &json!({ "type": "reactivate", "request_id": "back", "org_id": "1", "user_id": "16", "requested_by": "1" }),
        )
        .await;
    assert_eq!(reactivated.state, State::Completed);
    for more in [&["--submit"][..], &[]] {
        let again = Sheet::of("leavers.csv", file).rows(world, more, 3);
        assert_eq!((codes(&again[0]), codes(&again[1])), (vec!["undone_since"], vec!["active_again"]));
        assert_eq!((&again[0]["job_id"], &again[0]["outcome"]), (&done[0]["job_id"], &json!("rejected")));
        let hint = again[1]["reasons"][0]["hint"].as_str().expect("a hint");
        assert!(hint.contains("`request_id`"), "{hint}");
    }
    assert_eq!(world.texts("SELECT status AS t FROM users WHERE id IN (16, 53)").await, ["active", "active"]);
    let named = "user_id,deactivated,successor,request_id\n53,y,11,second\n16,y,11,second too\n";
    assert_eq!(outcomes(&submitted(world, "leavers.csv", named, 0)), ["completed", "completed"]);
    // A request id belongs to one request.
    let taken = submitted(world, "leavers.csv", &named.replace(",11,", ",12,"), 3);
    assert_eq!((codes(&taken[0]), codes(&taken[1])), (vec!["conflict"], vec!["conflict"]));
    assert_eq!(jobs(world).await, 4);
    tokio::task::block_in_place(|| worker.stop());
}

#[every_engine]
async fn cancelled_row_is_reported(world: &mut World) {
    let worker = start_worker(world, &[]);
    let year = super::next_year();
    let file = format!("user_id,deactivated,successor,effective_at\n53,y,11,{year}-12-31\n");
    let scheduled = submitted(world, "leavers.csv", &file, 0);
    assert_eq!(outcomes(&scheduled), ["scheduled"]);
    let job = scheduled[0]["job_id"].as_str().expect("a job");
    on(world, &["cancel", job, "--by", "1", "--wait"]).expect(0);
    let again = submitted(world, "leavers.csv", &file, 3);
    assert_eq!(codes(&again[0]), ["undone_since"]);
    tokio::task::block_in_place(|| worker.stop());
}

#[every_engine]
async fn address_means_the_account_that_is_active(world: &mut World) {
    let worker = start_worker(world, &[]);
    let add =
        "INSERT INTO users (id, org_id, name, username, email, status, role, is_partner, can_manage_team) VALUES ";
    let user = |id: u32, email: &str, status: &str| {
        format!("{add}({id}, 1, 'Jo', 'jo{id}', '{email}', '{status}', 'member', TRUE, FALSE)")
    };
    // Jo left long ago and came back; Kim left twice; there are two of Lee.
    for (id, email, status) in [
        (61, "jo@example.com", "inactive"),
        (62, "Jo@example.com", "active"),
        (63, "kim@example.com", "inactive"),
        (64, "Kim@example.com", "inactive"),
        (65, "lee@example.com", "active"),
        (66, "Lee@example.com", "active"),
    ] {
        world.sql(&user(id, email, status)).await;
    }
    let file = "email,deactivated,successor\njo@example.com,y,11\nkim@example.com,y,11\nlee@example.com,y,11\n";
    let rows = submitted(world, "leavers.csv", file, 3);
    assert_eq!((&rows[0]["user"], &rows[0]["outcome"]), (&json!("62"), &json!("completed")));
    assert_eq!((codes(&rows[1]), codes(&rows[2])), (vec!["already_inactive"], vec!["ambiguous_address"]));
    // Both of Jo's accounts are inactive now; the row is still the one that was done.
    let again = submitted(world, "again.csv", file, 3);
    assert_eq!((&again[0]["job_id"], &again[0]["outcome"]), (&rows[0]["job_id"], &json!("completed")));
    // Jo comes back with a third account, and leaves again.
    world.sql(&user(67, "JO@example.com", "active")).await;
    let third = submitted(world, "again.csv", file, 3);
    assert_eq!((&third[0]["user"], &third[0]["outcome"]), (&json!("67"), &json!("completed")));
    assert_ne!(third[0]["job_id"], rows[0]["job_id"]);
    assert_eq!(jobs(world).await, 2);
    // The id of an inactive account with its address is that account.
    let named = "user_id,email,deactivated,successor\n61,jo@example.com,y,11\n61,kim@example.com,y,11\n";
    let rows = submitted(world, "named.csv", named, 3);
    assert_eq!((codes(&rows[0]), codes(&rows[1])), (vec!["already_inactive"], vec!["other_user"]));
    tokio::task::block_in_place(|| worker.stop());
}

/// Evaluates a file while a table is locked, and runs statements when the program waits for the lock.
async fn evaluated_while(world: &World, sheet: &Sheet, locked: &str, statements: &str) -> Value {
    let lock = world.store.begin("test").await.expect("a transaction");
    lock.execute_unprepared(&format!("LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE")).await.expect("a lock");
    let given = ["bulk", text(&sheet.file), "--by", "1", "--org", "1", "--json"];
    let child = binary(&borrowed(&settings(world)), &given).spawn().expect("the binary");
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    world.until("the program waits", async || (world.number(waiting).await > 0).then_some(())).await;
    lock.execute_unprepared(statements).await.expect(statements);
    lock.commit().await.expect("committed");
    tokio::task::block_in_place(|| finish(child, b"")).json_lines().remove(0)
}

#[on_postgres]
async fn row_that_is_done_meanwhile_was_sent_before(world: &mut World) {
    let worker = start_worker(world, &[]);
    let sheet = Sheet::of("leavers.csv", "user_id,deactivated,successor\n53,y,11\n");
    assert_eq!(outcomes(&sheet.rows(world, &["--submit"], 0)), ["completed"]);
    tokio::task::block_in_place(|| worker.stop());
    // The job completes after the users were read, and before the ledger is.
    world.sql("UPDATE users SET status = 'active' WHERE id = 53").await;
    let left = "UPDATE public.users SET status = 'inactive' WHERE id = 53";
    let row = evaluated_while(world, &sheet, "handover.requests", left).await;
    assert_eq!(row["outcome"], "sent_before", "{row}");
    // The request arrives and its job completes after the ledger was read, and before the row is evaluated.
    world.change_ledger("UPDATE handover.requests SET request_id = 'later ' || request_id").await;
    let arrived = "UPDATE handover.requests SET request_id = substr(request_id, 7)";
    let row = evaluated_while(world, &sheet, "public.contacts", arrived).await;
    assert_eq!(row["outcome"], "sent_before", "{row}");
}
