//! Opens the database and the catalog, and says how to fix it if that fails.

use std::sync::Arc;

use super::error::{DatabaseUnavailable, Error, Result};
use crate::catalog::{Checked, EMBEDDED, check};
use crate::stages::{Catalogs, Context, EventSettings, Limits};
use crate::store::driver::{self, Driver};
use crate::store::ledger::catalogs::{self, Version};
use crate::store::{self, Cause, Store, host};

/// A catalog's name and text.
#[derive(Debug, Clone)]
pub struct CatalogSource {
    /// The name of an embedded catalog, or the path of a file.
    pub name: String,
    /// The text, in TOML.
    pub text: String,
}

/// Opens an existing database. A file of SQLite stays as it is until something is written.
pub async fn store(settings: &store::Settings) -> std::result::Result<Store, DatabaseUnavailable> {
    refuse_missing(settings)?;
    Store::open(settings).await.map_err(|error| unavailable(settings, error))
}

/// Opens an existing database for a worker.
pub async fn store_for_work(settings: &store::Settings) -> std::result::Result<Store, DatabaseUnavailable> {
    refuse_missing(settings)?;
    Store::open_for_work(settings).await.map_err(|error| unavailable(settings, error))
}

fn refuse_missing(settings: &store::Settings) -> std::result::Result<(), DatabaseUnavailable> {
    if let Some(file) = Store::missing_file(settings) {
        let found = format!("there is no database {}", file.display());
        let hint = "run `handover migrate` to create it, or set `database.url` (HANDOVER_DATABASE__URL) to yours";
        return Err(DatabaseUnavailable { found, hint });
    }
    Ok(())
}

/// Opens a database. A file of SQLite that does not exist is created.
pub async fn created(settings: &store::Settings) -> std::result::Result<Store, DatabaseUnavailable> {
    Store::create(settings).await.map_err(|error| unavailable(settings, error))
}

fn unavailable(settings: &store::Settings, store::Error { cause, .. }: store::Error) -> DatabaseUnavailable {
    let why = match cause {
        Cause::Away(why) => why,
        Cause::Contention { .. } | Cause::Refused { .. } | Cause::Unexpected(_) | Cause::Superseded => {
            cause.to_string()
        }
    };
    let found = format!("the database {} cannot be opened: {why}", without_password(&settings.url));
    let hint = driver::of_url(&settings.url).map_or("check `database.url`", Driver::hint);
    DatabaseUnavailable { found, hint }
}

/// Checks that the database has a ledger that this binary can use.
pub async fn check_ledger(store: &Store) -> Result<()> {
    store.check_ledger().await?.map_err(Error::Ledger)
}

/// Reads a catalog's text: an embedded one by name, or a file.
pub fn catalog_source(name: &str) -> Result<CatalogSource> {
    let text = match EMBEDDED.into_iter().find(|(embedded, _)| *embedded == name) {
        Some((_, text)) => text.to_owned(),
        None => {
            let embedded = EMBEDDED.map(|(name, _)| name).join(", ");
            let unreadable = |error| Error::CatalogUnreadable { name: name.to_owned(), embedded, error };
            std::fs::read_to_string(name).map_err(unreadable)?
        }
    };
    Ok(CatalogSource { name: name.to_owned(), text })
}

/// Returns the version of the catalog that is current in the ledger; none if there is no ledger or nobody has published one.
pub async fn published(store: &Store) -> Result<Option<Version>> {
    match store.check_ledger().await? {
        Ok(()) => Ok(catalogs::current_version(&store.reader()).await?),
        Err(_) => Ok(None),
    }
}

/// Checks a catalog against the database.
pub async fn catalog(store: &Store, source: &CatalogSource) -> Result<Checked> {
    let session = store.reader();
    let schema = host::read_schema(&session).await?;
    let mut checked =
        check(&source.name, &source.text, &schema).map_err(|faults| faults.in_database(&store.label()))?;
    checked.catalog.fingerprints = host::fingerprints(&session, &checked.catalog).await?;
    Ok(checked)
}

/// Builds the context of the stages from a checked catalog. Logs the catalog's warnings.
pub fn context(store: Store, checked: Checked, limits: Limits, events: EventSettings) -> Context {
    for warning in &checked.warnings {
        tracing::warn!(catalog = checked.catalog.name, line = warning.line, "{}", warning.message);
    }
    Context { store, catalogs: Arc::new(Catalogs::new(checked.catalog)), limits, events, throughput: Arc::default() }
}

/// Hides the password of a URL.
fn without_password(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else {
        return url.split(':').next().unwrap_or_default().to_owned();
    };
    if parsed.password().is_some() {
        // Fails only for URLs without a host, which have no password.
        let _ = parsed.set_password(Some("***"));
    }
    if parsed.query_pairs().any(|(name, _)| name == "password") {
        let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        let shown = pairs.iter().map(|(name, value)| (name, if name == "password" { "***" } else { value }));
        parsed.query_pairs_mut().clear().extend_pairs(shown);
    }
    parsed.to_string()
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
