//! Fingerprints of tables, from the system catalogs.

use std::collections::BTreeMap;

use crate::catalog::TableName;
use crate::store::dialect::Type;
use crate::store::dialect::sql::ColumnArray;
use crate::store::error::Result;
use crate::store::session::Session;

/// The query for the properties and parts of a table. A new version of one of the other rows has another transaction's number; those of `pg_class` and
/// `pg_attribute` also change with a GRANT. A foreign key that points at the table has a trigger on it.
const PARTS: &str = "SELECT concat_ws(' ', 'c', c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.relhassubclass) \
         AS part FROM pg_class c WHERE c.oid = t.oid \
     UNION ALL SELECT concat_ws(' ', 'a', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attgenerated, \
         a.attidentity, a.attisdropped) FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 \
     UNION ALL SELECT concat_ws(' ', 'd', d.adnum, d.xmin) FROM pg_attrdef d WHERE d.adrelid = t.oid \
     UNION ALL SELECT concat_ws(' ', 'k', k.oid, k.xmin) FROM pg_constraint k WHERE k.conrelid = t.oid \
     UNION ALL SELECT concat_ws(' ', 'i', i.indexrelid, i.xmin) FROM pg_index i WHERE i.indrelid = t.oid \
     UNION ALL SELECT concat_ws(' ', 't', g.oid, g.xmin) FROM pg_trigger g WHERE g.tgrelid = t.oid \
     UNION ALL SELECT concat_ws(' ', 'r', r.oid, r.xmin) FROM pg_rewrite r WHERE r.ev_class = t.oid \
     UNION ALL SELECT concat_ws(' ', 'p', p.oid, p.xmin) FROM pg_policy p WHERE p.polrelid = t.oid";

/// Returns the fingerprint of each table. A table that is gone has one, too.
pub async fn read(session: &Session, tables: &[TableName]) -> Result<BTreeMap<TableName, String>> {
    let mut sql = session.sql("");
    let arrays = vec![
        ColumnArray::new(Type::Int64, "place", (0..tables.len()).map(Some)),
        ColumnArray::new(Type::Text, "schema", tables.iter().map(|table| table.schema.as_deref())),
        ColumnArray::new(Type::Text, "name", tables.iter().map(|table| Some(table.name.as_str()))),
    ];
    let named = sql.small_table("n", arrays);
    sql.add(&format!(
        "SELECT n.place AS place, COALESCE((SELECT md5(string_agg(x.part, ',' ORDER BY x.part)) \
           FROM pg_class t JOIN pg_namespace s ON s.oid = t.relnamespace CROSS JOIN LATERAL ({PARTS}) x \
           WHERE t.relname = n.name AND s.nspname = n.schema), '') AS fingerprint FROM {named}"
    ));
    let rows = session.all("looking for changes of the schema", sql).await?;
    let mut fingerprints = BTreeMap::new();
    for row in rows {
        if let Some(table) = tables.get(row.count("place")? as usize) {
            fingerprints.insert(table.clone(), row.get("fingerprint")?);
        }
    }
    Ok(fingerprints)
}
