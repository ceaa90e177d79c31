//! Invitations: adding a user, sending the invitation again, accepting it, cancelling it. Each is one row or two, done at
//! once; the event carries what whoever sends the mail needs.

use super::letters;
use super::orders::Acting;
use super::revert::take_license;
use crate::contract::{
    Answer, InvitationNews, Invite, JobId, LicenseOutcome, Rejection, RequestType, UserId, UserRequest,
};
use crate::job::rejection;
use crate::plan::Standing;
use crate::store::host::{Answered, Invited};
use crate::store::{Error, Result, host};

/// Adds a user, who is invited until they accept.
pub async fn invite(acting: &mut Acting<'_>, invite: &Invite) -> Result<Vec<Rejection>> {
    let (session, catalog) = (acting.session, acting.catalog);
    if catalog.users.status.invited.is_none() {
        return Ok(vec![rejection::no_invitations()]);
    }
    let (name, email) = (invite.name.trim(), invite.email.trim());
    let org = acting.job.org.clone();
    if let Some(user) = host::user_with_email(session, catalog, &org, email).await? {
        return Ok(vec![rejection::email_taken(email, &user)]);
    }
    let invited = Invited { org: &org, name, email, invited_by: invite.requested_by.as_str() };
    let user = host::add_invited(session, catalog, invited).await?;
    let invitation = host::invite(session, catalog, &user, invited).await?;
    acting.job.user_id = user.to_string();
    tell(acting, Answer::Created, name, email, invitation, None);
    Ok(Vec::new())
}

/// Sends an invitation again, accepts it, or cancels it.
pub async fn answer(acting: &mut Acting<'_>, asked: &UserRequest) -> Result<Vec<Rejection>> {
    let (session, catalog) = (acting.session, acting.catalog);
    let user = &asked.user_id;
    let Some(found) = acting.facts.users.get(user.as_str()) else {
        return Ok(vec![rejection::unknown_user(user.as_str())]);
    };
    if found.org != acting.job.org {
        return Ok(vec![rejection::other_organization(user.as_str())]);
    }
    if found.standing != Standing::Invited {
        return Ok(vec![rejection::not_invited(user.as_str())]);
    }
    let mut license = None;
    let (answer, answered) = match asked.kind {
        RequestType::AcceptInvitation => (Answer::Accepted, Answered::Accepted),
        RequestType::CancelInvitation => (Answer::Cancelled, Answered::Cancelled),
        _ => (Answer::Resent, Answered::Resent),
    };
    if answer == Answer::Accepted {
        match take_license(session, catalog, found).await? {
            Ok(taken) => license = Some(taken),
            Err(reason) => return Ok(vec![reason]),
        }
    }
    let becomes = match answer {
        Answer::Accepted => Some(Standing::Active),
        Answer::Cancelled => Some(Standing::Inactive),
        _ => None,
    };
    if let Some(standing) = becomes {
        host::set_status(session, catalog, user, Standing::Invited, standing).await?;
    }
    let invitation = host::answer_invitation(session, catalog, user, answered).await?;
    let (name, email) = name_and_email(acting, user).await?;
    tell(acting, answer, &name, &email, invitation, license);
    Ok(Vec::new())
}

async fn name_and_email(acting: &Acting<'_>, user: &UserId) -> Result<(String, String)> {
    let profile = host::name_and_email(acting.session, acting.catalog, user).await?;
    profile.ok_or_else(|| Error::unexpected("reading a profile", format!("there is no user {user}")))
}

fn tell(
    acting: &mut Acting<'_>,
    answer: Answer,
    name: &str,
    email: &str,
    invitation_id: Option<String>,
    license: Option<LicenseOutcome>,
) {
    let job = &mut acting.job;
    let news = InvitationNews {
        job_id: JobId(job.id),
        request_id: job.request_id.clone(),
        org_id: job.org.clone(),
        user_id: job.user_id.clone(),
        name: name.into(),
        email: email.into(),
        requested_by: job.requested_by.clone(),
        invitation_id,
        license,
    };
    acting.letters.push(letters::invitation(job, answer, news, acting.now));
}
