//! The check of a catalog against the live schema. It reports all faults at once, each with its line and a hint.

use handover::catalog::{Fault, Schema, check, scan, scan_names};
use handover::job::State;
use handover::store::host;
use serde_json::json;

use crate::support::world::{catalog_source, keap_request};
use crate::support::{Engine, World, every_engine};

async fn schema(world: &World) -> Schema {
    host::read_schema(&world.store.reader()).await.expect("the schema")
}

/// Returns the faults of a catalog.
async fn faults(world: &World, source: &str) -> Vec<Fault> {
    match check("test", source, &schema(world).await) {
        Err(faults) => faults.faults,
        Ok(checked) => panic!("no faults, warnings: {:?}", checked.warnings),
    }
}

/// Returns the warnings of a valid catalog.
async fn warnings(world: &World, source: &str) -> Vec<Fault> {
    check("test", source, &schema(world).await).unwrap_or_else(|faults| panic!("{faults}")).warnings
}

/// Compares faults with the expected ones, each given by a text on its line and parts of its message.
fn assert_faults(source: &str, faults: &[Fault], expected: &[(&str, &[&str])]) {
    let reported: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for (on_line, parts) in expected {
        let line = source.lines().position(|line| line.contains(on_line)).expect(on_line) + 1;
        let fits = |fault: &&Fault| fault.line == line && parts.iter().all(|part| fault.message.contains(part));
        assert!(faults.iter().any(|fault| fits(&fault)), "line {line} ({on_line}): {parts:?} is not in {reported:#?}");
    }
    assert_eq!(faults.len(), expected.len(), "{reported:#?}");
    assert!(faults.is_sorted(), "{reported:#?}");
}

/// Returns the users section, followed by references.
fn with_references(references: &str) -> String {
    format!(
        "[users]\ntable = \"users\"\nkey = \"id\"\norg = \"org_id\"\nname = \"name\"\nemail = \"email\"\n\
         status = {{ column = \"status\", active = \"active\", inactive = \"inactive\" }}\n{references}"
    )
}

fn reference(kind: &str, table: &str, user: &str, rest: &str) -> String {
    format!("\n[[reference]]\nkind = \"{kind}\"\ntable = \"{table}\"\nuser = \"{user}\"\n{rest}\n")
}

#[every_engine]
async fn unknown_names_are_reported_with_a_hint(world: &mut World) {
    let source = [
        "[users]",
        "table = \"users\"",
        "key = \"id\"",
        "name = \"full_name\"",
        "email = \"e_mail\"",
        "status = { column = \"status\", active = \"active\", inactive = \"inactive\" }",
        "required = [\"phones\"]",
        "[license]",
        "table = \"License\"",
        "user = \"user_id\"",
        "[groups]",
        "table = \"group_members\"",
        "group = \"groupname\"",
        "user = \"user_id\"",
        "[[reference]]",
        "kind = \"contact\"",
        "table = \"contact\"",
        "key = \"id\"",
        "user = \"owner_id\"",
        "disposition = \"transfer\"",
        "[[reference]]",
        "kind = \"task\"",
        "table = \"tasks\"",
        "key = \"task_id\"",
        "user = \"ownerid\"",
        "touch = \"updated\"",
        "disposition = \"transfer\"",
        "where = { state = \"pending\" }",
        "[[reference]]",
        "kind = \"boat\"",
        "table = \"boats\"",
        "key = \"id\"",
        "user = \"owner_id\"",
        "disposition = \"transfer\"",
    ]
    .join("\n");
    let expected: &[(&str, &[&str])] = &[
        ("full_name", &["the table users has no column `full_name`"]),
        ("e_mail", &["no column `e_mail`", "`email`"]),
        ("phones", &["no column `phones`", "`phone`"]),
        ("\"License\"", &["no table `License`", "`licenses`"]),
        ("groupname", &["no column `groupname`", "`group_name`"]),
        ("table = \"contact\"", &["no table `contact`", "`contacts`"]),
        ("task_id", &["the table tasks has no column `task_id`"]),
        ("ownerid", &["no column `ownerid`", "`owner_id`"]),
        ("touch", &["no column `updated`", "`updated_at`"]),
        ("where", &["the table tasks has no column `state`"]),
        ("boats", &["the database has no table `boats`"]),
    ];
    assert_faults(&source, &faults(world, &source).await, expected);
}

#[every_engine]
async fn missing_tables_are_one_fault(world: &mut World) {
    let kept = |kind: &str, table: &str| reference(kind, table, "owner_id", "key = \"id\"\ndisposition = \"keep\"");
    let source = with_references(&["boats", "zeppelins", "boats", "contacts"].map(|table| kept(table, table)).concat());
    let found = faults(world, &source.replacen("kind = \"boats\"", "kind = \"first\"", 1)).await;
    let missing: Vec<&Fault> = found.iter().filter(|fault| fault.message.contains("has no table")).collect();
    assert_eq!(missing.len(), 1, "{found:#?}");
    assert_eq!(
        (missing[0].line, missing[0].message.as_str()),
        (11, "the database has no tables `boats` (line 11), `zeppelins` (line 18)")
    );
}

#[every_engine]
async fn all_faults_of_a_reference_are_reported(world: &mut World) {
    let references = [
        // A duplicate kind.
        reference("contact", "contacts", "owner_id", "key = \"id\"\ndisposition = \"transfer\""),
        "# the second contact".into(),
        reference("contact", "contacts", "created_by", "key = \"id\"\ndisposition = \"keep\""),
        // Invalid keys.
        reference("not_unique", "tasks", "owner_id", "key = \"contact_id\" # not unique\ndisposition = \"keep\""),
        reference("half_a_key", "follows", "follower_id", "key = [\"follower_id\"] # half\ndisposition = \"detach\""),
        reference("nullable", "licenses", "user_id", "key = \"user_id\" # nullable\ndisposition = \"detach\""),
        // Fields that do not apply to the disposition.
        reference(
            "idle",
            "notes",
            "user_id",
            "key = \"id\"\ndisposition = \"keep\"\ntouch = \"created_at\"\nsole_in = \"contact_id\"\nkeep_copy = \"30d\"\nat = \"start\"",
        ),
        // Literals.
        reference(
            "typed",
            "contacts",
            "owner_id",
            "key = \"id\"\ndisposition = \"transfer\"\nwhere = { id = \"one\" }",
        ),
        reference(
            "listed",
            "tasks",
            "owner_id",
            "key = \"id\"\ndisposition = \"purge\"\nwhere = { status = \"done\" }",
        ),
        reference(
            "number_in_text",
            "tasks",
            "created_by",
            "key = \"id\"\ndisposition = \"keep\"\nwhere = { title = [\"a\", 5] }",
        ),
        // Fields that a disposition requires.
        reference(
            "bad_copy",
            "api_tokens",
            "user_id",
            "key = \"id\"\ndisposition = \"purge\"\nkeep_copy = \"a month\"",
        ),
        reference("no_set", "accounts", "owner_id", "key = \"id\"\ndisposition = \"set\""),
        reference(
            "no_groups",
            "opportunities",
            "owner_id",
            "key = \"id\"\ndisposition = \"transfer\"\neligible = { group = \"Sales Rep\" }",
        ),
        reference(
            "half_eligible",
            "opportunities",
            "created_by",
            "key = \"id\"\ndisposition = \"transfer\"\neligible = { column = \"can_manage_team\" }",
        ),
        reference("Bad Name", "sessions", "user_id", "key = \"id\"\ndisposition = \"detach\""),
    ];
    let source = with_references(&references.concat());
    // A fault of the whole reference is reported at its first line.
    let source = source.replace("[[reference]]\nkind = \"no_set\"", "[[reference]] # no set\nkind = \"no_set\"");
    let source = source.replace("# the second contact\n[[reference]]", "[[reference]] # the second contact");
    let expected: &[(&str, &[&str])] = &[
        ("# the second contact", &["`contact` occurs twice"]),
        ("# not unique", &["(contact_id) is not unique in tasks"]),
        ("# half", &["(follower_id) is not unique in follows"]),
        ("# nullable", &["`user_id` may be NULL in licenses"]),
        ("touch = \"created_at\"", &["`touch` is not valid with", "transfer"]),
        ("sole_in", &["`sole_in` is not valid with", "block"]),
        ("keep_copy = \"30d\"", &["`keep_copy` is not valid with", "purge"]),
        ("at = \"start\"", &["`at` is not valid with", "`detach` and `set` and `purge`"]),
        ("id = \"one\"", &["`id` of contacts, which holds whole numbers"]),
        ("\"done\"", &["`status` of tasks never holds \"done\"", "pending, completed"]),
        ("title = ", &["`title` of tasks, which holds text"]),
        ("a month", &["`keep_copy` is a length of time such as \"30d\""]),
        ("# no set", &["a `set` needs its values"]),
        ("group = \"Sales Rep\"", &["the catalog has no [groups]"]),
        ("eligible = { column", &["`eligible` is { group"]),
        ("Bad Name", &["is not a plain name"]),
    ];
    assert_faults(&source, &faults(world, &source).await, expected);
}

#[every_engine]
async fn users_section_is_checked_as_a_whole(world: &mut World) {
    let one = reference("contact", "contacts", "owner_id", "key = \"id\"\ndisposition = \"transfer\"");
    let missing = faults(world, &one).await;
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].message.contains("[users] is missing"), "{missing:?}");

    let nothing = faults(world, &with_references("")).await;
    assert_eq!(nothing.len(), 1, "{nothing:?}");
    assert!(
        nothing[0].message.contains("no [[reference]]") && nothing[0].message.contains("catalog scan"),
        "{nothing:?}"
    );

    // A field with a fault is not reported as missing too.
    let unread = with_references(&one).replace("name = \"name\"", "nickname = \"name\"");
    assert_faults(&unread, &faults(world, &unread).await, &[("nickname", &["unknown field `nickname`"])]);
    let unread = with_references(&one).replace("kind = \"contact\"", "sort = \"contact\"");
    assert_faults(&unread, &faults(world, &unread).await, &[("sort", &["unknown field `sort`"])]);

    let wrong = with_references(&one)
        .replace("key = \"id\"\norg", "key = \"org_id\" # the key\norg")
        .replace("active = \"active\", inactive = \"inactive\"", "active = \"gone\", inactive = \"active\"")
        + "[license]\ntable = \"sessions\"\nuser = \"user_id\" # the license\nexempt = { column = \"is_partner\", equals = \"yes\" }\n[surprise]\n";
    let expected: &[(&str, &[&str])] = &[
        ("# the key", &["`org_id` is not unique in users"]),
        ("gone", &["`status` of users never holds \"gone\"", "active, invited, inactive"]),
        ("# the license", &["`user_id` of sessions cannot be NULL, so a license cannot be freed"]),
        ("exempt", &["`is_partner` of users, which holds true or false"]),
        ("[surprise]", &["unknown section `surprise`"]),
    ];
    assert_faults(&wrong, &faults(world, &wrong).await, expected);

    let same = with_references(&one).replace("inactive = \"inactive\"", "inactive = \"active\"");
    assert_faults(&same, &faults(world, &same).await, &[("status", &["are the same value"])]);
}

#[every_engine]
async fn unparsable_catalog_is_reported_with_its_line(world: &mut World) {
    let keap = catalog_source("keap");
    let one =
        with_references(&reference("contact", "contacts", "owner_id", "key = \"id\"\ndisposition = \"transfer\""));
    let unclosed = keap.replace("kind = \"lead\"", "kind = \"lead");
    assert_eq!(
        faults(world, &unclosed).await[0].line,
        1 + keap.lines().position(|l| l == "kind = \"lead\"").expect("it")
    );
    for (wrong, part) in [
        (keap.replacen("disposition = \"detach\"", "disposition = \"destroy\"", 1), "destroy"),
        (keap.replacen("at = \"start\"", "colour = \"red\"", 1), "colour"),
        (keap.replacen("kind = \"session\"\n", "", 1), "kind"),
        (keap.replace("deactivate = {", "explode = {"), "explode"),
        (one.replace("[[reference]]", "[reference]"), "with two brackets"),
    ] {
        let found = faults(world, &wrong).await;
        let reported = found.iter().find(|fault| fault.message.contains(part));
        assert!(reported.is_some_and(|fault| fault.line > 1), "{part}: {found:?}");
    }
}

#[every_engine]
async fn cascading_deletes_must_name_their_tables(world: &mut World) {
    world
        .sql(
            "CREATE TABLE session_pages (id bigint PRIMARY KEY, session_id text NOT NULL REFERENCES sessions (id) ON DELETE CASCADE)",
        )
        .await;
    world
        .sql("CREATE TABLE bookmarks (id bigint PRIMARY KEY, token_id bigint REFERENCES api_tokens (id) ON DELETE SET NULL)")
        .await;
    let keap = catalog_source("keap");
    let found = faults(world, &keap).await;
    let reported: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{reported:?}");
    assert!(
        reported[0].contains("also deletes rows of session_pages") && reported[0].contains("`with`"),
        "{reported:?}"
    );
    assert!(
        reported[1].contains("also empties token_id in rows of bookmarks") && reported[1].contains("`with`"),
        "{reported:?}"
    );

    let unrelated = keap.replacen("at = \"start\"", "at = \"start\"\nwith = [\"notes\"]", 1);
    let found = faults(world, &unrelated).await;
    assert!(found.iter().any(|fault| fault.message.contains("notes has no foreign key to sessions")), "{found:?}");

    let named = keap.replacen("at = \"start\"", "at = \"start\"\nwith = [\"session_pages\"]", 1);
    let named = named.replace("table = \"api_tokens\"", "table = \"api_tokens\"\nwith = [\"bookmarks\"]");
    assert_eq!(warnings(world, &named).await, []);
}

#[every_engine]
async fn missing_index_and_uncovered_rows_warn(world: &mut World) {
    let keap = catalog_source("keap");
    assert_eq!(warnings(world, &keap).await, []);
    world.sql("DROP INDEX idx_contacts_owner_id_id").await;
    let found = warnings(world, &keap).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("no index leads with `owner_id`"), "{found:?}");
    assert!(found[0].message.contains("(owner_id, id)"), "{found:?}");
    let contact = keap.lines().position(|line| line == "kind = \"contact\"").expect("contacts");
    assert_eq!(keap.lines().nth(found[0].line - 1), Some("user = \"owner_id\""));
    assert!((contact..contact + 5).contains(&(found[0].line - 1)), "{found:?}");

    world.sql("CREATE INDEX idx_contacts_owner_id_id ON contacts (owner_id, id)").await;
    let uncovered = keap.replace("where = { status = \"completed\" }", "where = { title = \"Welcome\" }");
    let found = warnings(world, &uncovered).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("rows of tasks whose `owner_id` is the leaver"), "{found:?}");
}

#[every_engine]
async fn scan_finds_only_forgotten_references(world: &mut World) {
    let keap = catalog_source("keap");
    let catalog = check("keap", &keap, &schema(world).await).expect("it is valid").catalog;
    assert_eq!(scan(&catalog, &schema(world).await), []);
    world
        .sql(
            "CREATE TABLE badges (id bigint PRIMARY KEY, holder_id bigint NOT NULL REFERENCES users (id), \
             given_by bigint REFERENCES users (id), contact_id bigint REFERENCES contacts (id))",
        )
        .await;
    let found = scan(&catalog, &schema(world).await);
    let mut places: Vec<_> = found.iter().map(|found| (found.table.as_str(), found.column.as_str())).collect();
    places.sort_unstable();
    assert_eq!(places, [("badges", "given_by"), ("badges", "holder_id")]);

    let one_more = keap + &reference("badge", "badges", "holder_id", "key = \"id\"\ndisposition = \"keep\"");
    let catalog = check("keap", &one_more, &schema(world).await).expect("it is valid").catalog;
    let found = serde_json::to_value(scan(&catalog, &schema(world).await)).expect("JSON");
    assert_eq!(found, json!([{ "table": "badges", "column": "given_by" }]));
}

#[every_engine]
async fn scan_skips_ignored_columns(world: &mut World) {
    world
        .sql("CREATE TABLE badges (id bigint PRIMARY KEY, holder_id bigint REFERENCES users (id), printed_by bigint)")
        .await;
    let found = |source: String, schema: Schema| {
        let catalog = check("keap", &source, &schema).expect("it is valid").catalog;
        let named = scan_names(&catalog, &schema).into_iter().map(|found| found.column.name.clone());
        scan(&catalog, &schema).into_iter().map(|found| found.column).chain(named).collect::<Vec<_>>()
    };
    let keap = catalog_source("keap");
    assert_eq!(found(keap.clone(), schema(world).await), ["holder_id", "printed_by"]);
    let ignoring = keap.clone() + "\n[scan]\nignore = [\"badges.printed_by\"]\n";
    assert_eq!(found(ignoring, schema(world).await), ["holder_id"]);
    let wrong = keap + "\n[scan]\nignore = [\"badges.printed\", \"bagdes.printed_by\", \"printed_by\"]\n";
    let faults = check("keap", &wrong, &schema(world).await).expect_err("faults").to_string();
    for reported in ["badges has no column `printed`", "no table `bagdes`", "`printed_by` has no table"] {
        assert!(faults.contains(reported), "{faults}");
    }
}

#[every_engine]
async fn each_unique_index_is_reported_once(world: &mut World) {
    world.sql("CREATE TABLE pairs (a bigint, b bigint, c bigint UNIQUE, PRIMARY KEY (a, b))").await;
    for table in schema(world).await.tables {
        let mut uniques = table.uniques.clone();
        uniques.sort();
        uniques.dedup();
        assert_eq!(uniques.len(), table.uniques.len(), "{}: {:?}", table.name, table.uniques);
    }
}

#[every_engine]
async fn foreign_key_without_target_columns_is_found(world: &mut World) {
    // Both engines then use the primary key.
    world.sql("CREATE TABLE badges (id bigint PRIMARY KEY, holder_id bigint NOT NULL REFERENCES users)").await;
    let catalog = check("keap", &catalog_source("keap"), &schema(world).await).expect("it is valid").catalog;
    assert_eq!(scan(&catalog, &schema(world).await).len(), 1);
}

#[every_engine]
async fn tables_of_other_schemas_are_qualified(world: &mut World) {
    if world.engine == Engine::Sqlite {
        return;
    }
    world.sql("CREATE SCHEMA sales").await;
    world
        .sql("CREATE TABLE sales.quotes (id bigint PRIMARY KEY, owner_id bigint NOT NULL REFERENCES public.users (id))")
        .await;
    world.sql("CREATE INDEX ON sales.quotes (owner_id, id)").await;
    world.sql("INSERT INTO sales.quotes VALUES (1, 53), (2, 11)").await;
    let quotes = reference("quote", "sales.quotes", "owner_id", "key = \"id\"\ndisposition = \"transfer\"");
    let source = catalog_source("keap") + &quotes;
    assert_eq!(warnings(world, &source).await, []);
    world.use_catalog(&source).await;
    world.start_worker().await;
    let mut request = keap_request("r1");
    request["reassign"]["quote"] = json!({ "user": "12" });
    assert_eq!(world.hand_over(&request).await.state, State::Completed);
    assert_eq!(world.number("SELECT count(*) FROM sales.quotes WHERE owner_id = 12").await, 1);
}
