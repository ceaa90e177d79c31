//! `handover forget`: erases what the ledger holds of one person, and keeps the counts.

use anyhow::{Error, Result, anyhow, bail};
use clap::Args;

use super::exit::Exit;
use super::{open, output};
use crate::app::forget::Refusal;
use crate::app::{self, forget};
use crate::config::Settings;
use crate::contract::UserId;
use crate::store::ledger::forget::{Person, PersonalData};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The user's id.
    user: String,
    /// The organization; none if the host has none.
    #[arg(long, value_name = "ORG", default_value = "")]
    org: String,
    /// The user who asks, for the audit trail.
    #[arg(long, value_name = "USER")]
    by: String,
    /// Show what is held, and erase nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let Arguments { user, org, by, dry_run, json } = arguments;
    let user = UserId::try_from(user).map_err(Error::msg)?;
    let store = open::ledger(&settings).await?;
    let person = Person { org, user, pseudonym: UserId::pseudonym() };
    let has_broker = settings.broker.is_external();
    let forgotten = match dry_run {
        true => forget::preview(&store, &person, &by, has_broker).await,
        false => forget::forget(&store, &person, &by, has_broker).await,
    };
    let held = match forgotten {
        Err(app::Error::Store(error)) if error.is_forbidden() => {
            bail!("{error}; a worker's role may not change the audit trail: run this as the owner of the ledger")
        }
        forgotten => forgotten?.map_err(describe)?,
    };
    match json {
        true => output::json(&serde_json::json!({ "pseudonym": person.pseudonym, "dry_run": dry_run, "held": held }))?,
        false => print(&held, dry_run)?,
    }
    Ok(Exit::Done)
}

fn describe(refusal: Refusal) -> Error {
    match refusal {
        Refusal::IsRequester => anyhow!("the person would enter the audit trail again: --by must be another user"),
        Refusal::UnpublishedEvents => {
            anyhow!("there are events that were not published yet: let a worker publish them, and run this again")
        }
        Refusal::NeededBy(job) => {
            let recount = job.recount_at.map_or("", |_| ", and is still counted again (`limits.recount_for`)");
            anyhow!("the job {} still needs to know the user: it is {}{recount}", job.id, job.state)
        }
    }
}

fn print(held: &PersonalData, dry_run: bool) -> Result<()> {
    output::line(format!(
        "{}: {} jobs about them, {} jobs that name them, {} row snapshots, {} rows of the journal, {} entries of the audit trail",
        if dry_run { "would be erased" } else { "erased" },
        held.jobs,
        held.named_in,
        held.row_snapshots,
        held.journal,
        held.audit
    ))
}
