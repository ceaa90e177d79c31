//! The users whom a connection sees, and its keys of them.

use crate::catalog::{Catalog, Scim};
use crate::store::dialect::SCIM_LINKS;
use crate::store::dialect::sql::{Sql, as_text, column};

/// The users whom a connection sees.
#[derive(Debug, Clone, Copy)]
pub struct ScimScope<'s> {
    /// The catalog, which bounds users to the connection's organization.
    pub catalog: &'s Catalog,
    /// Its section.
    pub scim: &'s Scim,
    /// The organization.
    pub org: &'s str,
    /// The name of the connection.
    pub connection: &'s str,
}

/// Returns the provider's key of the user `u`.
pub fn external_id(sql: &mut Sql, ScimScope { catalog, scim, org, connection }: ScimScope<'_>) -> String {
    if let Some(kept) = &scim.external_id {
        return as_text(&column("u", &kept.name));
    }
    let (org, connection) = (sql.bind(org), sql.bind(connection));
    format!(
        "(SELECT l.external_id FROM {SCIM_LINKS} l WHERE l.org = {org} AND l.connection = {connection} AND l.user_key = {})",
        as_text(&column("u", &catalog.users.key.name))
    )
}
