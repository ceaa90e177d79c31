//! Edits by the application's own users: insert, reassign, change and delete a row.

use super::dice::Dice;
use super::shape::{STRANGERS, badge};
use super::tables::{Place, Rows, TABLES, Table, user_of};
use crate::support::Engine;

/// An edit by a user of the application.
pub struct Edit {
    pub statement: String,
    /// The rows that the edit changes.
    pub rows: Vec<Place>,
}

fn values(dice: &mut Dice, engine: Engine) -> String {
    let bodies = ["NULL", "'it''s'", "'\"{}\\'", "'\u{fc}, x'", "''", "'two\nlines'", "'12'"];
    let mut pick = |some: &[&'static str]| *dice.pick(some).expect("a value");
    let (zone, json) = match engine {
        Engine::Sqlite => ("", ""),
        Engine::Postgres => ("TIMESTAMPTZ ", "::jsonb"),
    };
    let (changed, body) = ("'2026-01-02 03:04:05'", pick(&bodies));
    let (level, state) = (pick(&["NULL", "0", "1", "7", "9007199254740993"]), pick(&["'open'", "'done'"]));
    let (flag, amount) = (pick(&["NULL", "TRUE", "FALSE"]), pick(&["NULL", "0", "12.50", "-3", "0.25"]));
    let seen = pick(&["NULL", "'2026-03-29 01:59:59.123456+00'", "'1999-12-31 23:59:59+05:30'"]);
    let seen = if seen == "NULL" { seen.to_owned() } else { format!("{zone}{seen}") };
    let extra = pick(&["NULL", "'{\"a\": [1, null, \"\u{fc}''\"]}'", "'\"x\"'", "'1.50'", "'null'"]);
    let extra = if extra == "NULL" { extra.to_owned() } else { format!("{extra}{json}") };
    format!("{changed}, {body}, {level}, {state}, {flag}, {amount}, {seen}, {extra}, {}", pick(&["NULL", "1", "41"]))
}

/// Returns a new row for a user, or for one of these badges if the table's rows belong to badges.
pub fn insert(
    dice: &mut Dice,
    engine: Engine,
    table: &'static Table,
    owner: i64,
    people: &[i64],
    badges: &[String],
    next: &mut i64,
) -> Option<Edit> {
    *next += 1;
    // Each area belongs to one organization.
    let side = if STRANGERS.contains(&owner) { "far" } else { "near" };
    let key = match table.name {
        "p_members" | "p_shares" => vec![(1 + dice.below(6)).to_string(), owner.to_string()],
        "p_watches" => vec![owner.to_string(), dice.pick(people)?.to_string()],
        "p_deals" => vec![format!("{:08x}-0000-4000-8000-{next:012x}", dice.below(1 << 32))],
        "p_badges" => vec![format!("b'{next}")],
        "p_scores" => vec![format!("{side} \"{}\"", dice.below(3)), next.to_string()],
        "p_admins" => vec![format!("{side} {}", dice.below(4)), owner.to_string()],
        _ => vec![next.to_string()],
    };
    if table.name == "p_watches" && key[0] == key[1] {
        return None;
    }
    let (mut names, mut written) = (table.key_names(), table.literals(&key));
    if let (Some(user), None) = (table.user, table.user_in_key()) {
        names.push(user);
        written.push(owner.to_string());
    }
    names.extend(table.columns());
    written.push(values(dice, engine));
    if table.parent.is_some() {
        written.push(format!("'{}'", dice.pick(badges)?.replace('\'', "''")));
    }
    let statement = format!("INSERT INTO {} ({}) VALUES ({});", table.name, names.join(", "), written.join(", "));
    Some(Edit { statement, rows: vec![(table.name, key)] })
}

/// Returns one edit of rows in our organization.
pub fn edit(dice: &mut Dice, engine: Engine, people: &[i64], rows: &Rows, next: &mut i64) -> Option<Edit> {
    let owner = *dice.pick(people)?;
    let is_ours = |place: &&Place| user_of(rows, place).is_none_or(|user| !STRANGERS.contains(&user));
    let ours: Vec<Place> = rows.keys().filter(is_ours).cloned().collect();
    if dice.percent(35) {
        let table = dice.pick(&TABLES)?;
        let badges: Vec<String> = ours.iter().filter_map(badge).collect();
        let edit = insert(dice, engine, table, owner, people, &badges, next)?;
        return (!rows.contains_key(&edit.rows[0])).then_some(edit);
    }
    let (name, key) = dice.pick(&ours)?.clone();
    let table = Table::named(name);
    let mut touched = vec![(name, key.clone())];
    let change = match dice.below(3) {
        0 => {
            let children = rows.iter().filter(|(_, row)| name == "p_badges" && row.is_child_of(&key));
            touched.extend(children.map(|(place, _)| place.clone()));
            format!("DELETE FROM {name}")
        }
        1 => format!("UPDATE {name} SET body = 'by hand {next}', level = {next}"),
        _ => {
            let mut to = key.clone();
            if let Some(place) = table.user_in_key() {
                to[place] = owner.to_string();
            }
            if name == "p_watches" || to != key && rows.contains_key(&(name, to.clone())) {
                return None;
            }
            touched.push((name, to));
            format!("UPDATE {name} SET {} = {owner}", table.user?)
        }
    };
    *next += 1;
    Some(Edit { statement: format!("{change} WHERE {}", table.is(&key)), rows: touched })
}
