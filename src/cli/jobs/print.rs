//! Prints a job's details and certificate for people.

use anyhow::Result;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::jobs::{Details, FailedAttempt};
use crate::cli::output;
use crate::contract::{ReferenceResult, counted};
use crate::job::State;
use crate::store::ledger::chunks::ChunkCounts;

/// Lines that are printed per list, at most.
const MAX_PRINTED: usize = 20;

/// Prints a job's details.
pub fn print_details(details: &Details) -> Result<()> {
    print_fields(details)?;
    print_work(details)?;
    print_failures(details)?;
    print_commands(details)?;
    output::line("")?;
    for entry in &details.history {
        output::line(format!("{}  {}  by {}", output::time(entry.at), entry.action, entry.actor))?;
    }
    Ok(())
}

/// Prints a certificate's references as a table.
pub fn print_references(references: &[ReferenceResult]) -> Result<()> {
    let counts = |reference: &ReferenceResult| [reference.found, reference.kept, reference.restored];
    let is_found = |reference: &&ReferenceResult| counts(reference).into_iter().flatten().any(|count| count > 0);
    let rows: Vec<Vec<String>> = references.iter().filter(is_found).map(reference_row).collect();
    output::table(&["kind", "disposition", "records", "to"], &rows)?;
    // They are no orphans, because the request leaves them; but nobody who stays owns them.
    for reference in references {
        if let Some(left) = reference.left_behind.filter(|left| *left > 0) {
            let (records, belong) = (counted(left, "record"), if left == 1 { "belongs" } else { "belong" });
            output::line(format!("{records} of kind `{}` still {belong} to the leaver", reference.kind))?;
        }
    }
    Ok(())
}

fn reference_row(reference: &ReferenceResult) -> Vec<String> {
    let counts = [
        ("moved", reference.moved),
        ("merged", reference.merged),
        ("dropped", reference.dropped),
        ("removed", reference.removed),
        ("purged", reference.purged),
        ("set", reference.set),
        ("kept", reference.kept),
        ("restored", reference.restored),
        ("left behind", reference.left_behind.filter(|count| *count > 0)),
        ("changed meanwhile", reference.changed_meanwhile.filter(|count| *count > 0)),
        ("without a snapshot", reference.impossible.filter(|count| *count > 0)),
    ];
    let counts = counts.into_iter().filter_map(|(action, count)| Some(format!("{} {action}", count?)));
    let skipped = reference.skipped.iter().map(|(reason, count)| format!("{count} skipped: {}", reason.name()));
    let counts: Vec<String> = counts.chain(skipped).collect();
    let to = reference.successors.iter().map(|(user, count)| format!("{user}: {count}"));
    let to: Vec<String> = to.chain(reference.received_nothing.iter().map(|user| format!("{user}: none"))).collect();
    vec![reference.kind.clone(), reference.disposition.clone(), counts.join(", "), to.join(", ")]
}

fn print_fields(details: &Details) -> Result<()> {
    for (label, name) in [
        ("job", "job_id"),
        ("type", "type"),
        ("about the job", "about_job"),
        ("state", "state"),
        ("organization", "org_id"),
        ("user", "user_id"),
        ("request", "request_id"),
        ("requested by", "requested_by"),
        ("reason", "reason"),
        ("requested at", "requested_at"),
        ("starts at", "effective_at"),
        ("returns at", "return_at"),
        ("access ended", "access_ended_at"),
        ("started at", "started_at"),
        ("completed at", "completed_at"),
        ("waits for", "wait_for"),
        ("catalog", "catalog_version"),
        ("license", "license"),
        ("orphans", "orphans"),
    ] {
        let value = details.certificate.get(name).or_else(|| details.job.get(name));
        let text = match value.filter(|value| !value.is_null()) {
            Some(value) => value.as_str().map_or_else(|| value.to_string(), readable),
            None => continue,
        };
        if text.is_empty() {
            continue;
        }
        output::field(label, text)?;
    }
    let is_scheduled = details.job.get("state").and_then(Value::as_str) == Some(State::Scheduled.name());
    let label = if is_scheduled { "still open" } else { "because" };
    for reason in details.job.get("reasons").and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| reason[field].as_str().unwrap_or("-");
        output::field(label, format!("{}: {}", text("code"), text("message")))?;
        output::field("", format!("to fix it: {}", text("hint")))?;
    }
    Ok(())
}

/// Returns a value of the ledger for people.
fn readable(value: &str) -> String {
    OffsetDateTime::parse(value, &Rfc3339).map_or_else(|_| value.to_owned(), output::time)
}

/// Prints the certificate's references, and the progress of each.
fn print_work(details: &Details) -> Result<()> {
    let references: Vec<ReferenceResult> = match details.certificate.get("references") {
        Some(references) => serde_json::from_value(references.clone())?,
        None => Vec::new(),
    };
    if !references.is_empty() {
        output::line("")?;
        print_references(&references)?;
    }
    for kind in details.certificate.get("without_effect").and_then(Value::as_array).into_iter().flatten() {
        let kind = kind.as_str().unwrap_or_default();
        output::line(format!("nothing of kind `{kind}` to move: the request's allotment for it had no effect"))?;
    }
    if details.progress.is_empty() {
        return Ok(());
    }
    output::line("")?;
    let row = |(kind, chunks): (&String, &ChunkCounts)| {
        let counts = [chunks.records, chunks.done, chunks.closed, chunks.open, chunks.failed];
        [kind.clone()].into_iter().chain(counts.map(|count| count.to_string())).collect()
    };
    let rows: Vec<Vec<String>> = details.progress.iter().map(row).collect();
    output::table(&["chunks of", "records", "done", "closed", "open", "failed"], &rows)
}

fn print_failures(details: &Details) -> Result<()> {
    for chunk in first(&details.failed_chunks, "chunks with failures")? {
        let error = chunk.error.as_deref().unwrap_or("");
        let after = counted(chunk.attempts, "failure");
        let error = if error.is_empty() { String::new() } else { format!(": {error}") };
        output::line(format!("chunk {} {} after {after}{error}", chunk.number, chunk.state))?;
    }
    for failed in first(&details.failed_attempts, "failed attempts")? {
        output::field("failed", format!("{}  {}", output::time(failed.at), attempt(failed)))?;
    }
    Ok(())
}

/// Prints waiting messages, commands, and the records that an undo skipped.
fn print_commands(details: &Details) -> Result<()> {
    for waiting in first(&details.waiting_messages, "messages in the outbox")? {
        output::field("in outbox", format!("{}  since {}", waiting.routing_key, output::time(waiting.created_at)))?;
    }
    for command in &details.commands {
        let at = output::time(command.requested_at);
        output::field("command", format!("{at}  {} by {}: {}", command.kind, command.requested_by, command.state))?;
    }
    for skipped in first(&details.skipped, "skipped journal entries")? {
        let keys = skipped.keys.as_array().into_iter().flatten().take(5);
        let keys: Vec<String> = keys.map(ToString::to_string).collect();
        let keys = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join(", ")) };
        output::field("skipped", format!("{} of {}: {}{keys}", skipped.records, skipped.kind, skipped.reason))?;
    }
    Ok(())
}

/// Returns the first few items of a list, and prints how many there are if some are left out.
fn first<'i, T>(items: &'i [T], what: &str) -> Result<&'i [T]> {
    if items.len() > MAX_PRINTED {
        let count = items.len();
        output::line(format!("{what}: {count}; the first {MAX_PRINTED} follow, use --json for all of them"))?;
    }
    Ok(&items[..items.len().min(MAX_PRINTED)])
}

/// Describes a failed attempt from its entry in the audit trail.
fn attempt(failed: &FailedAttempt) -> String {
    let detail = failed.detail.as_ref().and_then(|detail| detail.get(0)).unwrap_or(&Value::Null);
    let message = detail["message"].as_str().unwrap_or_default();
    match (detail["chunk"].as_i64(), detail["attempt"].as_i64()) {
        (Some(chunk), Some(attempt)) => format!("chunk {chunk}, attempt {attempt}: {message}"),
        (Some(_), None) | (None, _) => message.to_owned(),
    }
}
