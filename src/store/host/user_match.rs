//! Comparing columns of the host with users' ids. A column may write an id in other ways than the users' table does.

use crate::catalog::{Column, Family, Spelling};
use crate::store::dialect::sql::{ColumnArray, Sql, as_text, column, same_type};

/// Tests that a row of `alias` points at a user. `id` is an expression of the user column's type.
pub fn points_at(user: &Column, alias: &str, id: &str) -> String {
    equal(&column(alias, &user.name), id, user)
}

/// Tests that two expressions of the user column's type are the same user.
pub fn equal(left: &str, right: &str, user: &Column) -> String {
    format!("{} = {}", in_one_form(left, user.spelling), in_one_form(right, user.spelling))
}

/// Tests that an expression of the user column's type is one of these users.
pub fn is_among<'u>(sql: &mut Sql, user: &Column, expression: &str, ids: impl IntoIterator<Item = &'u str>) -> String {
    match user.spelling {
        Spelling::One => format!("{expression} IN {}", sql.host_list(user, ids)),
        spelling @ (Spelling::AnyCase | Spelling::Uuid | Spelling::LeadingZeros) => {
            let ids = sql.small_table("among", vec![ColumnArray::of("id", user, ids)]);
            format!(
                "{} IN (SELECT {} FROM {ids})",
                in_one_form(expression, spelling),
                in_one_form("among.id", spelling)
            )
        }
    }
}

/// Tests that a column of the host holds a user's key. A column of texts may hold values that are no ids: there the key is
/// compared as text.
pub fn is_user(key: &str, key_column: &Column, user: &str, user_column: &Column) -> String {
    match (user_column.spelling, user_column.family) {
        (Spelling::One, Family::Text) => format!("{} = {user}", same_type(key, key_column, user_column)),
        (
            Spelling::One,
            Family::Integer { .. }
            | Family::Number
            | Family::Boolean
            | Family::Uuid
            | Family::Time
            | Family::Any
            | Family::Other
            | Family::Opaque,
        ) => format!("{key} = {}", same_type(user, user_column, key_column)),
        (Spelling::AnyCase | Spelling::Uuid | Spelling::LeadingZeros, _) => equal(key, user, user_column),
    }
}

/// Returns an expression in the form in which all spellings of an id are equal.
pub fn in_one_form(expression: &str, spelling: Spelling) -> String {
    let text = || as_text(expression);
    match spelling {
        Spelling::One => expression.to_owned(),
        Spelling::AnyCase => format!("lower({})", text()),
        Spelling::Uuid => format!("lower(replace(replace(replace({}, '-', ''), '{{', ''), '}}', ''))", text()),
        // An empty text is nobody, and no zero.
        Spelling::LeadingZeros => format!("ltrim(NULLIF({}, ''), '0')", text()),
    }
}
