//! The catalogs that a process works with: the current one, and those that earlier jobs were planned with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use time::OffsetDateTime;
use tokio::sync::RwLock;

use crate::catalog::{Catalog, check};
use crate::store::ledger::catalogs;
use crate::store::{Error, Result, Session, Store, host};

/// The catalog of new jobs, and the catalogs of earlier jobs by their hash.
pub struct Catalogs {
    current: Arc<Catalog>,
    /// True once this process has committed the current catalog's text to the ledger.
    is_kept: AtomicBool,
    by_hash: RwLock<HashMap<String, Arc<Catalog>>>,
}

impl Catalogs {
    /// Creates the set with the catalog of new jobs.
    pub fn new(current: Catalog) -> Catalogs {
        let current = Arc::new(current);
        let by_hash = RwLock::new(HashMap::from([(current.hash.clone(), current.clone())]));
        Catalogs { current, is_kept: AtomicBool::new(false), by_hash }
    }

    /// Returns the catalog of new jobs.
    pub fn current(&self) -> Arc<Catalog> {
        self.current.clone()
    }

    /// Stores the current catalog's text in the ledger, in a transaction that creates jobs. Call [`Catalogs::kept`] once that
    /// transaction has committed: later ones then skip this.
    pub async fn keep(&self, session: &Session, now: OffsetDateTime) -> Result<()> {
        match self.is_kept.load(Ordering::Relaxed) {
            true => Ok(()),
            false => catalogs::remember(session, &self.current, now).await,
        }
    }

    /// Records that a transaction which stored the catalog's text has committed.
    pub fn kept(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Returns the catalog that a job was planned with, checked against the current schema.
    pub async fn of_hash(&self, store: &Store, hash: &str) -> Result<Arc<Catalog>> {
        if let Some(catalog) = self.by_hash.read().await.get(hash) {
            return Ok(catalog.clone());
        }
        let doing = "loading the catalog that a job was planned with";
        let session = store.reader();
        let Some((name, source)) = catalogs::get(&session, hash).await? else {
            return Err(Error::unexpected(doing, format!("the ledger has no catalog {hash}")));
        };
        let schema = host::read_schema(&session).await?;
        let checked = check(&name, &source, &schema).map_err(|faults| Error::unexpected(doing, faults.to_string()))?;
        let catalog = Arc::new(checked.catalog);
        self.by_hash.write().await.insert(hash.to_owned(), catalog.clone());
        Ok(catalog)
    }
}
