//! Classes of errors: what a caller may do about them.

use std::time::Duration;

use handover::store::{Settings, Store};

use crate::support::database::settings;
use crate::support::server::free_port;
use crate::support::{World, every_engine};

#[every_engine]
async fn constraint_violations_are_refused(world: &mut World) {
    world.sql("CREATE TABLE boxes (id bigint NOT NULL PRIMARY KEY, size bigint CHECK (size > 0))").await;
    world.sql("CREATE TABLE pens (id bigint PRIMARY KEY, box bigint NOT NULL REFERENCES boxes (id))").await;
    world.sql("INSERT INTO boxes VALUES (1, 1)").await;
    for statement in [
        "INSERT INTO boxes VALUES (1, 1)",
        "INSERT INTO boxes VALUES (2, 0)",
        "INSERT INTO pens VALUES (1, NULL)",
        "INSERT INTO pens VALUES (1, 9)",
        "no such statement",
    ] {
        let session = world.store.begin("test").await.expect("a transaction");
        let error = session.run("breaking a rule", session.sql(statement)).await.expect_err(statement);
        assert!(error.is_refused() && !error.is_transient() && !error.is_away(), "{statement}: {error}");
        assert!(error.to_string().starts_with("breaking a rule: "), "{error}");
    }
}

/// Proves that an error which a changed schema explains is retried, and refused once the schema was compared.
#[every_engine]
async fn missing_table_is_refused_at_last(world: &mut World) {
    for is_compared in [false, true] {
        let session = world.store.begin("test").await.expect("a transaction");
        if is_compared {
            session.schema_watch().verify();
        }
        let sql = session.sql("SELECT * FROM no_such_table");
        let error = session.run("reading", sql).await.expect_err("no such table");
        assert_eq!((error.is_transient(), error.is_refused()), (!is_compared, is_compared), "{error}");
    }
}

#[every_engine]
async fn unreachable_database_is_away(world: &mut World) {
    let url = match world.store.capabilities().is_server {
        true => {
            let mut url = url::Url::parse(world.database_url()).expect("a URL");
            url.set_port(Some(free_port())).expect("a port");
            url.to_string()
        }
        false => "sqlite:///no/such/folder/handover.db".to_owned(),
    };
    let settings = Settings { acquire_timeout: Duration::from_secs(2), ..settings(url) };
    let error = Store::open(&settings).await.err().expect("nothing there");
    assert!(error.is_away() && error.is_transient(), "{error}");
}

#[every_engine]
async fn superseded_update_is_not_retried(world: &mut World) {
    let error = handover::store::Error::superseded("updating");
    assert!(error.is_superseded() && !error.is_transient());
    assert!(world.store.check_ledger().await.expect("a ledger").is_ok());
}
