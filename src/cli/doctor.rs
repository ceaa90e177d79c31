//! `handover doctor`: checks everything that a worker needs, changes nothing, and says how to fix each fault.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::exit::Exit;
use super::output;
use crate::app::doctor;
use crate::broker::{Finding, Status};
use crate::config::Settings;
use crate::contract::counted;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// A finding in JSON.
#[derive(Debug, Serialize)]
struct Check<'f> {
    check: &'static str,
    verdict: &'static str,
    found: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'f str>,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let findings = doctor::diagnose(&settings.database, &settings.catalog, &settings.broker).await;
    let is_good = count(&findings, Status::Fault) == 0;
    if arguments.json {
        let checks: Vec<Check<'_>> = findings.iter().map(check).collect();
        output::json(&serde_json::json!({ "good": is_good, "checks": checks }))?;
    } else {
        print(&findings)?;
    }
    Ok(if is_good { Exit::Done } else { Exit::Failed })
}

fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

fn check(finding: &Finding) -> Check<'_> {
    let verdict = match finding.status {
        Status::Good => "good",
        Status::Warning => "warning",
        Status::Fault => "fault",
        Status::NotChecked => "not_seen",
    };
    Check { check: finding.check, verdict, found: &finding.found, hint: finding.hint.as_deref() }
}

/// The column of findings and hints.
const FOUND: usize = 20;

fn print(findings: &[Finding]) -> Result<()> {
    for finding in findings {
        let status = match finding.status {
            Status::Good => "good",
            Status::Warning => "WARNING",
            Status::Fault => "FAULT",
            Status::NotChecked => "not seen",
        };
        output::hanging(FOUND, &format!("{:9} {status:8}  {}", finding.check, finding.found))?;
        if let Some(hint) = &finding.hint {
            output::hanging(FOUND, &format!("{:FOUND$}to fix it: {hint}", ""))?;
        }
    }
    let counted = |status, noun| counted(count(findings, status), noun);
    output::line(format!("{}, {}", counted(Status::Fault, "fault"), counted(Status::Warning, "warning")))
}
