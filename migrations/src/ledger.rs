//! The ledger: requests, the jobs that carry them out, and the record of what was done.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Creates the ledger.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261130_000001_ledger"
    }
}

/// States of a job that has not ended.
pub(crate) const OPEN: &str = "state IN ('scheduled', 'cutting', 'moving', 'finalizing', 'needs_attention', 'paused')";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        if ledger.has_schema {
            manager.get_connection().execute_unprepared("CREATE SCHEMA IF NOT EXISTS handover").await?;
        }
        for table in ledger.tables() {
            manager.create_table(table).await?;
        }
        for index in ledger.indexes() {
            manager.get_connection().execute_unprepared(&index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Names::of(manager)?;
        for table in ledger.tables().iter().rev() {
            if let Some(name) = table.get_table_name() {
                manager.drop_table(Table::drop().table(name.clone()).to_owned()).await?;
            }
        }
        Ok(())
    }

    /// Uses a transaction on SQLite too, so that a failure leaves no half of a ledger.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// The names of the ledger's tables on an engine.
pub(crate) struct Names {
    has_schema: bool,
}

impl Names {
    pub(crate) fn of(manager: &SchemaManager<'_>) -> Result<Names, DbErr> {
        match manager.get_database_backend() {
            DbBackend::Postgres => Ok(Names { has_schema: true }),
            DbBackend::Sqlite => Ok(Names { has_schema: false }),
            other => Err(DbErr::Migration(format!("the ledger's tables have no names in {other:?}"))),
        }
    }

    /// Returns a table's name in a statement.
    pub(crate) fn table(&self, name: &str) -> String {
        match self.has_schema {
            true => format!("handover.{name}"),
            false => format!("handover_{name}"),
        }
    }

    /// Returns an index's name in a statement that drops it.
    pub(crate) fn index(&self, name: &str) -> String {
        if self.has_schema { format!("handover.{name}") } else { name.to_owned() }
    }

    /// Begins to change a table.
    pub(crate) fn alter(&self, table: &str) -> TableAlterStatement {
        let mut alter = Table::alter();
        match self.has_schema {
            true => alter.table(("handover".into_iden(), table.to_owned().into_iden())),
            false => alter.table(format!("handover_{table}").into_iden()),
        };
        alter
    }

    /// Begins to create a table.
    pub(crate) fn create(&self, table: &str) -> TableCreateStatement {
        let mut create = Table::create();
        match self.has_schema {
            true => create.table(("handover".into_iden(), table.to_owned().into_iden())),
            false => create.table(format!("handover_{table}").into_iden()),
        };
        create
    }

    fn tables(&self) -> Vec<TableCreateStatement> {
        vec![
            self.catalogs(),
            self.requests(),
            self.jobs(),
            self.job_references(),
            self.job_successors(),
            self.chunks(),
            self.journal(),
            self.row_snapshots(),
            self.outbox(),
            self.round_robin(),
            self.audit(),
        ]
    }

    /// Each catalog that was used, by its hash: a job and its undo use the catalog of the job's plan.
    fn catalogs(&self) -> TableCreateStatement {
        self.create("catalogs")
            .col(text("hash").primary_key())
            .col(text("name"))
            .col(text("source"))
            .col(timestamp_with_time_zone("first_used_at"))
            .to_owned()
    }

    /// Each readable request, once.
    fn requests(&self) -> TableCreateStatement {
        self.create("requests")
            .col(text("org"))
            .col(text("request_id"))
            .col(text("kind"))
            .col(text("body_hash"))
            .col(json_binary("body"))
            .col(json_binary_null("amended"))
            .col(uuid("job_id"))
            .col(text("outcome"))
            .col(timestamp_with_time_zone("received_at"))
            .primary_key(Index::create().col("org").col("request_id"))
            .to_owned()
    }

    /// One leaver's handover.
    fn jobs(&self) -> TableCreateStatement {
        self.create("jobs")
            .col(uuid("id").primary_key())
            .col(text("kind"))
            .col(text("org"))
            .col(text("user_id"))
            .col(text("request_id"))
            .col(text("requested_by"))
            .col(text_null("reason"))
            .col(text("state"))
            .col(text("catalog_hash"))
            .col(boolean("license_exempt").default(false))
            .col(big_integer("sequence").default(0))
            .col(json_binary_null("reasons"))
            .col(json_binary_null("certificate"))
            .col(uuid_null("wait_for"))
            .col(uuid_null("target"))
            .col(integer("late_passes").default(0))
            .col(text_null("traceparent"))
            .col(timestamp_with_time_zone_null("effective_at"))
            .col(timestamp_with_time_zone_null("return_at"))
            .col(timestamp_with_time_zone("requested_at"))
            .col(timestamp_with_time_zone_null("started_at"))
            .col(timestamp_with_time_zone_null("completed_at"))
            .col(timestamp_with_time_zone_null("wake_at"))
            .col(integer("redispatches").default(0))
            .col(big_integer("progress").default(0))
            .col(timestamp_with_time_zone_null("recount_at"))
            .col(timestamp_with_time_zone_null("recount_until"))
            .to_owned()
    }

    /// The plan of a job for each reference, and its progress in cutting the reference into chunks.
    fn job_references(&self) -> TableCreateStatement {
        self.create("job_references")
            .col(uuid("job_id"))
            .col(integer("position"))
            .col(text("kind"))
            .col(json_binary("deal"))
            .col(json_binary("named"))
            .col(boolean("transfers"))
            .col(boolean("cut"))
            .col(json_binary_null("cursor"))
            .col(big_integer("next_rank").default(0))
            .primary_key(Index::create().col("job_id").col("position"))
            .to_owned()
    }

    /// The successors of a job: they cannot leave before it ends.
    fn job_successors(&self) -> TableCreateStatement {
        self.create("job_successors")
            .col(uuid("job_id"))
            .col(text("org"))
            .col(text("user_id"))
            .primary_key(Index::create().col("job_id").col("user_id"))
            .to_owned()
    }

    /// Bounded key ranges of a reference, each moved in one transaction.
    fn chunks(&self) -> TableCreateStatement {
        self.create("chunks")
            .col(uuid("job_id"))
            .col(integer("number"))
            .col(integer("position"))
            .col(big_integer_null("journal_id"))
            .col(boolean("named"))
            .col(json_binary_null("first_key"))
            .col(json_binary_null("last_key"))
            .col(big_integer("first_rank"))
            .col(big_integer("records"))
            .col(text("state"))
            .col(big_integer("done").default(0))
            .col(big_integer("changed").default(0))
            .col(integer("attempts").default(0))
            .col(text_null("error"))
            .col(timestamp_with_time_zone_null("not_before"))
            .col(timestamp_with_time_zone_null("closed_at"))
            .col(integer_null("duration_ms"))
            .primary_key(Index::create().col("job_id").col("number"))
            .to_owned()
    }

    /// The records that went from one user to another.
    fn journal(&self) -> TableCreateStatement {
        self.create("journal")
            .col(pk_auto_big("id"))
            .col(uuid("job_id"))
            .col(integer_null("chunk"))
            .col(text("kind"))
            .col(text("action"))
            .col(text("from_user"))
            .col(text_null("to_user"))
            .col(big_integer("records"))
            .col(json_binary_null("keys"))
            .col(timestamp_with_time_zone("at"))
            .to_owned()
    }

    /// Copies of removed rows and of replaced values; they expire.
    fn row_snapshots(&self) -> TableCreateStatement {
        self.create("row_snapshots")
            .col(pk_auto_big("id"))
            .col(uuid("job_id"))
            .col(integer_null("chunk"))
            .col(text("kind"))
            .col(text("table_name"))
            .col(text("from_user"))
            .col(text_null("other_user"))
            .col(json_binary("content"))
            .col(text_null("outcome"))
            .col(timestamp_with_time_zone("at"))
            .col(timestamp_with_time_zone_null("keep_until"))
            .to_owned()
    }

    /// Messages that commit with the transaction that wrote them. Without a broker it is the queue itself.
    fn outbox(&self) -> TableCreateStatement {
        self.create("outbox")
            .col(pk_auto_big("id"))
            .col(uuid("message_id"))
            .col(text("channel"))
            .col(text("routing_key"))
            .col(text("content_type"))
            .col(json_binary("headers"))
            .col(binary("body"))
            .col(uuid_null("job_id"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("due_at"))
            .col(timestamp_with_time_zone_null("leased_until"))
            .to_owned()
    }

    /// The member of each round-robin group who received a record last.
    fn round_robin(&self) -> TableCreateStatement {
        self.create("round_robin")
            .col(text("org"))
            .col(text("group_name"))
            .col(text("last_user"))
            .primary_key(Index::create().col("org").col("group_name"))
            .to_owned()
    }

    /// The audit trail: requester, action, time and outcome. Rows are only appended.
    fn audit(&self) -> TableCreateStatement {
        self.create("audit")
            .col(pk_auto_big("id"))
            .col(timestamp_with_time_zone("at"))
            .col(text("org"))
            .col(text("actor"))
            .col(text("action"))
            .col(text("user_id"))
            .col(uuid_null("job_id"))
            .col(text("request_id"))
            .col(json_binary_null("detail"))
            .to_owned()
    }

    fn indexes(&self) -> Vec<String> {
        let table = |name: &str| self.table(name);
        let (jobs, chunks, outbox) = (table("jobs"), table("chunks"), table("outbox"));
        let (journal, snapshots, successors) = (table("journal"), table("row_snapshots"), table("job_successors"));
        let (audit, requests) = (table("audit"), table("requests"));
        vec![
            // A user has at most one open job, whatever else goes wrong. A later migration allows one more that waits.
            format!("CREATE UNIQUE INDEX handover_jobs_open ON {jobs} (org, user_id) WHERE {OPEN}"),
            format!("CREATE INDEX handover_jobs_wake_at ON {jobs} (wake_at) WHERE wake_at IS NOT NULL"),
            format!("CREATE INDEX handover_jobs_recount_at ON {jobs} (recount_at) WHERE recount_at IS NOT NULL"),
            format!("CREATE INDEX handover_jobs_wait_for ON {jobs} (wait_for) WHERE wait_for IS NOT NULL"),
            format!("CREATE INDEX handover_jobs_requested_at ON {jobs} (requested_at)"),
            format!("CREATE INDEX handover_requests_job ON {requests} (job_id)"),
            format!("CREATE INDEX handover_job_successors_user ON {successors} (org, user_id)"),
            format!("CREATE INDEX handover_chunks_open ON {chunks} (job_id, number) WHERE state = 'open'"),
            format!("CREATE INDEX handover_journal_job ON {journal} (job_id)"),
            format!("CREATE INDEX handover_row_snapshots_job ON {snapshots} (job_id)"),
            // Snapshots that can still be restored, by the user who left and by the other user of the row.
            format!("CREATE INDEX handover_row_snapshots_from ON {snapshots} (from_user, id) WHERE outcome IS NULL"),
            format!(
                "CREATE INDEX handover_row_snapshots_other ON {snapshots} (other_user, id) WHERE outcome IS NULL AND other_user IS NOT NULL"
            ),
            format!("CREATE INDEX handover_jobs_user ON {jobs} (org, user_id, requested_at)"),
            format!(
                "CREATE INDEX handover_row_snapshots_keep_until ON {snapshots} (keep_until) WHERE keep_until IS NOT NULL"
            ),
            format!("CREATE INDEX handover_outbox_due ON {outbox} (channel, id)"),
            format!("CREATE INDEX handover_audit_job ON {audit} (job_id)"),
            // The trail of a user, of an actor, and of a time, each in the order in which it was written.
            format!("CREATE INDEX handover_audit_user ON {audit} (user_id, id)"),
            format!("CREATE INDEX handover_audit_actor ON {audit} (actor, id)"),
            format!("CREATE INDEX handover_audit_at ON {audit} (at)"),
        ]
    }
}

/// Returns a row number that the database never gives twice.
fn pk_auto_big(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.big_integer().not_null().auto_increment().primary_key();
    column
}
