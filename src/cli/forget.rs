//! `handover forget`: erases what the ledger holds of one person, and leaves the counts.

use anyhow::{Result, bail};
use clap::Args;

use super::exit::Exit;
use super::{open, output};
use crate::config::Settings;
use crate::contract::UserId;
use crate::stages::forget;
use crate::store::ledger::forget::Person;
use crate::store::ledger::outbox;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The user's id.
    user: String,
    /// The organization; none where the host has none.
    #[arg(long, value_name = "ORG", default_value = "")]
    org: String,
    /// Who asks for it: stands in the audit trail, beside that somebody was forgotten.
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
    let user = UserId::try_from(user).map_err(anyhow::Error::msg)?;
    if by == user.as_str() {
        bail!("whoever is forgotten would stand in the audit trail again: --by must be somebody else");
    }
    let store = open::ledger(&settings).await?;
    // Behind a broker, events are carried on by a worker: what is not yet told must be told first.
    if settings.broker.is_external() && !outbox::list(&store.reader(), "events", 0, 1).await?.is_empty() {
        bail!("there are events that were not published yet: let a worker publish them, and run this again");
    }
    let person = Person { org, user, pseudonym: UserId::pseudonym() };
    let done = match dry_run {
        true => forget::preview(&store, &person).await,
        false => forget::forget(&store, &person, &by).await,
    };
    let held = match done {
        Err(error) if error.is_forbidden() => {
            bail!("{error}; a worker's role may not alter the audit trail: run this as the owner of the ledger")
        }
        Err(error) => return Err(error.into()),
        Ok(Err(job)) => bail!(
            "the job {} still needs to know the user: it is {}{}",
            job.id,
            job.state,
            if job.recount_at.is_some() { ", and is still counted again (`limits.recount_for`)" } else { "" }
        ),
        Ok(Ok(held)) => held,
    };
    match json {
        true => output::json(&serde_json::json!({ "pseudonym": person.pseudonym, "dry_run": dry_run, "held": held }))?,
        false => output::line(format!(
            "{}: {} jobs about them, {} jobs that name them, {} copies, {} rows of the journal, {} entries of the audit trail",
            if dry_run { "would be erased" } else { "erased" },
            held.jobs,
            held.named_in,
            held.row_snapshots,
            held.journal,
            held.audit
        ))?,
    }
    Ok(Exit::Done)
}
