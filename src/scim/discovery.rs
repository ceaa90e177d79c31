//! Discovery (RFC 7643, sections 5 to 7; RFC 7644, section 4): only what the catalog maps is advertised.

use serde_json::{Value, json};

use super::attribute::Mapped;
use super::schema_ids::{ENTERPRISE, HANDOVER, USER};

/// Returns the configuration.
pub fn service_provider_config(base: &str) -> Value {
    let unsupported = json!({ "supported": false });
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": 200 },
        "changePassword": unsupported,
        "sort": unsupported,
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of `handover scim add`, as `Authorization: Bearer`",
            "primary": true,
        }],
        "meta": { "resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig") },
    })
}

/// Returns the resource types: users.
pub fn resource_types(base: &str, mapped: Mapped) -> Vec<Value> {
    vec![resource_type(base, mapped)]
}

/// Returns the resource type of users.
pub fn resource_type(base: &str, mapped: Mapped) -> Value {
    let extension = |schema: &str| json!({ "schema": schema, "required": false });
    let mut extensions = vec![extension(HANDOVER)];
    extensions.extend(mapped.manager.then(|| extension(ENTERPRISE)));
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "User",
        "name": "User",
        "endpoint": "/Users",
        "description": "A user of the application",
        "schema": USER,
        "schemaExtensions": extensions,
        "meta": { "resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/User") },
    })
}

/// Returns every schema.
pub fn schemas(base: &str, mapped: Mapped) -> Vec<Value> {
    let mut schemas = vec![of_users(base, mapped), of_handovers(base)];
    schemas.extend(mapped.manager.then(|| of_enterprise(base)));
    schemas
}

/// Returns the schema with an id, if there is one.
pub fn schema(base: &str, mapped: Mapped, id: &str) -> Option<Value> {
    schemas(base, mapped)
        .into_iter()
        .find(|schema| schema["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id)))
}

fn of_users(base: &str, mapped: Mapped) -> Value {
    let mut attributes = vec![
        text(
            "userName",
            "The name with which the user signs in",
            &Rules { required: true, unique: true, ..Rules::default() },
        ),
        complex(
            "name",
            "The name of the user",
            vec![
                text("givenName", "The given name", &Rules::default()),
                text("familyName", "The family name", &Rules::default()),
            ],
        ),
        required(truth("active", "True while the user has access")),
    ];
    let mut emails = complex(
        "emails",
        "The email address of the user: one of the type work",
        vec![
            text("value", "The address", &Rules { required: true, ..Rules::default() }),
            text("type", "Always work", &Rules { read_only: true, ..Rules::default() }),
            read_only(truth("primary", "Always true")),
        ],
    );
    emails["multiValued"] = true.into();
    attributes.push(required(emails));
    attributes.extend(mapped.title.then(|| text("title", "The title", &Rules::default())));
    attributes.push(text(
        "externalId",
        "The key of the user in the identity provider",
        &Rules { exact: true, ..Rules::default() },
    ));
    of(base, USER, "User", "A user of the application", attributes)
}

fn of_enterprise(base: &str) -> Value {
    let location = json!({
        "name": "$ref", "type": "reference", "multiValued": false, "description": "The URL of the manager; `value` decides", "required": false,
        "caseExact": true, "mutability": "readWrite", "returned": "default", "uniqueness": "none", "referenceTypes": ["User"],
    });
    let value = text("value", "The id of the manager", &Rules { exact: true, ..Rules::default() });
    let manager = complex("manager", "The manager of the user", vec![value, location]);
    of(base, ENTERPRISE, "EnterpriseUser", "The manager of a user", vec![manager])
}

fn of_handovers(base: &str) -> Value {
    let rules = Rules { read_only: true, exact: true, ..Rules::default() };
    let number = |name: &str, about: &str| {
        let mut attribute = text(name, about, &rules);
        attribute["type"] = "integer".into();
        attribute
    };
    let attributes = vec![
        text("jobId", "The last job that hands over what the user owns", &rules),
        text("type", "The type of its request", &rules),
        text("state", "Its state", &rules),
        number("records", "The records that it has found"),
        number("done", "The records that it has handed over"),
    ];
    of(base, HANDOVER, "Handover", "The handover of what a user owns", attributes)
}

fn of(base: &str, id: &str, name: &str, about: &str, attributes: Vec<Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": id,
        "name": name,
        "description": about,
        "attributes": attributes,
        "meta": { "resourceType": "Schema", "location": format!("{base}/Schemas/{id}") },
    })
}

/// The rules of an attribute that differ from the most common ones.
#[derive(Default)]
struct Rules {
    required: bool,
    unique: bool,
    exact: bool,
    read_only: bool,
}

fn text(name: &str, about: &str, rules: &Rules) -> Value {
    json!({
        "name": name,
        "type": "string",
        "multiValued": false,
        "description": about,
        "required": rules.required,
        "caseExact": rules.exact,
        "mutability": if rules.read_only { "readOnly" } else { "readWrite" },
        "returned": "default",
        "uniqueness": if rules.unique { "server" } else { "none" },
    })
}

fn truth(name: &str, about: &str) -> Value {
    json!({
        "name": name, "type": "boolean", "multiValued": false, "description": about, "required": false,
        "mutability": "readWrite", "returned": "default",
    })
}

fn required(mut attribute: Value) -> Value {
    attribute["required"] = true.into();
    attribute
}

fn read_only(mut attribute: Value) -> Value {
    attribute["mutability"] = "readOnly".into();
    attribute
}

fn complex(name: &str, about: &str, parts: Vec<Value>) -> Value {
    json!({
        "name": name, "type": "complex", "multiValued": false, "description": about, "required": false,
        "mutability": "readWrite", "returned": "default", "uniqueness": "none", "subAttributes": parts,
    })
}
