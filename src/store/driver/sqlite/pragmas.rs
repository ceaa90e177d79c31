//! Queries of SQLite's pragmas and of its table of the schema.

use crate::store::error::Result;
use crate::store::row::Row;
use crate::store::session::Session;

const DOING: &str = "reading the schema";

/// Relations except those of SQLite itself. The ledger's are left out by their names: a host may have others that begin alike.
const OF_THE_HOST: &str = "m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// Runs a query of the schema's table.
pub async fn rows(session: &Session, text: &str) -> Result<Vec<Row>> {
    session.all(DOING, session.sql(&text.replace("{host}", OF_THE_HOST))).await
}

/// Runs a query of a pragma of a table.
pub async fn rows_of(session: &Session, text: &str, table: &str) -> Result<Vec<Row>> {
    let mut sql = session.sql("");
    let table = sql.bind(table);
    sql.add(&text.replace("{table}", &table));
    session.all(DOING, sql).await
}
