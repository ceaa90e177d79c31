//! The demo's scenarios: for each catalog a seed and example requests, each with a caption. They are data, like catalogs.

use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use serde::Deserialize;

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
    /// The SQL that fills the reference CRM.
    pub seed: &'static str,
    /// Examples that the catalog's rules refuse.
    pub refused: Vec<Example>,
    /// The example that is handed over.
    pub handover: Example,
}

/// A request with a caption.
pub struct Example {
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
    let (_, seed) = handover_migrations::SEEDS
        .into_iter()
        .find(|(name, _)| *name == catalog)
        .context("the scenario has no seed")?;
    let file: ScenarioFile = toml::from_str(text).with_context(|| format!("the demo's scenario of {catalog}"))?;
    let (mut refused, mut handover) = (Vec::new(), None);
    for ExampleEntry { caption, refused: is_refused, request } in file.example {
        let request = read_request(request.as_bytes()).with_context(|| format!("the demo's request: {caption}"))?;
        let request = request.into_handover().with_context(|| format!("the demo hands nothing over: {caption}"))?;
        let example = Example { caption, request };
        match (is_refused, &handover) {
            (true, _) => refused.push(example),
            (false, None) => handover = Some(example),
            (false, Some(_)) => bail!("the demo's scenario of {catalog} hands over more than once"),
        }
    }
    let handover = handover.with_context(|| format!("the demo's scenario of {catalog} hands nothing over"))?;
    Ok(Scenario { catalog: catalog.to_owned(), seed, refused, handover })
}
