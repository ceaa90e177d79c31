//! The reference CRM: a sample host with an example for each embedded catalog.

use handover_migrations::{MigratorTrait, ReferenceCrm, SEQUENCES};

use super::{Error, Result, Store};

/// The outcome of filling the reference CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeding {
    /// It has the example's people and records now.
    Seeded,
    /// It has users already, and is unchanged.
    HasUsers,
}

impl Store {
    /// Creates the reference CRM in the same database, or brings it up to date.
    pub async fn migrate_reference_crm(&self) -> Result<()> {
        let migrated = ReferenceCrm::up(self.writer(), None).await;
        migrated.map_err(|error| Error::of("migrating the reference CRM", &error))
    }

    /// Fills an empty reference CRM, in one transaction. `seed` is the script of an example, for this number of contacts.
    pub async fn seed_reference_crm(&self, seed: &str, contacts: u64) -> Result<Seeding> {
        let doing = "filling the reference CRM";
        let session = self.begin(doing).await?;
        if session.one(doing, session.sql("SELECT 1 AS one FROM users LIMIT 1")).await?.is_some() {
            return Ok(Seeding::HasUsers);
        }
        session.run_script(doing, &seed.replace("{records}", &contacts.to_string())).await?;
        if self.capabilities().separate_sequences {
            session.run_script(doing, SEQUENCES).await?;
        }
        session.commit().await?;
        Ok(Seeding::Seeded)
    }
}
