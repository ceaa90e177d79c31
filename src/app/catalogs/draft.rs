//! Drafts a catalog for a database.

use super::contained;
use super::evidence::evidence;
use crate::app::error::{Error, Result};
use crate::catalog::guess::{self, Candidate};
use crate::catalog::{self, Pointing, Schema, SchemaColumn, Table, pointing_columns};
use crate::store::{Session, Store, host};

/// The reason why no catalog can be drafted.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The database has no such table.
    #[error("the database has no table `{0}`")]
    UnknownTable(String),
    /// No table looks like the users' table.
    #[error("no table looks like the users' table: name it with --users")]
    NoUsersTable,
    /// The users' table lacks something that a catalog needs.
    #[error("{0}")]
    Unsuitable(String),
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Drafts a catalog. Every guess is marked. `named`: the users' table, if it cannot be guessed.
pub async fn draft(store: &Store, named: Option<&str>) -> std::result::Result<String, DraftError> {
    let session = store.reader();
    let schema = host::read_schema(&session).await.map_err(Error::from)?;
    let users = guess::users_table(&schema, named).ok_or_else(|| match named {
        Some(named) => DraftError::UnknownTable(named.to_owned()),
        None => DraftError::NoUsersTable,
    })?;
    let statuses = match guess::status_column(users) {
        Some(column) => host::sample_values(&session, &users.name, &column.name).await.map_err(Error::from)?,
        None => Vec::new(),
    };
    let pointing = pointing_at_users(&session, &schema, users).await?;
    let draft = catalog::draft(&schema, users, &statuses, &pointing);
    let draft = draft.map_err(|missing| DraftError::Unsuitable(missing.to_string()))?;
    Ok(draft + &notes_of_containers(&session, &schema, users, &pointing).await?)
}

/// Names the columns that hold several users in one value, in comments: no reference can cover them.
async fn notes_of_containers(
    session: &Session,
    schema: &Schema,
    users: &Table,
    pointing: &[Pointing<'_>],
) -> Result<String> {
    let mut notes = String::new();
    let Some(key) = guess::key_of(users).and_then(|key| users.column(key.first()?)) else { return Ok(notes) };
    let is_drafted = |table: &Table, column: &SchemaColumn| {
        pointing.iter().any(|place| place.table.name == table.name && place.column.name == column.name)
    };
    for (table, column, contents) in contained::places(schema) {
        if is_drafted(table, column) {
            continue;
        }
        if let Some(why) = contained::users_inside(session, (users, key), (table, column), contents).await? {
            let place = format!("{}.{}", table.name, column.name).replace(['\n', '\r'], " ");
            notes.push_str(&format!("# not covered: {place} holds several values in one: {why}.\n"));
        }
    }
    Ok(notes)
}

/// Finds every column that points at users: first by foreign keys, then by names and values.
async fn pointing_at_users<'s>(session: &Session, schema: &'s Schema, users: &'s Table) -> Result<Vec<Pointing<'s>>> {
    let mut pointing = Vec::new();
    let Some(key) = guess::key_of(users).and_then(|key| users.column(key.first()?)) else { return Ok(pointing) };
    for (table, foreign) in schema.inbound(&users.name) {
        for name in pointing_columns(foreign, &key.name) {
            let is_known = |place: &Pointing<'_>| place.table.name == table.name && place.column.name == name;
            if let Some(column) = table.column(name).filter(|_| !pointing.iter().any(is_known)) {
                let why = format!("{}.{} has a foreign key to the users.", table.name, column.name);
                pointing.push(Pointing { table, column, why, type_column: None });
            }
        }
    }
    for candidate in guess::candidates(schema, users, key) {
        if let Some(why) = evidence(session, users, &key.name, &candidate).await? {
            let Candidate { table, column, type_column, .. } = candidate;
            let why = format!("guess: {}.{} points at users: {why}.", table.name, column.name);
            pointing.push(Pointing { table, column, why, type_column });
        }
    }
    Ok(pointing)
}
