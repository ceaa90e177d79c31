//! `handover users`: lists users, what they own by kind, and who holds a license.

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};

use super::exit::Exit;
use super::list::{Cell, Column, ListOptions, Listing, Page};
use super::open;
use crate::app::organizations;
use crate::app::users::{StatusFilter, UserFilter, UserPages, UserWithRecords};
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
    /// Only users with this text in the name or the email address.
    #[arg(long)]
    text: Option<String>,
    #[command(flatten)]
    list: ListOptions,
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
    let Arguments { status, org, text, list } = arguments;
    let filter = UserFilter { status: status.into(), org, text, id: None };
    let Page { limit, skip } = list.page();
    let pages = UserPages::open(&store, catalog, filter, limit, skip).await;
    let mut pages = pages.context("listing users; use --org to name an organization")?;
    list.print_pages(&LISTING, pages.total, async || pages.next().await).await?;
    Ok(Exit::Done)
}

const LISTING: Listing<UserWithRecords> = Listing::new(&COLUMNS, "user");

const COLUMNS: [Column<UserWithRecords>; 7] = [
    Column::shown("id", |listed| Cell::word(&listed.user.id)),
    Column::shown("name", |listed| Cell::text(&listed.user.name)),
    Column::shown("email", |listed| Cell::text(&listed.user.email)),
    Column::shown("status", |listed| Cell::word(&listed.user.status)),
    Column::shown("license", |listed| Cell::word(if listed.user.license { "yes" } else { "" })),
    Column::shown("owns", |listed| Cell::text(&owned(listed))),
    Column::extra("organization", |listed| Cell::text(&listed.user.org)),
];

fn owned(UserWithRecords { owns, .. }: &UserWithRecords) -> String {
    owns.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}
