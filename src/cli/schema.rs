//! `handover schema`: prints the contract, generated from its types: JSON Schemas, and the AsyncAPI and OpenAPI documents that
//! combine them.

mod asyncapi;

use anyhow::Result;
use clap::{Args, ValueEnum};
use schemars::{JsonSchema, schema_for};

use super::exit::Exit;
use super::output;
use crate::catalog::CatalogFile;
use crate::config::Settings;
use crate::contract::{
    Assigned, BreakerTripped, CloudEvent, Completion, InvitationData, JobStatusData, Reply, Request,
};
use crate::http::api;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The document.
    #[arg(value_enum)]
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// Requests: JSON Schema.
    Request,
    /// Replies to requests with `reply_to`: JSON Schema.
    Reply,
    /// Events: JSON Schema.
    Event,
    /// Catalogs, in JSON or TOML: JSON Schema.
    Catalog,
    /// Every queue, exchange, message and header: AsyncAPI 3.0.
    Asyncapi,
    /// Every path of the HTTP API: OpenAPI 3.1.
    Openapi,
}

/// Every published event.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(title = "Event")]
#[expect(dead_code, reason = "only its schema is used")]
enum Event {
    Completed(CloudEvent<Completion>),
    Assigned(CloudEvent<Assigned>),
    BreakerTripped(CloudEvent<BreakerTripped>),
    Invitation(CloudEvent<InvitationData>),
    News(CloudEvent<JobStatusData>),
}

pub fn run(arguments: Arguments, settings: &Settings) -> Result<Exit> {
    let schema = match arguments.of {
        Of::Request => schema_for!(Request),
        Of::Reply => schema_for!(Reply),
        Of::Event => schema_for!(Event),
        Of::Catalog => schema_for!(CatalogFile),
        Of::Asyncapi => {
            output::json(&asyncapi::document(settings.broker.prefix())?)?;
            return Ok(Exit::Done);
        }
        Of::Openapi => {
            output::json(&api::document())?;
            return Ok(Exit::Done);
        }
    };
    output::json(&schema)?;
    Ok(Exit::Done)
}
