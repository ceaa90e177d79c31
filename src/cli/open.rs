//! Opens what commands need: the database, the catalog, the broker, a job.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use uuid::Uuid;

use crate::app::jobs;
use crate::broker::{self, Broker, BrokerError};
use crate::catalog::{Checked, EMBEDDED, check};
use crate::config::Settings;
use crate::stages::{Catalogs, Context};
use crate::store::ledger::jobs::Job;
use crate::store::{Cause, Error, Store, host};

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{found}: {hint}")]
pub struct DatabaseUnavailable {
    /// The cause.
    pub found: String,
    /// How to fix it.
    pub hint: &'static str,
}

/// Opens the database.
pub async fn store(settings: &Settings) -> std::result::Result<Store, DatabaseUnavailable> {
    let Settings { database, .. } = settings;
    Store::open(database).await.map_err(|Error { cause, .. }| {
        let why = match cause {
            Cause::Away(why) => why,
            other => other.to_string(),
        };
        let found = format!("the database {} cannot be opened: {why}", without_password(&database.url));
        let hint = match database.url.starts_with("sqlite") {
            true => "check `database.url`: the file, its folder, and their permissions",
            false => "check `database.url`: that the server runs and is reachable, the name of the database, the role and its password",
        };
        DatabaseUnavailable { found, hint }
    })
}

/// Opens the database and checks its ledger.
pub async fn ledger(settings: &Settings) -> Result<Store> {
    let store = store(settings).await?;
    if let Err(what) = store.check_ledger().await? {
        bail!("{what}");
    }
    Ok(store)
}

/// Reads the catalog and checks it against the database.
pub async fn catalog(settings: &Settings, store: &Store) -> Result<Checked> {
    let (name, source) = catalog_source(&settings.catalog)?;
    let schema = host::read_schema(&store.reader()).await?;
    Ok(check(&name, &source, &schema)?)
}

/// Reads a catalog's text: an embedded one by name, or a file.
pub fn catalog_source(name: &str) -> Result<(String, String)> {
    if let Some((name, source)) = EMBEDDED.into_iter().find(|(embedded, _)| *embedded == name) {
        return Ok((name.to_owned(), source.to_owned()));
    }
    let source = std::fs::read_to_string(name).with_context(|| {
        let names = EMBEDDED.map(|(name, _)| name).join(", ");
        format!("the catalog {name} cannot be read: name a file, or an embedded catalog ({names})")
    })?;
    Ok((name.to_owned(), source))
}

/// Builds the context of the stages.
pub async fn context(settings: &Settings, store: Store) -> Result<Context> {
    let checked = catalog(settings, &store).await?;
    for warning in &checked.warnings {
        tracing::warn!(catalog = checked.catalog.name, line = warning.line, "{}", warning.message);
    }
    Ok(Context {
        store,
        catalogs: Arc::new(Catalogs::new(checked.catalog)),
        limits: settings.limits,
        throughput: Arc::default(),
    })
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

/// Hides the password of a URL.
fn without_password(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) => {
            if parsed.password().is_some() {
                // Fails only for URLs that have no host, and so no password.
                let _ = parsed.set_password(Some("***"));
            }
            if parsed.query_pairs().any(|(name, _)| name == "password") {
                let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
                let shown = pairs.iter().map(|(name, value)| (name, if name == "password" { "***" } else { value }));
                parsed.query_pairs_mut().clear().extend_pairs(shown);
            }
            parsed.to_string()
        }
        Err(_) => url.split(':').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(without_password("postgres://me:secret@db/crm"), "postgres://me:***@db/crm");
        assert_eq!(without_password("sqlite://handover.db?mode=rwc"), "sqlite://handover.db?mode=rwc");
        assert!(!without_password("postgres://me:se cret@[db/crm").contains("cret"));
        let in_query = "postgres://db/crm?user=me&password=secret&sslmode=verify-full";
        assert_eq!(without_password(in_query), "postgres://db/crm?user=me&password=***&sslmode=verify-full");
    }
}
