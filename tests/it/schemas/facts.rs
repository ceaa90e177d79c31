//! The check of a catalog treats each fact of the schema as the page `docs/reference/schema-facts.md` says.

use handover::catalog::{SchemaFact, Verdict, Work, check};
use handover::store::host;

use crate::support::people::{PEOPLE, USERS, reference};
use crate::support::{Engine, World, every_engine};

/// Returns a part of the warning about a fact.
fn warning(fact: SchemaFact) -> &'static str {
    match fact {
        SchemaFact::Exclusion | SchemaFact::DeferredUnique => "a successor may have",
        SchemaFact::RowCheck => "with each other",
        SchemaFact::UnvalidatedCheck => "is NOT VALID",
        SchemaFact::ReusedKey => "has no AUTOINCREMENT",
        _ => "the trigger `",
    }
}

/// Returns the tables that show a fact, and the name of the relation that a reference is over. Nothing if the test's role
/// cannot show it.
fn tables(fact: SchemaFact, engine: Engine) -> Option<(String, String)> {
    let name = format!("t_{fact:?}").to_lowercase();
    let plain = format!("CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT)");
    let keyed = format!(
        "CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT, UNIQUE (id, owner, note))"
    );
    let child = |key: &str| {
        format!(
            "{plain}; CREATE TABLE {name}_child (id BIGINT NOT NULL PRIMARY KEY, up BIGINT REFERENCES {name} (id) {key});"
        )
    };
    let marks = |key: &str| {
        format!(
            "{keyed}; CREATE TABLE {name}_child (id BIGINT NOT NULL PRIMARY KEY, up BIGINT, by_user BIGINT, say TEXT, \
             FOREIGN KEY (up, by_user, say) REFERENCES {name} (id, owner, note) {key})"
        )
    };
    let trigger = |event: &str| match engine {
        Engine::Sqlite => format!("{plain}; CREATE TRIGGER {name}_x AFTER {event} ON {name} BEGIN SELECT 1; END;"),
        Engine::Postgres => {
            format!("{plain}; CREATE TRIGGER {name}_x BEFORE {event} ON {name} FOR EACH ROW EXECUTE FUNCTION nothing()")
        }
    };
    let sql = match fact {
        SchemaFact::View => format!("CREATE VIEW {name} AS SELECT 1 AS id, 9 AS owner"),
        SchemaFact::MaterializedView => format!("CREATE MATERIALIZED VIEW {name} AS SELECT 1 AS id, 9 AS owner"),
        SchemaFact::ForeignTable => format!(
            "CREATE FOREIGN DATA WRAPPER {name}_w; CREATE SERVER {name}_s FOREIGN DATA WRAPPER {name}_w; \
             CREATE FOREIGN TABLE {name} (id BIGINT, owner BIGINT) SERVER {name}_s"
        ),
        SchemaFact::VirtualTable => format!("CREATE VIRTUAL TABLE {name} USING fts5(id, owner)"),
        SchemaFact::Partition | SchemaFact::Partitioned => {
            let (whole, part) = match fact {
                SchemaFact::Partition => (format!("{name}_whole"), name.clone()),
                _ => (name.clone(), format!("{name}_part")),
            };
            format!(
                "CREATE TABLE {whole} (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT) PARTITION BY RANGE (id); \
                 CREATE TABLE {part} PARTITION OF {whole} DEFAULT"
            )
        }
        SchemaFact::ForeignPartition => format!(
            "CREATE TABLE {name} (id BIGINT NOT NULL, owner BIGINT, note TEXT) PARTITION BY RANGE (id); \
             CREATE FOREIGN DATA WRAPPER {name}_w; CREATE SERVER {name}_s FOREIGN DATA WRAPPER {name}_w; \
             CREATE FOREIGN TABLE {name}_part PARTITION OF {name} DEFAULT SERVER {name}_s"
        ),
        SchemaFact::InheritedFrom => format!("{plain}; CREATE TABLE {name}_heir () INHERITS ({name})"),
        SchemaFact::Inherits => format!(
            "CREATE TABLE {name}_parent (id BIGINT NOT NULL, owner BIGINT, note TEXT); \
             CREATE TABLE {name} (PRIMARY KEY (id)) INHERITS ({name}_parent)"
        ),
        SchemaFact::Rule => format!("{plain}; CREATE RULE {name}_r AS ON UPDATE TO {name} DO ALSO NOTIFY {name}"),
        SchemaFact::InsertTrigger => trigger("INSERT"),
        SchemaFact::UpdateTrigger => trigger("UPDATE OF owner, note"),
        SchemaFact::KeylessTrigger => {
            trigger("UPDATE").replace("id BIGINT NOT NULL PRIMARY KEY", "id BIGINT")
                + "; "
                + &match engine {
                    Engine::Sqlite => format!("CREATE TRIGGER {name}_y AFTER DELETE ON {name} BEGIN SELECT 1; END;"),
                    Engine::Postgres => format!(
                        "CREATE TRIGGER {name}_y AFTER DELETE ON {name} FOR EACH ROW EXECUTE FUNCTION nothing()"
                    ),
                }
        }
        SchemaFact::DeleteTrigger => trigger("DELETE"),
        SchemaFact::DeleteCascades => child("ON DELETE CASCADE"),
        SchemaFact::DeleteEmpties => child("ON DELETE SET DEFAULT"),
        SchemaFact::DeleteRefused => child("ON DELETE RESTRICT"),
        SchemaFact::Tree => format!(
            "CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT, up BIGINT REFERENCES {name} (id))"
        ),
        SchemaFact::UpdateCascades => marks("ON UPDATE CASCADE ON DELETE CASCADE"),
        SchemaFact::UpdateEmpties => marks("ON UPDATE SET NULL ON DELETE CASCADE"),
        SchemaFact::UpdateRefused => marks("ON DELETE CASCADE"),
        SchemaFact::Exclusion => format!("{plain}; ALTER TABLE {name} ADD EXCLUDE USING btree (owner WITH =, note WITH =)"),
        SchemaFact::OtherExclusion => format!(
            "{keyed}; ALTER TABLE {name} ADD span int4range, ADD EXCLUDE USING gist (int4range(id::int, owner::int) WITH &&)"
        ),
        SchemaFact::DeferredUnique => {
            format!("{plain}; ALTER TABLE {name} ADD UNIQUE (owner, note) DEFERRABLE INITIALLY DEFERRED")
        }
        SchemaFact::DeferredTrigger => format!(
            "{plain}; CREATE CONSTRAINT TRIGGER {name}_x AFTER UPDATE ON {name} DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION nothing()"
        ),
        SchemaFact::RowCheck => format!("{keyed}; ").replace(
            "note TEXT",
            "note TEXT, second BIGINT, CHECK (owner <> second), CHECK (note <> CAST(second AS TEXT)), CHECK (owner > 0)",
        ),
        SchemaFact::UnvalidatedCheck => {
            format!("{keyed}; ALTER TABLE {name} ADD CHECK (note <> '') NOT VALID")
        }
        SchemaFact::UnvalidatedKey => {
            format!("{keyed}; ALTER TABLE {name} ADD FOREIGN KEY (owner) REFERENCES people NOT VALID")
        }
        SchemaFact::ComputedColumn => format!("{keyed}; ").replace(
            "owner BIGINT, note TEXT",
            "owner BIGINT GENERATED ALWAYS AS (id) STORED, note TEXT GENERATED ALWAYS AS ('n') STORED",
        ),
        SchemaFact::ComputedUnique => format!("{keyed}; ").replace(
            "note TEXT",
            "note TEXT, label TEXT GENERATED ALWAYS AS ('u' || CAST(owner AS TEXT)) STORED, UNIQUE (label, note)",
        ),
        SchemaFact::NoReplicaIdentity => format!(
            "{keyed}; ALTER TABLE {name} REPLICA IDENTITY NOTHING; CREATE PUBLICATION {name}_p FOR TABLE {name}"
        ),
        SchemaFact::AccessMethod => format!(
            "CREATE ACCESS METHOD {name}_m TYPE TABLE HANDLER heap_tableam_handler; {keyed} USING {name}_m"
        ),
        SchemaFact::ConflictClause => {
            format!("{keyed}; ").replace("UNIQUE (id, owner, note)", "UNIQUE (owner, note) ON CONFLICT REPLACE")
        }
        SchemaFact::ReservedName => keyed.replace("note TEXT", "note TEXT, \"$left\" TEXT"),
        SchemaFact::ReusedKey => keyed.replace("BIGINT NOT NULL PRIMARY KEY", "INTEGER PRIMARY KEY"),
        // Only an application that defines it can create such a column.
        SchemaFact::ForeignCollation => format!(
            "{keyed}; PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'note TEXT', 'note TEXT COLLATE german') \
             WHERE name = '{name}'; PRAGMA writable_schema = OFF"
        ),
        // The owner of the tables sees every row: tests of row-level security are elsewhere.
        SchemaFact::RowSecurity => return None,
    };
    Some((sql, name))
}

fn entry(fact: SchemaFact, work: Work, table: &str, with: &str) -> String {
    let keyless = fact == SchemaFact::KeylessTrigger;
    let disposition = match work {
        Work::Move => "transfer\"\n",
        Work::MoveOrDrop => "transfer\"\non_conflict = \"drop\"\n",
        Work::Remove => "detach\"\n",
        Work::Set => "set\"\nset = { note = \"gone\" }\n",
        Work::Stay => "keep\"\n",
    };
    let key = if keyless { "[]" } else { "\"id\"" };
    format!(
        "{USERS}[[reference]]\nkind = \"it\"\ntable = \"{table}\"\nkey = {key}\nuser = \"owner\"\ndisposition = \"{disposition}{with}\n"
    )
}

/// Proves that a change which a trigger makes when access ends is not passed over: no journal holds it.
#[every_engine]
async fn triggers_on_users_are_warned_of(world: &mut World) {
    world.sql(PEOPLE).await;
    match world.engine {
        Engine::Sqlite => {
            world.sql("CREATE TRIGGER leave AFTER UPDATE OF status ON people BEGIN SELECT 1; END;").await;
        }
        Engine::Postgres => {
            world.sql("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'").await;
            world
                .sql("CREATE TRIGGER leave AFTER UPDATE OF status ON people FOR EACH ROW EXECUTE FUNCTION nothing()")
                .await;
        }
    }
    world.sql("CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT)").await;
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    let source = format!("{USERS}{}", reference("doc", "docs", "disposition = \"transfer\""));
    let warnings = check("facts", &source, &schema).expect("a valid catalog").warnings;
    let trigger = warnings.iter().find(|warning| warning.message.contains("the trigger `leave`"));
    assert!(trigger.is_some_and(|warning| warning.line == 2), "{warnings:?}");
}

#[every_engine]
async fn check_treats_schema_facts_as_documented(world: &mut World) {
    let exists = |fact: SchemaFact| match world.engine {
        Engine::Sqlite => fact.is_in_sqlite(),
        Engine::Postgres => fact.is_in_postgres(),
    };
    let engine = world.engine;
    let shown: Vec<(SchemaFact, String, String)> = (SchemaFact::ALL.into_iter().filter(|fact| exists(*fact)))
        .filter_map(|fact| tables(fact, engine).map(|(sql, name)| (fact, sql, name)))
        .collect();
    if engine == Engine::Postgres {
        world.sql("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'").await;
    }
    world.sql(PEOPLE).await;
    for (_, sql, _) in &shown {
        world.sql(sql).await;
    }
    let conflicts: Vec<&(SchemaFact, String, String)> =
        shown.iter().filter(|(_, sql, _)| sql.contains("PRIMARY KEY, owner")).collect();
    for (fact, _, name) in conflicts {
        if matches!(fact, SchemaFact::Exclusion | SchemaFact::DeferredUnique | SchemaFact::ForeignCollation) {
            continue;
        }
        // A unique key makes `on_conflict` effective.
        let unique = format!("CREATE UNIQUE INDEX {name}_once ON {name} (owner, note)");
        if !name.contains("partition") {
            world.sql(&unique).await;
        }
    }
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    let mut wrong = Vec::new();
    for (fact, _, name) in &shown {
        for work in Work::ALL {
            // A table without a key, or with partitions, has no conflicts to resolve here.
            let is_plain = schema.table(name).is_some_and(|table| table.unique_indexes.len() > 1);
            if work == Work::MoveOrDrop && !is_plain {
                continue;
            }
            let verdict = fact.verdict(work);
            // Each foreign key has an effect on deletes, too.
            let is_of_updates =
                matches!(fact, SchemaFact::UpdateCascades | SchemaFact::UpdateEmpties | SchemaFact::UpdateRefused);
            let with = match is_of_updates && matches!(work, Work::Remove | Work::MoveOrDrop) {
                true => format!("with = [\"{name}_child\"]"),
                false => String::new(),
            };
            let checked = check("facts", &entry(*fact, work, name, &with), &schema);
            let is_refused = matches!(verdict, Verdict::Refused | Verdict::With | Verdict::Session);
            let speaks = |message: &str| message.contains(name.as_str()) && !message.contains("no index leads");
            match &checked {
                Err(faults) if is_refused => {
                    if !faults.faults.iter().any(|fault| fault.line > 1 && speaks(&fault.message)) {
                        wrong.push(format!("{fact:?} {work:?}: {faults}"));
                    }
                }
                Err(faults) => wrong.push(format!("{fact:?} {work:?}: {faults}")),
                Ok(_) if is_refused => wrong.push(format!("{fact:?} {work:?}: no fault")),
                Ok(checked) => {
                    let is_warned = checked.warnings.iter().any(|fault| fault.message.contains(warning(*fact)));
                    if is_warned != (verdict == Verdict::Warned) {
                        wrong.push(format!("{fact:?} {work:?}: {:?}", checked.warnings));
                    }
                }
            }
            if verdict == Verdict::With {
                let table = if *fact == SchemaFact::Tree { name.clone() } else { format!("{name}_child") };
                let with = format!("with = [\"{table}\"]");
                if let Err(faults) = check("facts", &entry(*fact, work, name, &with), &schema) {
                    wrong.push(format!("{fact:?} {work:?} {with}: {faults}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
