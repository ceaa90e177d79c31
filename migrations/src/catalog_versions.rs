//! The versions of the current catalog: each is published by a person, and replaces the one before it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

use crate::ledger::Names;

/// Adds the table.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261202_000002_catalog_versions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut version = ColumnDef::new("version");
        version.big_integer().not_null().primary_key();
        let table = Names::of(manager)?
            .create("catalog_versions")
            .col(version)
            .col(text("hash"))
            .col(text("published_by"))
            .col(timestamp_with_time_zone("published_at"))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Names::of(manager)?.table("catalog_versions");
        manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await.map(drop)
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
