//! The rights that the worker's role needs, and those that it lacks.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Columns, Rights, TableName};
use crate::store::dialect::text::{quoted, table};
use crate::store::dialect::{ColumnArray, LedgerTable, SharedDialect, Type};
use crate::store::error::Result;
use crate::store::session::Session;

/// Returns the privileges on a table of the ledger. Nothing alters the audit trail or the journal. Snapshots expire and are
/// deleted. Every start reads which migrations were applied.
fn privileges(table: LedgerTable) -> &'static [&'static str] {
    match table {
        LedgerTable::Audit
        | LedgerTable::CatalogVersions
        | LedgerTable::Catalogs
        | LedgerTable::JobSuccessors
        | LedgerTable::Journal => &["SELECT", "INSERT"],
        LedgerTable::Chunks
        | LedgerTable::JobReferences
        | LedgerTable::Outbox
        | LedgerTable::RowSnapshots
        | LedgerTable::ScimConnections
        | LedgerTable::ScimDeprovisionings
        | LedgerTable::ScimLinks
        | LedgerTable::SignIns
        | LedgerTable::Tokens
        | LedgerTable::Uploads => &["SELECT", "INSERT", "UPDATE", "DELETE"],
        LedgerTable::Jobs | LedgerTable::Requests | LedgerTable::RoundRobin | LedgerTable::Services => {
            &["SELECT", "INSERT", "UPDATE"]
        }
        LedgerTable::Migrations => &["SELECT"],
    }
}

/// One privilege on a table, or on some of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    table: TableName,
    privilege: &'static str,
    columns: Option<BTreeSet<String>>,
}

/// Returns every right that a role needs, in the tables' order.
fn grants(dialect: SharedDialect, rights: &Rights) -> Vec<Grant> {
    let mut grants = Vec::new();
    for of in LedgerTable::ALL {
        let (schema, name) = dialect.ledger_table(*of);
        let table = TableName { schema: schema.map(str::to_owned), name };
        let whole = |privilege: &&'static str| Grant { table: table.clone(), privilege, columns: None };
        grants.extend(privileges(*of).iter().map(whole));
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

/// Writes the statements that grant a role these rights and revoke any others in these schemas. The owner of the tables runs
/// them.
pub async fn script(session: &Session, rights: &Rights, role: &str) -> Result<String> {
    let role = quoted(role);
    let grants = grants(session.dialect(), rights);
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

/// Returns the sequences of keys that the database numbers. An identity column's sequence needs no grant.
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
    rows.iter().map(|row| row.get("name")).collect()
}

/// Returns the role, and each right that it lacks, such as `SELECT on users (email)`.
pub async fn missing(session: &Session, rights: &Rights) -> Result<(String, Vec<String>)> {
    let doing = "reading the rights of this role";
    let mut asked: Vec<(String, String, Option<String>, &'static str)> = Vec::new();
    for Grant { table, privilege, columns } in grants(session.dialect(), rights) {
        let schema = table.schema.unwrap_or_default();
        match columns {
            None => asked.push((schema, table.name, None, privilege)),
            Some(columns) => asked.extend(
                columns.into_iter().map(|column| (schema.clone(), table.name.clone(), Some(column), privilege)),
            ),
        }
    }
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
        role = row.get("role")?;
        missing.push(row.get("missing")?);
    }
    Ok((role, missing))
}
