//! Opens what commands need, as the settings say.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use uuid::Uuid;

use super::output;
use crate::app::{self, jobs, open, organizations};
use crate::broker::{self, Broker, BrokerError};
use crate::catalog::{Checked, Faults};
use crate::config::Settings;
use crate::contract::{OrgId, printable};
use crate::stages::Context;
use crate::store::Store;
use crate::store::ledger::jobs::Job;

/// Opens the database, and says which one.
pub async fn store(settings: &Settings) -> Result<Store> {
    let store = open::store(&settings.database).await?;
    say_which(&store, settings).await?;
    Ok(store)
}

/// Opens the database, and says which one. A file of SQLite that does not exist is created.
pub async fn created(settings: &Settings) -> Result<Store> {
    let store = open::created(&settings.database).await?;
    say_which(&store, settings).await?;
    Ok(store)
}

/// Opens the database, says which one, and checks its ledger.
pub async fn ledger(settings: &Settings) -> Result<Store> {
    let store = store(settings).await?;
    open::check_ledger(&store).await?;
    Ok(store)
}

/// Says on standard error which database a command works on.
async fn say_which(store: &Store, settings: &Settings) -> Result<()> {
    let which = format!("{}; catalog {}; {}", store.label(), settings.catalog, store.ledger_label().await?);
    output::note(format!("database: {}", printable(&which)));
    Ok(())
}

/// Reads the catalog and checks it against the database.
pub async fn catalog(settings: &Settings, store: &Store) -> Result<Checked> {
    let source = open::catalog_source(&settings.catalog)?;
    Ok(open::catalog(store, &source).await?)
}

/// Checks that the catalog's tables are in the database. The inner error says that hardly any is.
pub async fn tables(settings: &Settings, store: &Store) -> Result<std::result::Result<(), Faults>> {
    let source = open::catalog_source(&settings.catalog)?;
    match open::catalog(store, &source).await {
        Err(app::Error::CatalogFaults(faults)) if faults.elsewhere.is_some() => Ok(Err(faults)),
        // Other faults do not concern the ledger: `handover doctor` reports them.
        Ok(_) | Err(app::Error::CatalogFaults(_)) => Ok(Ok(())),
        Err(error) => Err(error.into()),
    }
}

/// Builds the context of the stages.
pub async fn context(settings: &Settings, store: Store) -> Result<Context> {
    let checked = catalog(settings, &store).await?;
    let context = open::context(store, checked, settings.limits, settings.events);
    // A version that was published replaces the catalog of the settings.
    context.catalogs.current_now(&context.store.reader()).await;
    Ok(context)
}

/// Opens the broker.
pub async fn broker(settings: &Settings, store: &Store) -> Result<Arc<dyn Broker>> {
    match broker::open(&settings.broker, store).await {
        Err(error @ BrokerError::Unreachable(_)) => bail!("{error}: {}", broker::CONNECT_HINT),
        opened => Ok(opened?),
    }
}

/// Checks that an organization exists, for a command that found nothing about it. One that left the host is still known to the
/// ledger, so commands look there first.
pub async fn organization(settings: &Settings, store: &Store, org: Option<&str>) -> Result<()> {
    let Some(org) = org.filter(|org| !org.is_empty()) else { return Ok(()) };
    let org = OrgId::try_from(org.to_owned()).map_err(|what| anyhow!("--org: {what}"))?;
    let source = open::catalog_source(&settings.catalog)?;
    match open::catalog(store, &source).await {
        Ok(checked) => Ok(organizations::check(store, &checked.catalog, &org).await?),
        // A catalog that does not fit any more cannot tell; `handover doctor` reports its faults.
        Err(app::Error::CatalogFaults(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns a job.
pub async fn job(store: &Store, id: Uuid) -> Result<Job> {
    jobs::find(store, id).await?.ok_or_else(|| unknown_job(id))
}

/// Returns the error for a job that does not exist.
pub fn unknown_job(id: Uuid) -> anyhow::Error {
    anyhow!("there is no job {id}: `handover jobs` lists all jobs")
}
