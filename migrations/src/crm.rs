//! The reference CRM: the host that the demo and the tests run on, and an example for your own host.
//!
//! It is large enough for the three help pages, and has a usual shape: a `bigint` key for each record, an owner and a
//! creator, join tables with composite keys, a foreign key wherever a row points at a user, and an index on (user, key) for
//! each of those. It is the same on PostgreSQL and SQLite.
//!
//! [`people`] holds users and their access, [`records`] what they own, [`teams`] whom they work with, and
//! [`administration`] their duties.

mod administration;
mod people;
mod records;
mod table;
mod teams;

use sea_orm_migration::prelude::*;
use table::CrmTable;

/// Creates the reference CRM, empty except for its built-in roles. `seed/keap.sql` fills it for the demo.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20260101_000001_reference_crm"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            table.create(manager).await?;
        }
        people::insert_built_in_roles(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables().iter().rev() {
            table.drop(manager).await?;
        }
        Ok(())
    }

    /// Uses a transaction on SQLite too, so that a failure leaves no half of a schema.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Returns every table, each after those that it refers to.
fn tables() -> Vec<CrmTable> {
    [people::tables(), records::tables(), teams::tables(), administration::tables()].into_iter().flatten().collect()
}
