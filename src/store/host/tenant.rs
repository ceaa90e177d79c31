//! The settings that the host's row-level security reads.

use crate::catalog::Catalog;
use crate::store::{Result, Session};

/// Sets the organization that a transaction works for, if the catalog names settings for it.
///
/// Call it before the transaction touches the host. PostgreSQL hides no row silently from our connections: until this call
/// it refuses instead.
pub async fn enter(session: &Session, catalog: &Catalog, org: &str) -> Result<()> {
    if catalog.session.is_empty() {
        return Ok(());
    }
    let mut sql = session.sql("SELECT set_config('row_security', 'on', true)");
    for (name, value) in &catalog.session {
        let (name, value) = (sql.bind(name.as_str()), sql.bind(value.replace("{org}", org)));
        sql.add(&format!(", set_config({name}, {value}, true)"));
    }
    session.one("setting the organization", sql).await?;
    Ok(())
}
