//! The audit trail of a connection, and the users whom the catalog protects from it.

use handover::app::scim::connections;
use handover::app::submit::{Taken, take_to_settle};
use handover::contract::{Request, read_request};
use handover::stages::handover::settle::Settling;
use serde_json::json;

use super::provider::{KEAP, Provider};
use crate::support::{World, every_engine};

/// Promise: the trail names the attributes that a connection has changed, without their values.
#[every_engine]
async fn written_attributes_are_audited_by_name(world: &mut World) {
    let okta = Provider::start(world).await;
    let change = json!([{ "op": "replace", "path": "title", "value": "Head of Sales" }]);
    okta.patch("53", &change).await.scim(200);
    okta.patch("53", &change).await.scim(200);
    let entries = "SELECT actor || ' ' || user_id || ' ' || CAST(detail AS text) AS t FROM handover.audit \
                   WHERE action = 'scim_user.updated'";
    let entries = world.texts(entries).await;
    let [entry] = entries.as_slice() else { panic!("one entry for one change: {entries:?}") };
    assert!(entry.starts_with("service:okta 53 ") && entry.contains("`title`") && !entry.contains("Head"), "{entry}");
}

/// Promise: whom the catalog protects keeps access, although the protection came after the first look.
#[every_engine]
async fn protection_is_read_with_the_lock(world: &mut World) {
    let protected = "[scim]\nprotected = { column = \"title\", equals = \"Break glass\" }\n";
    world.use_catalog_alone(&KEAP.replace("[scim]\n", protected)).await;
    let okta = Provider::start(world).await;
    let found = connections::authenticate(&world.context, &okta.token).await.expect("an answer");
    let connection = found.expect("a connection");
    world.sql("UPDATE users SET title = 'Break glass' WHERE id = 53").await;
    let body = json!({ "type": "deactivate", "request_id": "r", "org_id": "1", "user_id": "53", "requested_by": "service:okta",
        "lock_out": true });
    let request: Request = read_request(body.to_string().as_bytes()).expect("a request");
    let settling = Settling { connection: "okta".into(), settle: Default::default(), most: 20 };
    let taken =
        take_to_settle(&world.context, &connection.principal, request, None, &settling).await.expect("an outcome");
    let Taken::Rejected(_, reasons) = taken else { panic!("{taken:?}") };
    assert!(reasons.iter().any(|reason| reason.message.contains("protects")), "{reasons:?}");
    assert_eq!(world.status_of("53").await, "active");
}
