//! The index of due messages: those that are due in weeks must not slow down the claim of those that are due now.

use sea_orm_migration::prelude::*;

use crate::ledger::Names;

/// Adds the index.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261202_000001_outbox_due"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let outbox = Names::of(manager)?.table("outbox");
        let create = format!("CREATE INDEX handover_outbox_due_at ON {outbox} (channel, due_at, id)");
        manager.get_connection().execute_unprepared(&create).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop_index = format!("DROP INDEX {}", Names::of(manager)?.index("handover_outbox_due_at"));
        manager.get_connection().execute_unprepared(&drop_index).await.map(drop)
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
