//! The keys of rows in snapshots.

use std::collections::HashMap;

use crate::catalog::Reference;
use crate::store::dialect::ROW_SNAPSHOTS;
use crate::store::dialect::sql::{INT64, TEXT, as_texts};
use crate::store::host::item::Key;
use crate::store::host::keys::read_key;
use crate::store::host::row_codec::{id_table, snapshot_rows};
use crate::store::{Result, Session};

/// Returns the keys of the rows in snapshots, in the snapshots' order; of rows without a key, their images.
pub async fn snapshot_keys(session: &Session, reference: &Reference, copies: &[i64]) -> Result<Vec<Key>> {
    if copies.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = session.sql("");
    let mut keys: HashMap<i64, Key> = HashMap::new();
    if reference.keyless {
        let ids = id_table(&mut sql, copies);
        sql.add(&format!(
            "SELECT CAST(c.id AS {INT64}) AS copy_id, CAST(c.content AS {TEXT}) AS image FROM {ids} \
             JOIN {ROW_SNAPSHOTS} c ON c.id = i.id"
        ));
        for row in session.all("reading what rows looked like", sql).await? {
            keys.insert(row.get("copy_id")?, vec![row.get("image")?]);
        }
    } else {
        let rows = snapshot_rows(&mut sql, &reference.key.iter().collect::<Vec<_>>(), copies);
        let texts = as_texts(&reference.key, "r");
        let (number, rows) = (rows.number, rows.table);
        sql.add(&format!("SELECT CAST({number} AS {INT64}) AS copy_id, {texts} FROM {rows}"));
        for row in session.all("reading the keys of snapshots", sql).await? {
            keys.insert(row.get("copy_id")?, read_key(reference, &row)?);
        }
    }
    Ok(copies.iter().filter_map(|id| keys.remove(id)).collect())
}
