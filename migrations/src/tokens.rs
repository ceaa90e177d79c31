//! The tokens of the HTTP API, and the services that some of them belong to.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

use crate::ledger::Names;

/// Adds the tables.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261204_000001_tokens"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let tokens = ledger
            .create("tokens")
            .col(text("id").primary_key())
            // SHA-256, in hexadecimal. The token itself is stored nowhere.
            .col(text("hash"))
            .col(text("owner_kind"))
            // Empty for an operator, and where the host has no organizations.
            .col(text("org"))
            // The user's id, or the name of the service or operator.
            .col(text("owner"))
            // Names, separated by spaces.
            .col(text("scopes"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone_null("expires_at"))
            .col(timestamp_with_time_zone_null("last_used_at"))
            .col(timestamp_with_time_zone_null("revoked_at"))
            .to_owned();
        manager.create_table(tokens).await?;
        let services = ledger
            .create("services")
            .col(text("org"))
            .col(text("name"))
            // The request types that it may send, separated by spaces.
            .col(text("request_types"))
            .primary_key(Index::create().col("org").col("name"))
            .to_owned();
        manager.create_table(services).await?;
        let create = format!("CREATE INDEX handover_tokens_owner ON {} (org, owner)", ledger.table("tokens"));
        manager.get_connection().execute_unprepared(&create).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        for table in ["tokens", "services"] {
            let drop_table = format!("DROP TABLE {}", ledger.table(table));
            manager.get_connection().execute_unprepared(&drop_table).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
