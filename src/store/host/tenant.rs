//! What the host's row-level security looks at: the settings of a transaction that say for whom it works.

use crate::catalog::Catalog;
use crate::store::{Result, Session};

/// Says for which organization a transaction works, where the catalog has settings for it. To be called before the
/// transaction touches the host: PostgreSQL hides no row from our connections in silence, it refuses instead, until this
/// has been called.
pub async fn enter(session: &Session, catalog: &Catalog, org: &str) -> Result<()> {
    if catalog.session.is_empty() {
        return Ok(());
    }
    let mut sql = session.sql("SELECT set_config('row_security', 'on', true)");
    for (name, value) in &catalog.session {
        let (name, value) = (sql.bind(name.as_str()), sql.bind(value.replace("{org}", org)));
        sql.add(&format!(", set_config({name}, {value}, true)"));
    }
    session.one("entering an organization", sql).await?;
    Ok(())
}
