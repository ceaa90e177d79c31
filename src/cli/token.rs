//! `handover token`: creates, lists and revokes tokens of the HTTP API.

use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};

use super::exit::Exit;
use super::list::{Cell, Column, ListOptions, Listing};
use super::{open, output};
use crate::app::tokens::{self, Created, NewToken, Owner, TokenListing};
use crate::config::Settings;
use crate::contract::{OrgId, RequestType, TokenScope, UserId};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a token, and show it once.
    Create(CreateArguments),
    /// List tokens, by owner.
    List(ListArguments),
    /// Revoke a token.
    Revoke(RevokeArguments),
}

#[derive(Debug, Args)]
struct CreateArguments {
    /// The user who owns the token. The catalog's `may` decides what they may ask for.
    #[arg(long, value_name = "USER", group = "owner", required = true)]
    user: Option<String>,
    /// The application that owns the token.
    #[arg(long, value_name = "NAME", group = "owner")]
    service: Option<String>,
    /// The operator who owns the token.
    #[arg(long, value_name = "NAME", group = "owner")]
    operator: Option<String>,
    /// The organization of the user or the application.
    #[arg(long)]
    org: Option<String>,
    /// What the token may be used for.
    #[arg(long, value_delimiter = ',', required = true, value_parser = parse_scope)]
    scopes: Vec<TokenScope>,
    /// The request types that the application may send. They replace those that it had.
    #[arg(long = "types", value_name = "TYPES", value_delimiter = ',', requires = "service", value_parser = parse_type)]
    request_types: Vec<RequestType>,
    /// For how long the token is valid: `90d`. Default: until it is revoked.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    valid_for: Option<Duration>,
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
struct RevokeArguments {
    /// The id of the token.
    id: String,
}

fn parse_scope(text: &str) -> Result<TokenScope, String> {
    let known = TokenScope::ALL.into_iter().filter(|scope| *scope != TokenScope::Scim);
    let listed = || known.clone().map(TokenScope::name).collect::<Vec<_>>().join(", ");
    known.clone().find(|scope| scope.name() == text).ok_or_else(|| format!("scopes are {}", listed()))
}

fn parse_type(text: &str) -> Result<RequestType, String> {
    text.parse().map_err(|_| format!("types are {}", RequestType::ALL.map(RequestType::name).join(", ")))
}

const LISTING: Listing<TokenListing> = Listing::new(&COLUMNS, "token");

/// The columns, the most important first: a narrow terminal shows only these.
const COLUMNS: [Column<TokenListing>; 10] = [
    Column::shown("id", |token| Cell::word(&token.id)),
    Column::shown("owner", |token| Cell::text(&token.owner)),
    Column::shown("kind", |token| Cell::word(token.owner_kind.name())),
    Column::shown("organization", |token| Cell::text(&token.org_id)),
    Column::shown("live", |token| Cell::word(if token.live { "yes" } else { "" })),
    Column::shown("scopes", |token| Cell::text(&token.scopes)),
    Column::shown("last used", |token| Cell::time(token.last_used_at)),
    Column::shown("expires", |token| Cell::time(token.expires_at)),
    Column::extra("created", |token| Cell::Time(token.created_at)),
    Column::extra("revoked", |token| Cell::time(token.revoked_at)),
];

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    match arguments.command {
        Command::Create(arguments) => create(arguments, settings).await,
        Command::List(arguments) => list(arguments, settings).await,
        Command::Revoke(arguments) => revoke(arguments, settings).await,
    }
}

async fn create(arguments: CreateArguments, settings: Settings) -> Result<Exit> {
    let CreateArguments { user, service, operator, org, scopes, request_types, valid_for, json } = arguments;
    let org = org.map(OrgId::try_from).transpose().map_err(|what| anyhow!("--org: {what}"))?;
    let owner = match (user, service, operator) {
        (Some(user), _, _) => {
            Owner::Person { org, user: UserId::try_from(user).map_err(|what| anyhow!("--user: {what}"))? }
        }
        (None, Some(name), _) => Owner::Service { org, name, request_types: request_types.into_iter().collect() },
        (None, None, name) => Owner::Operator { name: name.unwrap_or_default() },
    };
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store).await?;
    let new = NewToken { owner, scopes: scopes.into_iter().collect(), valid_for };
    show(&tokens::create(&context, new).await?, json)
}

/// Prints a token that was created.
pub(super) fn show(created: &Created, json: bool) -> Result<Exit> {
    match json {
        true => output::json(created)?,
        false => output::line(&created.token)?,
    }
    output::note(format!("the token {} is shown this once", created.listed.id));
    Ok(Exit::Done)
}

async fn list(arguments: ListArguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    arguments.list.print_part(&LISTING, tokens::list(&store).await?)?;
    Ok(Exit::Done)
}

async fn revoke(arguments: RevokeArguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let revoked = tokens::revoke(&store, &arguments.id).await?;
    output::line(format!("the token {} of {} is revoked", revoked.id, revoked.owner))?;
    Ok(Exit::Done)
}
