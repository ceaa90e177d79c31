//! Checks everything that a worker needs. Changes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::error::{DatabaseUnavailable, Error};
use super::open;
use super::workers::LONG_WAIT;
use crate::broker::{self, Channel, Finding};
use crate::catalog::{Catalog, Fault, Rights};
use crate::contract::counted;
use crate::stages::now;
use crate::store::ledger::{catalogs, outbox};
use crate::store::{self, SessionDefault, Standbys, Store, clock};

/// The largest clock difference that is not reported, in seconds. Beyond it, the times of ledger and logs do not match.
const MAX_CLOCK_OFFSET: f64 = 5.0;

const SEE_DATABASE_LOG: &str = "look into the database's log";

/// Checks the database, the ledger, the catalog, the role's rights, and the broker.
pub async fn diagnose(database: &store::Settings, catalog: &str, broker: &broker::Settings) -> Vec<Finding> {
    let mut findings = check_database(database, catalog, !broker.is_external()).await;
    findings.extend(broker.diagnose().await);
    findings
}

async fn check_database(settings: &store::Settings, catalog: &str, has_queue: bool) -> Vec<Finding> {
    let store = match open::store(settings).await {
        Ok(store) => store,
        Err(DatabaseUnavailable { found, hint }) => {
            let others = ["clock", "sessions", "standbys", "ledger", "catalog", "rights"];
            let skipped = others.map(|check| Finding::not_checked(check, "the database cannot be opened"));
            return [Finding::fault("database", found, hint)].into_iter().chain(skipped).collect();
        }
    };
    let mut findings = vec![
        check_version(&store).await,
        check_clock(&store).await,
        check_sessions(&store).await,
        check_standbys(&store).await,
        check_ledger(&store).await,
    ];
    let (checked, catalog_findings) = check_catalog(&store, catalog).await;
    findings.extend(catalog_findings);
    findings.push(match checked {
        Some(catalog) => check_rights(&store, &catalog).await,
        None => Finding::not_checked("rights", "the catalog says which are needed, and it cannot be used"),
    });
    if has_queue {
        findings.extend(check_waiting(&store).await);
    }
    store.close().await;
    findings
}

async fn check_version(store: &Store) -> Finding {
    match clock::version(&store.reader()).await {
        Ok(version) => Finding::good("database", format!("{version}, {}", store.place())),
        Err(error) => Finding::fault("database", error.to_string(), SEE_DATABASE_LOG),
    }
}

async fn check_clock(store: &Store) -> Finding {
    match clock::offset(&store.reader()).await {
        Ok(None) => Finding::good("clock", "the database uses the clock of this machine"),
        Ok(Some(offset)) => judge_clock(offset),
        Err(error) => Finding::fault("clock", error.to_string(), SEE_DATABASE_LOG),
    }
}

fn judge_clock(offset: f64) -> Finding {
    let direction = if offset < 0.0 { "behind" } else { "ahead of" };
    let found = format!("the database's is {:.1} s {direction} ours", offset.abs());
    match offset.abs() > MAX_CLOCK_OFFSET {
        true => Finding::warning("clock", found, "synchronize both machines with the same time servers (NTP)"),
        false => Finding::good("clock", found),
    }
}

/// Reports defaults that the application's sessions have and ours replace.
async fn check_sessions(store: &Store) -> Finding {
    match store.differing_defaults().await {
        Ok(differing) if differing.is_empty() => {
            Finding::good("sessions", "no default of server, database or role is in the way")
        }
        Ok(differing) => {
            let named = differing.iter().map(|SessionDefault { name, default, ours }| {
                format!("{name} is {default} by default, and {ours} in Handover's sessions")
            });
            let found = named.collect::<Vec<_>>().join("; ");
            Finding::warning("sessions", found, "check that server, database and role are meant to have these defaults")
        }
        Err(error) => Finding::fault("sessions", error.to_string(), SEE_DATABASE_LOG),
    }
}

/// Checks that the role sees how far standbys are behind: movers wait for them only then.
async fn check_standbys(store: &Store) -> Finding {
    match store.standbys().await {
        Ok(Standbys { connected: 0, .. }) => Finding::good("standbys", "none is connected"),
        Ok(Standbys { connected, hidden: 0 }) => {
            Finding::good("standbys", format!("{connected} connected; this role sees how far each is behind"))
        }
        Ok(Standbys { connected, hidden }) => Finding::warning(
            "standbys",
            format!("this role does not see how far {hidden} of {connected} are behind: movers do not wait for them"),
            "let a superuser grant it: GRANT pg_read_all_stats TO the worker's role",
        ),
        Err(error) => Finding::fault("standbys", error.to_string(), SEE_DATABASE_LOG),
    }
}

async fn check_ledger(store: &Store) -> Finding {
    match store.check_ledger().await {
        Ok(Ok(())) => Finding::good("ledger", "it has the version of this binary"),
        Ok(Err(what)) => {
            let (found, hint) = what.split_once(": ").unwrap_or((&what, "run `handover migrate`"));
            Finding::fault("ledger", found, hint)
        }
        Err(error) => Finding::fault("ledger", error.to_string(), SEE_DATABASE_LOG),
    }
}

async fn check_catalog(store: &Store, name: &str) -> (Option<Catalog>, Vec<Finding>) {
    let checked = async { open::catalog(store, &open::catalog_source(name)?).await };
    match checked.await {
        Ok(checked) => {
            let warnings = checked.warnings.into_iter().map(|warning| {
                let found = format!("{name}, line {}: {}", warning.line, warning.message);
                Finding::warning("catalog", found, "see that this is meant, or fix it: `handover catalog check`")
            });
            let good = Finding::good("catalog", format!("{name} fits this database"));
            let earlier = check_earlier_catalogs(store, name).await;
            let published = check_published(store, &checked.catalog).await;
            (Some(checked.catalog), [good].into_iter().chain(earlier).chain(published).chain(warnings).collect())
        }
        Err(Error::CatalogFaults(faults)) if faults.elsewhere.is_some() => {
            let what = faults.to_string();
            let (found, hint) = what.split_once(": ").unwrap_or((&what, "check `database.url` and `catalog`"));
            (None, vec![Finding::fault("catalog", found, hint)])
        }
        Err(Error::CatalogFaults(faults)) => {
            let finding = |fault: Fault| {
                let found = format!("{name}, line {}: {}", fault.line, fault.message);
                Finding::fault("catalog", found, "fix the catalog, or the database's schema")
            };
            (None, faults.faults.into_iter().map(finding).collect())
        }
        Err(error) => {
            let found = format!("{:#}", anyhow::Error::from(error));
            (None, vec![Finding::fault("catalog", found, "check `catalog` in the settings")])
        }
    }
}

/// Warns if the ledger has jobs, and none of them was planned with a catalog of this name.
async fn check_earlier_catalogs(store: &Store, name: &str) -> Option<Finding> {
    // Without a ledger there is none; the check of the ledger reports it.
    let used = catalogs::all(&store.reader()).await.ok()?;
    let names: BTreeSet<String> = used.into_iter().map(|(name, _)| file_name(&name)).collect();
    if names.is_empty() || names.contains(&file_name(name)) {
        return None;
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let found = format!("the jobs of this ledger were planned with another catalog: {names}");
    Some(Finding::warning("catalog", found, "check that `database.url` and `catalog` belong together"))
}

/// Warns if another catalog than that of the settings is current in the ledger: workers use the latter.
async fn check_published(store: &Store, catalog: &Catalog) -> Option<Finding> {
    let version = open::published(store).await.ok()??;
    (version.hash != catalog.hash).then(|| {
        let found =
            format!("version {} of the ledger is current, and the settings name another catalog", version.version);
        let hint = "publish the catalog of the settings (`handover catalog publish`), or name the current one";
        Finding::warning("catalog", found, hint)
    })
}

/// Returns the name of a catalog without its folder.
fn file_name(catalog: &str) -> String {
    Path::new(catalog).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Warns if messages wait in the outbox that is the queue, although a worker would have taken them.
async fn check_waiting(store: &Store) -> Option<Finding> {
    let now = now();
    let backlog = outbox::backlog(&store.reader(), &[Channel::Requests, Channel::Steps], now).await.ok()?;
    let oldest = backlog.iter().filter_map(|backlog| backlog.oldest).min()?;
    let messages: u64 = backlog.iter().map(|backlog| backlog.messages).sum();
    let waited = Duration::try_from(now - oldest).ok().filter(|waited| *waited > LONG_WAIT)?;
    let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
    let messages = counted(messages, "message");
    let found = format!("{messages} waiting, the oldest for {waited}: no worker takes from the outbox");
    Some(Finding::warning("queues", found, broker::NO_WORKER_HINT))
}

async fn check_rights(store: &Store, catalog: &Catalog) -> Finding {
    match store.missing_rights(&Rights::of(catalog)).await {
        Ok((_, missing)) if missing.is_empty() => {
            Finding::good("rights", "this role has every right that the catalog needs")
        }
        Ok((role, missing)) => Finding::fault(
            "rights",
            format!("the role {role} lacks {}", missing.join("; ")),
            format!("run the output of `handover catalog grants --role {role}` as the owner of the tables"),
        ),
        Err(error) => Finding::fault("rights", error.to_string(), SEE_DATABASE_LOG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Status;

    #[test]
    fn large_clock_offset_is_a_warning() {
        for (offset, status, says) in [
            (0.2, Status::Good, "0.2 s ahead of ours"),
            (-4.9, Status::Good, "4.9 s behind ours"),
            (7.0, Status::Warning, "7.0 s ahead of ours"),
            (-3600.0, Status::Warning, "3600.0 s behind ours"),
        ] {
            let finding = judge_clock(offset);
            assert_eq!(finding.status, status);
            assert!(finding.found.contains(says), "{}", finding.found);
        }
    }
}
