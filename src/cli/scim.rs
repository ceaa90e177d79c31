//! `handover scim`: adds, lists and removes the connections of identity providers, and gives them tokens.

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};

use super::confirmation::Confirmation;
use super::exit::Exit;
use super::list::{Cell, Column, ListOptions, Listing};
use super::{open, output, token};
use crate::app::scim::breaker::{self, RolledBack};
use crate::app::scim::connections::{self, ConnectionListing};
use crate::app::scim::policy::{Part, Policy};
use crate::config::Settings;
use crate::contract::{OrgId, UserId, counted};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a connection, and show its first token once.
    Add(AddArguments),
    /// Create the next token of a connection, and show it once.
    Rotate(RotateArguments),
    /// List connections.
    List(ListArguments),
    /// Remove a connection and its tokens. Its jobs go on.
    Remove(RemoveArguments),
    /// Let records move that the breaker of a connection holds.
    Release(ReleaseArguments),
    /// Bring back users whom the breaker of a connection holds.
    Rollback(RollbackArguments),
}

/// A connection.
#[derive(Debug, Args)]
struct Named {
    /// The name of the connection.
    name: String,
    /// The organization; none if the host has none.
    #[arg(long)]
    org: Option<String>,
}

#[derive(Debug, Args)]
struct AddArguments {
    #[command(flatten)]
    connection: Named,
    /// The receivers of records: manager, user:ID, round_robin:GROUP or wait; for one kind, contact=user:7.
    #[arg(long, required = true)]
    policy: Vec<Part>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RotateArguments {
    #[command(flatten)]
    connection: Named,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    list: ListOptions,
}

#[derive(Debug, Args)]
struct RemoveArguments {
    #[command(flatten)]
    connection: Named,
}

#[derive(Debug, Args)]
struct ReleaseArguments {
    #[command(flatten)]
    connection: Named,
    /// The user who acts, for the audit trail.
    #[arg(long, value_name = "USER")]
    by: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Debug, Args)]
struct RollbackArguments {
    #[command(flatten)]
    connection: Named,
    /// The user who asks. The catalog's `may` decides.
    #[arg(long, value_name = "USER")]
    by: String,
    /// Only these users.
    #[arg(long = "user", value_name = "USER")]
    users: Vec<String>,
    #[command(flatten)]
    confirmation: Confirmation,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Returns the confirmation of a command that changes people or records.
    pub fn confirmation(&self) -> Option<Confirmation> {
        match &self.command {
            Command::Add(_) | Command::Rotate(_) | Command::List(_) | Command::Remove(_) => None,
            Command::Release(arguments) => Some(arguments.confirmation),
            Command::Rollback(arguments) => Some(arguments.confirmation),
        }
    }
}

const LISTING: Listing<ConnectionListing> = Listing::new(&COLUMNS, "connection");

/// The columns, the most important first: a narrow terminal shows only these.
const COLUMNS: [Column<ConnectionListing>; 9] = [
    Column::shown("name", |connection| Cell::text(&connection.name)),
    Column::shown("organization", |connection| Cell::text(&connection.org_id)),
    Column::shown("policy", |connection| Cell::text(&connection.policy)),
    Column::shown("held since", |connection| Cell::time(connection.held_since)),
    Column::shown("last seen", |connection| Cell::time(connection.last_seen_at)),
    Column::shown("last error", |connection| Cell::text(connection.last_error.as_deref().unwrap_or_default())),
    Column::extra("error at", |connection| Cell::time(connection.last_error_at)),
    Column::extra("tokens", |connection| Cell::text(&connection.tokens.join(" "))),
    Column::extra("created", |connection| Cell::Time(connection.created_at)),
];

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    match arguments.command {
        Command::Add(arguments) => add(arguments, settings).await,
        Command::Rotate(arguments) => rotate(arguments, settings).await,
        Command::List(arguments) => list(arguments, settings).await,
        Command::Remove(arguments) => remove(arguments, settings).await,
        Command::Release(arguments) => release(arguments, settings).await,
        Command::Rollback(arguments) => rollback(arguments, settings).await,
    }
}

async fn add(arguments: AddArguments, settings: Settings) -> Result<Exit> {
    let AddArguments { connection: Named { name, org }, policy, json } = arguments;
    let org = org.map(OrgId::try_from).transpose().map_err(|what| anyhow!("--org: {what}"))?;
    let policy = Policy::of(policy).map_err(|what| anyhow!("--policy: {what}"))?;
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store).await?;
    token::show(&connections::add(&context, org, &name, policy).await?, json)
}

async fn rotate(arguments: RotateArguments, settings: Settings) -> Result<Exit> {
    let RotateArguments { connection: Named { name, org }, json } = arguments;
    let store = open::ledger(&settings).await?;
    token::show(&connections::rotate(&store, &org.unwrap_or_default(), &name).await?, json)
}

async fn list(arguments: ListArguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    arguments.list.print_part(&LISTING, connections::list(&store).await?)?;
    Ok(Exit::Done)
}

async fn remove(arguments: RemoveArguments, settings: Settings) -> Result<Exit> {
    let Named { name, org } = arguments.connection;
    let store = open::ledger(&settings).await?;
    connections::remove(&store, &org.unwrap_or_default(), &name).await?;
    output::line(format!("the connection {name} is removed, and its tokens are revoked"))?;
    Ok(Exit::Done)
}

async fn release(arguments: ReleaseArguments, settings: Settings) -> Result<Exit> {
    let ReleaseArguments { connection: Named { name, org }, by, confirmation } = arguments;
    let org = org.unwrap_or_default();
    let store = open::ledger(&settings).await?;
    let waiting = counted(breaker::wave(&store, &org, &name).await?.waiting() as u64, "job");
    if confirmation.dry_run {
        output::line(format!("{waiting} would go on"))?;
        return Ok(Exit::Done);
    }
    if !confirmation.is_given(async || Ok(Some(format!("Let {waiting} of {name} go on?")))).await? {
        return Ok(Exit::Failed);
    }
    let context = open::context(&settings, store).await?;
    let released = breaker::release(&context, &org, &name, &by).await?;
    output::line(format!("{} of {name} go on", counted(released as u64, "job")))?;
    Ok(Exit::Done)
}

async fn rollback(arguments: RollbackArguments, settings: Settings) -> Result<Exit> {
    let RollbackArguments { connection: Named { name, org }, by, users, confirmation, json } = arguments;
    let by = UserId::try_from(by).map_err(|what| anyhow!("--by: {what}"))?;
    let store = open::ledger(&settings).await?;
    let wave = breaker::wave(&store, &org.unwrap_or_default(), &name).await?.of_users(&users);
    let context = open::context(&settings, store).await?;
    let question = async || {
        let preview = breaker::rollback(&context, &wave, &by, true).await?;
        let back = preview.iter().filter(|user| user.skipped.is_none()).count();
        let skipped = counted((preview.len() - back) as u64, "user");
        Ok((back > 0).then(|| format!("Bring {} back ({skipped} skipped)?", counted(back as u64, "user"))))
    };
    if !confirmation.dry_run && !confirmation.is_given(question).await? {
        return Ok(Exit::Failed);
    }
    let done = breaker::rollback(&context, &wave, &by, confirmation.dry_run).await?;
    print(&done, confirmation.dry_run, json)?;
    Ok(Exit::Done)
}

fn print(users: &[RolledBack], dry_run: bool, json: bool) -> Result<()> {
    if json {
        return output::json(&users);
    }
    let would = if dry_run { "would be " } else { "" };
    for RolledBack { user_id, job_id, skipped, .. } in users {
        output::line(match skipped {
            None => format!("user {user_id}: {would}brought back (job {job_id})"),
            Some(why) => format!("user {user_id}: {would}skipped: {why}"),
        })?;
    }
    Ok(())
}
