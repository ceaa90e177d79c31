//! The links and sessions by which people sign in to the console.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

use crate::ledger::Names;

/// Adds the table.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261205_000001_sign_ins"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let sign_ins = ledger
            .create("sign_ins")
            .col(text("id").primary_key())
            // link or session.
            .col(text("kind"))
            // SHA-256, in hexadecimal. The secret itself is stored nowhere.
            .col(text("hash"))
            // Empty where the host has no organizations.
            .col(text("org"))
            .col(text("user_id"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("expires_at"))
            .col(timestamp_with_time_zone("last_used_at"))
            // The time when a link was used, or a session was ended.
            .col(timestamp_with_time_zone_null("ended_at"))
            .to_owned();
        manager.create_table(sign_ins).await?;
        let create = format!("CREATE INDEX handover_sign_ins_user ON {} (org, user_id)", ledger.table("sign_ins"));
        manager.get_connection().execute_unprepared(&create).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let drop_table = format!("DROP TABLE {}", ledger.table("sign_ins"));
        manager.get_connection().execute_unprepared(&drop_table).await.map(drop)
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
