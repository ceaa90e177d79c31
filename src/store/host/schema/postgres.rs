//! PostgreSQL's schema, from its system catalogs.

use std::collections::BTreeMap;

use sea_orm::DbErr;

use super::listed_values;
use crate::catalog::{Family, ForeignKey, OnDelete, SchemaColumn, Table, TableName};
use crate::store::{Error, Result, Row, Session};

const DOING: &str = "reading the schema";

/// Tables of anybody but the system and the ledger.
const OURS: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'handover') AND n.nspname NOT LIKE 'pg_toast%' \
                    AND n.nspname NOT LIKE 'pg_temp%'";

/// Types that have no equality of their own, nor by what they are made of (a domain's base, an array's elements); and
/// composite types, which have it only as far as their columns do.
const OPAQUE: &str = "made_of (type, root) AS (SELECT t.oid, t.oid FROM pg_type t UNION ALL \
       SELECT m.type, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END FROM made_of m JOIN pg_type t ON t.oid = m.root \
       WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)), \
     opaque AS (SELECT m.type FROM made_of m JOIN pg_type t ON t.oid = m.root \
       WHERE t.typtype = 'c' OR (t.typtype = 'b' AND t.typcategory <> 'A' AND NOT EXISTS (SELECT 1 FROM pg_opclass o \
         JOIN pg_am h ON h.oid = o.opcmethod AND h.amname IN ('btree', 'hash') WHERE o.opcdefault AND (o.opcintype = t.oid \
         OR o.opcintype IN (SELECT k.casttarget FROM pg_cast k WHERE k.castsource = t.oid AND k.castmethod = 'b' AND k.castcontext = 'i')))))";

type Tables = BTreeMap<(String, String), Table>;

pub async fn read_tables(session: &Session) -> Result<Vec<Table>> {
    let mut tables = Tables::new();
    read_columns(session, &mut tables).await?;
    read_indexes(session, &mut tables).await?;
    read_constraints(session, &mut tables).await?;
    Ok(tables.into_values().collect())
}

async fn rows(session: &Session, text: &str) -> Result<Vec<Row>> {
    session.all(DOING, session.sql(&text.replace("{ours}", OURS).replace("{opaque}", OPAQUE))).await
}

fn failed(error: DbErr) -> Error {
    Error::unexpected(DOING, error.to_string())
}

fn table_of<'t>(tables: &'t mut Tables, row: &Row) -> Result<Option<&'t mut Table>> {
    let schema: String = row.try_get("", "schema").map_err(failed)?;
    let name: String = row.try_get("", "table").map_err(failed)?;
    Ok(tables.get_mut(&(schema, name)))
}

/// A type is written as it is without a length (`-1`): `character` alone would be one of a single character.
async fn read_columns(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "WITH RECURSIVE {opaque} \
                SELECT n.nspname::text AS schema, c.relname::text AS table, pg_table_is_visible(c.oid) AS visible, row_security_active(c.oid) AS row_security, \
                a.attname::text AS column, format_type(a.atttypid, -1) AS type, t.typname::text AS base, \
                t.typcategory::text AS category, t.oid IN (SELECT o.type FROM opaque o) AS opaque, a.attnotnull AS not_null, a.attgenerated <> '' AS generated, \
                (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels \
                FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                JOIN pg_type t ON t.oid = a.atttypid \
                WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND {ours} ORDER BY n.nspname, c.relname, a.attnum";
    for row in rows(session, text).await? {
        let text = |column: &str| row.try_get::<String>("", column).map_err(failed);
        let name = TableName { schema: Some(text("schema")?), name: text("table")? };
        let visible = row.try_get("", "visible").map_err(failed)?;
        let row_security = row.try_get("", "row_security").map_err(failed)?;
        let family = match row.try_get("", "opaque").map_err(failed)? {
            true => Family::Opaque,
            false => family(&text("base")?, &text("category")?),
        };
        let labels: Option<Vec<String>> = row.try_get("", "labels").map_err(failed)?;
        let flags = (family == Family::Boolean).then(|| vec!["false".to_owned(), "true".to_owned()]);
        let column = SchemaColumn {
            name: text("column")?,
            cast: text("type")?,
            family,
            generated: row.try_get("", "generated").map_err(failed)?,
            nullable: !row.try_get::<bool>("", "not_null").map_err(failed)?,
            values: labels.or(flags),
        };
        let key = (text("schema")?, text("table")?);
        let table = tables.entry(key).or_insert_with(|| Table {
            name,
            visible,
            columns: Vec::new(),
            uniques: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            row_security,
            row_address: None,
        });
        table.columns.push(column);
    }
    Ok(())
}

/// See `pg_type.typcategory` in PostgreSQL's documentation.
fn family(base: &str, category: &str) -> Family {
    match (base, category) {
        ("int2", _) => Family::Integer { bits: 16 },
        ("int4", _) => Family::Integer { bits: 32 },
        ("int8", _) => Family::Integer { bits: 64 },
        ("uuid", _) => Family::Uuid,
        (_, "N") => Family::Number,
        (_, "B") => Family::Boolean,
        (_, "S" | "E") => Family::Text,
        ("citext", _) => Family::Text,
        (_, "D" | "T") => Family::Time,
        _ => Family::Other,
    }
}

async fn read_indexes(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, \
                i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AS whole_unique, \
                i.indpred IS NULL AS whole, \
                (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place) \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts) AS columns \
                FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE i.indisvalid AND {ours} ORDER BY n.nspname, c.relname, i.indisprimary DESC, i.indexrelid";
    for row in rows(session, text).await? {
        let columns: Option<Vec<String>> = row.try_get("", "columns").map_err(failed)?;
        let unique: bool = row.try_get("", "whole_unique").map_err(failed)?;
        let whole: bool = row.try_get("", "whole").map_err(failed)?;
        if let (Some(table), Some(columns)) = (table_of(tables, &row)?, columns) {
            if unique {
                table.uniques.push(columns.clone());
            }
            if whole {
                table.indexes.push(columns);
            }
        }
    }
    Ok(())
}

async fn read_constraints(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, k.contype::text AS type, k.confdeltype::text AS on_delete, \
                k.conname::text AS name, k.condeferrable AS deferrable, pg_get_constraintdef(k.oid) AS definition, fn.nspname::text AS target_schema, f.relname::text AS target_table, \
                (SELECT array_agg(a.attname::text ORDER BY o.place) FROM unnest(k.conkey) WITH ORDINALITY o(number, place) \
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.number) AS columns, \
                (SELECT array_agg(a.attname::text ORDER BY o.place) FROM unnest(k.confkey) WITH ORDINALITY o(number, place) \
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.number) AS target \
                FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                LEFT JOIN pg_class f ON f.oid = k.confrelid LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace \
                WHERE k.contype IN ('f', 'c') AND {ours} ORDER BY n.nspname, c.relname, k.conname";
    for row in rows(session, text).await? {
        let columns: Option<Vec<String>> = row.try_get("", "columns").map_err(failed)?;
        let (Some(table), Some(columns)) = (table_of(tables, &row)?, columns) else { continue };
        match row.try_get::<String>("", "type").map_err(failed)?.as_str() {
            "f" => table.foreign_keys.push(foreign_key(&row, columns).map_err(failed)?),
            _ => {
                let definition: String = row.try_get("", "definition").map_err(failed)?;
                if let ([name], Some(values)) = (columns.as_slice(), listed_values(&definition))
                    && let Some(column) = table.columns.iter_mut().find(|column| column.name == *name)
                {
                    column.values = Some(values);
                }
            }
        }
    }
    Ok(())
}

fn foreign_key(row: &Row, columns: Vec<String>) -> std::result::Result<ForeignKey, DbErr> {
    let on_delete = match row.try_get::<String>("", "on_delete")?.as_str() {
        "c" => OnDelete::Cascade,
        "n" | "d" => OnDelete::Forget,
        _ => OnDelete::Refuse,
    };
    let table = TableName { schema: row.try_get("", "target_schema")?, name: row.try_get("", "target_table")? };
    let (name, is_deferrable) = (Some(row.try_get("", "name")?), row.try_get("", "deferrable")?);
    Ok(ForeignKey { name, columns, table, target: row.try_get("", "target")?, on_delete, is_deferrable })
}
