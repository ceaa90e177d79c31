//! What the worker's role of PostgreSQL must be granted, and what of it is missing.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DbErr;

use super::dialect::Type;
use super::dialect::sql::{ColumnArray, quoted, table};
use super::error::{Error, Result};
use super::{Session, Store};
use crate::catalog::{Columns, Engine, Rights, TableName};

/// What is needed of the ledger's own tables. Nothing alters the audit trail or the journal; copies expire, and are deleted. Which
/// migrations it has been through is read at every start.
const LEDGER: [(&str, &[&str]); 12] = [
    ("audit", &["SELECT", "INSERT"]),
    ("catalogs", &["SELECT", "INSERT"]),
    ("chunks", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("handover_migrations", &["SELECT"]),
    ("job_references", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("job_successors", &["SELECT", "INSERT"]),
    ("jobs", &["SELECT", "INSERT", "UPDATE"]),
    ("journal", &["SELECT", "INSERT"]),
    ("outbox", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("requests", &["SELECT", "INSERT", "UPDATE"]),
    ("round_robin", &["SELECT", "INSERT", "UPDATE"]),
    ("row_snapshots", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
];

/// One privilege on a table, or on some of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    table: TableName,
    privilege: &'static str,
    columns: Option<BTreeSet<String>>,
}

/// Everything that a role needs, in the tables' order.
fn grants(rights: &Rights) -> Vec<Grant> {
    let mut grants = Vec::new();
    for (name, privileges) in LEDGER {
        let table = TableName { schema: Some("handover".into()), name: name.into() };
        let whole = |privilege: &&'static str| Grant { table: table.clone(), privilege, columns: None };
        grants.extend(privileges.iter().map(whole));
    }
    for (table, rights) in &rights.0 {
        let mut of_columns = |privilege: &'static str, columns: &Columns| {
            let columns = match columns {
                Columns::All => None,
                Columns::Some(columns) if columns.is_empty() => return,
                Columns::Some(columns) => Some(columns.clone()),
            };
            grants.push(Grant { table: table.clone(), privilege, columns });
        };
        of_columns("SELECT", &rights.select);
        of_columns("INSERT", &rights.insert);
        of_columns("UPDATE", &Columns::Some(rights.update.clone()));
        if rights.delete {
            of_columns("DELETE", &Columns::All);
        }
    }
    grants
}

/// The statements that give a role what these rights say, and take from it whatever else it was granted in these
/// schemas. To be run by the owner of the tables.
pub async fn script(session: &Session, rights: &Rights, role: &str) -> Result<String> {
    if session.engine() == Engine::Sqlite {
        let what = "SQLite has no roles: whoever may write the file may do everything";
        return Err(Error::unexpected("writing grants", what));
    }
    let role = quoted(role);
    let grants = grants(rights);
    let schemas: BTreeSet<String> =
        grants.iter().filter_map(|grant| grant.table.schema.as_deref().map(quoted)).collect();
    let schemas = schemas.into_iter().collect::<Vec<_>>().join(", ");
    let mut script = format!(
        "REVOKE ALL ON ALL TABLES IN SCHEMA {schemas} FROM {role};\n\
         REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schemas} FROM {role};\n\
         GRANT USAGE ON SCHEMA {schemas} TO {role};\n"
    );
    let mut of: BTreeMap<&TableName, Vec<String>> = BTreeMap::new();
    for grant in &grants {
        let columns = grant.columns.iter().map(|columns| {
            let quoted: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
            format!(" ({})", quoted.join(", "))
        });
        let privilege = format!("{}{}", grant.privilege, columns.collect::<String>());
        of.entry(&grant.table).or_default().push(privilege);
    }
    for (name, privileges) in of {
        script.push_str(&format!("GRANT {} ON {} TO {role};\n", privileges.join(", "), table(name)));
    }
    for sequence in sequences(session, rights).await? {
        script.push_str(&format!("GRANT USAGE ON SEQUENCE {sequence} TO {role};\n"));
    }
    Ok(script)
}

/// The sequences behind keys that the database numbers. An identity column's needs no grant.
async fn sequences(session: &Session, rights: &Rights) -> Result<Vec<String>> {
    let doing = "looking for sequences";
    let keys: Vec<(&TableName, &String)> =
        rights.0.iter().filter_map(|(name, rights)| Some((name, rights.numbered.as_ref()?))).collect();
    let mut sql = session.sql("");
    let arrays = vec![
        ColumnArray::new(Type::Text, "host", keys.iter().map(|(name, _)| Some(table(name)))),
        ColumnArray::new(Type::Host("name".into()), "key", keys.iter().map(|(_, key)| Some(key))),
    ];
    let keys = sql.table("k", arrays);
    sql.add(&format!(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(s.relname) AS name FROM {keys} \
         JOIN pg_attribute a ON a.attrelid = to_regclass(k.host) AND a.attname = k.key \
         JOIN pg_depend d ON d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'a' \
           AND d.classid = 'pg_class'::regclass \
         JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace \
         ORDER BY 1"
    ));
    let rows = session.all(doing, sql).await?;
    let names: std::result::Result<Vec<String>, DbErr> = rows.iter().map(|row| row.try_get("", "name")).collect();
    names.map_err(|error| Error::unexpected(doing, error.to_string()))
}

impl Store {
    /// What this connection's role would need and was not granted, each as `SELECT on users (email)`, after the role's
    /// name. Nothing on SQLite, which has no roles.
    pub async fn missing_rights(&self, rights: &Rights) -> Result<(String, Vec<String>)> {
        let doing = "looking at what this role may do";
        if self.engine == Engine::Sqlite {
            return Ok(Default::default());
        }
        let mut asked: Vec<(String, String, Option<String>, &'static str)> = Vec::new();
        for Grant { table, privilege, columns } in grants(rights) {
            let schema = table.schema.unwrap_or_default();
            match columns {
                None => asked.push((schema, table.name, None, privilege)),
                Some(columns) => asked.extend(
                    columns.into_iter().map(|column| (schema.clone(), table.name.clone(), Some(column), privilege)),
                ),
            }
        }
        let session = self.reader();
        let mut sql = session.sql("");
        let arrays = vec![
            ColumnArray::new(Type::Host("name".into()), "schema", asked.iter().map(|(schema, ..)| Some(schema))),
            ColumnArray::new(Type::Host("name".into()), "host", asked.iter().map(|(_, name, ..)| Some(name))),
            ColumnArray::new(Type::Text, "col", asked.iter().map(|(_, _, column, _)| column.as_ref())),
            ColumnArray::new(Type::Text, "privilege", asked.iter().map(|(.., privilege)| Some(privilege))),
        ];
        let asked = sql.table("g", arrays);
        sql.add(&format!(
            "SELECT current_user::text AS role, string_agg(m.privilege, ', ' ORDER BY m.privilege) || ' on ' || m.place AS missing FROM ( \
             SELECT g.privilege, CASE g.schema WHEN 'public' THEN '' ELSE g.schema || '.' END \
               || g.host || COALESCE(' (' || string_agg(g.col, ', ' ORDER BY g.col) || ')', '') AS place \
             FROM {asked} JOIN pg_namespace n ON n.nspname = g.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = g.host \
             WHERE NOT has_schema_privilege(n.oid, 'USAGE') \
               OR NOT COALESCE(has_column_privilege(c.oid, g.col, g.privilege), has_table_privilege(c.oid, g.privilege)) \
             GROUP BY g.schema, g.host, g.privilege) m GROUP BY m.place ORDER BY m.place"
        ));
        let mut role = String::new();
        let mut missing = Vec::new();
        for row in session.all(doing, sql).await? {
            let read = || -> std::result::Result<(String, String), DbErr> {
                Ok((row.try_get("", "role")?, row.try_get("", "missing")?))
            };
            let (of, what) = read().map_err(|error| Error::unexpected(doing, error.to_string()))?;
            role = of;
            missing.push(what);
        }
        Ok((role, missing))
    }
}
