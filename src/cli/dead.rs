//! `handover dead`: lists dead letters, and replays or drops all that pass a filter.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::confirmation::Confirmation;
use super::exit::Exit;
use super::list::{Cell, Column, ListOptions, Listing, Page};
use super::{open, output};
use crate::app::dead_letters::{self, Action, DeadLetterView, Filter, Processed, Selection};
use crate::broker::Broker;
use crate::config::Settings;
use crate::contract::{counted, printable};
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the messages, oldest first.
    List(ShowArguments),
    /// Show the messages with headers and bodies.
    Show(ShowArguments),
    /// Send messages back to their original queues.
    Replay(ActionArguments),
    /// Drop messages for good.
    Drop(ActionArguments),
}

/// The messages: those that pass every test that is given.
#[derive(Debug, Args)]
struct FilterArguments {
    /// Only messages with these ids: in the dead-letter queue, or original ones.
    ids: Vec<String>,
    /// Only messages with this reason: `conflict`, `not_json`, `failed`, …; from the broker itself: `expired`,
    /// `delivery_limit`, ….
    #[arg(long, value_name = "CODE")]
    reason: Vec<String>,
    /// Only messages from this queue: `requests` or `steps`.
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only requests of this organization.
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// Only messages set aside at least this long ago: `2h`, `7d`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Only messages set aside at most this long ago.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    newer_than: Option<Duration>,
    /// Only messages with this text in the body or in the reason, in upper or lower case.
    #[arg(long)]
    text: Option<String>,
}

#[derive(Debug, Args)]
struct ShowArguments {
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    list: ListOptions,
}

#[derive(Debug, Args)]
struct ActionArguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// Every message.
    #[arg(long)]
    all: bool,
    /// The user who acts, for the audit trail.
    #[arg(long, value_name = "USER")]
    by: String,
    #[command(flatten)]
    confirmation: Confirmation,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Returns the confirmation of a command that changes the queue.
    pub fn confirmation(&self) -> Option<Confirmation> {
        match &self.command {
            Command::List(_) | Command::Show(_) => None,
            Command::Replay(arguments) | Command::Drop(arguments) => Some(arguments.confirmation),
        }
    }
}

impl From<FilterArguments> for Filter {
    fn from(arguments: FilterArguments) -> Filter {
        let FilterArguments { ids, reason: reasons, queue, org, older_than, newer_than, text } = arguments;
        Filter { ids, reasons, queue, org, older_than, newer_than, text }
    }
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let broker = open::broker(&settings, &store).await?;
    let opened = Opened { settings: &settings, store: &store, broker: broker.as_ref() };
    let exit = match arguments.command {
        Command::List(arguments) => list(opened, arguments, false).await,
        Command::Show(arguments) => list(opened, arguments, true).await,
        Command::Replay(arguments) => act(opened, Action::Replay, arguments).await,
        Command::Drop(arguments) => act(opened, Action::Drop, arguments).await,
    };
    broker.close().await;
    exit
}

/// The opened database and broker.
#[derive(Clone, Copy)]
struct Opened<'o> {
    settings: &'o Settings,
    store: &'o Store,
    broker: &'o dyn Broker,
}

impl Opened<'_> {
    /// Checks that the organization of a filter exists, if no message passes.
    async fn check_org(self, filter: &Filter, matching: usize) -> Result<()> {
        match matching {
            0 => open::organization(self.settings, self.store, filter.org.as_deref()).await,
            _ => Ok(()),
        }
    }
}

async fn list(opened: Opened<'_>, arguments: ShowArguments, is_whole: bool) -> Result<Exit> {
    let ShowArguments { filter, list } = arguments;
    let filter = Filter::from(filter);
    let mut views = dead_letters::list(opened.broker, &filter, is_whole).await?;
    let total = views.len();
    opened.check_org(&filter, total).await?;
    let Page { limit, skip } = list.page();
    views.drain(..total.min(usize::try_from(skip).unwrap_or(usize::MAX)));
    views.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    match is_whole && !list.is_json() {
        true => {
            views.iter().try_for_each(print_whole)?;
            list.report_rest(views.len() as u64, total as u64, "message");
        }
        false => list.print(&LISTING, &views, total as u64)?,
    }
    Ok(Exit::Done)
}

const LISTING: Listing<DeadLetterView> = Listing::new(&COLUMNS, "message");

const COLUMNS: [Column<DeadLetterView>; 9] = [
    Column::shown("message", |view| Cell::word(view.id.as_deref().unwrap_or("-"))),
    Column::shown("reason", |view| Cell::word(&view.reason)),
    Column::shown("set aside", |view| Cell::time(view.at)),
    Column::shown("request", |view| Cell::text(view.request_id.as_deref().unwrap_or_default())),
    Column::shown("from", |view| Cell::word(&view.queue)),
    Column::shown("organization", |view| Cell::text(view.org_id.as_deref().unwrap_or_default())),
    Column::shown("sent back", |view| Cell::text(&times(view.replays))),
    Column::extra("detail", |view| Cell::text(&view.detail)),
    Column::extra("hint", |view| Cell::text(view.hint.as_deref().unwrap_or_default())),
];

fn times(count: u32) -> String {
    if count == 0 { String::new() } else { counted(count, "time") }
}

fn print_whole(view: &DeadLetterView) -> Result<()> {
    output::field("message", view.id.as_deref().unwrap_or("-"))?;
    output::field("reason", format!("{}: {}", view.reason, view.detail))?;
    if let Some(hint) = &view.hint {
        output::field("hint", hint)?;
    }
    output::field("from", &view.queue)?;
    for (name, value) in view.headers.iter().flatten() {
        output::line(format!("  {name}: {value}"))?;
    }
    output::lines(view.body.as_deref().unwrap_or_default())?;
    output::line("")
}

async fn act(opened: Opened<'_>, action: Action, arguments: ActionArguments) -> Result<Exit> {
    let ActionArguments { filter, all, by, confirmation, json } = arguments;
    let filter = Filter::from(filter);
    if filter.is_empty() != all {
        bail!(
            "say which messages: by ids, --reason, --queue, --org, --text, --older-than or --newer-than; or --all of them"
        );
    }
    let selection = dead_letters::select(opened.broker, &filter).await?;
    let summary = Summary::of(&selection);
    if let Err(unknown) = opened.check_org(&filter, summary.matching).await {
        selection.release().await?;
        return Err(unknown);
    }
    if confirmation.dry_run {
        let views = selection.views();
        selection.release().await?;
        return print_dry_run(action, &summary, &views, json);
    }
    match confirmation.is_given(async || Ok(summary.question(action))).await {
        Ok(true) => {
            let processed = selection.process(opened.store, action, &by).await;
            let processed = processed.context("stopped; the remaining messages stay in the dead-letter queue")?;
            print_result(action, &summary, &processed, json)
        }
        refused => {
            selection.release().await?;
            refused.map(|_| Exit::Failed)
        }
    }
}

/// The size of a selection.
struct Summary {
    matching: usize,
    total: usize,
    /// The number of matching messages per reason, as text.
    counts: String,
}

impl Summary {
    fn of(selection: &Selection) -> Summary {
        let counts: Vec<String> =
            selection.counts().into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let counts = printable(&counts.join(", "));
        Summary { matching: selection.matching.len(), total: selection.total, counts }
    }

    /// Returns the question before the messages change; none if no message matches.
    fn question(&self, action: Action) -> Option<String> {
        let what = match action {
            Action::Replay => "Send back",
            Action::Drop => "Drop for good",
        };
        let Summary { matching, total, counts } = self;
        (*matching > 0).then(|| format!("{what} {matching} of {} ({counts})?", counted(*total, "message")))
    }

    fn counts_in_brackets(&self) -> String {
        if self.matching == 0 { String::new() } else { format!(" ({})", self.counts) }
    }
}

fn print_dry_run(action: Action, summary: &Summary, views: &[DeadLetterView], json: bool) -> Result<Exit> {
    let Summary { matching, total, .. } = summary;
    match json {
        true => output::json(&serde_json::json!({
            "messages": total, "matching": matching, "dry_run": true, "done": 0, "failed": [],
            "selected": output::array(views)?,
        }))?,
        false => {
            LISTING.table(views)?;
            let (action, counts) = (past(action), summary.counts_in_brackets());
            let total = counted(*total, "message");
            output::line(format!("{matching} of {total} would be {action}{counts}"))?;
        }
    }
    Ok(Exit::Done)
}

fn print_result(action: Action, summary: &Summary, processed: &[Processed], json: bool) -> Result<Exit> {
    let failures: Vec<_> = (processed.iter())
        .filter_map(|(message, result)| Some((message, result.as_ref().err()?)))
        .map(|(message, error)| serde_json::json!({ "id": message.id, "why": error.to_string() }))
        .collect();
    let (done, total) = (processed.len() - failures.len(), summary.total);
    if json {
        output::json(&serde_json::json!({
            "messages": total, "matching": summary.matching, "dry_run": false, "done": done, "failed": failures,
        }))?;
    } else {
        let action = past(action);
        let total = counted(total, "message");
        output::line(format!("{done} of {total} {action}{}", summary.counts_in_brackets()))?;
        for failure in &failures {
            let why = failure["why"].as_str().unwrap_or_default();
            output::line(format!("not {action}: {}: {why}", failure["id"]))?;
        }
    }
    Ok(if failures.is_empty() { Exit::Done } else { Exit::Failed })
}

fn past(action: Action) -> &'static str {
    match action {
        Action::Replay => "sent back",
        Action::Drop => "dropped",
    }
}
