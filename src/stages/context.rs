//! The context of every stage: the database, the catalogs, the limits and the clock.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::stages::catalogs::Catalogs;
use crate::stages::event_settings::EventSettings;
use crate::stages::limits::Limits;
use crate::stages::throughput::Throughput;
use crate::store::ledger::jobs::Job;
use crate::store::{Result, Session, Store, host};

/// The context of every stage.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub store: Store,
    /// The catalogs.
    pub catalogs: Arc<Catalogs>,
    /// Sizes and times.
    pub limits: Limits,
    /// The events that are published.
    pub events: EventSettings,
    /// The measured time per row.
    pub throughput: Arc<Throughput>,
}

impl Context {
    /// Restricts a transaction to a job's organization, and returns the catalog that the job was planned with. Call it before
    /// the transaction touches the host.
    pub async fn enter(&self, session: &Session, job: &Job) -> Result<Arc<Catalog>> {
        let catalog = self.catalogs.of_hash(session, &job.catalog_hash).await?;
        enter(session, catalog, &job.org).await
    }
}

/// Restricts a transaction to an organization, and returns the catalog as that organization sees it.
pub async fn enter(session: &Session, catalog: Arc<Catalog>, org: &str) -> Result<Arc<Catalog>> {
    host::enter(session, &catalog, org).await?;
    Ok(match catalog.within(org) {
        Cow::Borrowed(_) => catalog.clone(),
        Cow::Owned(bounded) => Arc::new(bounded),
    })
}

/// Returns the current time in microseconds, the precision that PostgreSQL stores.
pub fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
}

/// The most doublings of a pause.
const MOST_DOUBLINGS: i32 = 6;

/// Returns the pause before a message is sent again. It doubles with every time that the message had no effect.
pub fn pause_after(first: Duration, times: i32) -> Duration {
    first * 2u32.pow(times.clamp(0, MOST_DOUBLINGS) as u32)
}
