//! Says which commands about a job a person is offered, and why they may not give one.

use super::super::access;
use super::super::error::Result;
use crate::contract::{Reason, RequestType, State, UserId};
use crate::job::{Transition, next};
use crate::plan::AccessQuery;
use crate::stages::Context;
use crate::store::ledger::jobs::Job;

/// A command that the state of a job allows.
#[derive(Debug)]
pub struct Offer {
    /// The command.
    pub kind: RequestType,
    /// Why this person may not give it; empty if they may.
    pub refused: Vec<Reason>,
}

/// Returns the commands that the state of a job allows, each with the reasons why this person may not give it. The rule of access is
/// the one that the command itself applies.
pub async fn offers(context: &Context, job: &Job, person: &UserId) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for kind in allowed(job) {
        let about = job.user()?;
        let query = AccessQuery { kind, org: &job.org, requester: person, about: Some(&about) };
        offers.push(Offer { kind, refused: access::check(context, query).await? });
    }
    Ok(offers)
}

fn allowed(job: &Job) -> Vec<RequestType> {
    let may = |transition| next(job.state, transition).is_ok();
    let is_handover = matches!(job.kind, RequestType::Deactivate | RequestType::Reassign);
    let all = [
        (RequestType::Pause, may(Transition::Paused)),
        (RequestType::Resume, job.state.is_held()),
        (RequestType::Amend, is_handover && (job.state.is_held() || job.state == State::Scheduled)),
        (RequestType::Cancel, is_handover && State::OPEN.contains(&job.state)),
        (RequestType::Revert, is_handover && job.state == State::Completed),
    ];
    all.into_iter().filter(|(_, is_allowed)| *is_allowed).map(|(kind, _)| kind).collect()
}
