//! Ids that the database refuses.

use super::Sheet;
use crate::support::people::USERS;
use crate::support::process::{binary, borrowed, finish, settings, text};
use crate::support::{World, every_engine};

#[every_engine]
async fn ids_that_the_database_refuses_fail_alone(world: &mut World) {
    let people = "CREATE TABLE people (id NUMERIC(20) NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
        INSERT INTO people VALUES (1, 'Ann', 'ann@example.com', 'active'), (2, 'Ben', 'ben@example.com', 'active'), \
        (9, 'Zoe', 'zoe@example.com', 'active'); CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner NUMERIC(20)); \
        CREATE INDEX docs_owner ON docs (owner); INSERT INTO docs VALUES (1, 9)";
    world.sql(people).await;
    let doc =
        "[[reference]]\nkind = \"doc\"\ntable = \"docs\"\nkey = \"id\"\nuser = \"owner\"\ndisposition = \"transfer\"\n";
    let sheet = Sheet::of("leavers.csv", "user_id,deactivated,successor\nnobody,y,2\n9,y,2\n");
    let catalog = sheet.file.with_file_name("catalog.toml");
    std::fs::write(&catalog, format!("{USERS}{doc}")).expect("a catalog");
    world.use_catalog(&format!("{USERS}{doc}")).await;
    let mut settings = settings(world);
    settings.push(("HANDOVER_CATALOG".into(), text(&catalog).into()));
    let child =
        binary(&borrowed(&settings), &["bulk", text(&sheet.file), "--by", "1", "--json"]).spawn().expect("the binary");
    let rows = tokio::task::block_in_place(|| finish(child, b"")).expect(3).json_lines();
    assert_eq!(rows[0]["outcome"], "rejected", "{}", rows[0]);
    assert_eq!((&rows[1]["outcome"], &rows[1]["name"]), (&"ok".into(), &"Zoe".into()), "{}", rows[1]);
}
