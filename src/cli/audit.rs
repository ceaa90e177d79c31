//! `handover audit`: who asked for what, when, why, and what became of it, the newest last.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::exit::Exit;
use super::{open, output};
use crate::config::Settings;
use crate::store::ledger::audit::{AuditFilter, AuditRecord};

/// Entries read at a time.
const PAGE: u64 = 500;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Only what is about this user.
    #[arg(long)]
    user: Option<String>,
    /// Only what is of this organization.
    #[arg(long)]
    org: Option<String>,
    /// Only what is about this job.
    #[arg(long)]
    job: Option<Uuid>,
    /// Only what this user asked for.
    #[arg(long)]
    actor: Option<String>,
    /// Only actions that begin so: `deactivate`, `deactivate.rejected`, `invite`.
    #[arg(long, value_name = "PREFIX")]
    action: Option<String>,
    /// Only from this time on: RFC 3339, or a day (2026-11-22, UTC).
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<OffsetDateTime>,
    /// Only the last so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    limit: Option<u64>,
    /// Print as JSON, a line an entry.
    #[arg(long)]
    json: bool,
}

fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    let day = || Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    let time = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| Some(day()?.midnight().assume_utc()));
    // A time near the end of the years with four digits may be none in UTC, which is what databases keep.
    time.and_then(|time| time.checked_to_offset(UtcOffset::UTC))
        .ok_or_else(|| "a time like 2026-11-22T08:00:00Z, or a day like 2026-11-22".to_owned())
}

/// An entry as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    org_id: String,
    actor: String,
    action: String,
    user_id: String,
    job_id: Option<Uuid>,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Of a request about a job: that job.
    #[serde(skip_serializing_if = "Option::is_none")]
    about_job: Option<Uuid>,
    /// Why it was rejected, or what a person has to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let session = store.reader();
    let Arguments { user, org, job, actor, action, since, limit, json } = arguments;
    let asked = AuditFilter { user, org, job, actor, action, since };
    let mut from = match limit {
        Some(limit) => asked.first_of_last(&session, limit).await?.unwrap_or(i64::MIN),
        None => i64::MIN,
    };
    loop {
        let page = asked.from(&session, from, PAGE).await?;
        let Some(last) = page.last() else { break };
        from = last.entry.id + 1;
        page.into_iter().map(shown).try_for_each(|entry| match json {
            true => output::json_line(&entry),
            false => print(&entry),
        })?;
    }
    Ok(Exit::Done)
}

fn shown(told: AuditRecord) -> Shown {
    let AuditRecord { entry, reason, target } = told;
    Shown {
        at: entry.at,
        org_id: entry.org,
        actor: entry.actor,
        action: entry.action,
        user_id: entry.user_id,
        job_id: entry.job_id,
        request_id: entry.request_id,
        reason,
        about_job: target,
        detail: entry.detail,
    }
}

/// A line an entry, as long as it must be: nothing is kept to find out how wide columns are.
fn print(entry: &Shown) -> Result<()> {
    let mut told = format!("{}  {}  by {}", entry.at.format(&Rfc3339)?, entry.action, entry.actor);
    let mut tell = |label: &str, text: &str| {
        if !text.is_empty() {
            told.push_str(&format!("  {label} {text}"));
        }
    };
    tell("user", &entry.user_id);
    tell("organization", &entry.org_id);
    tell("request", &entry.request_id);
    tell("job", &entry.job_id.map(|job| job.to_string()).unwrap_or_default());
    tell("about the job", &entry.about_job.map(|job| job.to_string()).unwrap_or_default());
    let reason = entry.reason.as_deref().map(|reason| format!("{reason:?}"));
    tell("reason", &reason.unwrap_or_default());
    let codes = entry.detail.iter().filter_map(|detail| detail.as_array()).flatten();
    let codes: Vec<&str> = codes.filter_map(|reason| reason["code"].as_str()).collect();
    tell("because of", &codes.join(", "));
    output::line(told)
}
