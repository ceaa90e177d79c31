//! Which rows a reference is about: the tests that every statement on it shares.

use crate::catalog::{
    Catalog, Column, Condition, Disposition, Engine, Family, Filter, Holds, OrgScope, Parent, Reference, SetValue,
    SomeUsers, Test,
};
use crate::job::State;
use crate::store::dialect::sql::{Sql, cast, column, quoted, table};

/// The key of a row: a value for each of the reference's key columns, as text.
pub type Key = Vec<String>;

/// The tests of a row of `alias`, each with `AND` before it: the filter, rows that earlier references have taken, and
/// for a `set`, that there is still something to set.
pub fn tests(sql: &mut Sql, reference: &Reference, alias: &str) -> String {
    let mut text = inside(sql, reference.within.as_ref(), alias) + &filter(sql, &reference.filter, alias);
    for taken in &reference.claimed {
        let passes = bare_filter(sql, &taken.filter, alias);
        let of = taken.of.as_ref().map_or(String::new(), |of| is_one_of(sql, reference, of, alias));
        text.push_str(&format!(" AND ({passes}{of}) IS NOT TRUE"));
    }
    if let Disposition::Set { values, .. } = &reference.disposition {
        let unset = unset(sql, values, alias);
        text.push_str(&format!(" AND ({unset})"));
    }
    text
}

/// That a row is of the organization that everything is bounded by, where there is one.
pub fn inside(sql: &mut Sql, within: Option<&OrgScope>, alias: &str) -> String {
    within.map_or(String::new(), |within| {
        let org = sql.host(&within.column, &within.org);
        format!(" AND {} = {org}", column(alias, &within.column.name))
    })
}

/// That the row's user meets a condition.
fn is_one_of(sql: &mut Sql, reference: &Reference, of: &SomeUsers, alias: &str) -> String {
    let meets = meets(sql, &of.condition, "w");
    let inside = inside(sql, of.within.as_ref(), "w");
    format!(
        " AND EXISTS (SELECT 1 FROM {users} w WHERE {is_user}{inside} AND {meets})",
        users = table(&of.table),
        is_user = is_user(&column("w", &of.key.name), &of.key, &column(alias, &reference.user.name), &reference.user),
    )
}

/// That the user of `alias`, a row of the users' table, meets a condition.
pub fn meets(sql: &mut Sql, condition: &Condition, alias: &str) -> String {
    let asked = column(alias, &condition.column.name);
    match &condition.holds {
        Holds::Value(value) => is_value(sql, &condition.column, alias, value),
        Holds::ListedIn(listing) => {
            let filter = filter(sql, &listing.filter, "y");
            format!(
                "EXISTS (SELECT 1 FROM {host} y WHERE {listed} = {asked}{filter})",
                host = table(&listing.table),
                listed = column("y", &listing.column.name),
                asked = same_type(&asked, &condition.column, &listing.column),
            )
        }
    }
}

/// The filter alone, each test with `AND` before it.
pub fn filter(sql: &mut Sql, filter: &Filter, alias: &str) -> String {
    filter.0.iter().map(|test| format!(" AND {}", one_test(sql, test, alias))).collect()
}

/// The filter as one expression; `TRUE` where it has no test.
pub fn bare_filter(sql: &mut Sql, filter: &Filter, alias: &str) -> String {
    let tests: Vec<String> = filter.0.iter().map(|test| one_test(sql, test, alias)).collect();
    match tests.is_empty() {
        true => "TRUE".to_owned(),
        false => tests.join(" AND "),
    }
}

fn one_test(sql: &mut Sql, test: &Test, alias: &str) -> String {
    match test {
        Test::OneOf(tested, values) => match values.as_slice() {
            [value] => is_value(sql, tested, alias, value),
            values if tested.family == Family::Opaque => {
                let each: Vec<String> = values.iter().map(|value| is_value(sql, tested, alias, value)).collect();
                format!("({})", each.join(" OR "))
            }
            values => {
                let list = sql.host_list(tested, values.iter().map(String::as_str));
                format!("{} IN {list}", column(alias, &tested.name))
            }
        },
        Test::Null(tested, true) => format!("{} IS NULL", column(alias, &tested.name)),
        Test::Null(tested, false) => format!("{} IS NOT NULL", column(alias, &tested.name)),
        Test::Parent(parent) => parent_passes(sql, parent, alias),
    }
}

/// That a column of `alias` holds a value.
fn is_value(sql: &mut Sql, of: &Column, alias: &str, value: &str) -> String {
    let value = sql.host(of, value);
    format!("{} = {}", compared(&column(alias, &of.name), of), compared(&value, of))
}

/// An expression of a column's type as it is compared: as it is, or as text, where the database has no other way.
fn compared(expression: &str, of: &Column) -> String {
    match of.family {
        Family::Opaque => as_text(expression),
        _ => expression.to_owned(),
    }
}

/// That a row's parent passes its tests.
fn parent_passes(sql: &mut Sql, parent: &Parent, alias: &str) -> String {
    let on: Vec<String> = (parent.on.iter())
        .map(|(points, target)| {
            let points_at = same_type(&column(alias, &points.name), points, target);
            format!("{} = {points_at}", column("above", &target.name))
        })
        .collect();
    let filter = filter(sql, &parent.filter, "above");
    format!("EXISTS (SELECT 1 FROM {} above WHERE {}{filter})", table(&parent.table), on.join(" AND "))
}

/// Whether a row still lacks one of the values: a second pass finds nothing to do.
pub fn unset(sql: &mut Sql, values: &[(Column, SetValue)], alias: &str) -> String {
    let lacking = values.iter().map(|(set, value)| match value {
        SetValue::Text(text) => {
            let value = sql.host(set, text);
            format!("{} IS DISTINCT FROM {}", compared(&column(alias, &set.name), set), compared(&value, set))
        }
        SetValue::Now => format!("{} IS NULL", column(alias, &set.name)),
    });
    lacking.collect::<Vec<_>>().join(" OR ")
}

/// For a guard over the last of a group: that no other row of the group belongs to an active user who stays. Users of
/// `leaving`, who leave in the same transaction, do not stay.
pub fn is_sole(
    sql: &mut Sql,
    catalog: &Catalog,
    reference: &Reference,
    sole_in: &Column,
    alias: &str,
    leaving: &[String],
) -> String {
    let users = &catalog.users;
    let is_user =
        is_user(&column("u", &users.key.name), &users.key, &column("o", &reference.user.name), &reference.user);
    let same_group = format!("{} = {}", column("o", &sole_in.name), column(alias, &sole_in.name));
    let other = format!("{} <> {}", column("o", &reference.user.name), column(alias, &reference.user.name));
    let filter = inside(sql, reference.within.as_ref(), "o") + &filter(sql, &reference.filter, "o");
    let of_users = inside(sql, users.within.as_ref(), "u");
    let leaving = sql.host_list(&reference.user, leaving.iter().map(String::as_str));
    let active = sql.host(&users.status.column, &users.status.active);
    format!(
        " AND NOT EXISTS (SELECT 1 FROM {table} o JOIN {users_table} u ON {is_user}{of_users} \
         WHERE {same_group} AND {other}{filter} AND {other_column} NOT IN {leaving} AND {status} = {active} \
         AND NOT EXISTS (SELECT 1 FROM handover.jobs j WHERE j.org = {org} AND j.user_id = {user_text} AND {LEAVES} AND j.state IN ({open})))",
        table = table(&reference.table),
        users_table = table(&users.table),
        other_column = column("o", &reference.user.name),
        status = column("u", &users.status.column.name),
        org = org_of(catalog, "u"),
        user_text = as_text(&column("u", &users.key.name)),
        open = open_states(),
    )
}

/// A user's organization as the ledger keeps it; the empty text where the host has none.
pub fn org_of(catalog: &Catalog, alias: &str) -> String {
    match &catalog.users.org {
        Some(org) => format!("COALESCE({}, '')", as_text(&column(alias, &org.name))),
        None => "''".to_owned(),
    }
}

/// That a job `j` is one by which its user leaves.
pub const LEAVES: &str = "j.kind = 'deactivate'";

/// States of a job that has not ended, quoted: the same list as the ledger's unique index over open jobs.
pub fn open_states() -> String {
    state_list(State::OPEN)
}

/// States, quoted, for an `IN`.
pub fn state_list(states: impl IntoIterator<Item = State>) -> String {
    let names: Vec<String> = states.into_iter().map(|state| format!("'{}'", state.name())).collect();
    names.join(", ")
}

/// An expression as text.
pub fn as_text(expression: &str) -> String {
    cast(expression, "text")
}

/// An expression of one column's type, to compare with a column of perhaps another.
pub fn same_type(expression: &str, from: &Column, to: &Column) -> String {
    match from.cast == to.cast {
        true => expression.to_owned(),
        false => cast(expression, &to.cast),
    }
}

/// That a user's key is what a column of the host holds. A column that keeps ids as text may hold what is no id: there the
/// key is compared as text.
pub fn is_user(key: &str, key_column: &Column, user: &str, user_column: &Column) -> String {
    match user_column.family {
        Family::Text => format!("{} = {user}", same_type(key, key_column, user_column)),
        _ => format!("{key} = {}", same_type(user, user_column, key_column)),
    }
}

/// The key columns of an alias, in order: `t."a", t."b"`.
pub fn key_columns(reference: &Reference, alias: &str) -> String {
    let columns: Vec<String> = reference.key.iter().map(|key| column(alias, &key.name)).collect();
    columns.join(", ")
}

/// The key of a row as JSON text form: a text, or an array of texts where the key has several columns.
pub fn key_json(engine: Engine, reference: &Reference, alias: &str) -> String {
    json_of_key(engine, reference.key.iter().map(|key| as_text(&column(alias, &key.name))).collect())
}

/// The key that `alias` holds as `k0`, `k1` …, in the same form.
pub fn picked_key_json(engine: Engine, reference: &Reference, alias: &str) -> String {
    json_of_key(engine, (0..reference.key.len()).map(|index| as_text(&format!("{alias}.k{index}"))).collect())
}

fn json_of_key(engine: Engine, texts: Vec<String>) -> String {
    match (texts.as_slice(), engine) {
        ([one], _) => one.clone(),
        (many, Engine::Postgres) => format!("jsonb_build_array({})", many.join(", ")),
        (many, Engine::Sqlite) => format!("json_array({})", many.join(", ")),
    }
}

/// All rows' keys as one JSON array. In SQLite JSON that comes out of a subquery is a mere text: it is read again, so
/// that a key of several columns stands there as an array on both engines.
pub fn keys_aggregate(engine: Engine, reference: &Reference, key: &str) -> String {
    match (engine, reference.key.len()) {
        (Engine::Postgres, _) => format!("jsonb_agg({key})"),
        (Engine::Sqlite, 1) => format!("json_group_array({key})"),
        (Engine::Sqlite, _) => format!("json_group_array(json({key}))"),
    }
}

/// Whether the key holds the user, so that a move changes it.
pub fn key_has_user(reference: &Reference) -> bool {
    reference.key.iter().any(|key| key.name == reference.user.name)
}

/// The key columns of an alias under the names `k0`, `k1` and so on, which no column of the host can collide with.
pub fn keys_as(reference: &Reference, alias: &str) -> String {
    let named: Vec<String> = reference
        .key
        .iter()
        .enumerate()
        .map(|(index, key)| format!("{} AS k{index}", column(alias, &key.name)))
        .collect();
    named.join(", ")
}

/// That a row has the key which `other` holds as `k0`, `k1` and so on.
pub fn has_key(reference: &Reference, alias: &str, other: &str) -> String {
    let equal: Vec<String> = (reference.key.iter().enumerate())
        .map(|(index, key)| format!("{} = {other}.k{index}", column(alias, &key.name)))
        .collect();
    equal.join(" AND ")
}

/// That a row's key lies between two keys, both included. Written so that an index on (user, key) is read just there.
pub fn between(sql: &mut Sql, reference: &Reference, alias: &str, first: &Key, last: &Key) -> String {
    let from = compare(sql, reference, alias, ">=", first);
    let to = compare(sql, reference, alias, "<=", last);
    format!(" AND {from} AND {to}")
}

/// That a row's key lies behind another: `(t."a", t."b") > ($1, $2)`.
pub fn behind(sql: &mut Sql, reference: &Reference, alias: &str, key: &Key) -> String {
    format!(" AND {}", compare(sql, reference, alias, ">", key))
}

fn compare(sql: &mut Sql, reference: &Reference, alias: &str, operator: &str, key: &Key) -> String {
    let values: Vec<String> = reference.key.iter().zip(key).map(|(column, text)| sql.host(column, text)).collect();
    match (key_columns(reference, alias), values.as_slice()) {
        (columns, [value]) => format!("{columns} {operator} {value}"),
        (columns, values) => format!("({columns}) {operator} ({})", values.join(", ")),
    }
}

/// The time now, for a column of any type of time.
pub fn now(engine: Engine, for_column: &Column) -> String {
    match engine {
        Engine::Postgres => cast("now()", &for_column.cast),
        Engine::Sqlite => "CURRENT_TIMESTAMP".to_owned(),
    }
}

/// `, "lock_version" = …`: the column that counts changes, one up, where the catalog says which.
pub fn raise_version(reference: &Reference, alias: &str) -> String {
    reference.version_column.as_ref().map_or(String::new(), |version| {
        format!(", {} = COALESCE({}, 0) + 1", quoted(&version.name), column(alias, &version.name))
    })
}

/// `"name"` of the user column, quoted.
pub fn user_column(reference: &Reference) -> String {
    quoted(&reference.user.name)
}
