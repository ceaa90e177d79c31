//! `handover migrate`: creates or upgrades the ledger.

use anyhow::{Context, Result};
use clap::Args;

use super::exit::Exit;
use super::{open, output};
use crate::config::Settings;
use crate::contract::printable;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Also create the reference CRM, a sample host.
    #[arg(long)]
    reference_crm: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::created(&settings).await?;
    if arguments.reference_crm {
        store.migrate_reference_crm().await?;
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
    if let Err(faults) = open::tables(&settings, &store).await? {
        eprintln!("handover: {}", printable(&faults.to_string()));
    }
    store.close().await;
    Ok(Exit::Done)
}
