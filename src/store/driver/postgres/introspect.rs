//! PostgreSQL's schema, from its system catalogs.

use super::policies;
use super::relations::read_facts;
use super::system_catalogs::{Tables, rows, table_of};
use crate::catalog::{
    Family, ForeignKey, IndexPart, IndexValue, KeyAction, Policies, RowCheck, SchemaColumn, Table, TableFacts,
    TableName, UniqueIndex,
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
                t.typcategory::text AS category, t.oid IN (SELECT o.type FROM opaque o) AS opaque, a.attgenerated <> '' AS generated, \
                a.attnotnull OR EXISTS (SELECT 1 FROM base_of d JOIN pg_type n ON n.oid = d.base WHERE d.type = a.atttypid AND n.typnotnull) AS not_null, \
                a.attidentity = 'a' AS is_identity, \
                (SELECT array_agg(pg_get_constraintdef(k.oid) ORDER BY k.oid) FROM base_of d JOIN pg_constraint k ON k.contypid = d.base \
                 WHERE d.type = a.atttypid AND k.contype = 'c') AS domain_checks, \
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
        let ignores_case: bool = row.get("ignores_case")?;
        let checks: Option<Vec<String>> = row.get("domain_checks")?;
        let listed = checks.iter().flatten().find_map(|check| listed_values(check)).filter(|_| !ignores_case);
        let column = SchemaColumn {
            name: text("column")?,
            cast: text("type")?,
            family,
            holds_many: text("category")? == "A" || ["json", "jsonb"].contains(&text("base")?.as_str()),
            ignores_case,
            generated: row.get("generated")?,
            is_identity: row.get("is_identity")?,
            nullable: !row.get::<bool>("not_null")?,
            values: labels.or(flags).or(listed.map(|listed| listed.values)),
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

/// Reads the indexes. One that is not valid finds no rows, but may refuse new ones already.
async fn read_indexes(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, \
                i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AS whole_unique, \
                i.indisvalid AND i.indpred IS NULL AS whole, i.indisunique OR i.indisexclusion AS compares_rows, \
                pg_get_expr(i.indpred, i.indrelid) AS condition, \
                (SELECT array_agg(CASE p.oprname WHEN '=' THEN '=' ELSE format('OPERATOR(%I.%s)', pn.nspname, p.oprname) END ORDER BY o.place) \
                 FROM pg_constraint x CROSS JOIN LATERAL unnest(x.conexclop) WITH ORDINALITY o(operator, place) \
                 JOIN pg_operator p ON p.oid = o.operator JOIN pg_namespace pn ON pn.oid = p.oprnamespace \
                 WHERE x.conindid = i.indexrelid AND x.contype = 'x') AS operators, \
                COALESCE(CAST(to_jsonb(i) ->> 'indnullsnotdistinct' AS boolean), FALSE) AS nulls_are_equal, \
                (SELECT array_agg(COALESCE(a.attname::text, '') ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place) \
                 LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number AND k.number <> 0 WHERE k.place <= i.indnkeyatts) AS parts, \
                (SELECT array_agg(pg_get_indexdef(i.indexrelid, k.place, TRUE) ORDER BY k.place) \
                 FROM generate_series(1, i.indnkeyatts::integer) k(place)) AS texts, \
                (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place) \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts) AS columns \
                FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE i.indisready AND {host} ORDER BY n.nspname, c.relname, i.indisprimary DESC, i.indexrelid";
    for row in rows(session, text).await? {
        let columns: Option<Vec<String>> = row.get("columns")?;
        if row.get("compares_rows")?
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
    let operators: Option<Vec<String>> = row.get("operators")?;
    let mut operators = operators.unwrap_or_default().into_iter();
    let part = |(name, text): (String, String)| {
        let value = if name.is_empty() { IndexValue::Expression(text) } else { IndexValue::Column(name) };
        IndexPart { value, collation: None, operator: operators.next().filter(|operator| operator != "=") }
    };
    let parts: Vec<IndexPart> = names.into_iter().zip(texts).map(part).collect();
    let mentioned = mentioned(&parts, condition.as_deref(), columns);
    Ok(UniqueIndex { parts, condition, nulls_are_equal: row.get("nulls_are_equal")?, mentioned })
}

/// Reads foreign keys and checks. A partition's constraint counts as one of its table, a foreign key in both directions; the
/// copies that PostgreSQL makes for partitions do not count.
async fn read_constraints(session: &Session, tables: &mut Tables) -> Result<()> {
    let text = "SELECT n.nspname::text AS schema, c.relname::text AS table, k.contype::text AS type, k.confdeltype::text AS on_delete, \
                k.confupdtype::text AS on_update, \
                k.conname::text AS name, k.condeferrable AS deferrable, k.convalidated AS is_valid, own.oid = c.oid AS is_own, \
                pg_get_constraintdef(k.oid) AS definition, fn.nspname::text AS target_schema, f.relname::text AS target_table, \
                (SELECT array_agg(a.attname::text ORDER BY o.place) FROM unnest(k.conkey) WITH ORDINALITY o(number, place) \
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.number) AS columns, \
                (SELECT array_agg(a.attname::text ORDER BY o.place) FROM unnest(k.confkey) WITH ORDINALITY o(number, place) \
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.number) AS target \
                FROM pg_constraint k JOIN pg_class own ON own.oid = k.conrelid \
                JOIN pg_class c ON c.oid = COALESCE(pg_partition_root(k.conrelid), k.conrelid) \
                JOIN pg_namespace n ON n.oid = c.relnamespace \
                LEFT JOIN pg_class f ON f.oid = COALESCE(pg_partition_root(NULLIF(k.confrelid, 0)), k.confrelid) LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace \
                WHERE k.contype IN ('f', 'c') AND k.conparentid = 0 AND {host} ORDER BY n.nspname, c.relname, k.conname";
    for row in rows(session, text).await? {
        let columns: Vec<String> = row.get::<Option<Vec<String>>>("columns")?.unwrap_or_default();
        let Some(table) = table_of(tables, &row)? else { continue };
        match row.get::<String>("type")?.as_str() {
            "f" => {
                let is_valid: bool = row.get("is_valid")?;
                table.facts.unvalidated_keys.extend((!is_valid).then_some(row.get::<String>("name")?));
                add_foreign_key(table, foreign_key(&row, columns)?);
            }
            _ => add_check(table, &row, columns)?,
        }
    }
    Ok(())
}

/// Adds a check: the list of a column's values, or a test of rows. A partition's list bounds only its own rows.
fn add_check(table: &mut Table, row: &Row, columns: Vec<String>) -> Result<()> {
    let definition: String = row.get("definition")?;
    match listed_values(&definition) {
        Some(ListedValues { column, values }) if row.get("is_own")? => {
            if let Some(column) = table.columns.iter_mut().find(|found| found.name == column) {
                column.values = Some(values).filter(|_| !column.ignores_case);
            }
        }
        Some(_) | None => {
            let (name, is_valid) = (Some(row.get("name")?), row.get("is_valid")?);
            table.facts.checks.push(RowCheck { name, columns, is_valid });
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
