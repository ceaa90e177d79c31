//! Shared by the targets: the reference CRM's schema, read once from a new database.

use std::sync::LazyLock;
use std::time::Duration;

use handover::catalog::{Catalog, EMBEDDED, Schema, check};
use handover::store::{Settings, Store, host};

/// The reference CRM's schema in SQLite.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(read_schema);

/// The `keap` catalog on that schema.
pub static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| check("keap", EMBEDDED[0].1, &SCHEMA).expect("it fits").catalog);

fn read_schema() -> Schema {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        url: format!("sqlite://{}?mode=rwc", folder.path().join("crm.db").display()),
        max_connections: 2,
        lock_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(5),
        idle_in_transaction_timeout: Duration::from_secs(5),
        acquire_timeout: Duration::from_secs(5),
        time_zone: String::new(),
    };
    runtime.block_on(async {
        let store = Store::create(&settings).await.expect("SQLite");
        store.migrate_reference_crm().await.expect("the reference CRM");
        let schema = host::read_schema(&store.reader()).await.expect("the schema");
        store.close().await;
        schema
    })
}
