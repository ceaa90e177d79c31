//! Files with one leaver per row that were uploaded over HTTP.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

use crate::ledger::Names;

/// Adds the table.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261205_000001_uploads"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let uploads = ledger
            .create("uploads")
            // Made from the uploader, the content and the options: the same file is one upload.
            .col(uuid("id").primary_key())
            // Empty where the host has no organizations.
            .col(text("org"))
            .col(text("owner_kind"))
            // The user's id, or the name of the service.
            .col(text("owner"))
            .col(text("name"))
            .col(blob("content"))
            .col(json_binary("options"))
            .col(timestamp_with_time_zone("uploaded_at"))
            .col(timestamp_with_time_zone("expires_at"))
            // The jobs of the rows that were sent, by row number.
            .col(json_binary("sent"))
            .to_owned();
        manager.create_table(uploads).await?;
        for index in ["owner ON {} (org, owner)", "expires ON {} (expires_at)"] {
            let create = format!("CREATE INDEX handover_uploads_{}", index.replace("{}", &ledger.table("uploads")));
            manager.get_connection().execute_unprepared(&create).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop_table = format!("DROP TABLE {}", Names::of(manager)?.table("uploads"));
        manager.get_connection().execute_unprepared(&drop_table).await.map(drop)
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
