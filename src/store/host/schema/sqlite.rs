//! SQLite's schema, from its pragmas and the text of its CREATE statements.

use sea_orm::DbErr;

use super::listed_values;
use crate::catalog::{Family, ForeignKey, OnDelete, SchemaColumn, Table, TableName};
use crate::store::{Error, Result, Row, Session};

const DOING: &str = "reading the schema";

/// Tables of anybody but SQLite itself and the ledger.
const OURS: &str =
    "m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name NOT LIKE 'handover\\_%' ESCAPE '\\'";

pub async fn read_tables(session: &Session) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for row in
        rows(session, "SELECT m.name AS name, m.sql AS sql FROM sqlite_master m WHERE {ours} ORDER BY m.rowid").await?
    {
        let name: String = row.try_get("", "name").map_err(failed)?;
        let sql: String = row.try_get("", "sql").map_err(failed)?;
        tables.push(Table {
            name: TableName { schema: None, name: name.clone() },
            visible: true,
            columns: read_columns(session, &name, &sql).await?,
            uniques: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: read_foreign_keys(session, &name, is_deferrable(&sql)).await?,
            row_security: false,
            row_address: None,
        });
    }
    for table in &mut tables {
        read_indexes(session, table).await?;
    }
    fill_in_targets(&mut tables);
    Ok(tables)
}

async fn rows(session: &Session, text: &str) -> Result<Vec<Row>> {
    session.all(DOING, session.sql(&text.replace("{ours}", OURS))).await
}

async fn rows_of(session: &Session, text: &str, table: &str) -> Result<Vec<Row>> {
    session.all(DOING, session.sql(text).with([table.into()])).await
}

fn failed(error: DbErr) -> Error {
    Error::unexpected(DOING, error.to_string())
}

async fn read_columns(session: &Session, table: &str, create: &str) -> Result<Vec<SchemaColumn>> {
    let text = "SELECT name, type, \"notnull\" AS not_null, pk FROM pragma_table_info($1) ORDER BY cid";
    let mut columns = Vec::new();
    for row in rows_of(session, text, table).await? {
        let name: String = row.try_get("", "name").map_err(failed)?;
        let declared: String = row.try_get("", "type").map_err(failed)?;
        let not_null: i64 = row.try_get("", "not_null").map_err(failed)?;
        let part_of_key: i64 = row.try_get("", "pk").map_err(failed)?;
        let (family, cast) = family_and_cast(&declared);
        let flags = (family == Family::Boolean).then(|| vec!["0".to_owned(), "1".to_owned()]);
        columns.push(SchemaColumn {
            // This pragma leaves generated columns out.
            generated: false,
            values: checked_values(create, &name).or(flags),
            // An INTEGER PRIMARY KEY is never NULL, though SQLite does not say so.
            nullable: not_null == 0 && !(part_of_key > 0 && matches!(family, Family::Integer { .. })),
            name,
            cast: cast.to_owned(),
            family,
        });
    }
    Ok(columns)
}

/// SQLite's rules of affinity (<https://www.sqlite.org/datatype3.html>, 3.1), with what the declared name tells beyond
/// them. Columns of NUMERIC affinity take text without a cast: it is converted where it is a number.
fn family_and_cast(declared: &str) -> (Family, &'static str) {
    let declared = declared.to_uppercase();
    let has = |part: &str| declared.contains(part);
    match () {
        () if has("INT") => (Family::Integer { bits: 64 }, "INTEGER"),
        () if has("UUID") => (Family::Uuid, if has("TEXT") || has("CHAR") { "TEXT" } else { "" }),
        () if has("DATE") || has("TIME") => (Family::Time, if has("TEXT") || has("CHAR") { "TEXT" } else { "" }),
        () if has("CHAR") || has("CLOB") || has("TEXT") => (Family::Text, "TEXT"),
        () if has("BLOB") || declared.is_empty() => (Family::Other, ""),
        () if has("REAL") || has("FLOA") || has("DOUB") => (Family::Number, "REAL"),
        () if has("BOOL") => (Family::Boolean, ""),
        () => (Family::Number, ""),
    }
}

/// The values that a check of the CREATE statement allows for a column.
fn checked_values(create: &str, column: &str) -> Option<Vec<String>> {
    let upper = create.to_uppercase();
    let checks = upper.match_indices("CHECK").filter_map(|(at, word)| balanced(&create[at + word.len()..]));
    let of_column = |check: &&str| {
        let name = check.trim_start_matches(['(', ' ']).trim_start_matches(['"', '`', '[']);
        name.strip_prefix(column).is_some_and(|rest| rest.starts_with(['"', '`', ']', ' ']))
    };
    checks.filter(of_column).find_map(listed_values)
}

/// The parenthesis that a text begins with, up to its end.
fn balanced(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.starts_with('(').then(|| &text[..=at]);
        }
    }
    None
}

async fn read_indexes(session: &Session, table: &mut Table) -> Result<()> {
    let text = "SELECT l.name AS name, l.\"unique\" AS is_unique, l.partial AS partial, i.name AS column \
                FROM pragma_index_list($1) l, pragma_index_info(l.name) i ORDER BY l.seq, i.seqno";
    let mut indexes: Vec<(String, bool, bool, Vec<Option<String>>)> = Vec::new();
    for row in rows_of(session, text, &table.name.name).await? {
        let name: String = row.try_get("", "name").map_err(failed)?;
        let column: Option<String> = row.try_get("", "column").map_err(failed)?;
        match indexes.last_mut() {
            Some((last, _, _, columns)) if *last == name => columns.push(column),
            _ => {
                let flag = |column: &str| row.try_get::<i64>("", column).map(|flag| flag != 0).map_err(failed);
                indexes.push((name, flag("is_unique")?, flag("partial")?, vec![column]));
            }
        }
    }
    let primary =
        rows_of(session, "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk", &table.name.name).await?;
    let primary: std::result::Result<Vec<String>, DbErr> = primary.iter().map(|row| row.try_get("", "name")).collect();
    let primary = primary.map_err(failed)?;
    if !primary.is_empty() {
        table.uniques.push(primary.clone());
        table.indexes.push(primary);
    }
    for (_, unique, partial, columns) in indexes {
        // An expression has no name there. What comes before it serves to find rows, and says nothing of their being unique.
        let whole = columns.iter().all(Option::is_some);
        let columns: Vec<String> = columns.into_iter().map_while(|column| column).collect();
        if partial || columns.is_empty() {
            continue;
        }
        if unique && whole && !table.uniques.contains(&columns) {
            table.uniques.push(columns.clone());
        }
        if !table.indexes.contains(&columns) {
            table.indexes.push(columns);
        }
    }
    Ok(())
}

/// SQLite does not tell which foreign keys wait for the commit: where the text says so of one, each may.
fn is_deferrable(create: &str) -> bool {
    let words: Vec<String> = create.split_whitespace().map(str::to_uppercase).collect();
    words.windows(2).any(|pair| pair[0] == "INITIALLY" && pair[1].starts_with("DEFERRED"))
}

async fn read_foreign_keys(session: &Session, table: &str, is_deferrable: bool) -> Result<Vec<ForeignKey>> {
    let text = "SELECT id, \"table\" AS target_table, \"from\" AS column, \"to\" AS target, on_delete \
                FROM pragma_foreign_key_list($1) ORDER BY id, seq";
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for row in rows_of(session, text, table).await? {
        let id: i64 = row.try_get("", "id").map_err(failed)?;
        let column: String = row.try_get("", "column").map_err(failed)?;
        let target: Option<String> = row.try_get("", "target").map_err(failed)?;
        let on_delete = match row.try_get::<String>("", "on_delete").map_err(failed)?.as_str() {
            "CASCADE" => OnDelete::Cascade,
            "SET NULL" | "SET DEFAULT" => OnDelete::Forget,
            _ => OnDelete::Refuse,
        };
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let name: String = row.try_get("", "target_table").map_err(failed)?;
            let table = TableName { schema: None, name };
            let (columns, target) = (Vec::new(), Vec::new());
            keys.push((id, ForeignKey { name: None, columns, table, target, on_delete, is_deferrable }));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(column);
            key.target.extend(target);
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// A foreign key that names no columns points at the primary key.
fn fill_in_targets(tables: &mut [Table]) {
    let primaries: Vec<(TableName, Vec<String>)> =
        tables.iter().filter_map(|table| Some((table.name.clone(), table.uniques.first()?.clone()))).collect();
    for key in tables.iter_mut().flat_map(|table| &mut table.foreign_keys).filter(|key| key.target.is_empty()) {
        if let Some((_, primary)) = primaries.iter().find(|(name, _)| *name == key.table) {
            key.target.clone_from(primary);
        }
    }
}
