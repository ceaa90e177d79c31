//! `handover migrate`: creates or upgrades the ledger.

use anyhow::{Context, Result};
use clap::Args;

use super::exit::Exit;
use super::{open, output};
use crate::app::reference_crm::{CONTACTS, Example};
use crate::config::Settings;
use crate::contract::printable;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Also create the reference CRM, a sample host.
    #[arg(long)]
    reference_crm: bool,
    /// Fill the reference CRM with the people and records of the catalog's example. It must not have users yet.
    #[arg(long, requires = "reference_crm")]
    seed: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let example = arguments.seed.then(|| Example::of(&settings.catalog)).transpose()?;
    let store = open::created(&settings).await?;
    if arguments.reference_crm {
        let hint = "the reference CRM needs a database without tables of the same names";
        store.migrate_reference_crm().await.context(hint)?;
        output::line("the reference CRM is up to date")?;
    }
    if let Err(error) = store.migrate().await {
        return match error.is_forbidden() {
            true => {
                Err(error).context("only the owner of the tables may create or upgrade the ledger, not a worker's role")
            }
            false => Err(error.into()),
        };
    }
    output::line("the ledger is up to date")?;
    if let Some(example) = example {
        example.fill(&store, CONTACTS).await?;
        let catalog = &settings.catalog;
        output::line(format!("the reference CRM has the example of {catalog}: `handover users` lists its users"))?;
    }
    if let Err(faults) = open::tables(&settings, &store).await? {
        output::note(format!("handover: {}", printable(&faults.to_string())));
    }
    store.close().await;
    Ok(Exit::Done)
}
