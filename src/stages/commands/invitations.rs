//! Invitations: adding a user, sending the invitation again, accepting it, cancelling it. Each is one row or two, done at
//! once; the event carries what whoever sends the mail needs.

use crate::contract::{
    InvitationChange, InvitationData, InviteCommand, JobId, LicenseOutcome, Reason, RequestType, UserCommand, UserId,
};
use crate::job::reason;
use crate::plan::UserStatus;
use crate::stages::commands::CommandContext;
use crate::stages::messages;
use crate::stages::undo::begin::take_license;
use crate::store::host::{InvitationUpdate, Invitee};
use crate::store::{Error, Result, host};

/// Adds a user, who is invited until they accept.
pub async fn invite(acting: &mut CommandContext<'_>, invite: &InviteCommand) -> Result<Vec<Reason>> {
    let (session, catalog) = (acting.session, acting.catalog);
    if catalog.users.status.invited.is_none() {
        return Ok(vec![reason::no_invitations()]);
    }
    let (name, email) = (invite.name.trim(), invite.email.trim());
    let org = acting.job.org.clone();
    if let Some(user) = host::user_with_email(session, catalog, &org, email).await? {
        return Ok(vec![reason::email_taken(email, &user)]);
    }
    let invited = Invitee { org: &org, name, email, invited_by: invite.requested_by.as_str() };
    let user = host::add_invited(session, catalog, invited).await?;
    let invitation = host::invite(session, catalog, &user, invited).await?;
    acting.job.user_id = user.to_string();
    tell(acting, InvitationChange::Created, name, email, invitation, None);
    Ok(Vec::new())
}

/// Sends an invitation again, accepts it, or cancels it.
pub async fn answer(acting: &mut CommandContext<'_>, asked: &UserCommand) -> Result<Vec<Reason>> {
    let (session, catalog) = (acting.session, acting.catalog);
    let user = &asked.user_id;
    let Some(found) = acting.facts.users.get(user.as_str()) else {
        return Ok(vec![reason::unknown_user(user.as_str())]);
    };
    if found.org != acting.job.org {
        return Ok(vec![reason::other_organization(user.as_str())]);
    }
    if found.status != UserStatus::Invited {
        return Ok(vec![reason::not_invited(user.as_str())]);
    }
    let mut license = None;
    let (answer, answered) = match asked.kind {
        RequestType::AcceptInvitation => (InvitationChange::Accepted, InvitationUpdate::Accepted),
        RequestType::CancelInvitation => (InvitationChange::Cancelled, InvitationUpdate::Cancelled),
        _ => (InvitationChange::Resent, InvitationUpdate::Resent),
    };
    if answer == InvitationChange::Accepted {
        match take_license(session, catalog, found).await? {
            Ok(taken) => license = Some(taken),
            Err(reason) => return Ok(vec![reason]),
        }
    }
    let becomes = match answer {
        InvitationChange::Accepted => Some(UserStatus::Active),
        InvitationChange::Cancelled => Some(UserStatus::Inactive),
        _ => None,
    };
    if let Some(standing) = becomes {
        host::set_status(session, catalog, user, UserStatus::Invited, standing).await?;
    }
    let invitation = host::answer_invitation(session, catalog, user, answered).await?;
    let (name, email) = name_and_email(acting, user).await?;
    tell(acting, answer, &name, &email, invitation, license);
    Ok(Vec::new())
}

async fn name_and_email(acting: &CommandContext<'_>, user: &UserId) -> Result<(String, String)> {
    let profile = host::name_and_email(acting.session, acting.catalog, user).await?;
    profile.ok_or_else(|| Error::unexpected("reading a profile", format!("there is no user {user}")))
}

fn tell(
    acting: &mut CommandContext<'_>,
    answer: InvitationChange,
    name: &str,
    email: &str,
    invitation_id: Option<String>,
    license: Option<LicenseOutcome>,
) {
    let job = &mut acting.job;
    let news = InvitationData {
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
    acting.messages.push(messages::invitation(job, answer, news, acting.now));
}
