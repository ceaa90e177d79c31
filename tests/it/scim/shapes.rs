//! What identity providers send to change a user, as data: every shape becomes typed changes, or an error.

use handover::scim::{Change, Mapped, Patch, ScimType, read_new_user, read_patch, read_whole_user};
use proptest::prelude::*;
use serde_json::{Value, json};

const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn patch(operations: &Value) -> Result<Patch, handover::scim::Failure> {
    let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
    read_patch(json!({ "schemas": schemas, "Operations": operations }).to_string().as_bytes())
}

fn changes(operations: &Value) -> Vec<Change> {
    patch(operations).unwrap_or_else(|failure| panic!("{operations}: {failure:?}")).changes
}

/// Promise: a deactivation in any shape is one.
#[test]
fn every_deactivation_shape_is_understood() {
    let of_core = format!("{CORE}:active");
    for operations in [
        json!([{ "op": "replace", "value": { "active": false } }]),
        json!([{ "op": "Replace", "path": "active", "value": "False" }]),
        json!([{ "op": "replace", "path": "active", "value": false }]),
        json!([{ "OP": "REPLACE", "Path": "Active", "Value": "FALSE" }]),
        json!([{ "op": "add", "path": of_core, "value": "false" }]),
        json!([{ "op": "replace", "value": { of_core.as_str(): false } }]),
        json!([{ "op": "replace", "value": { CORE: { "active": "False" } } }]),
        json!([{ "op": "Replace", "path": "active", "value": [{ "$ref": null, "value": "False" }] }]),
        json!([{ "op": "replace", "path": "", "value": { "ACTIVE": false } }]),
    ] {
        assert_eq!(changes(&operations), [Change::Active(false)], "{operations}");
    }
}

/// Promise: attributes by path, by dotted key and by schema, with lists and objects around values, become typed changes.
#[test]
fn every_attribute_shape_is_understood() {
    let text = |text: &str| Some(text.to_owned());
    let manager = format!("{ENTERPRISE}:manager");
    for (operations, expected) in [
        (
            json!([{ "op": "Add", "path": "emails[type eq \"work\"].value", "value": "a@b" }]),
            Change::Email(text("a@b")),
        ),
        (
            json!([{ "op": "replace", "value": { "emails[type eq \"work\"].value": "a@b" } }]),
            Change::Email(text("a@b")),
        ),
        (
            json!([{ "op": "replace", "path": "emails[primary eq true]", "value": { "value": "a@b" } }]),
            Change::Email(text("a@b")),
        ),
        (
            json!([{ "op": "replace", "path": "emails", "value": [{ "value": "h@b", "type": "home" }, { "value": "a@b", "type": "work" }] }]),
            Change::Email(text("a@b")),
        ),
        (json!([{ "op": "remove", "path": "emails" }]), Change::Email(None)),
        (json!([{ "op": "Replace", "path": "name.givenName", "value": "Ann" }]), Change::GivenName(text("Ann"))),
        (json!([{ "op": "replace", "value": { "name.familyName": "Lee" } }]), Change::FamilyName(text("Lee"))),
        (json!([{ "op": "replace", "value": { "name": { "familyName": "Lee" } } }]), Change::FamilyName(text("Lee"))),
        (
            json!([{ "op": "add", "path": manager, "value": [{ "$ref": "../Users/7", "value": "7" }] }]),
            Change::Manager(text("7")),
        ),
        (json!([{ "op": "add", "path": manager, "value": 7 }]), Change::Manager(text("7"))),
        (
            json!([{ "op": "replace", "value": { ENTERPRISE: { "manager": { "value": "7" } } } }]),
            Change::Manager(text("7")),
        ),
        (json!([{ "op": "remove", "path": manager }]), Change::Manager(None)),
        (json!([{ "op": "remove", "path": ENTERPRISE }]), Change::Manager(None)),
        (json!([{ "op": "replace", "path": "title", "value": "" }]), Change::Title(None)),
        (json!([{ "op": "replace", "path": "userName", "value": "a@b" }]), Change::UserName("a@b".into())),
        (json!([{ "op": "replace", "path": "externalId", "value": 42 }]), Change::ExternalId(text("42"))),
    ] {
        assert_eq!(changes(&operations), [expected], "{operations}");
    }
}

/// Promise: attributes that are not kept are counted and do nothing; what the catalog does not map is one of them.
#[test]
fn unknown_attributes_are_counted_and_ignored() {
    let employee = format!("{ENTERPRISE}:employeeNumber");
    let patch = patch(&json!([
        { "op": "Add", "path": "roles[primary eq \"True\"].value", "value": "{\"id\":\"x\"}" },
        { "op": "replace", "value": { "locale": "en", employee: "7", "title": "Boss", "schemas": [CORE] } },
        { "op": "Add", "path": "emails[type eq \"home\"].value", "value": "h@b" },
    ]));
    let patch = patch.expect("a patch");
    assert_eq!((patch.changes.as_slice(), patch.ignored), ([Change::Title(Some("Boss".into()))].as_slice(), 4));
    let kept = patch.only(Mapped::default());
    assert_eq!((kept.changes.len(), kept.ignored), (0, 5));
}

/// Promise: a malformed operation has the error that the RFC names, and one about `active` is never passed over.
#[test]
fn malformed_operations_are_refused() {
    for (operations, expected) in [
        (json!([]), ScimType::InvalidSyntax),
        (json!("x"), ScimType::InvalidSyntax),
        (json!([5]), ScimType::InvalidSyntax),
        (json!([{ "op": "move", "path": "title", "value": "x" }]), ScimType::InvalidSyntax),
        (json!([{ "path": "title", "value": "x" }]), ScimType::InvalidSyntax),
        (json!([{ "op": "replace", "value": "x" }]), ScimType::InvalidSyntax),
        (json!([{ "op": "replace", "path": 5, "value": "x" }]), ScimType::InvalidSyntax),
        (json!([{ "op": "replace", "value": { "title": "a", "TITLE": "b" } }]), ScimType::InvalidSyntax),
        (json!([{ "op": "remove" }]), ScimType::NoTarget),
        (json!([{ "op": "replace", "path": "title[", "value": "x" }]), ScimType::InvalidPath),
        (json!([{ "op": "replace", "path": "title eq", "value": "x" }]), ScimType::InvalidPath),
        (json!([{ "op": "replace", "path": "active.value", "value": false }]), ScimType::InvalidPath),
        (json!([{ "op": "replace", "path": "active[value eq true]", "value": false }]), ScimType::InvalidPath),
        (json!([{ "op": "replace", "path": "active", "value": "no" }]), ScimType::InvalidValue),
        (json!([{ "op": "replace", "path": "active", "value": 0 }]), ScimType::InvalidValue),
        (json!([{ "op": "replace", "path": "active", "value": [true, false] }]), ScimType::InvalidValue),
        (json!([{ "op": "replace", "path": "active" }]), ScimType::InvalidValue),
        (json!([{ "op": "remove", "path": "active" }]), ScimType::InvalidValue),
        (json!([{ "op": "remove", "path": "userName" }]), ScimType::InvalidValue),
        (json!([{ "op": "replace", "path": "name", "value": "Ann Lee" }]), ScimType::InvalidValue),
        (json!([{ "op": "replace", "path": "title", "value": "a\u{0}b" }]), ScimType::InvalidValue),
        (json!([{ "op": "replace", "path": "id", "value": "7" }]), ScimType::Mutability),
        (json!([{ "op": "replace", "value": { "meta": {} } }]), ScimType::Mutability),
    ] {
        let failure = patch(&operations).expect_err("an error");
        assert_eq!((failure.status, failure.scim_type), (400, Some(expected)), "{operations}: {failure:?}");
    }
    let doubled = br#"{"Operations":[{"op":"replace","path":"active","value":false,"value":true}]}"#;
    assert_eq!(read_patch(doubled).expect_err("an error").scim_type, Some(ScimType::InvalidSyntax));
    let deep = "[".repeat(10_000);
    assert_eq!(read_patch(deep.as_bytes()).expect_err("an error").scim_type, Some(ScimType::InvalidSyntax));
}

/// Promise: a whole user without `active` does not change it, and one without `externalId` forgets it.
#[test]
fn whole_user_leaves_absent_active_alone() {
    let body = json!({
        "schemas": [CORE], "id": "53", "meta": { "resourceType": "User" }, "userName": "a@b", "password": "x", "groups": [],
        "name": { "givenName": "Ann", "familyName": "Lee", "honorificPrefix": "Dr" }, "emails": [{ "value": "a@b", "primary": true }],
    });
    let patch = read_whole_user(body.to_string().as_bytes()).expect("a user");
    assert_eq!(patch.active(), None);
    assert!(patch.changes.contains(&Change::ExternalId(None)), "{patch:?}");
    assert_eq!((patch.changes.len(), patch.ignored), (5, 2), "{patch:?}");
    let mut off = body;
    off["active"] = json!(false);
    assert_eq!(read_whole_user(off.to_string().as_bytes()).expect("a user").active(), Some(false));
    let nobody = read_new_user(br#"{"externalId":"x"}"#).expect_err("an error");
    assert_eq!(nobody.scim_type, Some(ScimType::InvalidValue));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promise: any path and value is a change, counted as ignored, or an error with a keyword; nothing panics.
    #[test]
    fn any_operation_is_change_or_error(
        op in "(add|Replace|remove|x)",
        path in "(active|emails|name|title|urn:x|id)?(\\[[a-z]{0,6} (eq|pr) ?\"?x?\"?\\])?(\\.[a-zA-Z]{0,8})?",
        value in prop_oneof![Just(json!(null)), Just(json!("False")), Just(json!([])), Just(json!({ "value": {} })), Just(json!([[[]]]))],
    ) {
        if let Err(failure) = patch(&json!([{ "op": op, "path": path, "value": value }])) {
            prop_assert!(failure.status == 400 && failure.scim_type.is_some());
        }
    }
}
