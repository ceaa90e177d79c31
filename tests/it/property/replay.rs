//! Replays the journal onto the rows before a step. The result must equal the rows after it, in every column.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shape::{Shape, kind_named};
use super::sums::{add, take_out};
use super::tables::{Key, PARENT, Place, Row, Rows, Table, set_values};
use crate::support::{Engine, World};

/// A journal row. An undo's row also has the row that it undid.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: i64,
    pub job: String,
    pub kind: String,
    pub action: String,
    pub from: i64,
    pub to: Option<i64>,
    pub records: usize,
    pub keys: Vec<Key>,
    /// The undone job, action and successor; none if snapshots were restored without a job.
    pub undone: Option<(String, String, Option<i64>)>,
}

impl Entry {
    /// Returns the places of its rows while the leaver owned them.
    pub fn rows(&self) -> Vec<Place> {
        let table = kind_named(&self.kind).table;
        self.keys.iter().map(|key| (table, key.clone())).collect()
    }

    fn has_undone(&self, action: &str) -> Option<i64> {
        self.undone.as_ref().filter(|(_, undone, _)| undone == action).and_then(|(_, _, holder)| *holder)
    }
}

/// Returns the journal rows after a row of it.
pub async fn read_journal(world: &World, after: i64) -> Vec<Entry> {
    let job = |alias: &str| match world.engine {
        Engine::Sqlite => format!("lower(hex({alias}.job_id))"),
        Engine::Postgres => format!("replace(CAST({alias}.job_id AS text), '-', '')"),
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
        "CAST(j.records AS text)".into(),
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
    let word = |text: &Value| text.as_str().expect("a text").to_owned();
    let key = |key: &Value| match key {
        Value::Array(texts) => texts.iter().map(word).collect(),
        text => vec![word(text)],
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
        records: fields[10].parse().expect("a count"),
    }
}

/// A removed or changed row: its former values, and which columns were empty before a merge.
#[derive(Debug)]
struct Taken {
    job: String,
    row: Row,
    empty: Vec<bool>,
}

/// Rows that jobs removed or changed and did not return yet, by kind and key.
#[derive(Default)]
pub struct Gone(BTreeMap<(String, Key), Vec<Taken>>);

impl Gone {
    fn keep(&mut self, entry: &Entry, kind: &str, key: &Key, row: Row, empty: Vec<bool>) {
        self.0.entry((kind.to_owned(), key.clone())).or_default().push(Taken { job: entry.job.clone(), row, empty });
    }

    /// Takes out a returned row that some job (or this one) removed and that satisfies `is_it`.
    fn give_back(&mut self, entry: &Entry, key: &Key, is_it: impl Fn(&Row) -> bool) -> Taken {
        let kept = self.0.get_mut(&(entry.kind.clone(), key.clone()));
        let kept = kept.unwrap_or_else(|| panic!("{entry:?}: the row was never removed"));
        let place = kept.iter().rposition(|taken| is_from(entry, taken) && is_it(&taken.row));
        kept.remove(place.unwrap_or_else(|| panic!("{entry:?}: {key:?} returned with other values: {kept:?}")))
    }

    /// Returns the cascaded rows that this entry can restore, among those that exist.
    fn came_along(&self, entry: &Entry, table: &'static str, rows: &Rows, after: &Rows) -> Vec<Key> {
        let of_kind = self.0.iter().filter(|((kind, _), _)| *kind == entry.kind);
        let is_back = |key: &Key, taken: &Taken| {
            let place = (table, key.clone());
            is_from(entry, taken) && after.get(&place) == Some(&taken.row) && !rows.contains_key(&place)
        };
        let back = of_kind.filter(|((_, key), taken)| taken.iter().any(|taken| is_back(key, taken)));
        back.map(|((_, key), _)| key.clone()).collect()
    }
}

fn is_from(entry: &Entry, taken: &Taken) -> bool {
    entry.undone.as_ref().is_none_or(|(job, _, _)| *job == taken.job)
}

/// The state that the journal is replayed onto.
pub struct Replay<'r> {
    pub engine: Engine,
    pub shape: &'r Shape,
    pub rows: &'r mut Rows,
    /// The rows that exist now.
    pub after: &'r Rows,
    pub gone: &'r mut Gone,
}

impl Replay<'_> {
    /// Applies a journal row.
    pub fn play(&mut self, entry: &Entry) {
        if entry.action.starts_with("skipped_") {
            return;
        }
        if let Some((_, child)) = entry.kind.split_once('/') {
            if entry.action != "restored" {
                // They went with the rows that they follow.
                return;
            }
            return self.come_along(entry, Table::named(child.trim_start_matches("public.")).name);
        }
        assert_eq!(entry.records, entry.keys.len(), "{entry:?}");
        for key in &entry.keys {
            match (entry.action.as_str(), entry.has_undone("moved"), entry.has_undone("merged")) {
                ("moved", _, _) => self.give(entry, key, entry.from, entry.to.expect("a receiver")),
                ("merged", _, _) => self.merge(entry, key),
                ("restored", Some(holder), _) => self.give(entry, key, holder, entry.from),
                ("restored", _, Some(holder)) => self.unmerge(entry, key, holder),
                ("restored", _, _) if entry.kind == "score" => self.set_back(entry, key),
                ("restored", _, _) => drop(self.put_back(entry, key)),
                ("set", _, _) => self.set(entry, key),
                ("dropped" | "detached" | "purged", _, _) => self.remove(entry, key),
                _ => panic!("{entry:?}"),
            }
        }
    }

    fn counted(&self, entry: &Entry, row: &mut Row) {
        if self.shape.is_counted(&entry.kind) {
            row.count_up();
        }
    }

    /// Moves the row with this key, as the leaver owned it, from one user to another.
    fn give(&mut self, entry: &Entry, key: &Key, from: i64, to: i64) {
        let mut row = self.take(entry, key, from);
        self.counted(entry, &mut row);
        let place = place_of(entry, key, to);
        assert!(self.rows.insert(place, Row { owner: to, ..row }).is_none(), "{entry:?}: {key:?} existed already");
    }

    fn take(&mut self, entry: &Entry, key: &Key, from: i64) -> Row {
        let row = self.rows.remove(&place_of(entry, key, from));
        let row = row.unwrap_or_else(|| panic!("{entry:?}: no row {key:?} of {from}"));
        let is_theirs = row.owner == from || entry.kind == "watcher";
        assert!(is_theirs, "{entry:?}: {key:?}");
        row
    }

    fn merge(&mut self, entry: &Entry, key: &Key) {
        let row = self.take(entry, key, entry.from);
        let mut held = self.take(entry, key, entry.to.expect("a receiver"));
        let empty = add(self.engine, &mut held, &row);
        self.counted(entry, &mut held);
        self.rows.insert(place_of(entry, key, held.owner), held);
        self.gone.keep(entry, &entry.kind, key, row, empty);
    }

    fn unmerge(&mut self, entry: &Entry, key: &Key, holder: i64) {
        let taken = self.put_back(entry, key);
        let mut held = self.take(entry, key, holder);
        take_out(self.engine, &mut held, &taken.row, &taken.empty);
        self.counted(entry, &mut held);
        self.rows.insert(place_of(entry, key, holder), held);
    }

    /// Removes a row and its children.
    fn remove(&mut self, entry: &Entry, key: &Key) {
        let row = self.take(entry, key, entry.from);
        self.gone.keep(entry, &entry.kind, key, row, Vec::new());
        if entry.kind != "badge" {
            return;
        }
        let children: Vec<Place> =
            self.rows.iter().filter(|(_, row)| row.is_child_of(key)).map(|(place, _)| place.clone()).collect();
        for place in children {
            let row = self.rows.remove(&place).expect("a child");
            self.gone.keep(entry, &format!("badge/{}", place.0), &place.1, row, Vec::new());
        }
    }

    fn put_back(&mut self, entry: &Entry, key: &Key) -> Taken {
        let here = (kind_named(&entry.kind).table, key.clone());
        let row = self.after.get(&here).unwrap_or_else(|| panic!("{entry:?}: {key:?} did not return"));
        let taken = self.gone.give_back(entry, key, |gone| gone == row);
        assert!(self.rows.insert(here, row.clone()).is_none(), "{entry:?}: {key:?} existed already");
        taken
    }

    /// Restores as many cascaded rows as the journal says.
    fn come_along(&mut self, entry: &Entry, table: &'static str) {
        let entry = &Entry { kind: format!("badge/{table}"), ..entry.clone() };
        let keys = self.gone.came_along(entry, table, self.rows, self.after);
        assert!(keys.len() >= entry.records, "{entry:?}: only {keys:?} returned");
        for key in keys.into_iter().take(entry.records) {
            let row = self.after[&(table, key.clone())].clone();
            assert!(row.columns.len() > PARENT);
            self.gone.give_back(entry, &key, |gone| *gone == row);
            self.rows.insert((table, key), row);
        }
    }

    fn set(&mut self, entry: &Entry, key: &Key) {
        let place = place_of(entry, key, entry.from);
        let mut row = self.rows.get(&place).unwrap_or_else(|| panic!("{entry:?}: no row {key:?}")).clone();
        assert_eq!(row.owner, entry.from, "{entry:?}: {key:?}");
        self.gone.keep(entry, &entry.kind, key, row.clone(), Vec::new());
        for (column, value) in set_values(self.engine) {
            row.columns[column] = value.into();
        }
        self.counted(entry, &mut row);
        self.rows.insert(place, row);
    }

    fn set_back(&mut self, entry: &Entry, key: &Key) {
        let place = place_of(entry, key, entry.from);
        let after = self.after.get(&place).expect("a restored row");
        let columns = set_values(self.engine).map(|(column, _)| column);
        let is_it = |row: &Row| columns.iter().all(|column| row.columns[*column] == after.columns[*column]);
        let taken = self.gone.give_back(entry, key, is_it);
        let mut row = self.rows.get(&place).expect("a row to restore").clone();
        for column in columns {
            row.columns[column].clone_from(&taken.row.columns[column]);
        }
        self.counted(entry, &mut row);
        self.rows.insert(place, row);
    }
}

/// Returns the place of the row with this key under another owner.
fn place_of(entry: &Entry, key: &Key, owner: i64) -> Place {
    let table = Table::named(kind_named(&entry.kind).table);
    let mut key = key.clone();
    if let Some(place) = table.user_in_key().filter(|_| table.name != "p_watches") {
        key[place] = owner.to_string();
    }
    (table.name, key)
}
