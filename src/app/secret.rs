//! Secrets that a credential consists of: tokens, links and sessions.
//!
//! A secret is `<prefix><id>_<random>`. The ledger has its id and its SHA-256: it has 244 random bits, so a slow hash would add
//! nothing.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::contract::hex;

/// The length of an id, in hexadecimal digits.
const ID_DIGITS: usize = 16;

/// A secret.
pub struct Secret {
    /// The id.
    pub id: String,
    /// The whole secret, as its owner shows it.
    pub text: String,
}

impl Secret {
    /// Creates a secret.
    pub fn new(prefix: &str) -> Secret {
        let id: String = Uuid::new_v4().simple().to_string().chars().take(ID_DIGITS).collect();
        let text = format!("{prefix}{id}_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Secret { id, text }
    }

    /// Reads a text that has the form of a secret with this prefix.
    pub fn read(prefix: &str, text: &str) -> Option<Secret> {
        let (id, random) = text.strip_prefix(prefix)?.split_once('_')?;
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_secret = id.len() == ID_DIGITS && random.len() == 64 && is_hex(id) && is_hex(random);
        is_secret.then(|| Secret { id: id.to_owned(), text: text.to_owned() })
    }

    /// Returns the SHA-256, in hexadecimal.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(&self.text))
    }
}
