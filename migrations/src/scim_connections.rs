//! The connections of identity providers, and the deprovisionings that each of them has asked for.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

use crate::ledger::Names;

/// Adds the tables.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261205_000001_scim_connections"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let connections = ledger
            .create("scim_connections")
            // Empty where the host has no organizations.
            .col(text("org"))
            .col(text("name"))
            // Who receives the records, by kind.
            .col(json_binary("policy"))
            .col(timestamp_with_time_zone("created_at"))
            .col(text_null("last_error"))
            .col(timestamp_with_time_zone_null("last_error_at"))
            // The number of the last wave of deprovisionings that the breaker held.
            .col(big_integer("wave"))
            // Since when the breaker holds that wave. Null while it holds none.
            .col(timestamp_with_time_zone_null("tripped_at"))
            .primary_key(Index::create().col("org").col("name"))
            .to_owned();
        manager.create_table(connections).await?;
        let deprovisionings = ledger
            .create("scim_deprovisionings")
            .col(uuid("job_id").primary_key())
            .col(text("org"))
            .col(text("connection"))
            .col(timestamp_with_time_zone("at"))
            // Records move from this time on.
            .col(timestamp_with_time_zone("starts_at"))
            // The wave that it belongs to. Null outside of waves.
            .col(big_integer_null("wave"))
            .to_owned();
        manager.create_table(deprovisionings).await?;
        let create = format!(
            "CREATE INDEX handover_scim_deprovisionings_at ON {} (org, connection, at)",
            ledger.table("scim_deprovisionings")
        );
        manager.get_connection().execute_unprepared(&create).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        for table in ["scim_connections", "scim_deprovisionings"] {
            let drop_table = format!("DROP TABLE {}", ledger.table(table));
            manager.get_connection().execute_unprepared(&drop_table).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
