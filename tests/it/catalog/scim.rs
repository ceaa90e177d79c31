//! The check of the section `[scim]`.

use handover::catalog::{Fault, check};
use handover::store::host;

use crate::support::people::{PEOPLE, USERS, reference};
use crate::support::world::catalog_source;
use crate::support::{Engine, World, every_engine};

/// Returns the faults of Keap's catalog with a text in place of another, or its warnings if it has none.
async fn findings(world: &World, written: &str, instead: &str) -> Vec<Fault> {
    let keap = catalog_source("keap");
    assert!(keap.contains(written), "{written}");
    check_source(world, &keap.replacen(written, instead, 1)).await
}

async fn check_source(world: &World, source: &str) -> Vec<Fault> {
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    match check("test", source, &schema) {
        Ok(checked) => checked.warnings,
        Err(faults) => faults.faults,
    }
}

fn messages(found: &[Fault]) -> Vec<&str> {
    found.iter().map(|fault| fault.message.as_str()).collect()
}

/// Promise: each wrong field of `[scim]` is one fault at its line, with a hint.
#[every_engine]
async fn wrong_fields_are_faults_with_hints(world: &mut World) {
    let computed = if world.engine == Engine::Postgres { "STORED" } else { "VIRTUAL" };
    world.sql(&format!("ALTER TABLE users ADD COLUMN handle TEXT GENERATED ALWAYS AS (lower(email)) {computed}")).await;
    for (field, says) in [
        ("user_name = \"e_mail\"", "no column `e_mail`"),
        ("user_name = \"org_id\"", "[scim] needs a column of texts"),
        ("user_name = \"handle\"", "computed by the database"),
        ("user_name = \"email\"\nemail = \"mail\"", "no column `mail`"),
        ("user_name = \"email\"\nemail = \"is_partner\"", "[scim] needs a column of texts"),
        ("user_name = \"email\"\nexternal_id = \"okta\"", "no column `okta`"),
        ("user_name = \"email\"\ngiven_name = \"name\"", "belong together"),
        ("user_name = \"email\"\nfamily_name = \"name\"", "belong together"),
        ("user_name = \"email\"\ngiven_name = \"name\"\nfamily_name = \"surname\"", "no column `surname`"),
        ("user_name = \"email\"\nprotected = { column = \"rank\", equals = \"root\" }", "no column `rank`"),
        ("user_name = \"email\"\nprotected = { column = \"is_partner\", equals = 5 }", "is_partner"),
        ("user_name = \"email\"\nuser = \"email\"", "unknown field"),
        ("", "user_name"),
    ] {
        let found = findings(world, "user_name = \"email\"", field).await;
        assert_eq!(found.len(), 1, "{field}: {:?}", messages(&found));
        assert!(found[0].message.contains(says), "{field}: {:?}", messages(&found));
        let wrong = field.lines().last().unwrap_or("[scim]");
        let source = catalog_source("keap").replacen("user_name = \"email\"", field, 1);
        let lines: Vec<usize> =
            (source.lines().enumerate()).filter(|(_, line)| *line == wrong).map(|(at, _)| at + 1).collect();
        assert!(lines.contains(&found[0].line), "{field}: line {}", found[0].line);
    }
    for (manager, says) in [("boss", "no column `boss`"), ("org_id", "points at organizations.id")] {
        let found =
            findings(world, "title = \"title\"\nmanager = \"manager_id\"", &format!("manager = \"{manager}\"")).await;
        assert!(found.len() == 1 && found[0].message.contains(says), "{manager}: {:?}", messages(&found));
    }
}

/// Promise: `create` needs a status for invited users, and invitations that name nobody who invites.
#[every_engine]
async fn create_needs_invitations_without_inviter(world: &mut World) {
    let found = findings(world, "[scim]\n", "[scim]\ncreate = true\n").await;
    assert!(found.len() == 1 && found[0].message.contains("leave out `invited_by`"), "{:?}", messages(&found));
    let found = findings(world, "invited_by = \"invited_by\"\n", "").await;
    assert!(found.is_empty(), "{:?}", messages(&found));
    world.sql(PEOPLE).await;
    let found = check_source(world, &format!("{USERS}[scim]\nuser_name = \"mail\"\ncreate = true\n")).await;
    assert!(messages(&found).iter().any(|message| message.contains("set `invited`")), "{:?}", messages(&found));
}

/// Promise: a `user_name` that no index finds is a warning, until there is an index in lower case or on the organization.
#[every_engine]
async fn slow_lookups_of_names_are_warned_of(world: &mut World) {
    world.sql(&format!("{PEOPLE} CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT)")).await;
    let docs = reference("doc", "docs", "disposition = \"keep\"");
    let warned = async || {
        let found = check_source(world, &format!("{USERS}[scim]\nuser_name = \"mail\"\n{docs}")).await;
        messages(&found).iter().any(|message| message.contains("no index serves the lookup of `mail`"))
    };
    assert!(warned().await);
    world.sql("CREATE INDEX people_mail ON people (mail)").await;
    assert!(warned().await, "names are compared in lower case");
    world.sql("CREATE UNIQUE INDEX people_lower_mail ON people (lower(mail))").await;
    assert!(!warned().await);
    let of_keap = check_source(world, &catalog_source("keap")).await;
    assert!(!messages(&of_keap).iter().any(|message| message.contains("no index serves")), "{:?}", messages(&of_keap));
}
