//! `handover console`: signs people in to the web console.

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand};

use super::exit::Exit;
use super::{open, output};
use crate::app::sign_in;
use crate::config::Settings;
use crate::contract::{OrgId, UserId};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a link that signs a user in to the console, once, within five minutes.
    Login(LoginArguments),
}

#[derive(Debug, Args)]
struct LoginArguments {
    /// The user. The catalog's `may` decides what they may ask for.
    #[arg(long, value_name = "USER")]
    user: String,
    /// The user's organization.
    #[arg(long)]
    org: Option<String>,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let Command::Login(LoginArguments { user, org }) = arguments.command;
    let org = org.map(OrgId::try_from).transpose().map_err(|what| anyhow!("--org: {what}"))?;
    let user = UserId::try_from(user).map_err(|what| anyhow!("--user: {what}"))?;
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store).await?;
    let public = settings.api.public_url_at(None).context(
        "the URL of the console is not known: set `api.public_url` (HANDOVER_API__PUBLIC_URL) to the one that browsers use",
    )?;
    let link = sign_in::create_link(&context, org.as_ref(), &user).await?;
    output::line(format!("{}/login/{link}", public.origin))?;
    output::note("the link works once, within five minutes");
    Ok(Exit::Done)
}
