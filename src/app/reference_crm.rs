//! Fills the reference CRM with the example of an embedded catalog.

use handover_migrations::SEEDS;

use super::error::{Error, Result};
use crate::store::{Seeding, Store};

/// The leaver's contacts in an example, as on the help pages.
pub const CONTACTS: u64 = 104;

/// The example of a catalog.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    seed: &'static str,
}

impl Example {
    /// Returns the example of an embedded catalog.
    pub fn of(catalog: &str) -> Result<Example> {
        let found = SEEDS.into_iter().find(|(name, _)| *name == catalog).map(|(_, seed)| Example { seed });
        let names = || SEEDS.map(|(name, _)| name).join(", ");
        found.ok_or_else(|| Error::NoExample { catalog: catalog.to_owned(), with_example: names() })
    }

    /// Fills an empty reference CRM with the example's people and records.
    pub async fn fill(self, store: &Store, contacts: u64) -> Result<()> {
        match store.seed_reference_crm(self.seed, contacts).await? {
            Seeding::Seeded => Ok(()),
            Seeding::HasUsers => Err(Error::HasUsers(store.label())),
        }
    }
}
