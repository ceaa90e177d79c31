//! Credentials: `secret = true`.

use handover::catalog::check;
use handover::store::host;
use serde_json::json;

use crate::support::people::{USERS, leave, reference, reverted, start};
use crate::support::world::{certificate_of, result_of};
use crate::support::{World, every_engine};

/// Proves that credentials leave no copy and stay gone, and that the check asks where a table looks like them.
#[every_engine]
async fn secret_rows_are_removed_without_copy(world: &mut World) {
    let tables = "CREATE TABLE access_tokens (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, token TEXT); \
         INSERT INTO access_tokens VALUES (1, 9, 'hidden'), (2, 2, 'other')";
    let tokens = |rest: &str| reference("token", "access_tokens", &format!("disposition = \"detach\"\n{rest}"));
    start(world, tables, &tokens("secret = true")).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(result_of(&certificate_of(&job), "token").removed, Some(1));
    assert_eq!(world.number("SELECT count(*) FROM handover.row_snapshots").await, 0);
    let undone = result_of(&reverted(world, &job).await, "token");
    assert_eq!((undone.found, undone.restored, undone.impossible), (Some(1), Some(0), Some(1)));
    assert_eq!(world.number("SELECT count(*) FROM access_tokens").await, 1);

    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    for (rest, warnings) in [("", 1), ("secret = false", 0), ("secret = true", 0)] {
        let checked = check("test", &format!("{USERS}{}", tokens(rest)), &schema).expect("no faults");
        let asks = checked.warnings.iter().filter(|warning| warning.message.contains("looks like credentials")).count();
        assert_eq!(asks, warnings, "{rest}");
    }
    let both = check("test", &format!("{USERS}{}", tokens("secret = true\nrestore = true")), &schema);
    assert!(both.expect_err("a fault").to_string().contains("without a copy"));
}
