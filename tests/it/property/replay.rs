//! Plays the journal onto what was there before a step: it must give what is there after it, to the last column.

use std::collections::BTreeMap;

use serde_json::Value;

use super::application::{LEVEL, Row, Rows, Table, kind_named};
use crate::support::{Setting, World};

/// A row of the journal, and of what an undo journals the row that it took back.
#[derive(Debug)]
pub struct Entry {
    pub id: i64,
    pub job: String,
    pub kind: String,
    pub action: String,
    pub from: i64,
    pub to: Option<i64>,
    pub keys: Vec<Vec<i64>>,
    /// The job, the action and the receiver that were taken back; none where copies came back by themselves.
    pub undone: Option<(String, String, Option<i64>)>,
}

impl Entry {
    /// The rows that it tells of, as they were the leaver's.
    pub fn rows(&self) -> Vec<(&'static str, Vec<i64>)> {
        let table = kind_named(&self.kind).table;
        self.keys.iter().map(|key| (table, key.clone())).collect()
    }
}

/// The journal behind a row of it.
pub async fn read_journal(world: &World, after: i64) -> Vec<Entry> {
    let job = |alias: &str| match world.setting {
        Setting::Embedded => format!("lower(hex({alias}.job_id))"),
        Setting::Servers => format!("replace(CAST({alias}.job_id AS text), '-', '')"),
    };
    let or_none = |text: &str| format!("COALESCE({text}, '')");
    let fields = [
        "CAST(j.id AS text)".into(),
        job("j"),
        "j.kind".into(),
        "j.action".into(),
        "j.from_user".into(),
        or_none("j.to_user"),
        or_none("CAST(j.keys AS text)"),
        or_none(&job("u")),
        or_none("u.action"),
        or_none("u.to_user"),
    ];
    let texts = world
        .texts(&format!(
            "SELECT {} AS t FROM handover.journal j LEFT JOIN handover.chunks c ON c.job_id = j.job_id AND c.number = j.chunk \
             LEFT JOIN handover.journal u ON u.id = c.journal_id WHERE j.id > {after} ORDER BY j.id",
            fields.join(" || '|' || ")
        ))
        .await;
    texts.iter().map(|text| read_entry(text)).collect()
}

fn read_entry(text: &str) -> Entry {
    let fields: Vec<&str> = text.split('|').collect();
    let some = |text: &str| (!text.is_empty()).then(|| text.parse::<i64>().expect("a number"));
    let keys: Value =
        if fields[6].is_empty() { Value::Array(Vec::new()) } else { serde_json::from_str(fields[6]).expect("keys") };
    let number = |text: &Value| text.as_str().expect("a text").parse::<i64>().expect("a number");
    let key = |key: &Value| match key {
        Value::Array(texts) => texts.iter().map(number).collect(),
        text => vec![number(text)],
    };
    Entry {
        id: fields[0].parse().expect("a number"),
        job: fields[1].into(),
        kind: fields[2].into(),
        action: fields[3].into(),
        from: fields[4].parse().expect("a user"),
        to: some(fields[5]),
        keys: keys.as_array().expect("keys").iter().map(key).collect(),
        undone: (!fields[7].is_empty()).then(|| (fields[7].into(), fields[8].into(), some(fields[9]))),
    }
}

/// Rows that jobs have removed or set, and not given back: by kind and key, with the job.
#[derive(Default)]
pub struct Gone(BTreeMap<Record, Vec<(String, Row)>>);

/// A record by its kind and its key.
type Record = (String, Vec<i64>);

impl Gone {
    fn keep(&mut self, entry: &Entry, key: &[i64], row: Row) {
        self.0.entry((entry.kind.clone(), key.to_vec())).or_default().push((entry.job.clone(), row));
    }

    /// Takes out what came back: a row that some job (this one, if it is known) took, and that is as `is_it` says.
    fn give_back(&mut self, entry: &Entry, key: &[i64], is_it: impl Fn(&Row) -> bool) {
        let job = entry.undone.as_ref().map(|(job, _, _)| job);
        let kept =
            self.0.get_mut(&(entry.kind.clone(), key.to_vec())).unwrap_or_else(|| panic!("{entry:?}: never taken"));
        let place = kept.iter().rposition(|(by, row)| job.is_none_or(|job| job == by) && is_it(row));
        kept.remove(place.unwrap_or_else(|| panic!("{entry:?}: {key:?} came back as it never was: {kept:?}")));
    }
}

/// What a row of the journal makes of the rows before it.
pub fn play(entry: &Entry, rows: &mut Rows, after: &Rows, gone: &mut Gone) {
    let name = kind_named(&entry.kind).table;
    for key in &entry.keys {
        let here = (name, key.clone());
        match (entry.action.as_str(), &entry.undone) {
            ("moved", _) => give(entry, rows, key, entry.from, entry.to.expect("a receiver")),
            ("restored", Some((_, action, Some(holder)))) if action == "moved" => {
                give(entry, rows, key, *holder, entry.from);
            }
            ("set", _) => {
                let row = rows.get_mut(&here).unwrap_or_else(|| panic!("{entry:?}: no row {key:?}"));
                gone.keep(entry, key, row.clone());
                row.columns[LEVEL] = "0".into();
            }
            ("dropped" | "detached" | "purged", _) => {
                let row = rows.remove(&here).unwrap_or_else(|| panic!("{entry:?}: no row {key:?}"));
                gone.keep(entry, key, row);
            }
            ("restored", _) if entry.kind == "score" => {
                let level = after.get(&here).expect("a row that was set back").columns[LEVEL].clone();
                gone.give_back(entry, key, |row| row.columns[LEVEL] == level);
                rows.get_mut(&here).expect("a row to set back").columns[LEVEL] = level;
            }
            ("restored", _) => {
                let row = after.get(&here).unwrap_or_else(|| panic!("{entry:?}: {key:?} is not back"));
                gone.give_back(entry, key, |gone| gone == row);
                assert!(rows.insert(here, row.clone()).is_none(), "{entry:?}: {key:?} was there");
            }
            _ => assert!(entry.action.starts_with("skipped_"), "{entry:?}"),
        }
    }
}

/// Gives the row that had this key when it was the leaver's from one user to another.
fn give(entry: &Entry, rows: &mut Rows, key: &[i64], from: i64, to: i64) {
    let table = Table::named(kind_named(&entry.kind).table);
    let at = |owner: i64| {
        let mut key = key.to_vec();
        if let Some(place) = table.user_in_key() {
            key[place] = owner;
        }
        (table.name, key)
    };
    let row = rows.remove(&at(from)).unwrap_or_else(|| panic!("{entry:?}: no row {key:?} of {from}"));
    assert_eq!(row.owner, from, "{entry:?}: {key:?}");
    assert!(rows.insert(at(to), Row { owner: to, ..row }).is_none(), "{entry:?}: {key:?} was there");
}
