//! `handover doctor`: looks at everything that a worker needs, changes nothing, and says what to do about each fault.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::exit::Exit;
use super::{open, output};
use crate::broker::{Finding, Status};
use crate::catalog::{Catalog, Rights, check};
use crate::config::Settings;
use crate::store::Standbys;
use crate::store::{Store, clock, host};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// Further apart than this, times in the ledger and those in a log tell two stories.
const MOST_SECONDS_APART: f64 = 5.0;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Good,
    Warning,
    Fault,
    /// What it needs was not there.
    NotSeen,
}

/// A check, as it is told.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Default)]
struct Report(Vec<Check>);

impl Report {
    fn good(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Check { check, verdict: Verdict::Good, found: found.into(), hint: None });
    }

    fn warning(&mut self, check: &'static str, found: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Check { check, verdict: Verdict::Warning, found: found.into(), hint: Some(hint.into()) });
    }

    fn fault(&mut self, check: &'static str, found: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Check { check, verdict: Verdict::Fault, found: found.into(), hint: Some(hint.into()) });
    }

    fn not_seen(&mut self, check: &'static str, why: &str) {
        self.0.push(Check { check, verdict: Verdict::NotSeen, found: why.into(), hint: None });
    }

    fn add(&mut self, finding: Finding) {
        let Finding { check, status, found, hint } = finding;
        let verdict = match status {
            Status::Good => Verdict::Good,
            Status::Warning => Verdict::Warning,
            Status::Fault => Verdict::Fault,
            Status::NotChecked => Verdict::NotSeen,
        };
        self.0.push(Check { check, verdict, found, hint });
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|check| check.verdict == verdict).count()
    }
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let mut report = Report::default();
    check_database(&mut report, &settings).await;
    settings.broker.diagnose().await.into_iter().for_each(|finding| report.add(finding));
    let faults = report.count(Verdict::Fault);
    if arguments.json {
        output::json(&serde_json::json!({ "good": faults == 0, "checks": output::array(&report.0)? }))?;
    } else {
        print(&report)?;
    }
    Ok(if faults == 0 { Exit::Done } else { Exit::Failed })
}

async fn check_database(report: &mut Report, settings: &Settings) {
    let store = match open::store(settings).await {
        Ok(store) => store,
        Err(open::DatabaseUnavailable { found, hint }) => {
            report.fault("database", found, hint);
            ["clock", "standbys", "ledger", "catalog", "rights"]
                .into_iter()
                .for_each(|check| report.not_seen(check, "the database cannot be opened"));
            return;
        }
    };
    match clock::version(&store.reader()).await {
        Ok(version) => report.good("database", version),
        Err(error) => report.fault("database", error.to_string(), "see what the database's own log says"),
    }
    check_clock(report, &store).await;
    check_standbys(report, &store).await;
    match store.check_ledger().await {
        Ok(Ok(())) => report.good("ledger", "as new as this binary"),
        Ok(Err(what)) => {
            let (found, hint) = what.split_once(": ").unwrap_or((&what, "run `handover migrate`"));
            report.fault("ledger", found, hint);
        }
        Err(error) => report.fault("ledger", error.to_string(), "see what the database's own log says"),
    }
    match check_catalog(report, settings, &store).await {
        Some(catalog) => check_rights(report, &store, &catalog).await,
        None => report.not_seen("rights", "they are those that the catalog asks for"),
    }
    store.close().await;
}

async fn check_clock(report: &mut Report, store: &Store) {
    match clock::offset(&store.reader()).await {
        Ok(None) => report.good("clock", "the database goes by this machine's"),
        Ok(Some(ahead)) => judge_clock(report, ahead),
        Err(error) => report.fault("clock", error.to_string(), "see what the database's own log says"),
    }
}

fn judge_clock(report: &mut Report, ahead: f64) {
    let what = if ahead < 0.0 { "behind" } else { "ahead of" };
    let found = format!("the database's is {:.1} s {what} ours", ahead.abs());
    match ahead.abs() > MOST_SECONDS_APART {
        true => report.warning("clock", found, "let both machines set their clocks by the same time servers (NTP)"),
        false => report.good("clock", found),
    }
}

/// A standby that falls behind is given time by the movers, where they may see it.
async fn check_standbys(report: &mut Report, store: &Store) {
    match store.standbys().await {
        Ok(Standbys { connected: 0, .. }) => report.good("standbys", "none is connected"),
        Ok(Standbys { connected, hidden: 0 }) => {
            report.good("standbys", format!("of {connected} this role may see how far they are behind"));
        }
        Ok(Standbys { connected, hidden }) => report.warning(
            "standbys",
            format!(
                "of {hidden} of {connected} this role may not see how far they are behind: no mover rests for them"
            ),
            "let a superuser grant it: GRANT pg_read_all_stats TO the worker's role",
        ),
        Err(error) => report.fault("standbys", error.to_string(), "see what the database's own log says"),
    }
}

async fn check_catalog(report: &mut Report, settings: &Settings, store: &Store) -> Option<Catalog> {
    let read =
        async { anyhow::Ok((open::catalog_source(&settings.catalog)?, host::read_schema(&store.reader()).await?)) };
    let ((name, source), schema) = match read.await {
        Ok(read) => read,
        Err(error) => {
            report.fault("catalog", format!("{error:#}"), "check `catalog` in the settings");
            return None;
        }
    };
    match check(&name, &source, &schema) {
        Ok(checked) => {
            report.good("catalog", format!("{name} fits this database"));
            for warning in checked.warnings {
                let found = format!("{name}, line {}: {}", warning.line, warning.message);
                report.warning("catalog", found, "see that this is meant, or fix it: `handover catalog check`");
            }
            Some(checked.catalog)
        }
        Err(faults) => {
            for fault in faults.faults {
                let found = format!("{name}, line {}: {}", fault.line, fault.message);
                report.fault("catalog", found, "fix the catalog, or the database's schema");
            }
            None
        }
    }
}

async fn check_rights(report: &mut Report, store: &Store, catalog: &Catalog) {
    match store.missing_rights(&Rights::of(catalog)).await {
        Ok((_, missing)) if missing.is_empty() => report.good("rights", "this role may do what the catalog asks for"),
        Ok((role, missing)) => report.fault(
            "rights",
            format!("the role {role} lacks {}", missing.join("; ")),
            format!("run, as the owner of the tables, what `handover catalog grants --role {role}` prints"),
        ),
        Err(error) => report.fault("rights", error.to_string(), "see what the database's own log says"),
    }
}

fn print(report: &Report) -> Result<()> {
    for check in &report.0 {
        let verdict = match check.verdict {
            Verdict::Good => "good",
            Verdict::Warning => "WARNING",
            Verdict::Fault => "FAULT",
            Verdict::NotSeen => "not seen",
        };
        output::line(format!("{:9} {verdict:8}  {}", check.check, check.found))?;
        if let Some(hint) = &check.hint {
            output::line(format!("{:20}to fix it: {hint}", ""))?;
        }
    }
    let (faults, warnings) = (report.count(Verdict::Fault), report.count(Verdict::Warning));
    output::line(format!("{faults} faults, {warnings} warnings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_more_than_some_seconds_apart_are_a_warning() {
        for (ahead, verdict, says) in [
            (0.2, Verdict::Good, "0.2 s ahead of ours"),
            (-4.9, Verdict::Good, "4.9 s behind ours"),
            (7.0, Verdict::Warning, "7.0 s ahead of ours"),
            (-3600.0, Verdict::Warning, "3600.0 s behind ours"),
        ] {
            let mut report = Report::default();
            judge_clock(&mut report, ahead);
            assert_eq!(report.0[0].verdict, verdict);
            assert!(report.0[0].found.contains(says), "{}", report.0[0].found);
        }
    }
}
