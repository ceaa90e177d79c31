//! What the demo tells of a catalog: a seed, and requests over it, each with a sentence. Data, as the catalogs are.

use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use serde::Deserialize;

use crate::contract::{HandoverRequest, read_request};

/// The stories, by the name of their catalog.
const STORIES: [(&str, &str); 3] = [
    ("keap", include_str!("../../../config/stories/keap.toml")),
    ("agent-connect", include_str!("../../../config/stories/agent-connect.toml")),
    ("apto", include_str!("../../../config/stories/apto.toml")),
];

/// A story, read.
pub struct Story {
    /// The name of its catalog.
    pub catalog: String,
    /// What the reference CRM is filled with.
    pub seed: &'static str,
    /// Requests that the catalog's rules refuse.
    pub refused: Vec<Chapter>,
    /// The one that is handed over.
    pub told: Chapter,
}

/// A request, and what is said before it.
pub struct Chapter {
    /// A sentence.
    pub says: String,
    /// The request.
    pub request: HandoverRequest,
}

#[derive(Deserialize)]
struct StoryFile {
    chapter: Vec<ChapterEntry>,
}

#[derive(Deserialize)]
struct ChapterEntry {
    says: String,
    #[serde(default)]
    refused: bool,
    request: String,
}

/// The names of the stories, for the command line.
pub fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(STORIES.map(|(name, _)| name))
}

/// Reads the story of a catalog.
pub fn read(catalog: &str) -> Result<Story> {
    let (_, text) = STORIES.into_iter().find(|(name, _)| *name == catalog).context("there is no such story")?;
    let (_, seed) =
        handover_migrations::SEEDS.into_iter().find(|(name, _)| *name == catalog).context("the story has no seed")?;
    let file: StoryFile = toml::from_str(text).with_context(|| format!("the demo's story of {catalog}"))?;
    let (mut refused, mut told) = (Vec::new(), None);
    for ChapterEntry { says, refused: is_refused, request } in file.chapter {
        let request = read_request(request.as_bytes()).with_context(|| format!("the demo's request: {says}"))?;
        let request = request.into_handover().with_context(|| format!("the demo hands nothing over: {says}"))?;
        let chapter = Chapter { says, request };
        match (is_refused, &told) {
            (true, _) => refused.push(chapter),
            (false, None) => told = Some(chapter),
            (false, Some(_)) => bail!("the demo's story of {catalog} hands over more than once"),
        }
    }
    let told = told.with_context(|| format!("the demo's story of {catalog} hands nothing over"))?;
    Ok(Story { catalog: catalog.to_owned(), seed, refused, told })
}
