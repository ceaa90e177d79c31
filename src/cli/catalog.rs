//! `handover catalog`: draft, check, show, scan, grants and publish.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::confirmation::Confirmation;
use super::exit::Exit;
use super::{open, output};
use crate::app::{self, catalogs};
use crate::config::Settings;
use crate::contract::counted;

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
    /// Print the catalog: its TOML, or each reference with its disposition as JSON.
    Show {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Draft a catalog for this database. Every guess is marked: check it.
    Draft {
        /// The users' table, if it is not found automatically.
        #[arg(long)]
        users: Option<String>,
    },
    /// Print the statements that grant a PostgreSQL role what this catalog needs, and nothing more.
    Grants {
        /// The role that the worker connects as.
        #[arg(long, default_value = "handover_worker")]
        role: String,
    },
    /// Make the catalog of the settings current for every worker. It is checked first; a faulty one changes nothing.
    Publish {
        /// The user who publishes it, for the audit trail.
        #[arg(long, value_name = "USER")]
        by: String,
        #[command(flatten)]
        confirmation: Confirmation,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List foreign keys to the users' table, and similar columns, that the catalog does not cover.
    Scan {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Arguments {
    /// Returns the confirmation of a command that changes what workers do.
    pub fn confirmation(&self) -> Option<Confirmation> {
        match &self.command {
            Command::Publish { confirmation, .. } => Some(*confirmation),
            Command::Check { .. }
            | Command::Show { .. }
            | Command::Draft { .. }
            | Command::Grants { .. }
            | Command::Scan { .. } => None,
        }
    }
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    match arguments.command {
        Command::Check { json } => check(&settings, json).await,
        Command::Show { json } => show(&settings, json).await,
        Command::Draft { users } => draft(&settings, users.as_deref()).await,
        Command::Grants { role } => grants(&settings, &role).await,
        Command::Publish { by, confirmation, json } => publish(&settings, &by, confirmation, json).await,
        Command::Scan { json } => scan(&settings, json).await,
    }
}

async fn check(settings: &Settings, json: bool) -> Result<Exit> {
    let source = app::open::catalog_source(&settings.catalog)?;
    let store = open::store(settings).await?;
    let (faults, warnings) = match app::open::catalog(&store, &source).await {
        Ok(checked) => {
            let mut warnings = checked.warnings;
            warnings.extend(catalogs::values_of_no_row(&store, &checked.expected).await?);
            warnings.sort();
            (Vec::new(), warnings)
        }
        Err(app::Error::CatalogFaults(faults)) => (faults.faults, Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let exit = if faults.is_empty() { Exit::Done } else { Exit::Failed };
    let name = source.name;
    if json {
        output::json(&serde_json::json!({ "catalog": name, "faults": faults, "warnings": warnings }))?;
        return Ok(exit);
    }
    faults.iter().try_for_each(|fault| output::lines(format!("fault, {fault}")))?;
    warnings.iter().try_for_each(|warning| output::lines(format!("warning, {warning}")))?;
    let result = if faults.is_empty() { "is valid" } else { "is not valid" };
    let (faults, warnings) = (counted(faults.len(), "fault"), counted(warnings.len(), "warning"));
    output::line(format!("the catalog {name} {result}: {faults}, {warnings}"))?;
    Ok(exit)
}

async fn show(settings: &Settings, json: bool) -> Result<Exit> {
    if !json {
        output::lines(app::open::catalog_source(&settings.catalog)?.text.trim_end())?;
        return Ok(Exit::Done);
    }
    let store = open::store(settings).await?;
    let catalog = open::catalog(settings, &store).await?.catalog;
    let references: Vec<serde_json::Value> = (catalog.references.iter())
        .map(|reference| {
            let key = reference.key.iter().filter(|_| !reference.keyless);
            let key: Vec<&str> = key.map(|key| key.name.as_str()).collect();
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
    Ok(Exit::Done)
}

async fn scan(settings: &Settings, json: bool) -> Result<Exit> {
    let store = open::store(settings).await?;
    let catalog = open::catalog(settings, &store).await?.catalog;
    let catalogs::Scan { uncovered, suspected } = catalogs::scan(&store, &catalog).await?;
    if json {
        let mut found = output::array(&uncovered)?;
        found.extend(output::array(&suspected)?);
        output::json(&found)?;
    } else {
        for found in &uncovered {
            output::line(format!("{}.{} points at users, and no reference covers it", found.table, found.column))?;
        }
        for found in &suspected {
            output::line(format!("{}.{} may hold user ids: {}", found.table, found.column, found.why))?;
        }
        let (keys, columns) = (counted(uncovered.len(), "foreign key"), counted(suspected.len(), "column"));
        output::line(format!("{keys} not covered, {columns} may hold user ids"))?;
    }
    Ok(if uncovered.is_empty() && suspected.is_empty() { Exit::Done } else { Exit::Failed })
}

async fn draft(settings: &Settings, users: Option<&str>) -> Result<Exit> {
    let store = open::store(settings).await?;
    output::lines(catalogs::draft(&store, users).await?.trim_end())?;
    Ok(Exit::Done)
}

async fn publish(settings: &Settings, by: &str, confirmation: Confirmation, json: bool) -> Result<Exit> {
    let store = open::ledger(settings).await?;
    // The catalog of the settings, whatever is current in the ledger.
    let source = app::open::catalog_source(&settings.catalog)?;
    let catalog = app::open::catalog(&store, &source).await?.catalog;
    let current = app::open::published(&store).await?;
    let current = current.map_or("no version".to_owned(), |current| format!("version {}", current.version));
    if confirmation.dry_run {
        output::line(format!("the catalog {} would be published; {current} is current", catalog.name))?;
        return Ok(Exit::Done);
    }
    let question = format!("Publish the catalog {}? {current} is current.", catalog.name);
    if !confirmation.is_given(async || Ok(Some(question))).await? {
        return Ok(Exit::Failed);
    }
    let published = catalogs::publish(&store, &catalog, by).await?;
    match json {
        true => output::json(&published)?,
        false => {
            let how = if published.is_new { "is" } else { "was already" };
            output::line(format!("version {} {how} current: {}", published.version, catalog.name))?;
        }
    }
    Ok(Exit::Done)
}

async fn grants(settings: &Settings, role: &str) -> Result<Exit> {
    let store = open::store(settings).await?;
    let catalog = open::catalog(settings, &store).await?.catalog;
    let catalogs::Grants { script, earlier_catalogs } = catalogs::grants(&store, &catalog, role).await?;
    let earlier = match earlier_catalogs.is_empty() {
        true => String::new(),
        false => format!(", and for those of earlier jobs: {}", earlier_catalogs.join(", ")),
    };
    output::lines(format!(
        "-- Rights of Handover's worker for the catalog {}{earlier}, and nothing more. Written by `handover catalog grants`.\n\
         -- Run it as the owner of the tables, after `handover migrate` and after every change of the catalog, in one\n\
         -- transaction: handover catalog grants | psql --single-transaction --set ON_ERROR_STOP=1. The role must\n\
         -- exist: CREATE ROLE {role} LOGIN PASSWORD '…'. Other grants on these tables are revoked from it.\n\
         -- To let movers wait for standbys that fall behind, a superuser adds: GRANT pg_read_all_stats TO {role};",
        catalog.name
    ))?;
    output::lines(script.trim_end())?;
    Ok(Exit::Done)
}
