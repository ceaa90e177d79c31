//! Opens what commands need, as the settings say.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use uuid::Uuid;

use crate::app::jobs;
use crate::app::{DatabaseUnavailable, open};
use crate::broker::{self, Broker, BrokerError};
use crate::catalog::Checked;
use crate::config::Settings;
use crate::stages::Context;
use crate::store::Store;
use crate::store::ledger::jobs::Job;

/// Opens the database.
pub async fn store(settings: &Settings) -> std::result::Result<Store, DatabaseUnavailable> {
    open::store(&settings.database).await
}

/// Opens the database and checks its ledger.
pub async fn ledger(settings: &Settings) -> Result<Store> {
    Ok(open::ledger(&settings.database).await?)
}

/// Reads the catalog and checks it against the database.
pub async fn catalog(settings: &Settings, store: &Store) -> Result<Checked> {
    let source = open::catalog_source(&settings.catalog)?;
    Ok(open::catalog(store, &source).await?)
}

/// Builds the context of the stages.
pub async fn context(settings: &Settings, store: Store) -> Result<Context> {
    let checked = catalog(settings, &store).await?;
    Ok(open::context(store, checked, settings.limits))
}

/// Opens the broker.
pub async fn broker(settings: &Settings, store: &Store) -> Result<Arc<dyn Broker>> {
    match broker::open(&settings.broker, store).await {
        Err(error @ BrokerError::Unreachable(_)) => bail!("{error}: {}", broker::CONNECT_HINT),
        opened => Ok(opened?),
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
