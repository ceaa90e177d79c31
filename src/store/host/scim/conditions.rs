//! The SQL of a provider's filter. Every value is bound.

use super::scope::{ScimScope, external_id};
use crate::catalog::{Column, NameColumns};
use crate::scim::{Attribute, Condition};
use crate::store::dialect::sql::{Sql, column};
use crate::store::dialect::{SCIM_LINKS, Type};
use crate::store::host::predicates::{has_status, is_value};

/// Returns the test of a user `u`.
pub fn tests(sql: &mut Sql, scope: ScimScope<'_>, condition: &Condition) -> String {
    let joined = |sql: &mut Sql, parts: &[Condition], word: &str| {
        let parts: Vec<String> = parts.iter().map(|part| tests(sql, scope, part)).collect();
        format!("({})", parts.join(word))
    };
    match condition {
        Condition::Constant(true) => "TRUE".to_owned(),
        Condition::Constant(false) => "FALSE".to_owned(),
        Condition::All(parts) => joined(sql, parts, " AND "),
        Condition::Any(parts) => joined(sql, parts, " OR "),
        Condition::Active(active) => is_active(sql, scope, *active),
        Condition::Equals(attribute, text) => equals(sql, scope, *attribute, text),
        Condition::StartsWith(attribute, text) => starts_with(sql, scope, *attribute, text),
        Condition::Present(attribute) => is_present(sql, scope, *attribute),
    }
}

/// Tests the status. An invited user has an account, which waits for them.
pub fn is_active(sql: &mut Sql, scope: ScimScope<'_>, active: bool) -> String {
    let status = &scope.catalog.users.status;
    let values = [Some(&status.active), status.invited.as_ref()];
    let any: Vec<String> = values.into_iter().flatten().map(|value| has_status(sql, status, "u", value)).collect();
    let is = if active { "IS TRUE" } else { "IS NOT TRUE" };
    format!("(({}) {is})", any.join(" OR "))
}

fn equals(sql: &mut Sql, scope: ScimScope<'_>, attribute: Attribute, text: &str) -> String {
    let ScimScope { catalog, scim, org, connection } = scope;
    match (attribute, &scim.external_id) {
        (Attribute::Id, _) => is_value(sql, &catalog.users.key, "u", text),
        (Attribute::ExternalId, Some(kept)) => is_value(sql, kept, "u", text),
        (Attribute::ExternalId, None) => {
            let (org, connection, text) = (sql.bind(org), sql.bind(connection), sql.bind(text));
            let key = &catalog.users.key;
            format!(
                "{} IN (SELECT {} FROM {SCIM_LINKS} l WHERE l.org = {org} AND l.connection = {connection} AND l.external_id = {text})",
                column("u", &key.name),
                sql.dialect().cast("l.user_key", &Type::of(key)),
            )
        }
        (Attribute::UserName, _) if scim.ignores_case => is_value(sql, &scim.user_name, "u", text),
        (Attribute::Manager, _) => match &scim.manager {
            Some(manager) => is_value(sql, manager, "u", text),
            None => "FALSE".to_owned(),
        },
        (
            Attribute::UserName
            | Attribute::GivenName
            | Attribute::FamilyName
            | Attribute::Email
            | Attribute::Title
            | Attribute::Active,
            _,
        ) => match text_column(scope, attribute) {
            Some(of) => {
                let text = sql.bind(text);
                format!("lower({}) = lower({text})", column("u", &of.name))
            }
            None => "FALSE".to_owned(),
        },
    }
}

fn starts_with(sql: &mut Sql, scope: ScimScope<'_>, attribute: Attribute, text: &str) -> String {
    let Some(of) = text_column(scope, attribute) else { return "FALSE".to_owned() };
    let escaped = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let pattern = sql.bind(format!("{escaped}%"));
    format!("lower({}) LIKE {pattern} ESCAPE '!'", column("u", &of.name))
}

fn is_present(sql: &mut Sql, scope: ScimScope<'_>, attribute: Attribute) -> String {
    match (attribute, &scope.scim.manager) {
        (Attribute::Manager, Some(manager)) => format!("{} IS NOT NULL", column("u", &manager.name)),
        (Attribute::ExternalId, _) if scope.scim.external_id.is_none() => {
            format!("{} IS NOT NULL", external_id(sql, scope))
        }
        _ => match text_column(scope, attribute) {
            Some(of) => {
                let of = column("u", &of.name);
                format!("({of} IS NOT NULL AND {of} <> '')")
            }
            None => "FALSE".to_owned(),
        },
    }
}

/// Returns the column of texts of an attribute.
fn text_column<'s>(scope: ScimScope<'s>, attribute: Attribute) -> Option<&'s Column> {
    let scim = scope.scim;
    let part = |is_given: bool| match &scim.name {
        NameColumns::Whole(_) => None,
        NameColumns::Parts { given, family } => Some(if is_given { given } else { family }),
    };
    match attribute {
        Attribute::UserName => Some(&scim.user_name),
        Attribute::GivenName => part(true),
        Attribute::FamilyName => part(false),
        Attribute::Email => Some(&scim.email),
        Attribute::Title => scim.title.as_ref(),
        Attribute::ExternalId => scim.external_id.as_ref(),
        Attribute::Id | Attribute::Manager | Attribute::Active => None,
    }
}
