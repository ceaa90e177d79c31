//! The question before requests are sent: what they would do, in one sentence.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::{jobs, users};
use crate::contract::{HandoverRequest, JobCommand, Request, RequestType, UserId, counted};
use crate::stages::Context;
use crate::store::Store;

/// Organizations that a question names; of more it gives the number.
const MOST_NAMED: usize = 3;

/// Returns the question before requests are sent. Without a context it names no user.
pub async fn before_sending(store: &Store, context: Option<&Context>, requests: &[Request]) -> Result<String> {
    let [request] = requests else { return Ok(about_several(requests)) };
    let header = request.header();
    Ok(match request {
        Request::Handover(asked) => {
            let what = sentence(asked.kind, &person(context, asked.org(), &asked.user_id).await?);
            format!("{what} {}?", when(asked)?)
        }
        Request::User(asked) => {
            format!("{}?", sentence(asked.kind, &person(context, header.org(), &asked.user_id).await?))
        }
        Request::Invite(asked) => {
            let who = format!("{} ({}){}", asked.name, asked.email, of_org(header.org()));
            format!("{}?", sentence(asked.kind, &who))
        }
        Request::Job(asked) => format!("{}?", sentence(asked.kind, &job(store, context, asked).await?)),
    })
}

/// Returns the question before a number of requests is sent for some organizations, with a remark.
pub fn about_number(count: usize, orgs: &BTreeSet<String>, remark: &str) -> String {
    let orgs: Vec<&str> = orgs.iter().map(String::as_str).filter(|org| !org.is_empty()).collect();
    let orgs = match orgs.as_slice() {
        [] => String::new(),
        [one] => format!(" for organization {one}"),
        some if some.len() <= MOST_NAMED => format!(" for the organizations {}", some.join(", ")),
        many => format!(" for {} organizations", many.len()),
    };
    let remark = if remark.is_empty() { String::new() } else { format!(" ({remark})") };
    format!("Submit {}{orgs}{remark}?", counted(count, "request"))
}

fn about_several(requests: &[Request]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    requests.iter().for_each(|request| *counts.entry(request.header().kind.name()).or_default() += 1);
    let counts: Vec<String> = counts.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let orgs = requests.iter().map(|request| request.header().org().to_owned()).collect();
    about_number(requests.len(), &orgs, &counts.join(", "))
}

fn sentence(kind: RequestType, what: &str) -> String {
    match kind {
        RequestType::Deactivate => format!("Deactivate {what}"),
        RequestType::Reassign => format!("Reassign the records of {what}"),
        RequestType::Reactivate => format!("Reactivate {what}"),
        RequestType::Invite => format!("Invite {what}"),
        RequestType::ResendInvitation => format!("Send the invitation of {what} again"),
        RequestType::AcceptInvitation => format!("Accept the invitation of {what}"),
        RequestType::CancelInvitation => format!("Cancel the invitation of {what}"),
        RequestType::Revert => format!("Revert {what}"),
        RequestType::Cancel => format!("Cancel {what}"),
        RequestType::Pause => format!("Pause {what}"),
        RequestType::Resume => format!("Resume {what}"),
        RequestType::Amend => format!("Amend {what}"),
    }
}

/// Describes a user: `53 (Dana Whitfield) of organization 1`.
async fn person(context: Option<&Context>, org: &str, user: &UserId) -> Result<String> {
    let name = match context {
        Some(context) => {
            format!(" ({})", users::name(context, org, user).await?.unwrap_or_else(|| "no such user".into()))
        }
        None => String::new(),
    };
    Ok(format!("{user}{name}{}", of_org(org)))
}

/// Describes the job of a command.
async fn job(store: &Store, context: Option<&Context>, asked: &JobCommand) -> Result<String> {
    let Some(job) = jobs::find(store, asked.job_id.0).await? else {
        return Ok(format!("the job {}, which does not exist", asked.job_id));
    };
    let who = match job.is_forgotten() {
        true => "a forgotten user".to_owned(),
        false => person(context, &job.org, &job.user()?).await?,
    };
    Ok(format!("the job {}: {} {who}, now {}", job.id, job.kind, job.state))
}

fn of_org(org: &str) -> String {
    if org.is_empty() { String::new() } else { format!(" of organization {org}") }
}

fn when(asked: &HandoverRequest) -> Result<String> {
    let start = match asked.effective_at.filter(|at| *at > OffsetDateTime::now_utc()) {
        Some(at) => format!("at {}", at.format(&Rfc3339)?),
        None => "now".to_owned(),
    };
    Ok(match asked.return_at {
        Some(back) => format!("{start}, until {}", back.format(&Rfc3339)?),
        None => start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_names_few_organizations_and_counts_many() {
        for (count, orgs, remark, question) in [
            (1, &[""][..], "", "Submit 1 request?"),
            (12, &["1"], "3 rows rejected", "Submit 12 requests for organization 1 (3 rows rejected)?"),
            (2, &["1", "2"], "", "Submit 2 requests for the organizations 1, 2?"),
            (9, &["1", "2", "3", "4"], "", "Submit 9 requests for 4 organizations?"),
        ] {
            let orgs = orgs.iter().map(|org| (*org).to_owned()).collect();
            assert_eq!(about_number(count, &orgs, remark), question);
        }
    }
}
