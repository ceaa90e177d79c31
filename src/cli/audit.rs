//! `handover audit`: shows who asked for what, when, why, and with which outcome. Newest last.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::exit::Exit;
use super::list::{Cell, Column, ListOptions, Listing, Page};
use super::{job_id, open, time_argument};
use crate::app::audit::{self, AuditEntry, AuditPages};
use crate::config::Settings;
use crate::store::ledger::audit::AuditFilter;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Only entries about this user.
    #[arg(long)]
    user: Option<String>,
    /// Only entries of this organization.
    #[arg(long)]
    org: Option<String>,
    /// Only entries about this job.
    #[arg(long, value_parser = job_id::parse)]
    job: Option<Uuid>,
    /// Only requests of this user.
    #[arg(long)]
    actor: Option<String>,
    /// Only actions with this prefix: `deactivate`, `deactivate.rejected`, `invite`.
    #[arg(long, value_name = "PREFIX", value_parser = parse_action)]
    action: Option<String>,
    /// Only entries since this time: RFC 3339, a day in UTC (2026-11-22), or an age (2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = time_argument::parse)]
    since: Option<OffsetDateTime>,
    /// Only entries with this text in the request's id or reason.
    #[arg(long)]
    text: Option<String>,
    #[command(flatten)]
    list: ListOptions,
}

fn parse_action(text: &str) -> Result<String, String> {
    let actions = audit::actions();
    if actions.iter().any(|action| action.starts_with(text)) {
        return Ok(text.to_owned());
    }
    let first: BTreeSet<&str> = actions.iter().filter_map(|action| action.split('.').next()).collect();
    let first = first.into_iter().collect::<Vec<_>>().join(", ");
    Err(format!("no action begins so; actions begin with {first}; a job's state may follow: deactivate.rejected"))
}

const LISTING: Listing<AuditEntry> = Listing { columns: &COLUMNS, noun: "entry", notes: hints };

const COLUMNS: [Column<AuditEntry>; 12] = [
    Column::shown("at", |entry| Cell::Time(entry.at)),
    Column::shown("action", |entry| Cell::word(&entry.action)),
    Column::shown("by", |entry| Cell::text(&entry.actor)),
    Column::shown("user", |entry| Cell::text(&entry.user_id)),
    Column::shown("because of", |entry| Cell::word(&codes(entry))),
    Column::shown("reason", |entry| Cell::text(entry.reason.as_deref().unwrap_or_default())),
    Column::shown("organization", |entry| Cell::text(&entry.org_id)),
    Column::shown("request", |entry| Cell::text(&entry.request_id)),
    Column::shown("job", |entry| id(entry.job_id)),
    Column::shown("about", |entry| id(entry.about_job)),
    Column::extra("message", |entry| Cell::text(&of_reasons(entry, "message").join("; "))),
    Column::extra("hint", |entry| Cell::text(&of_reasons(entry, "hint").join("; "))),
];

fn codes(entry: &AuditEntry) -> String {
    of_reasons(entry, "code").join(", ")
}

/// Returns how to fix each reason.
fn hints(entry: &AuditEntry) -> Vec<String> {
    of_reasons(entry, "hint").into_iter().map(|hint| format!("    to fix it: {hint}")).collect()
}

/// Returns a field of the reasons. Reasons without it are left out.
fn of_reasons<'e>(entry: &'e AuditEntry, field: &str) -> Vec<&'e str> {
    let reasons = entry.detail.iter().filter_map(Value::as_array).flatten();
    reasons.filter_map(|reason| reason[field].as_str()).filter(|text| !text.is_empty()).collect()
}

fn id(job: Option<Uuid>) -> Cell {
    job.map_or(Cell::Nothing, |job| Cell::Word(job.to_string()))
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let Arguments { user, org, job, actor, action, since, text, list } = arguments;
    let filter = AuditFilter { user, org: org.clone(), job, actor, action, since, text };
    let Page { limit, skip } = list.page();
    let mut pages = AuditPages::open(&store, filter, limit, skip).await?;
    if pages.total == 0 {
        open::organization(&settings, &store, org.as_deref()).await?;
    }
    list.print_pages(&LISTING, pages.total, async || pages.next().await).await?;
    Ok(Exit::Done)
}
