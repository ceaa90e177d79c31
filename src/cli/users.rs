//! `handover users`: who there is, what they own by kind, who holds a license.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::exit::Exit;
use super::{open, output};
use crate::catalog::{Catalog, Disposition, Status};
use crate::config::Settings;
use crate::contract::UserId;
use crate::store::host::{self, UserListing};

/// Users of one page: what they own is counted for all of them at once.
const PAGE: u64 = 200;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Which users (the Keap page's list of statuses).
    #[arg(long, value_enum, default_value_t = Which::ActiveOrInvited)]
    status: Which,
    /// The organization whose users are shown: needed where the catalog sees one at a time.
    #[arg(long)]
    org: Option<String>,
    /// Print as JSON, a line a user.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Active,
    Invited,
    ActiveOrInvited,
    Inactive,
    All,
}

impl Which {
    /// The status column's values; none for all of them, whatever they are.
    fn values(self, status: &Status) -> Vec<&str> {
        let invited = status.invited.as_deref();
        match self {
            Which::Active => vec![&status.active],
            // Where the host has no such status, nobody is invited.
            Which::Invited => vec![invited.unwrap_or("\u{0}")],
            Which::ActiveOrInvited => [Some(status.active.as_str()), invited].into_iter().flatten().collect(),
            Which::Inactive => vec![&status.inactive],
            Which::All => Vec::new(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    user: UserListing,
    owns: BTreeMap<String, u64>,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let catalog = open::catalog(&settings, &store).await?.catalog;
    let session = store.snapshot().await?;
    let catalog = match &arguments.org {
        Some(org) => {
            host::enter(&session, &catalog, org).await?;
            catalog.within(org).into_owned()
        }
        None if catalog.is_org_isolated() => bail!("the catalog sees one organization at a time: say which with --org"),
        None => catalog,
    };
    let statuses = arguments.status.values(&catalog.users.status);
    if arguments.status == Which::Invited && catalog.users.status.invited.is_none() {
        return Ok(Exit::Done);
    }
    let mut after: Option<String> = None;
    let mut rows = Vec::new();
    loop {
        let page = host::list_users(&session, &catalog, &statuses, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for shown in with_possessions(&session, &catalog, page).await? {
            match arguments.json {
                true => output::json_line(&shown)?,
                false => rows.push(row(&shown)),
            }
        }
    }
    if !arguments.json {
        output::table(&["id", "name", "email", "status", "license", "owns"], &rows)?;
    }
    Ok(Exit::Done)
}

async fn with_possessions(
    session: &crate::store::Session,
    catalog: &Catalog,
    page: Vec<UserListing>,
) -> Result<Vec<Shown>> {
    let ids: Vec<UserId> = page.iter().filter_map(|user| UserId::try_from(user.id.clone()).ok()).collect();
    let ids: Vec<&UserId> = ids.iter().collect();
    let counts = host::counts(session, catalog, &ids, u64::MAX).await?;
    let transferred = catalog.references.iter().filter(|r| matches!(r.disposition, Disposition::Transfer { .. }));
    let transferred: Vec<(usize, &str)> = transferred.map(|r| (r.position, r.kind.as_str())).collect();
    let owns = |user: &UserListing| {
        let count = |(position, kind): &(usize, &str)| {
            let count = counts.get(&(user.id.clone(), *position))?;
            (count.rows > 0).then(|| ((*kind).to_owned(), count.rows))
        };
        transferred.iter().filter_map(count).collect()
    };
    Ok(page.into_iter().map(|user| Shown { owns: owns(&user), user }).collect())
}

fn row(shown: &Shown) -> Vec<String> {
    let owns: Vec<String> = shown.owns.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let license = if shown.user.license { "yes" } else { "" };
    let user = &shown.user;
    vec![user.id.clone(), user.name.clone(), user.email.clone(), user.status.clone(), license.into(), owns.join(", ")]
}
