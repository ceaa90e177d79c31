//! Random schemas: trees, several foreign keys with each action, partitions, generated columns, unique indexes of every kind, triggers
//! that redirect or keep, ids as text, row-level security. A job and its undo must do what a model of rows in memory does,
//! which knows no SQL.

use std::collections::{BTreeMap, BTreeSet};

use handover::job::State;
use serde_json::json;

use super::dice::Dice;
use super::seeds;
use crate::support::people::{PEOPLE, USERS, host, leave, reference, revert};
use crate::support::{Engine, World, every_engine};

const LEAVER: i64 = 9;
const SUCCESSOR: i64 = 2;
const DEPUTY: i64 = 3;

/// What happens to the leaver's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Transfer,
    TransferOrDrop,
    Detach,
    Purge,
    Set,
}

/// The action of a foreign key when the row that it points at is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDelete {
    Cascade,
    SetNull,
    NoAction,
}

/// The work of a trigger on moved rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    None,
    /// Rows with the document 3 go to the deputy.
    Redirects,
    /// Rows with the document 4 stay.
    Keeps,
}

/// A unique index over owner and document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unique {
    Plain,
    Partial,
    NullsEqual,
    Expression,
}

#[derive(Debug)]
struct Design {
    engine: Engine,
    does: Does,
    tree: Option<OnDelete>,
    children: Option<OnDelete>,
    unique: Option<Unique>,
    trigger: Trigger,
    owners_are_text: bool,
    is_partitioned: bool,
    is_secured: bool,
    chunk_rows: u64,
}

impl Design {
    fn new(engine: Engine, dice: &mut Dice) -> Design {
        let action = |dice: &mut Dice| {
            let actions = [OnDelete::Cascade, OnDelete::SetNull, OnDelete::NoAction];
            if dice.percent(60) { dice.pick(&actions).copied() } else { None }
        };
        let does = [Does::Transfer, Does::TransferOrDrop, Does::Detach, Does::Purge, Does::Set];
        let does = *dice.pick(&does).expect("a disposition");
        let drops = does == Does::TransferOrDrop;
        let uniques = [Unique::Plain, Unique::Partial, Unique::Expression, Unique::NullsEqual];
        let uniques = if engine == Engine::Postgres { &uniques[..] } else { &uniques[..3] };
        let unique = dice.pick(uniques).copied().filter(|_| drops);
        let triggers = [Trigger::None, Trigger::Redirects, Trigger::Keeps];
        let trigger = dice.pick(&triggers).copied().filter(|_| does == Does::Transfer).unwrap_or(Trigger::None);
        let (tree, children) = (action(dice), action(dice));
        // Which of two chunks comes first decides what is left to collide, if a branch goes with a dropped row.
        let chunk_rows = if drops && tree.is_some() { 1000 } else { [1, 2, 3, 1000][dice.below(4) as usize] };
        Design {
            engine,
            does,
            tree,
            children,
            unique,
            trigger,
            owners_are_text: trigger == Trigger::None && !drops && dice.percent(40),
            is_partitioned: engine == Engine::Postgres && !drops && dice.percent(40),
            is_secured: engine == Engine::Postgres && dice.percent(30),
            chunk_rows,
        }
    }

    fn removes(&self) -> bool {
        matches!(self.does, Does::TransferOrDrop | Does::Detach | Does::Purge)
    }

    fn collide(&self, one: &Doc, other: &Doc) -> bool {
        match self.unique {
            None => false,
            Some(Unique::Plain) => one.doc.is_some() && one.doc == other.doc,
            Some(Unique::Partial) => one.live && other.live && one.doc.is_some() && one.doc == other.doc,
            Some(Unique::NullsEqual) => one.doc == other.doc,
            Some(Unique::Expression) => one.doc.unwrap_or(0) == other.doc.unwrap_or(0),
        }
    }

    /// Returns the statements that create the tables.
    fn tables(&self) -> String {
        let action = |action: OnDelete| match action {
            OnDelete::Cascade => " ON DELETE CASCADE",
            OnDelete::SetNull => " ON DELETE SET NULL",
            OnDelete::NoAction => "",
        };
        let owner = if self.owners_are_text { "TEXT" } else { "BIGINT" };
        let up = self.tree.map_or(String::new(), |tree| format!(" REFERENCES r_docs (id){}", action(tree)));
        let partitions = match self.is_partitioned {
            true => {
                " PARTITION BY RANGE (id); CREATE TABLE r_docs_1 PARTITION OF r_docs FOR VALUES FROM (0) TO (7); \
                 CREATE TABLE r_docs_2 PARTITION OF r_docs DEFAULT"
            }
            false => "",
        };
        let unique = self.unique.map_or("", |unique| match unique {
            Unique::Plain => "CREATE UNIQUE INDEX r_once ON r_docs (owner, doc);",
            Unique::Partial => "CREATE UNIQUE INDEX r_once ON r_docs (owner, doc) WHERE live = 1;",
            Unique::NullsEqual => "CREATE UNIQUE INDEX r_once ON r_docs (doc, owner) NULLS NOT DISTINCT;",
            Unique::Expression => "CREATE UNIQUE INDEX r_once ON r_docs (owner, COALESCE(doc, 0));",
        });
        let secured = match self.is_secured {
            true => {
                "ALTER TABLE r_docs ENABLE ROW LEVEL SECURITY; \
                 CREATE POLICY r_tenant ON r_docs USING (current_setting('app.tenant', TRUE) = 'acme');"
            }
            false => "",
        };
        let children = self.children.map_or(String::new(), |children| {
            format!(
                "CREATE TABLE r_kids (id BIGINT NOT NULL PRIMARY KEY, a BIGINT REFERENCES r_docs (id) ON DELETE CASCADE, \
                   b BIGINT REFERENCES r_docs (id) ON DELETE SET NULL); \
                 CREATE TABLE r_leaves (id BIGINT NOT NULL PRIMARY KEY, kid BIGINT REFERENCES r_kids (id){});",
                action(children)
            )
        });
        format!(
            "DROP TABLE IF EXISTS r_leaves; DROP TABLE IF EXISTS r_kids; DROP TABLE IF EXISTS r_docs; DROP TABLE IF EXISTS people; {PEOPLE} \
             CREATE TABLE r_docs (id BIGINT NOT NULL PRIMARY KEY, owner {owner}, doc BIGINT, live INT NOT NULL, note TEXT NOT NULL, \
               twice BIGINT GENERATED ALWAYS AS (id * 2) STORED, up BIGINT{up}){partitions}; \
             {unique} {secured} {children} {}",
            self.trigger_sql()
        )
    }

    fn trigger_sql(&self) -> String {
        let sqlite = |timing: &str, doc: i64, does: &str| {
            format!(
                "CREATE TRIGGER r_host {timing} UPDATE OF owner ON r_docs WHEN NEW.owner = {SUCCESSOR} AND NEW.doc = {doc} \
                 BEGIN {does}; END;"
            )
        };
        let postgres = |doc: i64, does: &str| {
            format!(
                "CREATE OR REPLACE FUNCTION r_host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF NEW.owner = {SUCCESSOR} AND NEW.doc = {doc} THEN {does}; END IF; RETURN NEW; END $$; \
                 CREATE TRIGGER r_host BEFORE UPDATE OF owner ON r_docs FOR EACH ROW EXECUTE FUNCTION r_host();"
            )
        };
        match (self.trigger, self.engine) {
            (Trigger::None, _) => String::new(),
            (Trigger::Redirects, Engine::Sqlite) => {
                sqlite("AFTER", 3, &format!("UPDATE r_docs SET owner = {DEPUTY} WHERE id = NEW.id"))
            }
            (Trigger::Redirects, Engine::Postgres) => postgres(3, &format!("NEW.owner := {DEPUTY}")),
            (Trigger::Keeps, Engine::Sqlite) => sqlite("BEFORE", 4, "SELECT RAISE(IGNORE)"),
            (Trigger::Keeps, Engine::Postgres) => postgres(4, "RETURN NULL"),
        }
    }

    fn catalog(&self) -> String {
        let mut with: Vec<&str> = Vec::new();
        with.extend(self.tree.map(|_| "\"r_docs\""));
        with.extend(self.children.into_iter().flat_map(|_| ["\"r_kids\"", "\"r_leaves\""]));
        let with = match self.removes() && !with.is_empty() {
            true => format!("\nwith = [{}]", with.join(", ")),
            false => String::new(),
        };
        let rest = match self.does {
            Does::Transfer => "disposition = \"transfer\"",
            Does::TransferOrDrop => "disposition = \"transfer\"\non_conflict = \"drop\"",
            Does::Detach => "disposition = \"detach\"",
            Does::Purge => "disposition = \"purge\"",
            Does::Set => "disposition = \"set\"\nset = { live = 0, note = \"closed\" }",
        };
        let session = if self.is_secured { "[session]\nsettings = { \"app.tenant\" = \"acme\" }\n" } else { "" };
        format!("{USERS}{session}{}", reference("doc", "r_docs", &format!("{rest}{with}")))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Doc {
    owner: i64,
    doc: Option<i64>,
    live: bool,
    note: String,
    up: Option<i64>,
}

/// The rows in memory: documents; children, which point at two of them; and leaves, which point at children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    docs: BTreeMap<i64, Doc>,
    kids: BTreeMap<i64, (Option<i64>, Option<i64>)>,
    leaves: BTreeMap<i64, Option<i64>>,
}

impl Model {
    fn new(design: &Design, dice: &mut Dice) -> Model {
        let mut model = Model::default();
        for id in 1..=12_i64 {
            let owner = [LEAVER, SUCCESSOR, DEPUTY, LEAVER][dice.below(4) as usize];
            let doc = Some(dice.below(6) as i64).filter(|doc| *doc > 0);
            let up = Some(dice.below(id as u64) as i64).filter(|up| *up > 0 && model.docs.contains_key(up));
            let row = Doc {
                owner,
                doc,
                live: dice.percent(60),
                note: format!("n{id}"),
                up: up.filter(|_| design.tree.is_some()),
            };
            let is_taken = model.docs.values().any(|other| other.owner == owner && design.collide(&row, other));
            if !is_taken {
                model.docs.insert(id, row);
            }
        }
        if design.children.is_some() {
            let docs: Vec<i64> = model.docs.keys().copied().collect();
            for id in 1..=10 {
                let some = |dice: &mut Dice| if dice.percent(75) { dice.pick(&docs).copied() } else { None };
                model.kids.insert(id, (some(dice), some(dice)));
                model.leaves.insert(id, Some(1 + dice.below(id as u64) as i64));
            }
        }
        model
    }

    fn inserts(&self, design: &Design, dice: &mut Dice) -> String {
        let or_null = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
        let mut sql = String::new();
        for (id, row) in &self.docs {
            let owner = match design.owners_are_text {
                true => format!("'{}{}'", ["", "0", "000"][dice.below(3) as usize], row.owner),
                false => row.owner.to_string(),
            };
            let (doc, live, up) = (or_null(row.doc), u8::from(row.live), or_null(row.up));
            sql += &format!(
                "INSERT INTO r_docs (id, owner, doc, live, note, up) VALUES ({id}, {owner}, {doc}, {live}, '{}', {up});",
                row.note
            );
        }
        for (id, (a, b)) in &self.kids {
            sql += &format!("INSERT INTO r_kids VALUES ({id}, {}, {});", or_null(*a), or_null(*b));
        }
        for (id, kid) in &self.leaves {
            sql += &format!("INSERT INTO r_leaves VALUES ({id}, {});", or_null(*kid));
        }
        sql
    }

    /// Hands the leaver's rows over. Returns false if some row had to stay.
    fn leave(&mut self, design: &Design) -> bool {
        let theirs: BTreeSet<i64> =
            self.docs.iter().filter(|(_, row)| row.owner == LEAVER).map(|(id, _)| *id).collect();
        match design.does {
            Does::Detach | Does::Purge => self.remove(design, theirs),
            Does::Set => {
                for id in theirs {
                    let row = self.docs.get_mut(&id).expect("a row");
                    (row.live, row.note) = (false, "closed".into());
                }
            }
            Does::Transfer | Does::TransferOrDrop => {
                let held: Vec<Doc> = self.docs.values().filter(|row| row.owner == SUCCESSOR).cloned().collect();
                let is_held = |id: &&i64| held.iter().any(|other| design.collide(&self.docs[*id], other));
                let dropped = theirs.iter().filter(is_held).copied().collect();
                self.remove(design, dropped);
                let mut all_moved = true;
                for id in theirs {
                    let Some(row) = self.docs.get_mut(&id) else { continue };
                    row.owner = match (design.trigger, row.doc) {
                        (Trigger::Keeps, Some(4)) => LEAVER,
                        (Trigger::Redirects, Some(3)) => DEPUTY,
                        (Trigger::None | Trigger::Redirects | Trigger::Keeps, _) => SUCCESSOR,
                    };
                    all_moved &= row.owner != LEAVER;
                }
                return all_moved;
            }
        }
        true
    }

    /// Removes documents with the rows that follow them, and empties the columns that outlive them.
    fn remove(&mut self, design: &Design, mut gone: BTreeSet<i64>) {
        let follows = |action: Option<OnDelete>| matches!(action, Some(OnDelete::Cascade | OnDelete::NoAction));
        loop {
            let below = |row: &Doc| row.up.is_some_and(|up| gone.contains(&up)) && follows(design.tree);
            let more: Vec<i64> =
                self.docs.iter().filter(|(id, row)| below(row) && !gone.contains(id)).map(|(id, _)| *id).collect();
            if more.is_empty() {
                break;
            }
            gone.extend(more);
        }
        self.docs.retain(|id, _| !gone.contains(id));
        self.docs.values_mut().for_each(|row| row.up = row.up.filter(|up| !gone.contains(up)));
        let is_gone = |pointed: &Option<i64>| pointed.is_some_and(|id| gone.contains(&id));
        let kids: BTreeSet<i64> = self.kids.iter().filter(|(_, (a, _))| is_gone(a)).map(|(id, _)| *id).collect();
        self.kids.retain(|id, _| !kids.contains(id));
        self.kids.values_mut().for_each(|(_, b)| *b = b.filter(|id| !gone.contains(id)));
        let is_below = |kid: &Option<i64>| kid.is_some_and(|id| kids.contains(&id));
        self.leaves.retain(|_, kid| !(is_below(kid) && follows(design.children)));
        self.leaves.values_mut().for_each(|kid| *kid = kid.filter(|id| !kids.contains(id)));
    }

    fn lines(&self) -> Vec<String> {
        let text = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
        let docs = self.docs.iter().map(|(id, row)| {
            let (doc, up) = (text(row.doc), text(row.up));
            format!("doc {id}: {} {doc} {} {} {up}", row.owner, u8::from(row.live), row.note)
        });
        let kids = self.kids.iter().map(|(id, (a, b))| format!("kid {id}: {} {}", text(*a), text(*b)));
        let leaves = self.leaves.iter().map(|(id, kid)| format!("leaf {id}: {}", text(*kid)));
        docs.chain(kids).chain(leaves).collect()
    }
}

/// Returns the rows of the database in the form of [`Model::lines`].
async fn lines(world: &World, design: &Design) -> Vec<String> {
    let text = |column: &str| format!("COALESCE(CAST({column} AS text), '-')");
    let docs = format!(
        "SELECT 'doc ' || {} || ': ' || {} || ' ' || {} || ' ' || {} || ' ' || note || ' ' || {} AS t FROM r_docs ORDER BY id",
        text("id"),
        text("CAST(owner AS BIGINT)"),
        text("doc"),
        text("live"),
        text("up")
    );
    let mut lines = world.texts(&docs).await;
    if design.children.is_some() {
        let (id, a, b, kid) = (text("id"), text("a"), text("b"), text("kid"));
        lines.extend(
            world
                .texts(&format!("SELECT 'kid ' || {id} || ': ' || {a} || ' ' || {b} AS t FROM r_kids ORDER BY id"))
                .await,
        );
        lines.extend(
            world.texts(&format!("SELECT 'leaf ' || {id} || ': ' || {kid} AS t FROM r_leaves ORDER BY id")).await,
        );
    }
    lines
}

#[every_engine]
async fn random_schemas_do_what_the_model_does(world: &mut World) {
    for seed in seeds(8) {
        let mut dice = Dice::new(seed);
        let design = Design::new(world.engine, &mut dice);
        println!("--- HANDOVER_PROPERTY_SEED={seed}\n{design:?}");
        let before = Model::new(&design, &mut dice);
        world.sql(&(design.tables() + &before.inserts(&design, &mut dice))).await;
        world.use_catalog_alone(&design.catalog()).await;
        world.use_chunks_of(design.chunk_rows);
        world.context.limits.chunk_attempts = 1;
        let stored = host(world).await;
        world.start_worker().await;
        let moves = matches!(design.does, Does::Transfer | Does::TransferOrDrop);
        let reassign = if moves { json!({ "doc": { "user": "2" } }) } else { json!({}) };
        let mut request = leave("9", reassign);
        request["request_id"] = json!(format!("seed {seed}"));
        let job = world.hand_over(&request).await;
        let mut after = before.clone();
        let all_went = after.leave(&design);
        assert_eq!(lines(world, &design).await, after.lines(), "after the job, {:?}", job.reasons);
        assert_eq!(job.state == State::Completed, all_went, "{}: {:?}", job.state, job.reasons);
        let mut undo = revert(&job);
        undo["type"] = json!(if all_went { "revert" } else { "cancel" });
        let undone = world.hand_over(&undo).await;
        assert_eq!(undone.state, State::Completed, "{:?}", undone.reasons);
        assert_eq!(lines(world, &design).await, before.lines(), "after the undo");
        if !design.owners_are_text {
            assert_eq!(host(world).await, stored, "every column after the undo");
        }
        world.stop_workers().await;
    }
}
