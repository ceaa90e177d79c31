//! The demo's scenarios: for each catalog a seed and example requests, each with a caption. They are data, like catalogs.

use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use serde::Deserialize;

use crate::app::reference_crm::Example;
use crate::contract::{HandoverRequest, read_request};

/// The scenarios, by the name of their catalog.
const SCENARIOS: [(&str, &str); 3] = [
    ("keap", include_str!("../../../config/scenarios/keap.toml")),
    ("agent-connect", include_str!("../../../config/scenarios/agent-connect.toml")),
    ("apto", include_str!("../../../config/scenarios/apto.toml")),
];

/// A scenario.
pub struct Scenario {
    /// The name of its catalog.
    pub catalog: String,
    /// The people and records that fill the reference CRM.
    pub example: Example,
    /// Requests that the catalog's rules refuse.
    pub refused: Vec<CaptionedRequest>,
    /// The request that is handed over.
    pub handover: CaptionedRequest,
}

/// A request with a caption.
pub struct CaptionedRequest {
    /// The caption.
    pub caption: String,
    /// The request.
    pub request: HandoverRequest,
}

#[derive(Deserialize)]
struct ScenarioFile {
    example: Vec<ExampleEntry>,
}

#[derive(Deserialize)]
struct ExampleEntry {
    caption: String,
    #[serde(default)]
    refused: bool,
    request: String,
}

/// Returns a parser for the names of scenarios.
pub fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SCENARIOS.map(|(name, _)| name))
}

/// Reads the scenario of a catalog.
pub fn read(catalog: &str) -> Result<Scenario> {
    let (_, text) = SCENARIOS.into_iter().find(|(name, _)| *name == catalog).context("there is no such scenario")?;
    let file: ScenarioFile = toml::from_str(text).with_context(|| format!("the demo's scenario of {catalog}"))?;
    let (mut refused, mut handover) = (Vec::new(), None);
    for ExampleEntry { caption, refused: is_refused, request } in file.example {
        let request = read_request(request.as_bytes()).with_context(|| format!("the demo's request: {caption}"))?;
        let request = request.into_handover().with_context(|| format!("the demo hands nothing over: {caption}"))?;
        let request = CaptionedRequest { caption, request };
        match (is_refused, &handover) {
            (true, _) => refused.push(request),
            (false, None) => handover = Some(request),
            (false, Some(_)) => bail!("the demo's scenario of {catalog} hands over more than once"),
        }
    }
    let handover = handover.with_context(|| format!("the demo's scenario of {catalog} hands nothing over"))?;
    Ok(Scenario { catalog: catalog.to_owned(), example: Example::of(catalog)?, refused, handover })
}
