//! Generates the API as an OpenAPI 3.1 document, from the table of routes and the types that they send and receive.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::route::{Answer, Parameter, Place, Route, schema};
use super::routes;
use crate::http::problem::{self, Details};

/// Generates the document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = schema::<Details>(&mut generator);
    let mut paths = Map::new();
    for route in routes::all() {
        let operation = operation(&route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.name()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Handover",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Submits requests, follows jobs, and reads what the ledger and the host know. Unknown fields may be added to answers.",
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/", "description": "The server that gave this document." }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "An error, with every reason: RFC 9457.",
                    "content": { problem::CONTENT: { "schema": problem } },
                },
            },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "A token of `handover token create`." },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let parameters: Vec<Value> = route.parameters.iter().map(|each| parameter(each, generator)).collect();
    let mut responses = Map::new();
    for answer in &route.answers {
        responses.insert(answer.status.to_string(), response(answer, generator));
    }
    responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut operation = json!({
        "operationId": route.operation(),
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
        "security": security(route),
    });
    if let Some(body) = route.body {
        let content =
            body.media_types().iter().map(|kind| ((*kind).into(), json!({ "schema": body.schema(generator) })));
        let content: Map<String, Value> = content.collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

/// Returns the scopes that a token needs, all of them.
fn security(route: &Route) -> Value {
    let scopes: Vec<&str> = route.scopes.iter().map(|scope| scope.name()).collect();
    if scopes.is_empty() { json!([]) } else { json!([{ "token": scopes }]) }
}

fn parameter(parameter: &Parameter, generator: &mut SchemaGenerator) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    json!({
        "name": parameter.name,
        "in": place,
        "description": parameter.about,
        "required": parameter.place == Place::Path,
        "schema": (parameter.schema)(generator),
    })
}

fn response(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    let mut response = json!({ "description": answer.about });
    if let Some(content) = answer.content {
        response["content"] = json!({ content: { "schema": (answer.schema)(generator) } });
    }
    response
}
