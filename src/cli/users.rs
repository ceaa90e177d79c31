//! `handover users`: lists users, what they own by kind, and who holds a license.

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};

use super::exit::Exit;
use super::{open, output};
use crate::app::organizations;
use crate::app::users::{StatusFilter, UserPages, UserWithRecords};
use crate::config::Settings;
use crate::contract::OrgId;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The users to list, by status (as on the Keap help page).
    #[arg(long, value_enum, default_value_t = Status::ActiveOrInvited)]
    status: Status,
    /// The organization whose users are listed. Required if the catalog sees one organization at a time.
    #[arg(long)]
    org: Option<String>,
    /// Print as JSON, one line per user.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Active,
    Invited,
    ActiveOrInvited,
    Inactive,
    All,
}

impl From<Status> for StatusFilter {
    fn from(status: Status) -> StatusFilter {
        match status {
            Status::Active => StatusFilter::Active,
            Status::Invited => StatusFilter::Invited,
            Status::ActiveOrInvited => StatusFilter::ActiveOrInvited,
            Status::Inactive => StatusFilter::Inactive,
            Status::All => StatusFilter::All,
        }
    }
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let catalog = open::catalog(&settings, &store).await?.catalog;
    if let Some(org) = &arguments.org {
        let org = OrgId::try_from(org.clone()).map_err(|what| anyhow!("--org: {what}"))?;
        organizations::check(&store, &catalog, &org).await?;
    }
    let pages = UserPages::open(&store, catalog, arguments.status.into(), arguments.org.as_deref()).await;
    let mut pages = pages.context("listing users; use --org to name an organization")?;
    let mut rows = Vec::new();
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        match arguments.json {
            true => page.iter().try_for_each(output::json_line)?,
            false => rows.extend(page.iter().map(row)),
        }
    }
    if !arguments.json {
        output::table(&["id", "name", "email", "status", "license", "owns"], &rows)?;
    }
    Ok(Exit::Done)
}

fn row(UserWithRecords { user, owns }: &UserWithRecords) -> Vec<String> {
    let owns: Vec<String> = owns.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let license = if user.license { "yes" } else { "" };
    vec![user.id.clone(), user.name.clone(), user.email.clone(), user.status.clone(), license.into(), owns.join(", ")]
}
