//! The relations of SQLite that are no tables of a catalog, and the triggers of tables.

use super::pragmas::rows;
use crate::catalog::{Relation, RelationKind, Table, TableName, Trigger, TriggerEvent};
use crate::store::error::Result;
use crate::store::row::Row;
use crate::store::session::Session;

/// Reads the views and the virtual tables, with the tables in which those keep their data.
pub async fn read_relations(session: &Session) -> Result<Vec<Relation>> {
    let text = "SELECT m.name AS name, m.type = 'view' AS is_view FROM pragma_table_list m \
                WHERE m.schema = 'main' AND m.type <> 'table' AND {host} ORDER BY m.name";
    let read = |row: &Row| {
        let kind = match row.get::<i64>("is_view")? {
            0 => RelationKind::VirtualTable,
            _ => RelationKind::View,
        };
        Ok(Relation { name: TableName { schema: None, name: row.get("name")? }, visible: true, kind })
    };
    rows(session, text).await?.iter().map(read).collect()
}

/// Reads the triggers of the tables.
pub async fn read_triggers(session: &Session, tables: &mut [Table]) -> Result<()> {
    let text = "SELECT m.name AS name, m.tbl_name AS on_table, m.sql AS sql FROM sqlite_master m \
                WHERE m.type = 'trigger' ORDER BY m.rowid";
    for row in rows(session, text).await? {
        let on: String = row.get("on_table")?;
        let table = tables.iter_mut().find(|table| table.name.name.eq_ignore_ascii_case(&on));
        if let Some((table, event)) = table.zip(event_of(&row.get::<String>("sql")?)) {
            table.facts.triggers.push(Trigger { name: row.get("name")?, event, is_deferred: false });
        }
    }
    Ok(())
}

/// Returns the statement that a CREATE TRIGGER waits for: `[BEFORE | AFTER] DELETE | INSERT | UPDATE [OF a, b] ON`. A trigger's
/// name can be any of these words, so the event is what stands before the first `ON` that is no name.
fn event_of(create: &str) -> Option<TriggerEvent> {
    let words = words(create);
    let is = |word: &Word, text: &str| !word.quoted && word.text.eq_ignore_ascii_case(text);
    // CREATE [TEMP] TRIGGER [IF NOT EXISTS] [schema.]name
    let head = words.iter().position(|word| is(word, "TRIGGER"))? + 1;
    let named = match words.get(head..head + 3)? {
        [a, b, c] if is(a, "IF") && is(b, "NOT") && is(c, "EXISTS") => head + 3,
        _ => head,
    };
    let after_name = match words.get(named + 1)? {
        dot if is(dot, ".") => named + 3,
        _ => named + 1,
    };
    let rest = words.get(after_name..)?;
    let rest = match rest {
        [timing, rest @ ..] if is(timing, "BEFORE") || is(timing, "AFTER") => rest,
        rest => rest,
    };
    match rest {
        [event, ..] if is(event, "INSERT") => Some(TriggerEvent::Insert),
        [event, ..] if is(event, "DELETE") => Some(TriggerEvent::Delete),
        [event, of, columns @ ..] if is(event, "UPDATE") && is(of, "OF") => {
            let columns = columns.iter().take_while(|word| !is(word, "ON")).filter(|word| !is(word, ","));
            Some(TriggerEvent::Update(columns.map(|word| word.text.clone()).collect()))
        }
        [event, ..] if is(event, "UPDATE") => Some(TriggerEvent::Update(Vec::new())),
        _ => None,
    }
}

struct Word {
    text: String,
    quoted: bool,
}

/// Splits SQL into names, quoted names and single signs. Comments are left out.
fn words(sql: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (taken, word) = match first {
            _ if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), None),
            _ if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |end| end + 2), None),
            '"' | '`' | '\'' => quoted_name(rest, first),
            '[' => quoted_name(rest, ']'),
            _ if first.is_alphanumeric() || first == '_' || first == '$' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
                (end, Some(Word { text: rest[..end].to_owned(), quoted: false }))
            }
            _ if first.is_whitespace() => (first.len_utf8(), None),
            _ => (first.len_utf8(), Some(Word { text: first.to_string(), quoted: false })),
        };
        words.extend(word);
        rest = &rest[taken..];
    }
    words
}

/// Reads a name in quotes, of which two stand for one, and returns its length in the text.
fn quoted_name(text: &str, close: char) -> (usize, Option<Word>) {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c == close {
            true if chars.next_if(|(_, next)| *next == close).is_some() => name.push(close),
            true => return (at + close.len_utf8(), Some(Word { text: name, quoted: true })),
            false => name.push(c),
        }
    }
    (text.len(), Some(Word { text: name, quoted: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_triggers_are_read() {
        let update = |columns: &[&str]| Some(TriggerEvent::Update(columns.iter().map(|name| (*name).into()).collect()));
        let cases = [
            ("CREATE TRIGGER a AFTER DELETE ON t BEGIN SELECT 1; END", Some(TriggerEvent::Delete)),
            (
                "create temp trigger if not exists main.\"delete\" insert on t begin select 1; end",
                Some(TriggerEvent::Insert),
            ),
            ("CREATE TRIGGER [update on] BEFORE UPDATE ON t BEGIN SELECT 1; END", update(&[])),
            (
                "CREATE TRIGGER x /* delete */ UPDATE OF owner, \"o\"\"n\" -- why\n ON t BEGIN SELECT 1; END",
                update(&["owner", "o\"n"]),
            ),
            ("CREATE TRIGGER \u{e9}t\u{e9} DELETE ON t BEGIN SELECT '\u{e9}'; END", Some(TriggerEvent::Delete)),
        ];
        for (create, event) in cases {
            assert_eq!(event_of(create), event, "{create}");
        }
    }
}
