//! `handover catalog`: check, show and scan.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{Ended, open, output};
use crate::catalog::{check, scan};
use crate::config::Settings;
use crate::store::host;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the catalog against the live schema: every fault at once, with its line.
    Check {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the catalog: its TOML, or each reference and what becomes of it as JSON.
    Show {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List foreign keys to the users' table that the catalog says nothing of.
    Scan {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Ended> {
    match arguments.command {
        Command::Check { json } => check_catalog(&settings, json).await,
        Command::Show { json } => show(&settings, json).await,
        Command::Scan { json } => scan_schema(&settings, json).await,
    }
}

async fn check_catalog(settings: &Settings, json: bool) -> Result<Ended> {
    let (name, source) = open::catalog_source(&settings.catalog)?;
    let store = open::store(settings).await?;
    let schema = host::read_schema(&store.reader()).await?;
    let (faults, warnings) = match check(&name, &source, &schema) {
        Ok(checked) => (Vec::new(), checked.warnings),
        Err(faults) => (faults.faults, Vec::new()),
    };
    let ended = if faults.is_empty() { Ended::Done } else { Ended::Failed };
    if json {
        output::json(&serde_json::json!({ "catalog": name, "faults": faults, "warnings": warnings }))?;
        return Ok(ended);
    }
    faults.iter().try_for_each(|fault| output::line(format!("fault, {fault}")))?;
    warnings.iter().try_for_each(|warning| output::line(format!("warning, {warning}")))?;
    let verdict = if faults.is_empty() { "holds" } else { "does not hold" };
    output::line(format!("the catalog {name} {verdict}: {} faults, {} warnings", faults.len(), warnings.len()))?;
    Ok(ended)
}

async fn show(settings: &Settings, json: bool) -> Result<Ended> {
    if !json {
        let (_, source) = open::catalog_source(&settings.catalog)?;
        output::line(source.trim_end())?;
        return Ok(Ended::Done);
    }
    let store = open::store(settings).await?;
    let catalog = open::catalog(settings, &store).await?.catalog;
    let references: Vec<serde_json::Value> = (catalog.references.iter())
        .map(|reference| {
            let key: Vec<&str> = reference.key.iter().map(|key| key.name.as_str()).collect();
            serde_json::json!({
                "kind": reference.kind,
                "table": reference.table.to_string(),
                "key": key,
                "user": reference.user.name,
                "disposition": reference.disposition.name(),
                "at_start": reference.at_start,
            })
        })
        .collect();
    output::json(&serde_json::json!({ "name": catalog.name, "hash": catalog.hash, "references": references }))?;
    Ok(Ended::Done)
}

async fn scan_schema(settings: &Settings, json: bool) -> Result<Ended> {
    let store = open::store(settings).await?;
    let schema = host::read_schema(&store.reader()).await?;
    let catalog = open::catalog(settings, &store).await?.catalog;
    let uncovered = scan(&catalog, &schema);
    if json {
        output::json(&uncovered)?;
    } else {
        for found in &uncovered {
            output::line(format!("{}.{} points at users, and no reference covers it", found.table, found.column))?;
        }
        output::line(format!("{} foreign keys are not covered", uncovered.len()))?;
    }
    Ok(if uncovered.is_empty() { Ended::Done } else { Ended::Failed })
}
