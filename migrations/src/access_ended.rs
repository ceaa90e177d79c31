//! The time when a job ended its user's access, which may be before the handover begins; and a second open job of a user, which waits
//! for the first.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

use crate::ledger::{Names, OPEN};

/// Adds the time, and widens the index of open jobs.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261201_000001_access_ended"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let jobs = ledger.table("jobs");
        manager
            .alter_table(ledger.alter("jobs").add_column(timestamp_with_time_zone_null("access_ended_at")).to_owned())
            .await?;
        let began = "kind = 'deactivate' AND started_at IS NOT NULL";
        for statement in [
            format!("UPDATE {jobs} SET access_ended_at = started_at WHERE {began}"),
            format!("DROP INDEX {}", ledger.index("handover_jobs_open")),
            // A user has at most one open job that runs and one that waits, whatever else goes wrong.
            format!(
                "CREATE UNIQUE INDEX handover_jobs_open ON {jobs} (org, user_id, (wait_for IS NOT NULL)) WHERE {OPEN}"
            ),
        ] {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        let jobs = ledger.table("jobs");
        for statement in [
            format!("DROP INDEX {}", ledger.index("handover_jobs_open")),
            format!("CREATE UNIQUE INDEX handover_jobs_open ON {jobs} (org, user_id) WHERE {OPEN}"),
        ] {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        manager.alter_table(ledger.alter("jobs").drop_column("access_ended_at").to_owned()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
