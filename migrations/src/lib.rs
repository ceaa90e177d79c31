//! The schemas of Handover's ledger and of the reference CRM, on which its demo and tests run.
//!
//! There are two migrators because the schemas have two owners. [`Ledger`] is Handover's own: in PostgreSQL in a schema
//! `handover`, in SQLite with the prefix `handover_`, so that no name of a host can collide. [`ReferenceCrm`] is a host like
//! any other.

mod access_ended;
mod catalog_versions;
mod crm;
mod job_chain;
mod ledger;
mod outbox_due;
mod scim_connections;
mod scim_links;
mod sign_ins;
mod tokens;
mod uploads;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::{DynIden, IntoIden, MigrationTrait};

/// The format of the ledger. It changes when the initial migration is replaced.
pub const LEDGER_FORMAT: u32 = 2;

/// The initial migrations of former formats, which no migration leads on from.
pub const FORMER_LEDGERS: [(&str, u32); 1] = [("m20261122_000001_ledger", 1)];

/// The example of the Keap help page, for `{records}` contacts.
pub const KEAP_SEED: &str = include_str!("../seed/keap.sql");

/// The example of the Agent Connect help page, for `{records}` contacts.
pub const AGENT_CONNECT_SEED: &str = include_str!("../seed/agent-connect.sql");

/// The example of the Apto help page, for `{records}` contacts.
pub const APTO_SEED: &str = include_str!("../seed/apto.sql");

/// Every seed, by the name of the catalog whose rules it is for.
pub const SEEDS: [(&str, &str); 3] = [("keap", KEAP_SEED), ("agent-connect", AGENT_CONNECT_SEED), ("apto", APTO_SEED)];

/// Moves the sequences of an engine that has any past the ids that seeds give.
pub const SEQUENCES: &str = include_str!("../seed/postgres_sequences.sql");

/// The ledger.
pub struct Ledger;

impl Ledger {
    /// The names of its migrations, oldest first.
    pub fn versions() -> Vec<String> {
        Ledger::migrations().iter().map(|migration| migration.name().to_owned()).collect()
    }
}

#[async_trait::async_trait]
impl MigratorTrait for Ledger {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(ledger::Migration),
            Box::new(access_ended::Migration),
            Box::new(outbox_due::Migration),
            Box::new(catalog_versions::Migration),
            Box::new(job_chain::Migration),
            Box::new(tokens::Migration),
            Box::new(scim_connections::Migration),
            Box::new(uploads::Migration),
            Box::new(scim_links::Migration),
            Box::new(sign_ins::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        "handover_migrations".into_iden()
    }
}

/// The reference CRM.
pub struct ReferenceCrm;

#[async_trait::async_trait]
impl MigratorTrait for ReferenceCrm {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(crm::Migration)]
    }

    fn migration_table_name() -> DynIden {
        "reference_crm_migrations".into_iden()
    }
}
