//! Any number of open jobs of a user, each of which waits for the one before it.

use sea_orm_migration::prelude::*;

use crate::ledger::{Names, OPEN};

/// Widens the index of open jobs.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261203_000001_job_chain"
    }
}

/// The job that a job waits for, or a value that no job has.
const PLACE: &str = "coalesce(wait_for, '00000000-0000-0000-0000-000000000000')";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Of a user's open jobs one runs, and no two wait for the same one, whatever else goes wrong.
        replace(manager, PLACE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace(manager, "(wait_for IS NOT NULL)").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

async fn replace(manager: &SchemaManager<'_>, place: &str) -> Result<(), DbErr> {
    let ledger = Names::of(manager)?;
    let jobs = ledger.table("jobs");
    for statement in [
        format!("DROP INDEX {}", ledger.index("handover_jobs_open")),
        format!("CREATE UNIQUE INDEX handover_jobs_open ON {jobs} (org, user_id, ({place})) WHERE {OPEN}"),
    ] {
        manager.get_connection().execute_unprepared(&statement).await?;
    }
    Ok(())
}
