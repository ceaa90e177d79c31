//! The ledger's tables, as statements name them.

macro_rules! ledger_tables {
    ($($variant:ident $constant:ident $name:literal,)*) => {
        /// A table of the ledger. In a statement's text it is a piece: the dialect renders its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LedgerTable {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl LedgerTable {
            /// Every table.
            pub const ALL: &[LedgerTable] = &[$(LedgerTable::$variant,)*];

            /// Returns the name, without a schema or a prefix.
            pub fn name(self) -> &'static str {
                match self {
                    $(LedgerTable::$variant => $name,)*
                }
            }
        }

        $(#[doc = concat!("The table `", $name, "`, for statements: `format!(\"FROM {", stringify!($constant), "}\")`.")]
        pub const $constant: LedgerTable = LedgerTable::$variant;)*
    };
}

ledger_tables! {
    Audit AUDIT "audit",
    CatalogVersions CATALOG_VERSIONS "catalog_versions",
    Catalogs CATALOGS "catalogs",
    Chunks CHUNKS "chunks",
    JobReferences JOB_REFERENCES "job_references",
    JobSuccessors JOB_SUCCESSORS "job_successors",
    Jobs JOBS "jobs",
    Journal JOURNAL "journal",
    Migrations MIGRATIONS "migrations",
    Outbox OUTBOX "outbox",
    Requests REQUESTS "requests",
    RoundRobin ROUND_ROBIN "round_robin",
    RowSnapshots ROW_SNAPSHOTS "row_snapshots",
    ScimConnections SCIM_CONNECTIONS "scim_connections",
    ScimDeprovisionings SCIM_DEPROVISIONINGS "scim_deprovisionings",
    ScimLinks SCIM_LINKS "scim_links",
    Services SERVICES "services",
    SignIns SIGN_INS "sign_ins",
    Tokens TOKENS "tokens",
    Uploads UPLOADS "uploads",
}
