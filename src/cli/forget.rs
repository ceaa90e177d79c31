//! `handover forget`: erases what the ledger holds of one person, and keeps the counts.

use anyhow::{Error, Result, anyhow, bail};
use clap::Args;

use super::confirmation::Confirmation;
use super::exit::Exit;
use super::{open, output};
use crate::app::forget::Refusal;
use crate::app::{self, forget};
use crate::config::Settings;
use crate::contract::{UserId, counted};
use crate::store::Store;
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
    #[command(flatten)]
    pub(super) confirmation: Confirmation,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let Arguments { user, org, by, confirmation, json } = arguments;
    let user = UserId::try_from(user).map_err(Error::msg)?;
    let store = open::ledger(&settings).await?;
    let person = Person { org, user, pseudonym: UserId::pseudonym() };
    let has_broker = settings.broker.is_external();
    let mut held = forget::preview(&store, &person, &by, has_broker).await?.map_err(describe)?;
    if held.is_empty() {
        open::organization(&settings, &store, Some(&person.org)).await?;
        bail!("nothing is held of {}: nothing was done", described(&person));
    }
    let dry_run = confirmation.dry_run;
    if !dry_run {
        let question = async || {
            let (who, what) = (described(&person), listed(&held));
            Ok(Some(format!("Erase what the ledger holds of {who} ({what})? It cannot be undone.")))
        };
        if !confirmation.is_given(question).await? {
            return Ok(Exit::Failed);
        }
        held = erase(&store, &person, &by, has_broker).await?;
    }
    match json {
        true => output::json(&serde_json::json!({ "pseudonym": person.pseudonym, "dry_run": dry_run, "held": held }))?,
        false => output::line(format!("{}: {}", if dry_run { "would be erased" } else { "erased" }, listed(&held)))?,
    }
    Ok(Exit::Done)
}

async fn erase(store: &Store, person: &Person, by: &str, has_broker: bool) -> Result<PersonalData> {
    match forget::forget(store, person, by, has_broker).await {
        Err(app::Error::Store(error)) if error.is_forbidden() => {
            bail!("{error}; a worker's role may not change the audit trail: run this as the owner of the ledger")
        }
        forgotten => forgotten?.map_err(describe),
    }
}

fn described(Person { org, user, .. }: &Person) -> String {
    if org.is_empty() { format!("user {user}") } else { format!("user {user} of organization {org}") }
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

fn listed(held: &PersonalData) -> String {
    format!(
        "{} about them, {} that name them, {}, {} of the journal, {} of the audit trail, {}, {}, {}, {}",
        counted(held.jobs, "job"),
        counted(held.named_in, "job"),
        counted(held.row_snapshots, "row snapshot"),
        counted(held.journal, "row"),
        counted(held.audit, "entry"),
        counted(held.tokens, "token"),
        counted(held.uploads, "uploaded file"),
        counted(held.scim_links, "SCIM link"),
        counted(held.sign_ins, "sign-in")
    )
}
