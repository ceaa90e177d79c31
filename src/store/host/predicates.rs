//! The predicates of a reference's rows, which every statement on it shares, and the SQL of their keys.

use super::item::Key;
use super::present::present_time;
use super::user_match::{equal, is_among, is_user};
use crate::catalog::{
    Catalog, Column, Condition, Family, Filter, Holds, OrgScope, Parent, Reference, SetValue, SomeUsers, Status, Test,
    Users,
};
use crate::job::State;
use crate::store::dialect::sql::{Sql, as_text, column, quoted, same_type, table};
use crate::store::dialect::{JOBS, SharedDialect};

/// Returns the tests of a row of `alias`, each with `AND` before it: the filter; that no earlier reference claims the row;
/// for a `set`, that a value still has to be set.
pub fn row_tests(sql: &mut Sql, reference: &Reference, alias: &str) -> String {
    let mut text = in_org(sql, reference.within.as_ref(), alias) + &filter(sql, &reference.filter, alias);
    text.push_str(&unclaimed(sql, reference, alias));
    let values = reference.disposition.values();
    if !values.is_empty() {
        let unset = unset(sql, values, alias);
        text.push_str(&format!(" AND ({unset})"));
    }
    text
}

/// Tests that no earlier reference claims a row of `alias`, each test with `AND` before it.
pub fn unclaimed(sql: &mut Sql, reference: &Reference, alias: &str) -> String {
    let mut text = String::new();
    for taken in &reference.claimed {
        let passes = bare_filter(sql, &taken.filter, alias);
        let of = taken.of.as_ref().map_or(String::new(), |of| is_one_of(sql, reference, of, alias));
        text.push_str(&format!(" AND ({passes}{of}) IS NOT TRUE"));
    }
    text
}

/// Tests that a row is of the organization that bounds everything, if there is one.
pub fn in_org(sql: &mut Sql, within: Option<&OrgScope>, alias: &str) -> String {
    within.map_or(String::new(), |within| {
        let org = sql.host(&within.column, &within.org);
        format!(" AND {} = {org}", column(alias, &within.column.name))
    })
}

/// Tests that the row's user meets a condition.
fn is_one_of(sql: &mut Sql, reference: &Reference, of: &SomeUsers, alias: &str) -> String {
    let meets = meets(sql, &of.condition, "w");
    let in_org = in_org(sql, of.within.as_ref(), "w");
    format!(
        " AND EXISTS (SELECT 1 FROM {users} w WHERE {is_user}{in_org} AND {meets})",
        users = table(&of.table),
        is_user = is_user(&column("w", &of.key.name), &of.key, &column(alias, &reference.user.name), &reference.user),
    )
}

/// Tests that the user of `alias`, a row of the users' table, meets a condition.
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

/// Returns the filter's tests, each with `AND` before it.
pub fn filter(sql: &mut Sql, filter: &Filter, alias: &str) -> String {
    filter.0.iter().map(|test| format!(" AND {}", one_test(sql, test, alias))).collect()
}

/// Returns the filter as one expression; `TRUE` if it has no test.
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

/// Tests that a column of `alias` holds a value.
pub fn is_value(sql: &mut Sql, of: &Column, alias: &str, value: &str) -> String {
    let value = sql.host(of, value);
    format!("{} = {}", compared(&column(alias, &of.name), of), compared(&value, of))
}

/// Tests that the user `alias` has a status. The database compares it, as the host does.
pub fn has_status(sql: &mut Sql, status: &Status, alias: &str, value: &SetValue) -> String {
    match value {
        SetValue::Text(text) => is_value(sql, &status.column, alias, text),
        SetValue::Null => format!("{} IS NULL", column(alias, &status.column.name)),
        SetValue::Now => format!("{} IS NOT NULL", column(alias, &status.column.name)),
    }
}

/// Returns an expression in the form in which it is compared: as text, if the database cannot compare the type.
fn compared(expression: &str, of: &Column) -> String {
    match of.family {
        Family::Opaque => as_text(expression),
        Family::Integer { .. }
        | Family::Number
        | Family::Boolean
        | Family::Text
        | Family::Uuid
        | Family::Time
        | Family::Any
        | Family::Other => expression.to_owned(),
    }
}

/// Tests that a row's parent passes its tests.
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

/// Tests that a row still lacks one of the values. A second pass finds nothing to do.
pub fn unset(sql: &mut Sql, values: &[(Column, SetValue)], alias: &str) -> String {
    let lacking = values.iter().map(|(set, value)| match value {
        SetValue::Text(text) => {
            let value = sql.host(set, text);
            sql.dialect().differs(&compared(&column(alias, &set.name), set), &compared(&value, set))
        }
        SetValue::Null => format!("{} IS NOT NULL", column(alias, &set.name)),
        SetValue::Now => format!("{} IS NULL", column(alias, &set.name)),
    });
    lacking.collect::<Vec<_>>().join(" OR ")
}

/// Tests that no other row of the group belongs to an active user who stays, for a guard over the last of a group.
///
/// Users of `leaving` leave in the same transaction, and do not stay.
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
    let others = |sql: &mut Sql| {
        let same = equal(&column("o", &reference.user.name), &column(alias, &reference.user.name), &reference.user);
        let ids = leaving.iter().map(String::as_str);
        format!("NOT ({same}) AND NOT ({})", is_among(sql, &reference.user, &column("o", &reference.user.name), ids))
    };
    let other = others(sql);
    let filter = in_org(sql, reference.within.as_ref(), "o")
        + &filter(sql, &reference.filter, "o")
        + &of_same_org(users, reference, "u", alias);
    let of_users = in_org(sql, users.within.as_ref(), "u");
    let is_active = has_status(sql, &users.status, "u", &users.status.active);
    format!(
        " AND NOT EXISTS (SELECT 1 FROM {table} o JOIN {users_table} u ON {is_user}{of_users} \
         WHERE {same_group} AND {other}{filter} AND {is_active} \
         AND NOT EXISTS (SELECT 1 FROM {JOBS} j WHERE j.org = {org} AND j.user_id = {user_text} AND {LEAVES} AND j.state IN ({open})))",
        table = table(&reference.table),
        users_table = table(&users.table),
        org = org_of(catalog, "u"),
        user_text = as_text(&column("u", &users.key.name)),
        open = open_states(),
    )
}

/// Tests that a user `other` is of the organization of the user at whom a row of `alias` points.
fn of_same_org(users: &Users, reference: &Reference, other: &str, alias: &str) -> String {
    let Some(org) = users.org.as_ref().filter(|_| !users.per_org) else { return String::new() };
    let key = column("mine", &users.key.name);
    format!(
        " AND {theirs} = (SELECT {own} FROM {host} mine WHERE {is_mine})",
        theirs = column(other, &org.name),
        own = column("mine", &org.name),
        host = table(&users.table),
        is_mine = is_user(&key, &users.key, &column(alias, &reference.user.name), &reference.user),
    )
}

/// Returns a user's organization as the ledger keeps it: an empty text if the host has none.
pub fn org_of(catalog: &Catalog, alias: &str) -> String {
    match &catalog.users.org {
        Some(org) => format!("COALESCE({}, '')", as_text(&column(alias, &org.name))),
        None => "''".to_owned(),
    }
}

/// Tests that a user leaves by a job `j`.
pub const LEAVES: &str = "j.kind = 'deactivate'";

/// Returns the states of a job that has not ended, quoted: the list of the ledger's unique index over open jobs.
pub fn open_states() -> String {
    state_list(State::OPEN)
}

/// Returns states, quoted, for an `IN`.
pub fn state_list(states: impl IntoIterator<Item = State>) -> String {
    let names: Vec<String> = states.into_iter().map(|state| format!("'{}'", state.name())).collect();
    names.join(", ")
}

/// Returns the key columns of an alias, in order: `t."a", t."b"`.
pub fn key_columns(reference: &Reference, alias: &str) -> String {
    let columns: Vec<String> = reference.key.iter().map(|key| column(alias, &key.name)).collect();
    columns.join(", ")
}

/// Returns the key of a row as the journal keeps it: a text, or a JSON array of texts if the key has several columns.
pub fn key_json(dialect: SharedDialect, reference: &Reference, alias: &str) -> String {
    json_of_key(dialect, reference.key.iter().map(|key| as_text(&column(alias, &key.name))).collect())
}

/// Returns the key that `alias` holds as `k0`, `k1` and so on, in the same form.
pub fn picked_key_json(dialect: SharedDialect, reference: &Reference, alias: &str) -> String {
    json_of_key(dialect, (0..reference.key.len()).map(|index| as_text(&format!("{alias}.k{index}"))).collect())
}

fn json_of_key(dialect: SharedDialect, texts: Vec<String>) -> String {
    match texts.as_slice() {
        [one] => one.clone(),
        many => dialect.json_array(many),
    }
}

/// Returns the keys of all rows of a group as one JSON array.
pub fn keys_aggregate(dialect: SharedDialect, reference: &Reference, key: &str) -> String {
    match reference.key.len() {
        1 => dialect.json_array_of_texts(key),
        _ => dialect.json_array_of_json(key),
    }
}

/// Returns the keys that `alias` holds as `k0`, `k1` and so on.
pub fn picked_keys(reference: &Reference, alias: &str) -> String {
    let picked: Vec<String> = (0..reference.key.len()).map(|index| format!("{alias}.k{index}")).collect();
    picked.join(", ")
}

/// Returns the keys that `alias` holds as `k0`, `k1` and so on, as texts under the same names.
pub fn picked_texts(reference: &Reference, alias: &str) -> String {
    let picked = (0..reference.key.len()).map(|index| format!("{} AS k{index}", as_text(&format!("{alias}.k{index}"))));
    picked.collect::<Vec<_>>().join(", ")
}

/// True if the user is part of the key, so that a move changes it.
pub fn key_has_user(reference: &Reference) -> bool {
    reference.key.iter().any(|key| key.name == reference.user.name)
}

/// Returns the key columns of an alias under the names `k0`, `k1` and so on, which hide no column of the host.
pub fn keys_as(reference: &Reference, alias: &str) -> String {
    let named: Vec<String> = reference
        .key
        .iter()
        .enumerate()
        .map(|(index, key)| format!("{} AS k{index}", column(alias, &key.name)))
        .collect();
    named.join(", ")
}

/// Tests that a row has the key that `other` holds as `k0`, `k1` and so on.
pub fn has_key(reference: &Reference, alias: &str, other: &str) -> String {
    let equal: Vec<String> = (reference.key.iter().enumerate())
        .map(|(index, key)| format!("{} = {other}.k{index}", column(alias, &key.name)))
        .collect();
    equal.join(" AND ")
}

/// Tests that a row's key lies between two keys, both included. An index on (user, key) is read only there.
pub fn between(sql: &mut Sql, reference: &Reference, alias: &str, first: &Key, last: &Key) -> String {
    let from = compare(sql, reference, alias, ">=", first);
    let to = compare(sql, reference, alias, "<=", last);
    format!(" AND {from} AND {to}")
}

/// Tests that a row's key comes after another: `(t."a", t."b") > ($1, $2)`.
pub fn after(sql: &mut Sql, reference: &Reference, alias: &str, key: &Key) -> String {
    format!(" AND {}", compare(sql, reference, alias, ">", key))
}

fn compare(sql: &mut Sql, reference: &Reference, alias: &str, operator: &str, key: &Key) -> String {
    let values: Vec<String> = reference.key.iter().zip(key).map(|(column, text)| sql.host(column, text)).collect();
    match (key_columns(reference, alias), values.as_slice()) {
        (columns, [value]) => format!("{columns} {operator} {value}"),
        (columns, values) => format!("({columns}) {operator} ({})", values.join(", ")),
    }
}

/// Returns the assignments that a move makes besides the user, each with a comma before it: the time of the move and the
/// version, if the catalog names columns for them.
pub fn touch(dialect: SharedDialect, reference: &Reference, alias: &str) -> String {
    let touch = reference.disposition.touch().map_or(String::new(), |touch| {
        let now = present_time(dialect, &reference.table, Some(alias), touch);
        format!(", {} = {now}", quoted(&touch.name))
    });
    touch + &raise_version(reference, alias)
}

/// Returns `, "lock_version" = …`, which increments the version column, if the catalog names one.
pub fn raise_version(reference: &Reference, alias: &str) -> String {
    reference.version_column.as_ref().map_or(String::new(), |version| {
        format!(", {} = COALESCE({}, 0) + 1", quoted(&version.name), column(alias, &version.name))
    })
}

/// Returns the user column, quoted.
pub fn user_column(reference: &Reference) -> String {
    quoted(&reference.user.name)
}

/// Tests a row of `alias` for a guard over the last of a group, if the disposition is one: see [`is_sole`].
pub fn sole_test(sql: &mut Sql, catalog: &Catalog, reference: &Reference, alias: &str, leaving: &[String]) -> String {
    let sole_in = reference.disposition.sole_in();
    sole_in.map_or(String::new(), |sole_in| is_sole(sql, catalog, reference, sole_in, alias, leaving))
}
