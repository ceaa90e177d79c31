//! SQLite's schema, from its pragmas and the text of its CREATE statements.

use super::create_table::{Definitions, foreign_collations};
use super::pragmas::{rows, rows_of};
use super::relations::read_triggers;
use crate::catalog::{
    Family, ForeignKey, IndexPart, IndexValue, KeyAction, Policies, SchemaColumn, Table, TableFacts, TableName,
    UniqueIndex,
};
use crate::store::dialect::LedgerTable;
use crate::store::driver::index_text::{index_text, mentioned};
use crate::store::driver::interface::CurrentColumn;
use crate::store::error::Result;
use crate::store::row::Row;
use crate::store::session::Session;

/// The values of `hidden` in `pragma_table_xinfo` for generated columns.
const VIRTUAL_COLUMN: i64 = 2;
const STORED_COLUMN: i64 = 3;

/// Reads the columns of a table as they are now.
pub async fn current_columns(session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>> {
    let text = "SELECT name, hidden FROM pragma_table_xinfo({table}) ORDER BY cid";
    let read = |row: &Row| {
        let is_generated = row.get::<i64>("hidden")? != 0;
        Ok(CurrentColumn { name: row.get("name")?, cast: String::new(), is_generated })
    };
    rows_of(session, text, &table.name).await?.iter().map(read).collect()
}

/// Reads the tables, except the ledger's.
pub async fn read_tables(session: &Session) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    let text = "SELECT m.name AS name, m.sql AS sql, l.strict AS strict, l.wr AS without_numbers, \
                (SELECT group_concat(i.sql, ' ') FROM sqlite_master i WHERE i.type = 'index' AND i.tbl_name = m.name) AS indexes \
                FROM sqlite_master m JOIN pragma_table_list l ON l.name = m.name \
                WHERE m.type = 'table' AND l.schema = 'main' AND l.type = 'table' AND {host} ORDER BY m.rowid";
    for row in rows(session, text).await? {
        let name: String = row.get("name")?;
        if is_of_ledger(session, &name) {
            continue;
        }
        let sql: String = row.get("sql")?;
        let indexes: Option<String> = row.get("indexes")?;
        let strict = row.get::<i64>("strict")? != 0;
        let columns = read_columns(session, &name, &sql, strict).await?;
        let definitions = Definitions::of(&sql);
        let facts = TableFacts {
            checks: definitions.row_checks(&columns),
            computed: definitions.computed(&columns),
            conflict_clauses: definitions.conflict_clauses(),
            collations: foreign_collations(&[&sql, indexes.as_deref().unwrap_or_default()]),
            reuses_keys: definitions.reuses_keys() && row.get::<i64>("without_numbers")? == 0,
            is_without_row_numbers: row.get::<i64>("without_numbers")? != 0,
            ..TableFacts::default()
        };
        tables.push(Table {
            name: TableName { schema: None, name: name.clone() },
            visible: true,
            columns,
            uniques: Vec::new(),
            unique_indexes: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: read_foreign_keys(session, &name, is_deferrable(&sql)).await?,
            row_security: false,
            policies: Policies::default(),
            row_address: None,
            facts,
        });
    }
    for table in &mut tables {
        read_indexes(session, table).await?;
        read_unique_indexes(session, table).await?;
    }
    spell_targets(&mut tables);
    read_triggers(session, &mut tables).await?;
    Ok(tables)
}

fn is_of_ledger(session: &Session, name: &str) -> bool {
    LedgerTable::ALL.iter().any(|table| session.dialect().ledger_table(*table).1 == name)
}

async fn read_columns(session: &Session, table: &str, create: &str, strict: bool) -> Result<Vec<SchemaColumn>> {
    let text = "SELECT name, type, \"notnull\" AS not_null, pk, hidden FROM pragma_table_xinfo({table}) ORDER BY cid";
    let definitions = Definitions::of(create);
    let mut columns = Vec::new();
    for row in rows_of(session, text, table).await? {
        let name: String = row.get("name")?;
        let declared: String = row.get("type")?;
        let not_null: i64 = row.get("not_null")?;
        let part_of_key: i64 = row.get("pk")?;
        let (family, cast) = family_and_cast(&declared, strict);
        let flags = (family == Family::Boolean).then(|| vec!["0".to_owned(), "1".to_owned()]);
        let holds_json = definitions.holds_json(&name);
        let ignores_case = definitions.ignores_case(&name);
        let listed = definitions.listed_values(&name).filter(|_| !ignores_case);
        columns.push(SchemaColumn {
            generated: matches!(row.get::<i64>("hidden")?, VIRTUAL_COLUMN | STORED_COLUMN),
            values: listed.or(flags),
            // An INTEGER PRIMARY KEY is never NULL, though SQLite does not say so.
            nullable: not_null == 0 && !(part_of_key > 0 && matches!(family, Family::Integer { .. })),
            is_identity: false,
            name,
            cast: cast.to_owned(),
            family,
            holds_many: family == Family::Opaque || holds_json,
            ignores_case,
        });
    }
    Ok(columns)
}

/// Returns the family and the cast of a declared type, by SQLite's rules of affinity
/// (<https://www.sqlite.org/datatype3.html>, 3.1) and by the words in it. Columns of NUMERIC affinity take text without a
/// cast: SQLite converts it if it is a number. Columns without affinity keep every value as it is.
fn family_and_cast(declared: &str, strict: bool) -> (Family, &'static str) {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    let is_text = has("TEXT") || has("CHAR") || has("CLOB");
    let text = if is_text { "TEXT" } else { "" };
    match () {
        () if strict && declared == "ANY" => (Family::Any, ""),
        () if has("INT") => (Family::Integer { bits: 64 }, "INTEGER"),
        () if has("UUID") => (Family::Uuid, text),
        () if has("DATE") || has("TIME") => (Family::Time, text),
        () if has("JSON") => (Family::Opaque, text),
        () if is_text => (Family::Text, "TEXT"),
        () if has("BLOB") || declared.is_empty() => (Family::Any, ""),
        () if has("REAL") || has("FLOA") || has("DOUB") => (Family::Number, "REAL"),
        () if has("BOOL") => (Family::Boolean, ""),
        // A common slip, which SQLite takes for NUMERIC.
        () if has("STRING") => (Family::Text, ""),
        () => (Family::Number, ""),
    }
}

async fn read_indexes(session: &Session, table: &mut Table) -> Result<()> {
    let text = "SELECT l.name AS name, l.\"unique\" AS is_unique, l.partial AS partial, l.origin = 'pk' AS is_primary, \
                i.name AS column \
                FROM pragma_index_list({table}) l, pragma_index_info(l.name) i ORDER BY l.seq, i.seqno";
    let mut indexes: Vec<(String, bool, bool, Vec<Option<String>>)> = Vec::new();
    let mut primary_has_index = false;
    for row in rows_of(session, text, &table.name.name).await? {
        let name: String = row.get("name")?;
        let column: Option<String> = row.get("column")?;
        match indexes.last_mut() {
            Some((last, _, _, columns)) if *last == name => columns.push(column),
            _ => {
                let flag = |column: &str| row.get::<i64>(column).map(|flag| flag != 0);
                primary_has_index |= flag("is_primary")?;
                indexes.push((name, flag("is_unique")?, flag("partial")?, vec![column]));
            }
        }
    }
    let primary =
        rows_of(session, "SELECT name FROM pragma_table_info({table}) WHERE pk > 0 ORDER BY pk", &table.name.name)
            .await?;
    let primary: Vec<String> = primary.iter().map(|row| row.get("name")).collect::<Result<_>>()?;
    if !primary.is_empty() {
        table.uniques.push(primary.clone());
        table.indexes.push(primary.clone());
    }
    for (_, unique, partial, columns) in indexes {
        // An expression has no name. The columns before it serve to find rows, but are not unique by themselves.
        let whole = columns.iter().all(Option::is_some);
        let columns: Vec<String> = columns.into_iter().map_while(|column| column).collect();
        if partial || columns.is_empty() {
            continue;
        }
        if unique && whole && !table.uniques.contains(&columns) {
            table.uniques.push(columns.clone());
        }
        // An INTEGER PRIMARY KEY is the row's number, and has no index of its own. Every other index ends with that number.
        let ends_with_primary = whole && !primary_has_index && !primary.iter().any(|name| columns.contains(name));
        let columns: Vec<String> = match ends_with_primary {
            true => columns.into_iter().chain(primary.iter().cloned()).collect(),
            false => columns,
        };
        if !table.indexes.contains(&columns) {
            table.indexes.push(columns);
        }
    }
    Ok(())
}

/// Reads the unique indexes. SQLite knows expressions and conditions only as the text of the CREATE statement.
async fn read_unique_indexes(session: &Session, table: &mut Table) -> Result<()> {
    let text = "SELECT l.name AS name, i.name AS column, NULLIF(i.coll, 'BINARY') AS collation, \
                COALESCE((SELECT m.sql FROM sqlite_master m WHERE m.type = 'index' AND m.name = l.name), '') AS sql \
                FROM pragma_index_list({table}) l, pragma_index_xinfo(l.name) i WHERE l.\"unique\" AND i.key ORDER BY l.seq, i.seqno";
    let mut indexes: Vec<(String, String, Vec<IndexPart>)> = Vec::new();
    for row in rows_of(session, text, &table.name.name).await? {
        let (name, sql): (String, String) = (row.get("name")?, row.get("sql")?);
        if indexes.last().is_none_or(|(last, ..)| *last != name) {
            indexes.push((name, sql.clone(), Vec::new()));
        }
        let Some((.., parts)) = indexes.last_mut() else { continue };
        let expression = || index_text(&sql)?.parts.get(parts.len()).map(|part| (*part).to_owned());
        let value = match row.get::<Option<String>>("column")? {
            Some(column) => IndexValue::Column(column),
            None => IndexValue::Expression(expression().unwrap_or_default()),
        };
        parts.push(IndexPart { value, collation: row.get("collation")?, operator: None });
    }
    for (_, sql, parts) in indexes {
        let condition = index_text(&sql).and_then(|text| text.condition.map(str::to_owned));
        let mentioned = mentioned(&parts, condition.as_deref(), &table.columns);
        table.unique_indexes.push(UniqueIndex { parts, condition, nulls_are_equal: false, mentioned });
    }
    // An INTEGER PRIMARY KEY is the row's number, and has no index of its own.
    if let Some(primary) = table.uniques.first() {
        let part =
            |name: &String| IndexPart { value: IndexValue::Column(name.clone()), collation: None, operator: None };
        let parts = primary.iter().map(part).collect();
        let index = UniqueIndex { parts, condition: None, nulls_are_equal: false, mentioned: Vec::new() };
        if !table.unique_indexes.contains(&index) {
            table.unique_indexes.push(index);
        }
    }
    Ok(())
}

/// True if a foreign key may wait for the commit. SQLite does not report which one: if the text defers one, each may be.
fn is_deferrable(create: &str) -> bool {
    let words: Vec<String> = create.split_whitespace().map(str::to_uppercase).collect();
    words.windows(2).any(|pair| pair[0] == "INITIALLY" && pair[1].starts_with("DEFERRED"))
}

async fn read_foreign_keys(session: &Session, table: &str, is_deferrable: bool) -> Result<Vec<ForeignKey>> {
    let text = "SELECT id, \"table\" AS target_table, \"from\" AS column, \"to\" AS target, on_delete, on_update \
                FROM pragma_foreign_key_list({table}) ORDER BY id, seq";
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for row in rows_of(session, text, table).await? {
        let id: i64 = row.get("id")?;
        let column: String = row.get("column")?;
        let target: Option<String> = row.get("target")?;
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let name: String = row.get("target_table")?;
            let table = TableName { schema: None, name };
            let (columns, target) = (Vec::new(), Vec::new());
            let (on_delete, on_update) =
                (key_action(&row.get::<String>("on_delete")?), key_action(&row.get::<String>("on_update")?));
            keys.push((id, ForeignKey { name: None, columns, table, target, on_delete, on_update, is_deferrable }));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(column);
            key.target.extend(target);
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

fn key_action(written: &str) -> KeyAction {
    match written {
        "CASCADE" => KeyAction::Cascade,
        "SET NULL" | "SET DEFAULT" => KeyAction::Empty,
        _ => KeyAction::Refuse,
    }
}

/// Gives the targets of foreign keys the spelling of the tables. SQLite compares names without case, and a key that names no
/// columns points at the primary key.
fn spell_targets(tables: &mut [Table]) {
    let targets: Vec<(TableName, Vec<String>, Vec<String>)> = (tables.iter())
        .map(|table| {
            let columns = table.columns.iter().map(|column| column.name.clone()).collect();
            (table.name.clone(), columns, table.uniques.first().cloned().unwrap_or_default())
        })
        .collect();
    for key in tables.iter_mut().flat_map(|table| &mut table.foreign_keys) {
        let found = targets.iter().find(|(name, ..)| name.name.eq_ignore_ascii_case(&key.table.name));
        let Some((name, columns, primary)) = found else { continue };
        key.table.clone_from(name);
        if key.target.is_empty() {
            key.target.clone_from(primary);
        }
        for target in &mut key.target {
            if let Some(spelled) = columns.iter().find(|column| column.eq_ignore_ascii_case(target)) {
                target.clone_from(spelled);
            }
        }
    }
}
