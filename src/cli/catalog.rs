//! `handover catalog`: draft, check, show, scan and grants.

mod grants;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit::Exit;
use super::{open, output};
use crate::catalog::guess::{self, Candidate};
use crate::catalog::{Pointing, Schema, Table, check, draft, pointing_columns, scan, scan_names};
use crate::config::Settings;
use crate::store::{Session, host};

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
    /// Write a first catalog for this database to standard output; every guess is marked, for a person to look at.
    Draft {
        /// The users' table, where it is not found by itself.
        #[arg(long)]
        users: Option<String>,
    },
    /// Print the statements that grant a role of PostgreSQL what this catalog needs, and nothing more.
    Grants {
        /// The role that the worker connects as.
        #[arg(long, default_value = "handover_worker")]
        role: String,
    },
    /// List foreign keys to the users' table, and columns that look like them, that the catalog says nothing of.
    Scan {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    match arguments.command {
        Command::Check { json } => check_catalog(&settings, json).await,
        Command::Show { json } => show(&settings, json).await,
        Command::Draft { users } => write_draft(&settings, users.as_deref()).await,
        Command::Grants { role } => grants::print(&settings, &role).await,
        Command::Scan { json } => scan_schema(&settings, json).await,
    }
}

async fn check_catalog(settings: &Settings, json: bool) -> Result<Exit> {
    let (name, source) = open::catalog_source(&settings.catalog)?;
    let store = open::store(settings).await?;
    let schema = host::read_schema(&store.reader()).await?;
    let (faults, warnings) = match check(&name, &source, &schema) {
        Ok(checked) => (Vec::new(), checked.warnings),
        Err(faults) => (faults.faults, Vec::new()),
    };
    let ended = if faults.is_empty() { Exit::Done } else { Exit::Failed };
    if json {
        output::json(&serde_json::json!({ "catalog": name, "faults": faults, "warnings": warnings }))?;
        return Ok(ended);
    }
    faults.iter().try_for_each(|fault| output::lines(format!("fault, {fault}")))?;
    warnings.iter().try_for_each(|warning| output::lines(format!("warning, {warning}")))?;
    let verdict = if faults.is_empty() { "holds" } else { "does not hold" };
    output::line(format!("the catalog {name} {verdict}: {} faults, {} warnings", faults.len(), warnings.len()))?;
    Ok(ended)
}

async fn show(settings: &Settings, json: bool) -> Result<Exit> {
    if !json {
        let (_, source) = open::catalog_source(&settings.catalog)?;
        output::lines(source.trim_end())?;
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

/// A column that looks as if it held users.
#[derive(Debug, Serialize)]
struct Guessed {
    table: String,
    column: String,
    why: String,
}

async fn scan_schema(settings: &Settings, json: bool) -> Result<Exit> {
    let store = open::store(settings).await?;
    let session = store.reader();
    let schema = host::read_schema(&session).await?;
    let catalog = open::catalog(settings, &store).await?.catalog;
    let uncovered = scan(&catalog, &schema);
    let users = schema.named(&catalog.users.table).ok_or_else(|| anyhow!("the users' table is gone"))?;
    let mut guessed = Vec::new();
    for candidate in scan_names(&catalog, &schema) {
        if let Some(why) = proven(&session, users, &catalog.users.key.name, &candidate).await? {
            let (table, column) = (candidate.table.name.to_string(), candidate.column.name.clone());
            guessed.push(Guessed { table, column, why });
        }
    }
    if json {
        let mut found = output::array(&uncovered)?;
        found.extend(output::array(&guessed)?);
        output::json(&found)?;
    } else {
        for found in &uncovered {
            output::line(format!("{}.{} points at users, and no reference covers it", found.table, found.column))?;
        }
        for found in &guessed {
            output::line(format!("{}.{} may point at users: {}", found.table, found.column, found.why))?;
        }
        output::line(format!(
            "{} foreign keys are not covered, {} columns look like it",
            uncovered.len(),
            guessed.len()
        ))?;
    }
    Ok(if uncovered.is_empty() && guessed.is_empty() { Exit::Done } else { Exit::Failed })
}

/// What speaks for a candidate, with what its values say; nothing where they speak against it.
async fn proven(session: &Session, users: &Table, key: &str, candidate: &Candidate<'_>) -> Result<Option<String>> {
    let place = (&candidate.table.name, candidate.column.name.as_str());
    let (seen, known) = match host::count_known_values(session, (&users.name, key), place).await {
        // What this role may not read it cannot look into; the name still says what it says.
        Err(error) if error.is_refused() => (0, 0),
        counted => counted?,
    };
    let type_column =
        candidate.type_column.map_or(String::new(), |column| format!("; `{column}` may say what it points at"));
    Ok(match (seen, known) {
        (0, _) => Some(format!("{}, no values yet{type_column}", candidate.why)),
        (_, 0) => None,
        _ => Some(format!("{}, {known} of {seen} values are users{type_column}", candidate.why)),
    })
}

async fn write_draft(settings: &Settings, named: Option<&str>) -> Result<Exit> {
    let store = open::store(settings).await?;
    let session = store.reader();
    let schema = host::read_schema(&session).await?;
    let users = guess::users_table(&schema, named).ok_or_else(|| match named {
        Some(named) => anyhow!("the database has no table `{named}`"),
        None => anyhow!("no table looks like the users': say with --users which it is"),
    })?;
    let statuses = match guess::status_column(users) {
        Some(column) => host::sample_values(&session, &users.name, &column.name).await?,
        None => Vec::new(),
    };
    let pointing = points_at_users(&session, &schema, users).await?;
    output::lines(draft(&schema, users, &statuses, &pointing).map_err(|missing| anyhow!(missing))?.trim_end())?;
    Ok(Exit::Done)
}

/// Everything that points at the users: what the foreign keys say, then what names and values say.
async fn points_at_users<'s>(session: &Session, schema: &'s Schema, users: &'s Table) -> Result<Vec<Pointing<'s>>> {
    let mut pointing = Vec::new();
    let Some(key) = guess::key_of(users).and_then(|key| users.column(key.first()?)) else { return Ok(pointing) };
    for (table, foreign) in schema.inbound(&users.name) {
        for name in pointing_columns(foreign, &key.name) {
            let known = |place: &Pointing<'_>| place.table.name == table.name && place.column.name == name;
            if let Some(column) = table.column(name).filter(|_| !pointing.iter().any(known)) {
                let why = format!("{}.{} has a foreign key to the users.", table.name, column.name);
                pointing.push(Pointing { table, column, why, type_column: None });
            }
        }
    }
    for candidate in guess::candidates(schema, users, key) {
        if let Some(why) = proven(session, users, &key.name, &candidate).await? {
            let Candidate { table, column, type_column, .. } = candidate;
            let why = format!("guess: {}.{} points at users: {why}.", table.name, column.name);
            pointing.push(Pointing { table, column, why, type_column });
        }
    }
    Ok(pointing)
}
