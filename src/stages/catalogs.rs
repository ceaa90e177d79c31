//! The catalogs that a process works with: the current one, and those that earlier jobs were planned with.
//!
//! Each is compared with the schema every few seconds, and at once after an error that a changed schema explains. A catalog whose
//! tables have changed is checked again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::RwLock;

use crate::catalog::{Catalog, check};
use crate::store::ledger::catalogs;
use crate::store::{Error, Result, Session, host};

/// The time for which a comparison with the schema holds. Transactions that delete rows compare by themselves, too.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The same of a catalog that did not fit: its deletions are refused until it does.
const UNFIT_FOR: Duration = Duration::from_millis(250);

const DOING: &str = "checking a catalog against the schema";

/// The catalog of new jobs, and the catalogs of earlier jobs by their hash.
pub struct Catalogs {
    current: std::sync::RwLock<Arc<Catalog>>,
    /// True once this process has committed the current catalog's text to the ledger.
    is_kept: AtomicBool,
    /// The time at which the ledger was last asked for the current version.
    followed: Mutex<Option<Instant>>,
    by_hash: RwLock<HashMap<String, Compared>>,
}

/// A catalog, and when it was last compared with the schema.
struct Compared {
    catalog: Arc<Catalog>,
    at: Instant,
    /// False if the schema has changed and the catalog does not fit it any more.
    fits: bool,
}

impl Compared {
    fn now(catalog: Arc<Catalog>, fits: bool) -> Compared {
        Compared { catalog, at: Instant::now(), fits }
    }

    fn is_fresh(&self, session: &Session) -> bool {
        let fresh_for = if self.fits { FRESH_FOR } else { UNFIT_FOR };
        self.at.elapsed() < fresh_for && !session.schema_watch().was_suspected_since(self.at)
    }
}

impl Catalogs {
    /// Creates the set with the catalog of new jobs.
    pub fn new(current: Catalog) -> Catalogs {
        let current = Arc::new(current);
        let by_hash = RwLock::new(HashMap::from([(current.hash.clone(), Compared::now(current.clone(), true))]));
        Catalogs { current: current.into(), is_kept: AtomicBool::new(false), followed: Mutex::default(), by_hash }
    }

    /// Returns the catalog of new jobs, as it was last compared with the schema.
    pub fn current(&self) -> Arc<Catalog> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the catalog of new jobs: the version that is current in the ledger, compared with the schema a few seconds ago at most.
    /// If that is impossible, the one before it; the transactions that use it will fail by themselves.
    pub async fn current_now(&self, session: &Session) -> Arc<Catalog> {
        let current = self.current();
        let followed = match self.is_followed() {
            true => Ok(current.hash.clone()),
            false => self.follow(session, &current).await,
        };
        let compared = match followed {
            Ok(hash) => self.of_hash(session, &hash).await,
            Err(error) => Err(error),
        };
        match compared {
            Ok(catalog) => catalog,
            Err(error) => {
                tracing::warn!(%error, "the current catalog cannot be compared with the ledger and the schema");
                current
            }
        }
    }

    fn is_followed(&self) -> bool {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.is_some_and(|followed| followed.elapsed() < FRESH_FOR)
    }

    /// Makes the version current that is current in the ledger, if there is one, and returns its hash. One that does not fit the
    /// schema is not used.
    async fn follow(&self, session: &Session, current: &Catalog) -> Result<String> {
        let hash = catalogs::current_version(session).await?.map_or(current.hash.clone(), |version| version.hash);
        if hash != current.hash {
            let catalog = self.of_hash(session, &hash).await?;
            tracing::info!(catalog = catalog.name, hash, "another catalog is current");
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = catalog;
            self.kept();
        }
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(hash)
    }

    /// Stores the current catalog's text in the ledger, in a transaction that creates jobs. Call [`Catalogs::kept`] once that
    /// transaction has committed: later ones then skip this.
    pub async fn keep(&self, session: &Session, now: OffsetDateTime) -> Result<()> {
        match self.is_kept.load(Ordering::Relaxed) {
            true => Ok(()),
            false => catalogs::remember(session, &self.current(), now).await,
        }
    }

    /// Records that a transaction which stored the catalog's text has committed.
    pub fn kept(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Returns the catalog that a job was planned with, compared with the schema a few seconds ago at most.
    pub async fn of_hash(&self, session: &Session, hash: &str) -> Result<Arc<Catalog>> {
        let is_fresh = |compared: &&Compared| compared.is_fresh(session);
        if let Some(compared) = self.by_hash.read().await.get(hash).filter(is_fresh) {
            return Ok(compared.catalog.clone());
        }
        let mut by_hash = self.by_hash.write().await;
        let compared = match by_hash.get(hash) {
            Some(compared) if compared.is_fresh(session) => return Ok(compared.catalog.clone()),
            Some(compared) => compare(session, &compared.catalog).await?,
            None => Compared::now(load(session, hash).await?, true),
        };
        session.schema_watch().verify();
        let catalog = compared.catalog.clone();
        by_hash.insert(hash.to_owned(), compared);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.hash == hash {
            *current = catalog.clone();
        }
        Ok(catalog)
    }
}

/// Compares a catalog with the schema, and checks it again if its tables have changed. A catalog that does not fit any more stays
/// as it was: deletions are refused, and its faults are logged.
async fn compare(session: &Session, catalog: &Arc<Catalog>) -> Result<Compared> {
    let fingerprints = host::fingerprints(session, catalog).await?;
    if catalog.fingerprints == fingerprints {
        return Ok(Compared::now(catalog.clone(), true));
    }
    if catalog.fingerprints.is_empty() {
        return Ok(Compared::now(Arc::new(Catalog { fingerprints, ..Catalog::clone(catalog) }), true));
    }
    session.schema_watch().renew();
    match check_now(session, &catalog.name, &catalog.source).await {
        Ok(changed) => {
            tracing::info!(catalog = changed.name, "the schema has changed; the catalog was checked again");
            Ok(Compared::now(Arc::new(Catalog { fingerprints, ..changed }), true))
        }
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            tracing::error!(catalog = catalog.name, %error, "the schema has changed, and the catalog does not fit it any more");
            Ok(Compared::now(catalog.clone(), false))
        }
    }
}

/// Reads a catalog from the ledger.
async fn load(session: &Session, hash: &str) -> Result<Arc<Catalog>> {
    let Some((name, source)) = catalogs::get(session, hash).await? else {
        return Err(Error::unexpected(DOING, format!("the ledger has no catalog {hash}")));
    };
    // The fingerprints are read before the schema: a change between the two is found later.
    let fingerprints = host::fingerprints(session, &check_now(session, &name, &source).await?).await?;
    Ok(Arc::new(Catalog { fingerprints, ..check_now(session, &name, &source).await? }))
}

async fn check_now(session: &Session, name: &str, source: &str) -> Result<Catalog> {
    let schema = host::read_schema(session).await?;
    let checked = check(name, source, &schema).map_err(|faults| Error::unexpected(DOING, faults.to_string()))?;
    Ok(checked.catalog)
}
