//! SQLite's schema, from its pragmas and the text of its CREATE statements.

use crate::catalog::{Family, ForeignKey, OnDelete, Policies, SchemaColumn, Table, TableName};
use crate::store::driver::interface::CurrentColumn;
use crate::store::driver::listed_values::listed_values;
use crate::store::error::Result;
use crate::store::row::Row;
use crate::store::session::Session;

const DOING: &str = "reading the schema";

/// Tables except those of SQLite itself and of the ledger.
const OF_THE_HOST: &str =
    "m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name NOT LIKE 'handover\\_%' ESCAPE '\\'";

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
    for row in
        rows(session, "SELECT m.name AS name, m.sql AS sql FROM sqlite_master m WHERE {host} ORDER BY m.rowid").await?
    {
        let name: String = row.get("name")?;
        let sql: String = row.get("sql")?;
        tables.push(Table {
            name: TableName { schema: None, name: name.clone() },
            visible: true,
            columns: read_columns(session, &name, &sql).await?,
            uniques: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: read_foreign_keys(session, &name, is_deferrable(&sql)).await?,
            row_security: false,
            policies: Policies::default(),
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
    session.all(DOING, session.sql(&text.replace("{host}", OF_THE_HOST))).await
}

async fn rows_of(session: &Session, text: &str, table: &str) -> Result<Vec<Row>> {
    let mut sql = session.sql("");
    let table = sql.bind(table);
    sql.add(&text.replace("{table}", &table));
    session.all(DOING, sql).await
}

async fn read_columns(session: &Session, table: &str, create: &str) -> Result<Vec<SchemaColumn>> {
    let text = "SELECT name, type, \"notnull\" AS not_null, pk FROM pragma_table_info({table}) ORDER BY cid";
    let mut columns = Vec::new();
    for row in rows_of(session, text, table).await? {
        let name: String = row.get("name")?;
        let declared: String = row.get("type")?;
        let not_null: i64 = row.get("not_null")?;
        let part_of_key: i64 = row.get("pk")?;
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

/// Returns the family and the cast of a declared type, by SQLite's rules of affinity
/// (<https://www.sqlite.org/datatype3.html>, 3.1) and by the words in it. Columns of NUMERIC affinity take text without a
/// cast: SQLite converts it if it is a number.
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

/// Returns the values that a check of the CREATE statement allows for a column.
fn checked_values(create: &str, column: &str) -> Option<Vec<String>> {
    let upper = create.to_uppercase();
    let checks = upper.match_indices("CHECK").filter_map(|(at, word)| balanced(&create[at + word.len()..]));
    let of_column = |check: &&str| {
        let name = check.trim_start_matches(['(', ' ']).trim_start_matches(['"', '`', '[']);
        name.strip_prefix(column).is_some_and(|rest| rest.starts_with(['"', '`', ']', ' ']))
    };
    checks.filter(of_column).find_map(listed_values)
}

/// Returns the parenthesis that a text begins with, up to its end.
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

/// True if a foreign key may wait for the commit. SQLite does not report which one: if the text defers one, each may be.
fn is_deferrable(create: &str) -> bool {
    let words: Vec<String> = create.split_whitespace().map(str::to_uppercase).collect();
    words.windows(2).any(|pair| pair[0] == "INITIALLY" && pair[1].starts_with("DEFERRED"))
}

async fn read_foreign_keys(session: &Session, table: &str, is_deferrable: bool) -> Result<Vec<ForeignKey>> {
    let text = "SELECT id, \"table\" AS target_table, \"from\" AS column, \"to\" AS target, on_delete \
                FROM pragma_foreign_key_list({table}) ORDER BY id, seq";
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for row in rows_of(session, text, table).await? {
        let id: i64 = row.get("id")?;
        let column: String = row.get("column")?;
        let target: Option<String> = row.get("target")?;
        let on_delete = match row.get::<String>("on_delete")?.as_str() {
            "CASCADE" => OnDelete::Cascade,
            "SET NULL" | "SET DEFAULT" => OnDelete::Forget,
            _ => OnDelete::Refuse,
        };
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let name: String = row.get("target_table")?;
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

/// Fills in the columns of foreign keys that name none: they point at the primary key.
fn fill_in_targets(tables: &mut [Table]) {
    let primaries: Vec<(TableName, Vec<String>)> =
        tables.iter().filter_map(|table| Some((table.name.clone(), table.uniques.first()?.clone()))).collect();
    for key in tables.iter_mut().flat_map(|table| &mut table.foreign_keys).filter(|key| key.target.is_empty()) {
        if let Some((_, primary)) = primaries.iter().find(|(name, _)| *name == key.table) {
            key.target.clone_from(primary);
        }
    }
}
