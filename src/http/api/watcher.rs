//! Follows jobs for callers who wait or stream: one look for all of them, once a second. Waiting holds no connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::app::jobs::{self, Progress};
use crate::store::Store;

/// The pause before the first look at a job that is new here. It doubles up to [`INTERVAL`].
const FIRST: Duration = Duration::from_millis(50);

/// The interval of looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Jobs of one look, at most.
const MOST: usize = 500;

/// The progress of a job; nothing before the first look.
pub type Followed = watch::Receiver<Option<Progress>>;

/// Follows jobs. Dropping it ends the looks.
pub struct Watcher {
    followed: Arc<Jobs>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Jobs {
    senders: Mutex<HashMap<Uuid, watch::Sender<Option<Progress>>>>,
    added: Notify,
}

impl Watcher {
    /// Starts to follow jobs of this database.
    pub fn new(store: Store) -> Watcher {
        let followed = Arc::new(Jobs::default());
        let task = tokio::spawn(look(store, followed.clone()));
        Watcher { followed, task }
    }

    /// Follows a job, as long as the returned value is kept.
    pub fn follow(&self, job: Uuid) -> Followed {
        let mut senders = self.followed.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut receiver = senders.entry(job).or_insert_with(|| watch::channel(None).0).subscribe();
        // What others have seen is new to this one.
        receiver.mark_changed();
        self.followed.added.notify_one();
        receiver
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Jobs {
    /// Returns the jobs that are followed still.
    fn ids(&self) -> Vec<Uuid> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|_, sender| sender.receiver_count() > 0);
        senders.keys().copied().collect()
    }

    fn publish(&self, found: HashMap<Uuid, Progress>) {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, progress) in found {
            let Some(sender) = senders.get(&id) else { continue };
            sender.send_if_modified(|known| {
                let is_new = known.as_ref() != Some(&progress);
                if is_new {
                    *known = Some(progress);
                }
                is_new
            });
        }
    }
}

async fn look(store: Store, followed: Arc<Jobs>) {
    let mut pause = FIRST;
    loop {
        let ids = followed.ids();
        if ids.is_empty() {
            followed.added.notified().await;
            pause = FIRST;
        } else {
            let added = tokio::time::timeout(pause, followed.added.notified()).await.is_ok();
            pause = if added { FIRST } else { (pause * 2).min(INTERVAL) };
            tokio::time::sleep(if added { FIRST } else { Duration::ZERO }).await;
        }
        for ids in followed.ids().chunks(MOST) {
            match jobs::progress_of(&store, ids).await {
                Ok(found) => followed.publish(found),
                Err(error) => tracing::debug!(%error, "followed jobs could not be read"),
            }
        }
    }
}
