//! What a count covers: rows of the first reference that they pass, and users of the leaver's organization.

use serde_json::json;

use crate::support::people::{leave, reference, start};
use crate::support::world::{certificate_of, codes_of, result_of};
use crate::support::{World, every_engine};

#[every_engine(also_in_chunks_of = 4)]
async fn reassign_leaves_out_rows_of_other_kinds(world: &mut World) {
    let rows: Vec<String> = (1..=15).map(|id| format!("({id}, 9, {})", u8::from(id > 10))).collect();
    let tables = format!(
        "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, done INTEGER NOT NULL); INSERT INTO items VALUES {};",
        rows.join(", ")
    );
    let references = [
        reference("done_item", "items", "where = { done = 1 }\ndisposition = \"keep\""),
        reference("item", "items", "disposition = \"transfer\""),
    ];
    start(world, &tables, &references.concat()).await;
    let mut request = leave("9", json!({ "item": { "user": "2" } }));
    request["type"] = json!("reassign");
    let item = result_of(&certificate_of(&world.hand_over(&request).await), "item");
    assert_eq!((item.found, item.moved, item.left_behind), (Some(10), Some(10), Some(0)));
}

#[every_engine]
async fn last_of_a_group_is_counted_by_organization(world: &mut World) {
    let tables = "CREATE TABLE staff (id BIGINT NOT NULL PRIMARY KEY, org TEXT NOT NULL, name TEXT, mail TEXT, status TEXT, role TEXT NOT NULL); \
         INSERT INTO staff VALUES (1, 'a', 'Ann', 'a@x', 'active', 'member'), (9, 'a', 'Zoe', 'z@x', 'active', 'admin'), \
           (2, 'b', 'Ben', 'b@x', 'active', 'admin');";
    world.sql(tables).await;
    let catalog = "[users]\ntable = \"staff\"\nkey = \"id\"\norg = \"org\"\nname = \"name\"\nemail = \"mail\"\n\
         status = { column = \"status\", active = \"active\", inactive = \"inactive\" }\n\
         [[reference]]\nkind = \"last_admin\"\ntable = \"staff\"\nkey = \"id\"\nuser = \"id\"\nwhere = { role = \"admin\" }\n\
         disposition = \"block\"\nsole_in = \"role\"\n";
    world.use_catalog(catalog).await;
    world.start_worker().await;
    let mut request = leave("9", json!({}));
    request["org_id"] = json!("a");
    assert_eq!(codes_of(&world.hand_over(&request).await), ["protected"], "an administrator elsewhere does not count");
}
