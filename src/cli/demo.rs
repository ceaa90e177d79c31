//! `handover demo`: runs a help page's example on a temporary database, from the preview to the certificate.

mod progress;
mod provider;
mod scenario;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::scenario::Scenario;
use self::server::FirstStep;
use super::exit::Exit;
use super::{jobs as jobs_command, open, output, preview};
use crate::app::preview::{Preview, PreviewedReference};
use crate::app::reference_crm::{CONTACTS, Example};
use crate::app::{self, submit};
use crate::broker::local::LocalBroker;
use crate::broker::{self, Broker, Channel};
use crate::config::Settings;
use crate::contract::{Certificate, HandoverRequest, Request, counted};
use crate::stages::Context;
use crate::store::ledger::outbox;
use crate::store::{Store, driver, ledger};
use crate::worker::{self, Role};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The rules to show: the name of an embedded catalog.
    #[arg(long, default_value = "keap", value_parser = scenario::names())]
    catalog: String,
    /// The leaver's contacts; other records grow with them.
    #[arg(long, default_value_t = CONTACTS, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    records: u64,
    /// Keep the database in this file.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Use this database instead of a temporary one: a URL as in `database.url`. It must not have users yet, and is kept.
    #[arg(long, value_name = "URL", conflicts_with = "keep")]
    database: Option<String>,
    /// Print everything as one JSON value.
    #[arg(long)]
    json: bool,
    /// Serve the HTTP API on `api.listen` instead, and print the calls that deactivate the leaver.
    #[arg(long, conflicts_with = "json")]
    serve: bool,
    /// Serve the web console on `api.listen` instead, and print a link that signs an administrator in.
    #[arg(long, conflicts_with_all = ["json", "serve"])]
    console: bool,
    /// Play the messages of Okta and Microsoft Entra against a server on the demo's database instead.
    #[arg(long, conflicts_with_all = ["json", "serve", "console", "catalog"])]
    scim: bool,
}

impl Arguments {
    fn first_step(&self) -> FirstStep {
        if self.console { FirstStep::Link } else { FirstStep::Calls }
    }
}

pub async fn run(arguments: Arguments, mut settings: Settings) -> Result<Exit> {
    let folder = TemporaryFolder::new()?;
    settings.database.url = match &arguments.database {
        Some(url) => {
            driver::of_url(url).map_err(|fault| anyhow!("--database: {fault}"))?;
            url.clone()
        }
        None => new_file(arguments.keep.clone().unwrap_or_else(|| folder.0.join("demo.db")))?,
    };
    settings.broker = broker::Settings::Embedded;
    let listener = if arguments.serve || arguments.console { Some(server::bind(&settings).await?) } else { None };
    if arguments.scim {
        settings.limits.scim.settle = provider::SETTLE;
    }
    let scenario = scenario::read(if arguments.scim { provider::CATALOG } else { &arguments.catalog })?;
    settings.catalog = scenario.catalog.clone();
    let store = app::open::created(&settings.database).await?;
    say(&arguments, &format!("creating the reference CRM in {}", place(&arguments, &store)))?;
    prepare(&store, scenario.example, arguments.records).await?;
    let context = open::context(&settings, store.clone()).await?;
    let exit = match listener {
        _ if arguments.scim => provider::run(&settings, context).await?,
        Some(listener) => server::run(listener, &settings, context, &scenario.handover, arguments.first_step()).await?,
        None => show(&arguments, &settings, context, &scenario).await?,
    };
    store.close().await;
    Ok(exit)
}

/// Runs the scenario: what is refused, the preview, the handover, and its certificate and events.
async fn show(arguments: &Arguments, settings: &Settings, context: Context, scenario: &Scenario) -> Result<Exit> {
    let store = context.store.clone();
    let refused = show_refused(arguments, settings.worker, &context, scenario).await?;
    let request = scenario.handover.request.clone();
    say(arguments, "")?;
    say(arguments, &scenario.handover.caption)?;
    let previewed = preview::preview(&context, settings.worker, request.clone()).await?;
    if !arguments.json {
        print_preview(&previewed)?;
    }
    if !previewed.accepted {
        bail!("the demo's own request is rejected: {:?}", previewed.rejections);
    }
    let certificate = hand_over(arguments, settings, context, &request, &previewed).await?;
    let events = events(&store).await?;
    match arguments.json {
        true => {
            output::json(
                &json!({ "refused": refused, "preview": previewed, "certificate": certificate, "events": events }),
            )?;
        }
        false => print_end(arguments, &request, &certificate, &events)?,
    }
    Ok(Exit::Done)
}

/// Returns the URL of a database in a new file.
fn new_file(file: PathBuf) -> Result<String> {
    if file.exists() {
        bail!("{} exists already: the demo creates a new database, name another file", file.display());
    }
    Ok(format!("sqlite://{}?mode=rwc", file.display()))
}

/// Says where the demo runs.
fn place(arguments: &Arguments, store: &Store) -> String {
    match arguments.database.is_some() || arguments.keep.is_some() {
        true => store.label(),
        false => "a temporary database".to_owned(),
    }
}

/// A temporary folder, removed when the demo ends.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> Result<TemporaryFolder> {
        let folder = std::env::temp_dir().join(format!("handover-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).with_context(|| format!("{} cannot be created", folder.display()))?;
        Ok(TemporaryFolder(folder))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the temporary database could not be removed");
        }
    }
}

async fn prepare(store: &Store, example: Example, records: u64) -> Result<()> {
    let hint = "the reference CRM needs a database without tables of the same names";
    store.migrate_reference_crm().await.context(hint)?;
    store.migrate().await?;
    Ok(example.fill(store, records).await?)
}

/// Shows the requests that the catalog's rules refuse, and why.
async fn show_refused(
    arguments: &Arguments,
    worker: worker::Settings,
    context: &Context,
    scenario: &Scenario,
) -> Result<Vec<Preview>> {
    let mut refused = Vec::with_capacity(scenario.refused.len());
    for example in &scenario.refused {
        let previewed = preview::preview(context, worker, example.request.clone()).await?;
        if previewed.accepted {
            bail!("the demo's request {} was accepted", example.request.request_id);
        }
        if !arguments.json {
            output::line("")?;
            output::line(&example.caption)?;
            preview::print(&previewed)?;
        }
        refused.push(previewed);
    }
    Ok(refused)
}

async fn hand_over(
    arguments: &Arguments,
    settings: &Settings,
    context: Context,
    request: &HandoverRequest,
    previewed: &Preview,
) -> Result<Certificate> {
    let store = context.store.clone();
    let broker: Arc<dyn Broker> = Arc::new(LocalBroker::new(store.clone()));
    let stop = CancellationToken::new();
    let worker =
        tokio::spawn(worker::run(context, broker.clone(), &Role::ALL, settings.worker, stop.clone().cancelled_owned()));
    for sent in submit::publish(broker.as_ref(), &[Request::Handover(request.clone())]).await {
        sent.context("the demo's request could not be sent")?;
    }
    let job = progress::follow(&store, request.job_id().0, previewed, arguments.json).await?;
    stop.cancel();
    worker.await.context("the demo's worker")??;
    let certificate = job.certificate.with_context(|| format!("the job ended as {}: {:?}", job.state, job.reasons))?;
    Ok(serde_json::from_value(certificate)?)
}

async fn events(store: &Store) -> Result<Vec<Value>> {
    let messages: Vec<ledger::outbox::OutboxMessage> = outbox::list(&store.reader(), Channel::Events, 0, 100).await?;
    messages.iter().map(|message| Ok(serde_json::from_slice(&message.body)?)).collect()
}

fn say(arguments: &Arguments, text: &str) -> Result<()> {
    match arguments.json {
        true => Ok(()),
        false => output::line(text),
    }
}

fn print_preview(previewed: &Preview) -> Result<()> {
    output::line("")?;
    output::line("You are about to deactivate a user.")?;
    let allotted = previewed.references.iter().filter(|reference| reference.assigned.is_some() && reference.found > 0);
    let row = |reference: &PreviewedReference| {
        vec![format!("  {}", reference.kind), format!("0/{} assigned", reference.found)]
    };
    output::table(&["  kind", "before"], &allotted.map(row).collect::<Vec<_>>())?;
    output::line("")?;
    output::line("The plan (`handover preview`):")?;
    preview::print(previewed)?;
    output::line("")
}

fn print_end(
    arguments: &Arguments,
    request: &HandoverRequest,
    certificate: &Certificate,
    events: &[Value],
) -> Result<()> {
    output::line("")?;
    output::line("The certificate:")?;
    jobs_command::print_references(&certificate.references)?;
    let orphans = certificate.orphans.map_or("not counted".to_owned(), |orphans| orphans.to_string());
    output::line(format!("license {}, orphans {orphans}", certificate.license.name()))?;
    output::line("")?;
    output::line(format!("Published {}:", counted(events.len(), "event")))?;
    for event in events {
        let user = event["data"]["user_id"].as_str().unwrap_or_default();
        let (kind, sequence) = (event["type"].as_str().unwrap_or_default(), event["sequence"].as_str());
        let sequence = sequence.map_or("", |sequence| sequence.trim_start_matches('0'));
        output::line(format!("  {kind} #{sequence} (user {user})"))?;
    }
    output::line("")?;
    output::line("What to try next:")?;
    match (&arguments.keep, &arguments.database) {
        (Some(file), _) => print_commands(arguments, request, &format!("sqlite://{}", file.display())),
        // The URL may hold a password.
        (None, Some(_)) => print_commands(arguments, request, "…"),
        (None, None) => {
            output::line("  handover demo --records 1000000")?;
            output::line("  handover demo --catalog agent-connect    (or apto: other products' rules)")?;
            output::line(
                "  handover demo --keep demo.db    (then: HANDOVER_DATABASE__URL=sqlite://demo.db handover jobs)",
            )
        }
    }
}

/// Prints commands to try on a database that is kept.
fn print_commands(arguments: &Arguments, request: &HandoverRequest, url: &str) -> Result<()> {
    let url = format!("HANDOVER_DATABASE__URL={url}");
    output::lines(format!("  {url} handover job {}", request.job_id()))?;
    output::lines(format!("  HANDOVER_CATALOG={} {url} handover users --status all", arguments.catalog))
}
