//! The rows of the ledger's tables, as sea-orm entities. The migrations crate says what each column is for.
//!
//! An entity does not know its table's full name: `query` takes it from the dialect.

// The derives write public items without documentation.
#![allow(missing_docs)]

use sea_orm::EntityTrait;

use crate::store::dialect::LedgerTable;

/// An entity of the ledger.
pub trait LedgerEntity: EntityTrait {
    /// The table that holds its rows.
    const TABLE: LedgerTable;
}

macro_rules! entity {
    ($module:ident, $table:literal, $variant:ident, { $($fields:tt)* }) => {
        pub mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model { $($fields)* }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}

            impl super::LedgerEntity for Entity {
                const TABLE: crate::store::dialect::LedgerTable = crate::store::dialect::LedgerTable::$variant;
            }
        }
    };
}

entity!(catalog_versions, "catalog_versions", CatalogVersions, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub hash: String,
    pub published_by: String,
    pub published_at: TimeDateTimeWithTimeZone,
});

entity!(catalogs, "catalogs", Catalogs, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    pub name: String,
    pub source: String,
    pub first_used_at: TimeDateTimeWithTimeZone,
});

entity!(requests, "requests", Requests, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub request_id: String,
    pub kind: crate::contract::RequestType,
    pub body_hash: String,
    pub body: Json,
    /// The request as it was amended; none if it never was.
    pub amended: Option<Json>,
    pub job_id: Uuid,
    pub outcome: crate::contract::RequestOutcome,
    pub received_at: TimeDateTimeWithTimeZone,
});

entity!(jobs, "jobs", Jobs, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: crate::contract::RequestType,
    pub org: String,
    pub user_id: String,
    pub request_id: String,
    pub requested_by: String,
    pub reason: Option<String>,
    pub state: crate::contract::State,
    pub catalog_hash: String,
    pub license_exempt: bool,
    /// The number of the job's last event.
    pub sequence: i64,
    /// The reasons of a rejection, or of needing attention.
    pub reasons: Option<Json>,
    pub certificate: Option<Json>,
    pub wait_for: Option<Uuid>,
    /// The job that a command is about.
    pub target: Option<Uuid>,
    /// The number of times that the count has found late records.
    pub late_passes: i32,
    pub traceparent: Option<String>,
    pub effective_at: Option<TimeDateTimeWithTimeZone>,
    /// The time of its automatic undo.
    pub return_at: Option<TimeDateTimeWithTimeZone>,
    pub requested_at: TimeDateTimeWithTimeZone,
    pub started_at: Option<TimeDateTimeWithTimeZone>,
    /// The time when it ended the user's access.
    pub access_ended_at: Option<TimeDateTimeWithTimeZone>,
    pub completed_at: Option<TimeDateTimeWithTimeZone>,
    /// The time when the sweeper looks at it next.
    pub wake_at: Option<TimeDateTimeWithTimeZone>,
    /// The number of times that it was dispatched again without progress.
    pub redispatches: i32,
    /// The progress that the sweeper saw last.
    pub progress: i64,
    pub recount_at: Option<TimeDateTimeWithTimeZone>,
    pub recount_until: Option<TimeDateTimeWithTimeZone>,
});

entity!(job_references, "job_references", JobReferences, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub kind: String,
    pub deal: Json,
    pub named: Json,
    pub transfers: bool,
    pub cut: bool,
    /// The last key that was cut; none before the first.
    pub cursor: Option<Json>,
    pub next_rank: i64,
});

entity!(job_successors, "job_successors", JobSuccessors, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    pub org: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
});

entity!(chunks, "chunks", Chunks, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    pub position: i32,
    /// In an undo: the journal entry that it undoes.
    pub journal_id: Option<i64>,
    /// True if it holds records that the request names one by one, from `first_rank` on, instead of a range.
    pub named: bool,
    pub first_key: Option<Json>,
    pub last_key: Option<Json>,
    pub first_rank: i64,
    /// The number of records when it was cut.
    pub records: i64,
    pub state: crate::store::ledger::codes::ChunkState,
    /// The number of records moved, removed or set.
    pub done: i64,
    /// The number of records that the host has taken away since.
    pub changed: i64,
    pub attempts: i32,
    pub error: Option<String>,
    pub not_before: Option<TimeDateTimeWithTimeZone>,
    pub closed_at: Option<TimeDateTimeWithTimeZone>,
    pub duration_ms: Option<i32>,
});

entity!(outbox, "outbox", Outbox, {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub message_id: Uuid,
    pub channel: crate::store::ledger::codes::Channel,
    pub routing_key: String,
    pub content_type: String,
    pub headers: Json,
    pub body: Vec<u8>,
    pub job_id: Option<Uuid>,
    pub created_at: TimeDateTimeWithTimeZone,
    pub due_at: TimeDateTimeWithTimeZone,
    pub leased_until: Option<TimeDateTimeWithTimeZone>,
});

entity!(round_robin, "round_robin", RoundRobin, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub group_name: String,
    pub last_user: String,
});

entity!(audit, "audit", Audit, {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub at: TimeDateTimeWithTimeZone,
    pub org: String,
    pub actor: String,
    pub action: String,
    pub user_id: String,
    pub job_id: Option<Uuid>,
    pub request_id: String,
    pub detail: Option<Json>,
});

entity!(journal, "journal", Journal, {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub job_id: Uuid,
    pub chunk: Option<i32>,
    pub kind: String,
    pub action: crate::store::ledger::codes::Action,
    pub from_user: String,
    pub to_user: Option<String>,
    pub records: i64,
    pub keys: Option<Json>,
    pub at: TimeDateTimeWithTimeZone,
});

entity!(row_snapshots, "row_snapshots", RowSnapshots, {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub job_id: Uuid,
    pub chunk: Option<i32>,
    pub kind: String,
    pub table_name: String,
    pub from_user: String,
    /// The other user of a row between two, who must exist for it to come back. Of a moved row, the user who received it.
    pub other_user: Option<String>,
    pub content: Json,
    /// The outcome of the undo; none while there was none.
    pub outcome: Option<crate::store::ledger::codes::SnapshotOutcome>,
    pub at: TimeDateTimeWithTimeZone,
    pub keep_until: Option<TimeDateTimeWithTimeZone>,
});

entity!(scim_connections, "scim_connections", ScimConnections, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub policy: Json,
    pub created_at: TimeDateTimeWithTimeZone,
    pub last_error: Option<String>,
    pub last_error_at: Option<TimeDateTimeWithTimeZone>,
    /// The number of the last wave of deprovisionings that the breaker held.
    pub wave: i64,
    /// Since when the breaker holds that wave.
    pub tripped_at: Option<TimeDateTimeWithTimeZone>,
});

entity!(scim_deprovisionings, "scim_deprovisionings", ScimDeprovisionings, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    pub org: String,
    pub connection: String,
    pub at: TimeDateTimeWithTimeZone,
    /// Records move from this time on.
    pub starts_at: TimeDateTimeWithTimeZone,
    pub wave: Option<i64>,
});

entity!(services, "services", Services, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The request types that it may send, separated by spaces.
    pub request_types: String,
});

entity!(tokens, "tokens", Tokens, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The SHA-256 of the token, in hexadecimal.
    pub hash: String,
    pub owner_kind: crate::contract::OwnerKind,
    /// The organization; empty for an operator, and where the host has none.
    pub org: String,
    /// The id of the user, or the name of the service or operator.
    pub owner: String,
    /// Their names, separated by spaces.
    pub scopes: String,
    pub created_at: TimeDateTimeWithTimeZone,
    pub expires_at: Option<TimeDateTimeWithTimeZone>,
    pub last_used_at: Option<TimeDateTimeWithTimeZone>,
    pub revoked_at: Option<TimeDateTimeWithTimeZone>,
});

entity!(uploads, "uploads", Uploads, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The organization; empty where the host has none.
    pub org: String,
    pub owner_kind: crate::contract::OwnerKind,
    /// The id of the user, or the name of the service.
    pub owner: String,
    /// The name of the file, for messages.
    pub name: String,
    pub content: Vec<u8>,
    /// The sheet to read, the columns to ignore and the time zone.
    pub options: Json,
    pub uploaded_at: TimeDateTimeWithTimeZone,
    pub expires_at: TimeDateTimeWithTimeZone,
    /// The job of each row that was sent, by the number of the row.
    pub sent: Json,
});

entity!(scim_links, "scim_links", ScimLinks, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_key: String,
    pub external_id: Option<String>,
    pub created_at: TimeDateTimeWithTimeZone,
    /// The time when the provider removed the user.
    pub removed_at: Option<TimeDateTimeWithTimeZone>,
});

entity!(sign_ins, "sign_ins", SignIns, {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub kind: crate::contract::SignInKind,
    /// The SHA-256 of the secret, in hexadecimal.
    pub hash: String,
    /// The organization; empty where the host has none.
    pub org: String,
    pub user_id: String,
    pub created_at: TimeDateTimeWithTimeZone,
    pub expires_at: TimeDateTimeWithTimeZone,
    pub last_used_at: TimeDateTimeWithTimeZone,
    /// The time when a link was used, or a session was ended.
    pub ended_at: Option<TimeDateTimeWithTimeZone>,
});
