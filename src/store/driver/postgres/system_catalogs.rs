//! Queries of PostgreSQL's system catalogs.

use std::collections::BTreeMap;

use crate::catalog::Table;
use crate::store::error::Result;
use crate::store::row::Row;
use crate::store::session::Session;

const DOING: &str = "reading the schema";

/// Relations except those of the system and of the ledger.
const OF_THE_HOST: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'handover') AND n.nspname NOT LIKE 'pg_toast%' \
                    AND n.nspname NOT LIKE 'pg_temp%'";

/// Types that have no equality, neither of their own nor by what they are made of (a domain's base, an array's elements);
/// and composite types, which have it only as far as their columns do.
const OPAQUE: &str = "made_of (type, root) AS (SELECT t.oid, t.oid FROM pg_type t UNION ALL \
       SELECT m.type, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END FROM made_of m JOIN pg_type t ON t.oid = m.root \
       WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)), \
     opaque AS (SELECT m.type FROM made_of m JOIN pg_type t ON t.oid = m.root \
       WHERE t.typtype = 'c' OR (t.typtype = 'b' AND t.typcategory <> 'A' AND NOT EXISTS (SELECT 1 FROM pg_opclass o \
         JOIN pg_am h ON h.oid = o.opcmethod AND h.amname IN ('btree', 'hash') WHERE o.opcdefault AND (o.opcintype = t.oid \
         OR o.opcintype IN (SELECT k.casttarget FROM pg_cast k WHERE k.castsource = t.oid AND k.castmethod = 'b' AND k.castcontext = 'i')))))";

/// The tables, by schema and name.
pub type Tables = BTreeMap<(String, String), Table>;

/// Runs a query of the system catalogs.
pub async fn rows(session: &Session, text: &str) -> Result<Vec<Row>> {
    session.all(DOING, session.sql(&text.replace("{host}", OF_THE_HOST).replace("{opaque}", OPAQUE))).await
}

/// Returns the table that a row names as `schema` and `table`, if it is one of these.
pub fn table_of<'t>(tables: &'t mut Tables, row: &Row) -> Result<Option<&'t mut Table>> {
    let schema: String = row.get("schema")?;
    let name: String = row.get("table")?;
    Ok(tables.get_mut(&(schema, name)))
}
