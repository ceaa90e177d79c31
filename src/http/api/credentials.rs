//! Checks the tokens of open streams again, so that a stream ends soon after its token or its owner's access. A stream holds no
//! connection: one task checks all tokens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::tokens;
use crate::stages::Context;

/// The interval of checks.
const INTERVAL: Duration = Duration::from_secs(2);

/// The tokens of open streams. Dropping it ends the checks.
pub struct Credentials {
    followed: Arc<Followed>,
    task: JoinHandle<()>,
}

/// Says whether a token may still be used.
pub struct Validity(watch::Receiver<bool>);

/// Each followed token, with whether it may be used.
#[derive(Default)]
struct Followed(Mutex<HashMap<String, watch::Sender<bool>>>);

impl Credentials {
    /// Starts to check tokens of this database.
    pub fn new(context: Context) -> Credentials {
        let followed = Arc::new(Followed::default());
        let task = tokio::spawn(check(context, followed.clone()));
        Credentials { followed, task }
    }

    /// Follows a token, as long as the returned value is kept.
    pub fn follow(&self, credential: &str) -> Validity {
        let mut senders = self.followed.0.lock().unwrap_or_else(PoisonError::into_inner);
        Validity(senders.entry(credential.to_owned()).or_insert_with(|| watch::channel(true).0).subscribe())
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Validity {
    /// Waits until the token may not be used any more.
    pub async fn ended(&mut self) {
        let _ = self.0.wait_for(|is_valid| !is_valid).await;
    }
}

impl Followed {
    /// Returns the tokens that are followed still.
    fn ids(&self) -> Vec<String> {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|_, sender| sender.receiver_count() > 0);
        senders.keys().cloned().collect()
    }

    fn end(&self, id: &str) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(sender) = sender {
            sender.send_replace(false);
        }
    }
}

async fn check(context: Context, followed: Arc<Followed>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        for id in followed.ids() {
            match tokens::is_valid(&context, &id).await {
                Ok(true) => {}
                Ok(false) => followed.end(&id),
                // Without the database a stream has nothing to send either.
                Err(error) => tracing::debug!(%error, "the token of a stream could not be checked"),
            }
        }
    }
}
