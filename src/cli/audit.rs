//! `handover audit`: shows who asked for what, when, why, and with which outcome. Newest last.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::exit::Exit;
use super::{job_id, open, output};
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
    /// Only entries since this time: RFC 3339, or a day (2026-11-22, UTC).
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<OffsetDateTime>,
    /// Only the last N entries.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    limit: Option<u64>,
    /// Print as JSON, one line per entry.
    #[arg(long)]
    json: bool,
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

fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    let day = || Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    let time = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| Some(day()?.midnight().assume_utc()));
    // Near the year 9999 a local time may have no equivalent in UTC, which databases store.
    time.and_then(|time| time.checked_to_offset(UtcOffset::UTC))
        .ok_or_else(|| "a time like 2026-11-22T08:00:00Z, or a day like 2026-11-22".to_owned())
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let Arguments { user, org, job, actor, action, since, limit, json } = arguments;
    let filter = AuditFilter { user, org: org.clone(), job, actor, action, since };
    let mut pages = AuditPages::open(&store, filter, limit).await?;
    let mut is_first = true;
    loop {
        let page = pages.next().await?;
        if page.is_empty() && is_first {
            open::organization(&settings, &store, org.as_deref()).await?;
        }
        if page.is_empty() {
            return Ok(Exit::Done);
        }
        is_first = false;
        page.iter().try_for_each(|entry| match json {
            true => output::json_line(entry),
            false => print(entry),
        })?;
    }
}

/// Prints an entry on one line. Columns are not aligned, because that would need all entries in memory.
fn print(entry: &AuditEntry) -> Result<()> {
    let mut line = format!("{}  {}  by {}", entry.at.format(&Rfc3339)?, entry.action, entry.actor);
    let mut add = |label: &str, text: &str| {
        if !text.is_empty() {
            line.push_str(&format!("  {label} {text}"));
        }
    };
    add("user", &entry.user_id);
    add("organization", &entry.org_id);
    add("request", &entry.request_id);
    add("job", &entry.job_id.map(|job| job.to_string()).unwrap_or_default());
    add("about the job", &entry.about_job.map(|job| job.to_string()).unwrap_or_default());
    let reason = entry.reason.as_deref().map(|reason| format!("{reason:?}"));
    add("reason", &reason.unwrap_or_default());
    let codes = entry.detail.iter().filter_map(Value::as_array).flatten();
    let codes: Vec<&str> = codes.filter_map(|reason| reason["code"].as_str()).collect();
    add("because of", &codes.join(", "));
    output::line(line)
}
