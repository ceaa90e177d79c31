//! PostgreSQL's schema, from its system catalogs.

use super::policies;
use super::relations::read_facts;
use super::system_catalogs::{Tables, rows, table_of};
use crate::catalog::{
    Family, ForeignKey, IndexPart, IndexValue, KeyAction, Policies, SchemaColumn, Table, TableFacts, TableName,
    UniqueIndex,
};
use crate::store::dialect::text::table;
use crate::store::driver::index_text::mentioned;
use crate::store::driver::interface::CurrentColumn;
use crate::store::driver::listed_values::{ListedValues, listed_values};
use crate::store::error::Result;
use crate::store::row::Row;
use crate::store::session::Session;

/// Reads the columns of a table as they are now. `tests` are more tests, each with `AND` before it.
pub async fn current_columns(session: &Session, name: &TableName, tests: &str) -> Result<Vec<CurrentColumn>> {
    let mut sql = session.sql("");
    let name = sql.bind(table(name));
    sql.add(&format!(
        "SELECT a.attname::text AS name, format_type(a.atttypid, -1) AS type, a.attgenerated <> '' AS is_generated \
         FROM pg_attribute a WHERE a.attrelid = to_regclass({name}) AND a.attnum > 0 AND NOT a.attisdropped{tests} \
         ORDER BY a.attnum"
    ));
    let rows = session.all("reading what columns a table has", sql).await?;
    let read = |row: &Row| {
        Ok(CurrentColumn { name: row.get("name")?, cast: row.get("type")?, is_generated: row.get("is_generated")? })
    };
    rows.iter().map(read).collect()
}

/// Reads the tables, except the ledger's.
pub async fn read_tables(session: &Session) -> Result<Vec<Table>> {
    let mut tables = Tables::new();
    read_columns(session, &mut tables).await?;
    read_indexes(session, &mut tables).await?;
    read_constraints(session, &mut tables).await?;
    for (name, read) in policies::read(session).await? {
        if let Some(table) = tables.get_mut(&name) {
            table.policies = read;
        }
    }
    read_facts(session, &mut tables).await?;
    Ok(tables.into_values().collect())
}

/// Reads the columns. The type of a domain is its base: a cast to the domain would fail for ids that it does not allow. It is
/// written without its length (`-1`): `character` alone would mean a single character.
async fn read_columns(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "WITH RECURSIVE {opaque}, \
                base_of (type, base) AS (SELECT t.oid, t.oid FROM pg_type t UNION ALL \
                  SELECT b.type, t.typbasetype FROM base_of b JOIN pg_type t ON t.oid = b.base WHERE t.typtype = 'd') \
                SELECT n.nspname::text AS schema, c.relname::text AS table, pg_table_is_visible(c.oid) AS visible, row_security_active(c.oid) AS row_security, \
                a.attname::text AS column, format_type(t.oid, -1) AS type, t.typname::text AS base, \
                t.typname = 'citext' OR NOT COALESCE(k.collisdeterministic, TRUE) AS ignores_case, \
                t.typcategory::text AS category, t.oid IN (SELECT o.type FROM opaque o) AS opaque, a.attnotnull AS not_null, a.attgenerated <> '' AS generated, \
                (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels \
                FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                JOIN base_of b ON b.type = a.atttypid JOIN pg_type t ON t.oid = b.base AND t.typtype <> 'd' \
                LEFT JOIN pg_collation k ON k.oid = a.attcollation \
                WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped AND {host} ORDER BY n.nspname, c.relname, a.attnum";
    for row in rows(session, text).await? {
        let text = |column: &str| row.get::<String>(column);
        let name = TableName { schema: Some(text("schema")?), name: text("table")? };
        let visible = row.get("visible")?;
        let row_security = row.get("row_security")?;
        let family = match row.get("opaque")? {
            true => Family::Opaque,
            false => family(&text("base")?, &text("category")?),
        };
        let labels: Option<Vec<String>> = row.get("labels")?;
        let flags = (family == Family::Boolean).then(|| vec!["false".to_owned(), "true".to_owned()]);
        let column = SchemaColumn {
            name: text("column")?,
            cast: text("type")?,
            family,
            holds_many: text("category")? == "A" || ["json", "jsonb"].contains(&text("base")?.as_str()),
            ignores_case: row.get("ignores_case")?,
            generated: row.get("generated")?,
            nullable: !row.get::<bool>("not_null")?,
            values: labels.or(flags),
        };
        let key = (text("schema")?, text("table")?);
        let table = tables.entry(key).or_insert_with(|| Table {
            name,
            visible,
            columns: Vec::new(),
            uniques: Vec::new(),
            unique_indexes: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            row_security,
            policies: Policies::default(),
            row_address: None,
            facts: TableFacts::default(),
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
        // No points in time.
        ("time" | "timetz" | "interval", _) => Family::Other,
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
                i.indpred IS NULL AS whole, i.indisunique AS is_unique, pg_get_expr(i.indpred, i.indrelid) AS condition, \
                COALESCE(CAST(to_jsonb(i) ->> 'indnullsnotdistinct' AS boolean), FALSE) AS nulls_are_equal, \
                (SELECT array_agg(COALESCE(a.attname::text, '') ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place) \
                 LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number AND k.number <> 0 WHERE k.place <= i.indnkeyatts) AS parts, \
                (SELECT array_agg(pg_get_indexdef(i.indexrelid, k.place, TRUE) ORDER BY k.place) \
                 FROM generate_series(1, i.indnkeyatts::integer) k(place)) AS texts, \
                (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place) \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts) AS columns \
                FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE i.indisvalid AND {host} ORDER BY n.nspname, c.relname, i.indisprimary DESC, i.indexrelid";
    for row in rows(session, text).await? {
        let columns: Option<Vec<String>> = row.get("columns")?;
        if row.get("is_unique")?
            && let Some(table) = table_of(tables, &row)?
        {
            let index = unique_index(&row, &table.columns)?;
            table.unique_indexes.push(index);
        }
        let unique: bool = row.get("whole_unique")?;
        let whole: bool = row.get("whole")?;
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

fn unique_index(row: &Row, columns: &[SchemaColumn]) -> Result<UniqueIndex> {
    let names: Vec<String> = row.get("parts")?;
    let texts: Vec<String> = row.get("texts")?;
    let condition: Option<String> = row.get("condition")?;
    let part = |(name, text): (String, String)| {
        let value = if name.is_empty() { IndexValue::Expression(text) } else { IndexValue::Column(name) };
        IndexPart { value, collation: None }
    };
    let parts: Vec<IndexPart> = names.into_iter().zip(texts).map(part).collect();
    let mentioned = mentioned(&parts, condition.as_deref(), columns);
    Ok(UniqueIndex { parts, condition, nulls_are_equal: row.get("nulls_are_equal")?, mentioned })
}

/// Reads foreign keys and checks. A partition's foreign key counts as one of its table, in both directions; the copies of a
/// key that PostgreSQL makes for partitions do not count.
async fn read_constraints(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, k.contype::text AS type, k.confdeltype::text AS on_delete, \
                k.confupdtype::text AS on_update, \
                k.conname::text AS name, k.condeferrable AS deferrable, pg_get_constraintdef(k.oid) AS definition, fn.nspname::text AS target_schema, f.relname::text AS target_table, \
                (SELECT array_agg(a.attname::text ORDER BY o.place) FROM unnest(k.conkey) WITH ORDINALITY o(number, place) \
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.number) AS columns, \
                (SELECT array_agg(a.attname::text ORDER BY o.place) FROM unnest(k.confkey) WITH ORDINALITY o(number, place) \
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.number) AS target \
                FROM pg_constraint k JOIN pg_class own ON own.oid = k.conrelid \
                JOIN pg_class c ON c.oid = CASE WHEN k.contype = 'f' THEN COALESCE(pg_partition_root(k.conrelid), k.conrelid) ELSE k.conrelid END \
                JOIN pg_namespace n ON n.oid = c.relnamespace \
                LEFT JOIN pg_class f ON f.oid = COALESCE(pg_partition_root(NULLIF(k.confrelid, 0)), k.confrelid) LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace \
                WHERE k.contype IN ('f', 'c', 'x') AND k.conparentid = 0 AND {host} ORDER BY n.nspname, c.relname, k.conname";
    for row in rows(session, text).await? {
        let columns: Option<Vec<String>> = row.get("columns")?;
        let Some(table) = table_of(tables, &row)? else { continue };
        match (row.get::<String>("type")?.as_str(), columns) {
            ("x", columns) => table.facts.exclusions.push(columns.unwrap_or_default()),
            (_, None) => {}
            ("f", Some(columns)) => add_foreign_key(table, foreign_key(&row, columns)?),
            (_, Some(_)) => {
                let definition: String = row.get("definition")?;
                if let Some(ListedValues { column, values }) = listed_values(&definition)
                    && let Some(column) = table.columns.iter_mut().find(|found| found.name == column)
                {
                    column.values = Some(values).filter(|_| !column.ignores_case);
                }
            }
        }
    }
    Ok(())
}

/// Adds a foreign key, unless another partition has the same one.
fn add_foreign_key(table: &mut Table, key: ForeignKey) {
    let is_same = |other: &ForeignKey| ForeignKey { name: key.name.clone(), ..other.clone() } == key;
    if !table.foreign_keys.iter().any(is_same) {
        table.foreign_keys.push(key);
    }
}

fn foreign_key(row: &Row, columns: Vec<String>) -> Result<ForeignKey> {
    let table = TableName { schema: row.get("target_schema")?, name: row.get("target_table")? };
    let (name, is_deferrable) = (Some(row.get("name")?), row.get("deferrable")?);
    let (on_delete, on_update) =
        (key_action(&row.get::<String>("on_delete")?), key_action(&row.get::<String>("on_update")?));
    Ok(ForeignKey { name, columns, table, target: row.get("target")?, on_delete, on_update, is_deferrable })
}

fn key_action(code: &str) -> KeyAction {
    match code {
        "c" => KeyAction::Cascade,
        "n" | "d" => KeyAction::Empty,
        _ => KeyAction::Refuse,
    }
}
