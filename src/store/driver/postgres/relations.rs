//! The relations of PostgreSQL that are no tables of a catalog, and the facts about tables that decide what statements do.

use super::system_catalogs::{Tables, rows, table_of};
use crate::catalog::{ComputedColumn, Publication, Relation, RelationKind, TableName, Trigger, TriggerEvent};
use crate::store::error::Result;
use crate::store::row::Row;
use crate::store::session::Session;

/// Reads the views, foreign tables and partitions.
pub async fn read_relations(session: &Session) -> Result<Vec<Relation>> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, pg_table_is_visible(c.oid) AS visible, \
                c.relkind::text AS kind, rn.nspname::text AS root_schema, r.relname::text AS root_table \
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid) \
                LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace \
                WHERE (c.relkind IN ('v', 'm', 'f') OR c.relispartition AND c.relkind IN ('r', 'p')) AND {host} \
                ORDER BY n.nspname, c.relname";
    let read = |row: &Row| {
        let root: Option<String> = row.get("root_table")?;
        let kind = match (root, row.get::<String>("kind")?.as_str()) {
            (Some(name), _) => RelationKind::Partition(TableName { schema: row.get("root_schema")?, name }),
            (None, "v") => RelationKind::View,
            (None, "m") => RelationKind::MaterializedView,
            (None, _) => RelationKind::ForeignTable,
        };
        Ok(Relation { name: name_of(row)?, visible: row.get("visible")?, kind })
    };
    rows(session, text).await?.iter().map(read).collect()
}

fn name_of(row: &Row) -> Result<TableName> {
    Ok(TableName { schema: Some(row.get("schema")?), name: row.get("table")? })
}

/// Reads triggers, rules, heirs, publications and access methods. Those of a partition count as the table's.
pub async fn read_facts(session: &Session, tables: &mut Tables) -> Result<()> {
    read_triggers(session, tables).await?;
    read_rules(session, tables).await?;
    read_heirs(session, tables).await?;
    read_publications(session, tables).await?;
    read_computed_columns(session, tables).await?;
    read_access_methods(session, tables).await
}

/// Reads the triggers that fire in an ordinary session. See `pg_trigger.tgtype` in PostgreSQL's sources: 4 is INSERT, 8 is
/// DELETE, 16 is UPDATE.
async fn read_triggers(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS table, g.tgname::text AS name, \
                g.tgdeferrable AND g.tginitdeferred AS is_deferred, (g.tgtype & 4) <> 0 AS on_insert, (g.tgtype & 8) <> 0 AS on_delete, (g.tgtype & 16) <> 0 AS on_update, \
                ARRAY(SELECT a.attname::text FROM unnest(g.tgattr::int2[]) k(number) \
                 JOIN pg_attribute a ON a.attrelid = g.tgrelid AND a.attnum = k.number ORDER BY 1) AS columns \
                FROM pg_trigger g JOIN pg_class c ON c.oid = COALESCE(pg_partition_root(g.tgrelid), g.tgrelid) \
                JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND {host} ORDER BY 1, 2, 3";
    for row in rows(session, text).await? {
        let Some(table) = table_of(tables, &row)? else { continue };
        let (name, is_deferred): (String, bool) = (row.get("name")?, row.get("is_deferred")?);
        let events = [
            (row.get("on_insert")?, TriggerEvent::Insert),
            (row.get("on_update")?, TriggerEvent::Update(row.get("columns")?)),
            (row.get("on_delete")?, TriggerEvent::Delete),
        ];
        let fired = events.into_iter().filter(|(fires, _)| *fires);
        table.facts.triggers.extend(fired.map(|(_, event)| Trigger { name: name.clone(), event, is_deferred }));
    }
    Ok(())
}

/// Reads the columns that are computed, with those that they read.
async fn read_computed_columns(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, a.attname::text AS name, \
                ARRAY(SELECT r.attname::text FROM pg_depend p JOIN pg_attribute r ON r.attrelid = p.refobjid AND r.attnum = p.refobjsubid \
                 WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass \
                 AND p.refobjid = c.oid AND p.refobjsubid NOT IN (0, a.attnum) ORDER BY 1) AS reads \
                FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
                JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE a.attgenerated <> '' AND {host} ORDER BY 1, 2, 3";
    for row in rows(session, text).await? {
        if let Some(table) = table_of(tables, &row)? {
            table.facts.computed.push(ComputedColumn { name: row.get("name")?, reads: row.get("reads")? });
        }
    }
    Ok(())
}

async fn read_rules(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, w.rulename::text AS name \
                FROM pg_rewrite w JOIN pg_class own ON own.oid = w.ev_class AND own.relkind IN ('r', 'p') \
                JOIN pg_class c ON c.oid = COALESCE(pg_partition_root(w.ev_class), w.ev_class) \
                JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE w.ev_enabled IN ('O', 'A') AND {host} ORDER BY 1, 2, 3";
    for row in rows(session, text).await? {
        if let Some(table) = table_of(tables, &row)? {
            table.facts.rules.push(row.get("name")?);
        }
    }
    Ok(())
}

/// Reads the tables that inherit from others, and the partitions of other servers.
async fn read_heirs(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, hn.nspname::text AS heir_schema, \
                h.relname::text AS heir, h.relispartition AS is_partition, h.relkind::text AS kind \
                FROM pg_inherits i JOIN pg_class h ON h.oid = i.inhrelid JOIN pg_namespace hn ON hn.oid = h.relnamespace \
                JOIN pg_class c ON c.oid = CASE WHEN h.relispartition THEN pg_partition_root(i.inhparent) ELSE i.inhparent END \
                JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE (NOT h.relispartition OR h.relkind = 'f') AND {host} ORDER BY 1, 2, 3, 4";
    for row in rows(session, text).await? {
        let heir = TableName { schema: Some(row.get("heir_schema")?), name: row.get("heir")? };
        let Some(table) = table_of(tables, &row)? else { continue };
        match row.get("is_partition")? {
            true => table.facts.foreign_partitions.push(heir),
            false => table.facts.heirs.push(heir),
        }
    }
    Ok(())
}

/// Reads the publications that refuse changes of rows because a table, or a partition of it, has no replica identity. See
/// `CheckCmdReplicaIdentity` in PostgreSQL's sources.
async fn read_publications(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS table, p.pubname::text AS name, \
                p.pubupdate AS refuses_updates, p.pubdelete AS refuses_deletes \
                FROM pg_publication p JOIN pg_publication_tables m ON m.pubname = p.pubname \
                JOIN pg_namespace mn ON mn.nspname = m.schemaname JOIN pg_class named ON named.relnamespace = mn.oid AND named.relname = m.tablename \
                JOIN pg_class stored ON stored.oid = named.oid OR stored.oid IN (SELECT t.relid FROM pg_partition_tree(named.oid) t WHERE t.isleaf) \
                JOIN pg_class c ON c.oid = COALESCE(pg_partition_root(named.oid), named.oid) \
                JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE stored.relkind = 'r' AND (p.pubupdate OR p.pubdelete) AND {host} AND NOT CASE stored.relreplident \
                  WHEN 'f' THEN TRUE WHEN 'n' THEN FALSE ELSE EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = stored.oid AND i.indisvalid \
                    AND i.indimmediate AND CASE stored.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END) END ORDER BY 1, 2, 3";
    for row in rows(session, text).await? {
        let Some(table) = table_of(tables, &row)? else { continue };
        let (refuses_updates, refuses_deletes) = (row.get("refuses_updates")?, row.get("refuses_deletes")?);
        table.facts.publications.push(Publication { name: row.get("name")?, refuses_updates, refuses_deletes });
    }
    Ok(())
}

async fn read_access_methods(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS table, m.amname::text AS name \
                FROM pg_class stored JOIN pg_am m ON m.oid = stored.relam AND m.amname <> 'heap' \
                JOIN pg_class c ON c.oid = COALESCE(pg_partition_root(stored.oid), stored.oid) \
                JOIN pg_namespace n ON n.oid = c.relnamespace WHERE stored.relkind = 'r' AND {host} ORDER BY 1, 2, 3";
    for row in rows(session, text).await? {
        if let Some(table) = table_of(tables, &row)? {
            table.facts.access_method = Some(row.get("name")?);
        }
    }
    Ok(())
}
