//! `handover audit`: shows who asked for what, when, why, and with which outcome. Newest last.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::exit::Exit;
use super::list::{Cell, Column, ListOptions, Page};
use super::{job_id, open, output, time_argument};
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

/// The columns, the most important first: a narrow terminal shows only these.
const COLUMNS: [Column<AuditEntry>; 10] = [
    Column::shown("at", |entry| Cell::Time(entry.at)),
    Column::shown("action", |entry| Cell::word(&entry.action)),
    Column::shown("by", |entry| Cell::text(&entry.actor)),
    Column::shown("user", |entry| Cell::text(&entry.user_id)),
    Column::shown("because of", |entry| Cell::text(&codes(entry))),
    Column::shown("reason", |entry| Cell::text(entry.reason.as_deref().unwrap_or_default())),
    Column::shown("organization", |entry| Cell::text(&entry.org_id)),
    Column::shown("request", |entry| Cell::text(&entry.request_id)),
    Column::shown("job", |entry| id(entry.job_id)),
    Column::shown("about", |entry| id(entry.about_job)),
];

fn codes(entry: &AuditEntry) -> String {
    let codes = entry.detail.iter().filter_map(Value::as_array).flatten();
    codes.filter_map(|reason| reason["code"].as_str()).collect::<Vec<_>>().join(", ")
}

fn id(job: Option<Uuid>) -> Cell {
    job.map_or(Cell::Nothing, |job| Cell::Word(job.to_string()))
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let Arguments { user, org, job, actor, action, since, list } = arguments;
    let filter = AuditFilter { user, org: org.clone(), job, actor, action, since };
    let Page { limit, skip } = list.page();
    let mut pages = AuditPages::open(&store, filter, limit, skip).await?;
    if pages.total == 0 {
        open::organization(&settings, &store, org.as_deref()).await?;
    }
    let (mut entries, mut shown) = (Vec::new(), 0);
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        shown += page.len() as u64;
        // JSON needs no more than a page in memory.
        match list.is_json() {
            true => page.iter().try_for_each(output::json_line)?,
            false => entries.extend(page),
        }
    }
    match list.is_json() {
        true => list.report_rest(shown, pages.total, "entry"),
        false => list.print(&COLUMNS, &entries, pages.total, "entry")?,
    }
    Ok(Exit::Done)
}
