//! The keys that identity providers have for users.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

use crate::ledger::Names;

/// Adds the table.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261206_000001_scim_links"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let links = ledger
            .create("scim_links")
            // Empty where the host has no organizations.
            .col(text("org"))
            .col(text("connection"))
            // The user's key, as the host writes it.
            .col(text("user_key"))
            // The provider's key of the user. It is unique for each connection, and never an id of the host.
            .col(text_null("external_id"))
            .col(timestamp_with_time_zone("created_at"))
            // The time when the provider removed the user, who has no key then. It does not see them while they are inactive.
            .col(timestamp_with_time_zone_null("removed_at"))
            .primary_key(Index::create().col("org").col("connection").col("user_key"))
            .to_owned();
        manager.create_table(links).await?;
        let create = format!(
            "CREATE UNIQUE INDEX handover_scim_links_external_id ON {} (org, connection, external_id)",
            ledger.table("scim_links")
        );
        manager.get_connection().execute_unprepared(&create).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let drop_table = format!("DROP TABLE {}", ledger.table("scim_links"));
        manager.get_connection().execute_unprepared(&drop_table).await.map(drop)
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
