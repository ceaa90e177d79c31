//! `handover dead`: looks through the messages that were set aside, and sends them back or drops them: all that pass the
//! filter, not those of a page.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::exit::Exit;
use super::{open, output};
use crate::broker::{Broker, BrokerError, DeadLetter, DeadLetterQueue, REPLAYED_AT};
use crate::config::Settings;
use crate::store::Store;
use crate::store::ledger::audit;

/// Messages sent back, or dropped, at a time.
const BATCH: usize = 100;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the messages, oldest first.
    List(Looking),
    /// Show the messages whole, with headers and bodies.
    Show(Looking),
    /// Send messages back to the queues that they came from. Without --yes it only says what would be done.
    Replay(Acting),
    /// Drop messages for good. Without --yes it only says what would be done.
    Drop(Acting),
}

/// Which messages: those that pass every test that is there.
#[derive(Debug, Args)]
struct Filter {
    /// Only those of these ids: in the dead queue, or before.
    ids: Vec<String>,
    /// Only those set aside for this reason: `conflict`, `not_json`, `failed`, …; of the broker itself `expired`,
    /// `delivery_limit`, ….
    #[arg(long, value_name = "CODE")]
    reason: Vec<String>,
    /// Only those that came from this queue: `requests` or `steps`.
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only requests of this organization.
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// Only those set aside at least so long ago: `2h`, `7d`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Only those set aside at most so long ago.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    newer_than: Option<Duration>,
}

#[derive(Debug, Args)]
struct Looking {
    #[command(flatten)]
    filter: Filter,
    /// Print as JSON, a line a message.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Acting {
    #[command(flatten)]
    filter: Filter,
    /// Every message that there is.
    #[arg(long)]
    all: bool,
    /// Who does it, for the audit trail.
    #[arg(long, value_name = "USER")]
    by: String,
    /// Do it.
    #[arg(long)]
    yes: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// What is done to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Replay,
    Drop,
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Filter { ids, reason, queue, org, older_than, newer_than } = self;
        let any_time = older_than.is_some() || newer_than.is_some();
        ids.is_empty() && reason.is_empty() && queue.is_none() && org.is_none() && !any_time
    }

    fn passes(&self, letter: &DeadLetter, prefix: &str, now: OffsetDateTime) -> bool {
        let is_named = [&letter.id, &letter.message_id].into_iter().flatten().any(|id| self.ids.contains(id));
        let queue = letter.origin(prefix).map_or(letter.queue.as_str(), |channel| channel.name());
        let age = letter.at.map(|at| now - at);
        // Whose time is unknown is of no age.
        let is_older = |than: &Duration| age.is_some_and(|age| age >= *than);
        let is_newer = |than: &Duration| age.is_some_and(|age| age <= *than);
        (self.ids.is_empty() || is_named)
            && (self.reason.is_empty() || self.reason.iter().any(|reason| reason == letter.reason()))
            && self.queue.as_deref().is_none_or(|wanted| wanted == queue || wanted == letter.queue)
            && self.org.as_ref().is_none_or(|org| letter.names().0.as_ref() == Some(org))
            && self.older_than.iter().all(is_older)
            && self.newer_than.iter().all(is_newer)
    }
}

/// A message as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    id: Option<String>,
    message_id: Option<String>,
    reason: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    queue: String,
    by_broker: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
    org_id: Option<String>,
    request_id: Option<String>,
    replays: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_at: Option<String>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl Shown {
    fn of(letter: &DeadLetter, prefix: &str, is_whole: bool) -> Shown {
        let (org_id, request_id) = letter.names();
        Shown {
            id: letter.id.clone(),
            message_id: letter.message_id.clone(),
            reason: letter.reason().to_owned(),
            detail: letter.detail().to_owned(),
            path: letter.headers.get("x-handover-path").cloned(),
            queue: letter.origin(prefix).map_or(letter.queue.clone(), |channel| channel.name().to_owned()),
            by_broker: letter.by_broker,
            at: letter.at,
            org_id,
            request_id,
            replays: letter.replays(),
            replayed_at: letter.headers.get(REPLAYED_AT).cloned(),
            bytes: letter.body.len(),
            content_type: letter.content_type.clone().filter(|_| is_whole),
            headers: is_whole.then(|| letter.headers.clone()),
            body: is_whole.then(|| String::from_utf8_lossy(&letter.body).into_owned()),
        }
    }
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let broker = open::broker(&settings, &store).await?;
    let prefix = settings.broker.prefix();
    let ended = match arguments.command {
        Command::List(looking) => look(broker.as_ref(), prefix, &looking, false).await,
        Command::Show(looking) => look(broker.as_ref(), prefix, &looking, true).await,
        Command::Replay(acting) => act(&store, broker.as_ref(), prefix, Deed::Replay, &acting).await,
        Command::Drop(acting) => act(&store, broker.as_ref(), prefix, Deed::Drop, &acting).await,
    };
    broker.close().await;
    ended
}

async fn look(broker: &dyn Broker, prefix: &str, looking: &Looking, is_whole: bool) -> Result<Exit> {
    let mut queue = broker.dead_letters().await?;
    let now = crate::stages::now();
    let mut shown = Vec::new();
    while let Some(letter) = queue.next().await? {
        if looking.filter.passes(&letter, prefix, now) {
            shown.push(Shown::of(&letter, prefix, is_whole));
        }
    }
    // Before anything is printed: whoever reads may take their time, and would keep others from the messages.
    queue.release().await?;
    match (looking.json, is_whole) {
        (true, _) => shown.iter().try_for_each(output::json_line)?,
        (false, true) => shown.iter().try_for_each(print_whole)?,
        (false, false) => print_list(&shown)?,
    }
    Ok(Exit::Done)
}

fn print_list(shown: &[Shown]) -> Result<()> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let row = |shown: &Shown| {
        let at = shown.at.and_then(|at| at.format(&Rfc3339).ok());
        let times = if shown.replays == 0 { String::new() } else { format!("{} times", shown.replays) };
        vec![
            text(&shown.id),
            text(&at),
            shown.queue.clone(),
            shown.reason.clone(),
            text(&shown.org_id),
            text(&shown.request_id),
            times,
        ]
    };
    let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
    output::table(&["message", "set aside", "from", "reason", "organization", "request", "sent back"], &rows)
}

fn print_whole(shown: &Shown) -> Result<()> {
    output::line(format!("message       {}", shown.id.as_deref().unwrap_or("-")))?;
    output::line(format!("reason        {}: {}", shown.reason, shown.detail))?;
    output::line(format!("from          {}", shown.queue))?;
    for (name, value) in shown.headers.iter().flatten() {
        output::line(format!("  {name}: {value}"))?;
    }
    output::lines(shown.body.as_deref().unwrap_or_default())?;
    output::line("")
}

async fn act(store: &Store, broker: &dyn Broker, prefix: &str, deed: Deed, acting: &Acting) -> Result<Exit> {
    if acting.filter.is_empty() != acting.all {
        bail!("say which messages: by ids, --reason, --queue, --org, --older-than or --newer-than; or --all of them");
    }
    let mut queue = broker.dead_letters().await?;
    let now = crate::stages::now();
    let (mut matching, mut seen) = (Vec::new(), 0);
    while let Some(letter) = queue.next().await? {
        seen += 1;
        if acting.filter.passes(&letter, prefix, now) {
            matching.push(letter);
        }
    }
    let done = match is_meant(deed, acting, &matching, seen)? {
        true => Some(perform(store, queue.as_mut(), deed, &acting.by, &matching, now).await),
        false => None,
    };
    queue.release().await?;
    let done = done.transpose()?;
    tell(deed, acting, &matching, seen, done.as_deref())
}

/// Whether to go on: told by --yes, or by a person at a terminal.
fn is_meant(deed: Deed, acting: &Acting, matching: &[DeadLetter], seen: usize) -> Result<bool> {
    let is_watched = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if acting.yes || matching.is_empty() || acting.json || !is_watched {
        return Ok(acting.yes);
    }
    let what = if deed == Deed::Replay { "Send back" } else { "Drop for good" };
    eprint!("{what} {} of {seen} messages ({})? [y/N] ", matching.len(), counts(matching));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// How many for which reason.
fn counts(letters: &[DeadLetter]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    letters.iter().for_each(|letter| *counts.entry(letter.reason()).or_default() += 1);
    let told: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    crate::contract::printable(&told.join(", "))
}

type Results = Vec<std::result::Result<(), BrokerError>>;

/// Does it, batch by batch, each written into the audit trail before it is begun: what is done without a trace is worse
/// than a trace of what was not done.
async fn perform(
    store: &Store,
    queue: &mut dyn DeadLetterQueue,
    deed: Deed,
    by: &str,
    matching: &[DeadLetter],
    now: OffsetDateTime,
) -> Result<Results> {
    let mut results = Vec::with_capacity(matching.len());
    for batch in matching.chunks(BATCH) {
        let session = store.begin("dead").await?;
        audit::append(&session, batch.iter().map(|letter| entry(letter, deed, by, now)).collect()).await?;
        session.commit().await.context("writing the audit trail: the rest stays where it is")?;
        results.extend(match deed {
            Deed::Replay => queue.replay(batch, now).await,
            Deed::Drop => queue.remove(batch).await,
        });
    }
    Ok(results)
}

fn entry(letter: &DeadLetter, deed: Deed, by: &str, now: OffsetDateTime) -> audit::Entry {
    let (org, request_id) = letter.names();
    let action = if deed == Deed::Replay { "dead.replay" } else { "dead.drop" };
    let detail =
        serde_json::json!([{ "code": letter.reason(), "queue": letter.queue, "message_id": letter.message_id }]);
    audit::Entry {
        id: 0,
        at: now,
        org: org.unwrap_or_default(),
        actor: by.to_owned(),
        action: action.into(),
        user_id: String::new(),
        job_id: None,
        request_id: request_id.unwrap_or_default(),
        detail: Some(detail),
    }
}

fn tell(
    deed: Deed,
    acting: &Acting,
    matching: &[DeadLetter],
    seen: usize,
    done: Option<&[std::result::Result<(), BrokerError>]>,
) -> Result<Exit> {
    let results = done.unwrap_or_default();
    let failures: Vec<_> = (matching.iter().zip(results))
        .filter_map(|(letter, result)| Some((letter, result.as_ref().err()?)))
        .map(|(letter, error)| serde_json::json!({ "id": letter.id, "why": error.to_string() }))
        .collect();
    let succeeded = results.iter().filter(|result| result.is_ok()).count();
    if acting.json {
        output::json(&serde_json::json!({
            "messages": seen, "matching": matching.len(), "dry_run": done.is_none(), "done": succeeded, "failed": failures,
        }))?;
    } else {
        let what = if deed == Deed::Replay { "sent back" } else { "dropped" };
        let some = if matching.is_empty() { String::new() } else { format!(" ({})", counts(matching)) };
        match done {
            None => {
                output::line(format!("{} of {seen} messages would be {what}{some}: --yes does it", matching.len()))?;
            }
            Some(_) => output::line(format!("{succeeded} of {seen} messages were {what}{some}"))?,
        }
        for failure in &failures {
            output::line(format!("not {what}: {}: {}", failure["id"], failure["why"].as_str().unwrap_or_default()))?;
        }
    }
    Ok(if failures.is_empty() { Exit::Done } else { Exit::Failed })
}
