//! The statements that change rows, as text, for each dialect.
//!
//! A changed snapshot in `snapshots/` is a changed statement: read it as a reviewer of the SQL would.

use handover::job::State;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use handover::store::Result;
use handover::store::failpoint::{Failpoints, Point};
use serde_json::json;

use crate::support::people::{leave, reference, revert, start};
use crate::support::{World, every_engine};

/// Collects the changing statements of every step.
#[derive(Default)]
struct Recorder(Mutex<BTreeSet<String>>);

impl Failpoints for Recorder {
    fn at(&self, _: &str, _: Point) -> Result<()> {
        Ok(())
    }

    fn statement(&self, step: &str, text: &str) {
        let text = plain(text);
        if ["INSERT", "UPDATE", "DELETE"].iter().any(|verb| text.contains(verb)) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("-- {step}\n{text}\n"));
        }
    }
}

/// Makes statements comparable whose lists of values have different lengths.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut plain = String::new();
    let mut characters = words.join(" ");
    characters.push(' ');
    let mut rest = characters.as_str();
    while let Some(at) = rest.find(['$', '?']) {
        let digits = rest[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
        plain.push_str(&rest[..at + 1]);
        rest = &rest[at + 1 + digits..];
    }
    plain.push_str(rest.trim_end());
    for repeated in [", ?", ", $"] {
        let sign = &repeated[2..];
        while plain.contains(&format!("{sign}{repeated}")) {
            plain = plain.replace(&format!("{sign}{repeated}"), sign);
        }
        while plain.contains(&format!("({sign}), ({sign})")) {
            plain = plain.replace(&format!("({sign}), ({sign})"), &format!("({sign})"));
        }
    }
    plain
}

const TABLES: &str = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT); \
     CREATE TABLE shares (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT); \
     CREATE TABLE marks (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT); \
     INSERT INTO docs VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 9, 'c'); \
     INSERT INTO shares VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 9, 'c'); \
     INSERT INTO marks VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 9, 'c');";

#[every_engine(also_in_chunks_of = 2)]
async fn write_path_is_as_reviewed(world: &mut World) {
    let recorder = Arc::new(Recorder::default());
    world.context.store = world.context.store.clone().with_failpoints(recorder.clone());
    let references = [
        reference("doc", "docs", "disposition = \"transfer\""),
        reference("share", "shares", "disposition = \"detach\""),
        reference("mark", "marks", "disposition = \"set\"\nset = { note = \"left\" }"),
    ];
    start(world, TABLES, &references.concat()).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(job.state, State::Completed, "{:?}", job.reasons);
    world.hand_over(&revert(&job)).await;
    world.stop_workers().await;
    let statements = std::mem::take(&mut *recorder.0.lock().unwrap_or_else(PoisonError::into_inner));
    let path = if world.context.limits.chunk_rows == 2 { "chunks" } else { "planner" };
    let name = format!("{}_{path}", world.store.dialect().name().to_lowercase());
    let statements: Vec<String> = statements.into_iter().collect();
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, statements.join("\n"));
    });
}
