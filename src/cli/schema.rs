//! `handover schema`: the JSON Schemas of the contract, generated from its types.

use anyhow::Result;
use clap::{Args, ValueEnum};
use schemars::{JsonSchema, schema_for};

use super::{Ended, output};
use crate::contract::{AnyRequest, Assigned, CloudEvent, Completion, InvitationNews, JobNews};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Which.
    #[arg(value_enum)]
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    Request,
    Event,
}

/// Every event that is published.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(title = "Event")]
#[expect(dead_code, reason = "only its schema is used")]
enum Event {
    Completed(CloudEvent<Completion>),
    Assigned(CloudEvent<Assigned>),
    Invitation(CloudEvent<InvitationNews>),
    News(CloudEvent<JobNews>),
}

pub fn run(arguments: Arguments) -> Result<Ended> {
    let schema = match arguments.of {
        Of::Request => schema_for!(AnyRequest),
        Of::Event => schema_for!(Event),
    };
    output::json(&schema)?;
    Ok(Ended::Done)
}
