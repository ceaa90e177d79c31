//! `handover migrate`: brings the ledger up to date.

use anyhow::Result;
use clap::Args;

use super::{Ended, open, output};
use crate::config::Settings;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Create the reference CRM as well: a host to try things on.
    #[arg(long)]
    reference_crm: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Ended> {
    let store = open::store(&settings).await?;
    if arguments.reference_crm {
        store.migrate_reference_crm().await?;
        output::line("the reference CRM is up to date")?;
    }
    store.migrate().await?;
    output::line("the ledger is up to date")?;
    store.close().await;
    Ok(Ended::Done)
}
