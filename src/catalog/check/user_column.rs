//! Checks columns that hold users: whether their types can hold the users' key, and how the two are compared.

use super::resolve::{Resolver, if_written};
use crate::catalog::file::Name;
use crate::catalog::schema::{Column, Family, Schema, SchemaColumn, SchemaTraits, Spelling, Table, TableName};

/// The users' table and its key.
#[derive(Clone, Copy)]
pub struct UsersKey<'a> {
    /// The table.
    pub table: &'a Table,
    /// The key.
    pub column: &'a SchemaColumn,
}

/// Checks the users' key: ids are texts in requests and in the ledger, so that its type must have one text for each value.
pub fn check_users_key(resolver: &mut Resolver<'_>, users: UsersKey<'_>, written: &Name) {
    let (table, column) = (&users.table.name, users.column);
    let message = match column.family {
        Family::Integer { .. } | Family::Number | Family::Text | Family::Uuid => return,
        Family::Any => format!(
            "the column `{}` of {table} has no declared type that decides how ids are compared: declare INTEGER or TEXT",
            column.name
        ),
        Family::Boolean | Family::Time | Family::Other | Family::Opaque => format!(
            "the column `{}` of {table} holds {}: users need a key of numbers, texts or UUIDs",
            column.name,
            column.family.describe()
        ),
    };
    resolver.fault(written.span().start, message);
}

/// Returns how ids of users may be written in requests, if not only as the database writes them.
pub fn spelling_of_key(key: &SchemaColumn, traits: SchemaTraits) -> Spelling {
    match (key.family, key.ignores_case) {
        (Family::Uuid, _) if !traits.checks_types => Spelling::Uuid,
        (_, true) => Spelling::AnyCase,
        (_, false) => Spelling::One,
    }
}

/// Checks a column that holds users, and returns it as it is compared with the users' key. Without the key, which then has a
/// fault of its own, only its existence is checked.
pub fn check_user_column(
    resolver: &mut Resolver<'_>,
    table: &Table,
    name: &Name,
    users: Option<UsersKey<'_>>,
) -> Option<Column> {
    let found = resolver.column(table, name)?;
    let (Some(users), Some(column)) = (users, table.column(&found.name)) else { return Some(found) };
    let place = format!("the column `{}` of {}", column.name, table.name);
    let byte = name.span().start;
    if let Some(elsewhere) = points_elsewhere(resolver.schema, users, table, &column.name) {
        let message = format!(
            "{place} points at {elsewhere}, not at {}.{}: name the column that holds users, or correct [users]",
            users.table.name, users.column.name
        );
        resolver.fault(byte, message);
        return None;
    }
    match compared(users.column, column, resolver.schema.traits) {
        Ok(column) => Some(column),
        Err(cause) => {
            let message = format!("{place} cannot hold users: {cause}");
            resolver.fault(byte, message);
            None
        }
    }
}

/// Checks an optional column that holds users: the result is `Some(None)` if it is absent.
pub fn check_optional_user_column(
    resolver: &mut Resolver<'_>,
    table: &Table,
    name: Option<&Name>,
    users: Option<UsersKey<'_>>,
) -> Option<Option<Column>> {
    if_written(name, |name| check_user_column(resolver, table, name, users))
}

/// Returns a column as it is compared with the users' key, or why it cannot hold users.
fn compared(key: &SchemaColumn, column: &SchemaColumn, traits: SchemaTraits) -> Result<Column, String> {
    let is_key = std::ptr::eq(key, column);
    if let Some(values) = column.values.as_ref().filter(|_| !is_key) {
        return Err(format!("it allows only {}", values.join(", ")));
    }
    if column.holds_many && !is_key {
        return Err("it holds several ids in one value, which no reference can cover: keep them in a table with a row for each, \
                    or let the application correct the values that `handover catalog scan` counts"
            .to_owned());
    }
    let with = |cast: &str, spelling| Column { cast: cast.to_owned(), spelling, ..Column::from(column) };
    let as_is = |spelling| with(&column.cast, spelling);
    let spelled_uuid = if !traits.checks_types && !is_key { Spelling::Uuid } else { Spelling::One };
    match (key.family, column.family) {
        // Numbers of different widths are compared in the type of the key, so that a wide id is no error.
        (Family::Integer { .. } | Family::Number, Family::Integer { .. }) => Ok(with(&key.cast, Spelling::One)),
        (Family::Integer { .. } | Family::Number, Family::Number) => Ok(as_is(Spelling::One)),
        (Family::Integer { .. }, Family::Text) => Ok(as_is(Spelling::LeadingZeros)),
        (Family::Number, Family::Text) => Ok(as_is(Spelling::One)),
        (Family::Uuid, Family::Uuid) => Ok(as_is(spelled_uuid)),
        (Family::Uuid, Family::Text) => Ok(as_is(Spelling::Uuid)),
        (Family::Text, Family::Text) => match (key.ignores_case, column.ignores_case) {
            (true, false) => Ok(as_is(Spelling::AnyCase)),
            (false, true) => Err(format!("it compares texts without regard to case, and `{}` with it", key.name)),
            (true, true) | (false, false) => Ok(as_is(Spelling::One)),
        },
        (Family::Integer { .. } | Family::Number, Family::Any) => Ok(with(&key.cast, Spelling::One)),
        (Family::Uuid, Family::Any) => Ok(with("TEXT", Spelling::Uuid)),
        (Family::Text, Family::Any) if key.ignores_case => Ok(with("TEXT", Spelling::AnyCase)),
        (Family::Text, Family::Any) => Ok(with("TEXT", Spelling::One)),
        // The key has a fault of its own.
        (Family::Boolean | Family::Time | Family::Any | Family::Other | Family::Opaque, _) => Ok(as_is(Spelling::One)),
        (
            Family::Integer { .. } | Family::Number | Family::Text | Family::Uuid,
            Family::Integer { .. }
            | Family::Number
            | Family::Boolean
            | Family::Uuid
            | Family::Time
            | Family::Other
            | Family::Opaque,
        ) => {
            let (held, ids) = (column.family.describe(), key.family.describe());
            Err(format!("it holds {held}, and `{}` holds {ids}", key.name))
        }
    }
}

/// Returns the column that a column points at, if it has foreign keys and none leads to the users. It may lead there through
/// other tables, such as one of memberships.
fn points_elsewhere<'s>(schema: &'s Schema, users: UsersKey<'_>, table: &'s Table, column: &'s str) -> Option<String> {
    let targets = targets_of(schema, table, column);
    let (first, target) = targets.first()?;
    // The users' table may itself point at one of persons, at which other tables point as well.
    let mut of_users = targets_of(schema, users.table, &users.column.name);
    of_users.push((&users.table.name, &users.column.name));
    let leads_there = targets.iter().any(|target| of_users.contains(target));
    (!leads_there).then(|| format!("{first}.{target}"))
}

/// Lists the columns that a column points at, directly and through those; none if one of them may lead to the users unseen.
fn targets_of<'s>(schema: &'s Schema, table: &'s Table, column: &'s str) -> Vec<(&'s TableName, &'s str)> {
    let mut targets: Vec<(&TableName, &str)> = Vec::new();
    let mut next = vec![(table, column)];
    while let Some((table, column)) = next.pop() {
        for key in &table.foreign_keys {
            let pairs = key.columns.iter().zip(&key.target);
            for (_, target) in pairs.filter(|(from, _)| *from == column) {
                let Some(pointed) = schema.named(&key.table) else { return Vec::new() };
                // A member of a group: a key of several columns need not say who the members are.
                let ends = |pointed: &Table| !pointed.foreign_keys.iter().any(|key| key.columns.contains(target));
                if key.columns.len() > 1 && ends(pointed) {
                    return Vec::new();
                }
                let place = (&pointed.name, target.as_str());
                if !targets.contains(&place) {
                    targets.push(place);
                    next.push((pointed, target));
                }
            }
        }
    }
    targets
}
