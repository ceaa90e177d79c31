//! `handover catalog grants`: what the worker's role must be granted.

use anyhow::Result;

use crate::catalog::{Rights, check};
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::store::ledger::catalogs;
use crate::store::{Store, grants, host};

pub async fn print(settings: &Settings, role: &str) -> Result<Exit> {
    let store = open::store(settings).await?;
    let catalog = open::catalog(settings, &store).await?.catalog;
    let mut rights = Rights::of(&catalog);
    let others = add_catalogs_of_jobs(&store, &mut rights).await?;
    let script = grants::script(&store.reader(), &rights, role).await?;
    let others =
        if others.is_empty() { String::new() } else { format!(", and those of earlier jobs: {}", others.join(", ")) };
    output::lines(format!(
        "-- What Handover's worker needs for the catalog {}{others}, and nothing more; made by `handover catalog grants`.\n\
         -- Run it as the owner of the tables, after `handover migrate` and whenever the catalog has changed. The role must be\n\
         -- there: CREATE ROLE {role} LOGIN PASSWORD '…'. Whatever else it was granted on these schemas' tables is taken from it.\n\
         -- To have movers rest while a standby falls behind, a superuser adds: GRANT pg_read_all_stats TO {role};",
        catalog.name
    ))?;
    output::lines(script.trim_end())?;
    Ok(Exit::Done)
}

/// Jobs go on, and are undone, with the catalog that they were planned with. One that the schema has outgrown no longer
/// runs, and needs nothing.
async fn add_catalogs_of_jobs(store: &Store, rights: &mut Rights) -> Result<Vec<String>> {
    let session = store.reader();
    let mut names = Vec::new();
    if store.check_ledger().await?.is_err() {
        return Ok(names);
    }
    let schema = host::read_schema(&session).await?;
    for (name, source) in catalogs::all(&session).await? {
        if let Ok(checked) = check(&name, &source, &schema) {
            let before = rights.clone();
            rights.add(&checked.catalog);
            if *rights != before {
                names.push(name);
            }
        }
    }
    Ok(names)
}
