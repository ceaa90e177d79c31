//! The reference CRM: the host that the demo and the tests run on, and the example for hosts of one's own.
//!
//! It is large enough for the three help pages at once, and built like such schemas are: a `bigint` key a record, an
//! owner and a creator beside it, join tables with composite keys, a foreign key wherever a row points at a user,
//! and an index on (user, key) behind each of those. The same on PostgreSQL and SQLite.
//!
//! [`people`] has who there is and how they get in, [`records`] what they own, [`teams`] with whom they work on it,
//! [`administration`] what they are in charge of.

mod administration;
mod people;
mod records;
mod table;
mod teams;

use sea_orm_migration::prelude::*;
use table::CrmTable;

/// Creates the reference CRM, empty but for its built-in roles; `seed/keap.sql` fills it for the demo.
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

    /// On SQLite too, so that a failure halfway leaves no half of a schema.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Every table, each after those that it refers to.
fn tables() -> Vec<CrmTable> {
    [people::tables(), records::tables(), teams::tables(), administration::tables()].into_iter().flatten().collect()
}
