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
    let mut sql = session.sql("");
    let bound = |(name, value): &(String, String)| (sql.bind(name.as_str()), sql.bind(value.replace("{org}", org)));
    let settings: Vec<(String, String)> = catalog.session.iter().map(bound).collect();
    let query = sql.dialect().enter_row_security(&settings);
    sql.add(&query);
    session.one("setting the organization", sql).await?;
    Ok(())
}
