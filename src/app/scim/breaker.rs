//! The breaker of a connection: releases a wave of deprovisionings that it holds, or brings its users back.

use std::collections::HashMap;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::connections::known;
use crate::app::access::Principal;
use crate::app::error::{Error, Result};
use crate::app::submit::{self, Taken};
use crate::contract::{JobCommand, JobId, OrgId, Request, RequestId, RequestType, UserId};
use crate::job::State;
use crate::stages::handover::settle;
use crate::stages::{Context, commands, enter};
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::scim;
use crate::store::{self, Store, host};

/// A wave of deprovisionings that the breaker of a connection holds.
#[derive(Debug, Clone)]
pub struct Wave {
    /// The organization; empty if the host has none.
    pub org: String,
    /// The name of the connection.
    pub connection: String,
    /// Since when it is held.
    pub since: OffsetDateTime,
    /// Its jobs, oldest first.
    pub jobs: Vec<Job>,
}

/// The outcome of a rollback for a job of the wave.
#[derive(Debug, Clone, Serialize)]
pub struct RolledBack {
    /// The user.
    pub user_id: String,
    /// The job.
    pub job_id: JobId,
    /// The command that brings the user back; absent if they are skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<RequestType>,
    /// Why the user is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// Returns the wave that the breaker of a connection holds.
pub async fn wave(store: &Store, org: &str, name: &str) -> Result<Wave> {
    let session = store.reader();
    let connection = known(&session, org, name).await?;
    let Some(since) = connection.tripped_at else { return Err(nothing_held(name)) };
    let ids: Vec<Uuid> =
        scim::of_wave(&session, org, name, connection.wave).await?.into_iter().map(|found| found.job_id).collect();
    let mut found: HashMap<Uuid, Job> =
        jobs::of_ids(&session, &ids).await?.into_iter().map(|job| (job.id, job)).collect();
    let jobs = ids.iter().filter_map(|id| found.remove(id)).collect();
    Ok(Wave { org: org.to_owned(), connection: name.to_owned(), since, jobs })
}

fn nothing_held(name: &str) -> Error {
    let what = format!("the breaker of {name} holds nothing");
    Error::Token { what, hint: "`handover scim list` shows since when a breaker holds deprovisionings" }
}

impl Wave {
    /// Counts the jobs that wait for the release.
    pub fn waiting(&self) -> usize {
        self.jobs.iter().filter(|job| job.state == State::Scheduled).count()
    }

    /// Leaves out users who are not among these; an empty list leaves out nobody.
    pub fn of_users(mut self, users: &[String]) -> Wave {
        self.jobs.retain(|job| users.is_empty() || users.contains(&job.user_id));
        self
    }
}

/// Closes the breaker of a connection, and lets the jobs that it holds go on. Returns how many.
pub async fn release(context: &Context, org: &str, name: &str, by: &str) -> Result<usize> {
    settle::release(context, org, name, by).await?.ok_or_else(|| nothing_held(name))
}

/// Brings the users of a wave back, in the name of a user. The breaker stays open. Changes nothing with `dry_run`.
pub async fn rollback(context: &Context, wave: &Wave, by: &UserId, dry_run: bool) -> Result<Vec<RolledBack>> {
    let mut done = Vec::with_capacity(wave.jobs.len());
    for job in &wave.jobs {
        let (user_id, job_id) = (job.user_id.clone(), JobId(job.id));
        done.push(match bring_back(context, wave, job, by, dry_run).await? {
            Ok(command) => RolledBack { user_id, job_id, command: Some(command), skipped: None },
            Err(why) => RolledBack { user_id, job_id, command: None, skipped: Some(why) },
        });
    }
    Ok(done)
}

/// Brings the user of a job back. Returns the command that does it, or why they are skipped.
async fn bring_back(
    context: &Context,
    wave: &Wave,
    job: &Job,
    by: &UserId,
    dry_run: bool,
) -> Result<std::result::Result<RequestType, String>> {
    let kind = if job.state == State::Completed {
        RequestType::Revert
    } else if State::OPEN.contains(&job.state) {
        RequestType::Cancel
    } else {
        return Ok(Err(format!("the job is {}", job.state)));
    };
    if let Some(why) = locked_out_elsewhere(context, wave, job).await? {
        return Ok(Err(why));
    }
    let org = Some(wave.org.clone()).filter(|org| !org.is_empty());
    let request = Request::Job(JobCommand {
        kind,
        request_id: RequestId::try_from(Uuid::new_v4().to_string()).map_err(unexpected)?,
        org_id: org.map(OrgId::try_from).transpose().map_err(unexpected)?,
        job_id: JobId(job.id),
        requested_by: by.clone(),
        reason: Some(format!("rollback of {}", wave.connection)),
        catalog: None,
        reassign: Default::default(),
    });
    let reasons = commands::preview(context, &request).await?;
    if let Some(reason) = reasons.first() {
        return Ok(Err(reason.message.clone()));
    }
    if dry_run {
        return Ok(Ok(kind));
    }
    let principal = Principal::Person { org: wave.org.clone(), user: by.clone() };
    Ok(match submit::take(context, &principal, request, None, None).await? {
        Taken::Accepted(_) => Ok(kind),
        Taken::Rejected(_, reasons) => Err(reasons.first().map_or_else(String::new, |reason| reason.message.clone())),
        Taken::Invalid(invalid) => return Err(Error::Invalid(invalid)),
        Taken::Conflict { .. } | Taken::Outdated | Taken::Busy | Taken::Failed => {
            Err("other transactions are in the way: run this again".into())
        }
    })
}

/// Returns why the user of a job stays out: another request has ended their access since.
async fn locked_out_elsewhere(context: &Context, wave: &Wave, job: &Job) -> Result<Option<String>> {
    let session = context.store.snapshot().await?;
    let catalog = enter(&session, context.catalogs.current(), &wave.org).await?;
    let user = job.user()?;
    let found = host::read_users_for_access(&session, &catalog, [&user]).await?;
    let last = jobs::last_change_of_access(&session, &wave.org, user.as_str()).await?;
    let later = last.filter(|last| last.id != job.id && last.kind == RequestType::Deactivate);
    let is_elsewhere = found.get(user.as_str()).is_some_and(|found| found.is_locked_out_by_another(JobId(job.id)));
    Ok(match later {
        Some(later) => Some(format!("the job {} has ended their access, too", later.id)),
        None => is_elsewhere.then(|| "another job has ended their access, too".into()),
    })
}

fn unexpected(what: impl std::fmt::Display) -> store::Error {
    store::Error::unexpected("rolling a wave back", what.to_string())
}
