//! Invitations: adding a user, sending the invitation again, accepting it, cancelling it.
//!
//! Each changes one row or two, at once. The event carries what the sender of the mail needs.

use crate::contract::{
    InvitationChange, InvitationData, InviteCommand, JobId, LicenseOutcome, Reason, RequestType, UserCommand, UserId,
};
use crate::job::reason;
use crate::plan::UserStatus;
use crate::stages::commands::context::CommandContext;
use crate::stages::license::take_license;
use crate::stages::messages;
use crate::store::host::{InvitationUpdate, Invitee};
use crate::store::{Error, Result, host};

/// Adds a user, who is invited until they accept.
pub async fn invite(command: &mut CommandContext<'_>, invite: &InviteCommand) -> Result<Vec<Reason>> {
    let (session, catalog) = (command.session, command.catalog);
    if catalog.users.status.invited.is_none() {
        return Ok(vec![reason::no_invitations()]);
    }
    let (name, email) = (invite.name.trim(), invite.email.trim());
    let org = command.own.job.org.clone();
    if let Some(user) = host::user_with_email(session, catalog, &org, email).await? {
        return Ok(vec![reason::email_taken(email, &user)]);
    }
    let invited = Invitee { org: &org, name, email, invited_by: invite.requested_by.as_str() };
    let user = host::add_invited(session, catalog, invited).await?;
    let invitation = host::invite(session, catalog, &user, invited).await?;
    command.own.job.user_id = user.to_string();
    leave_event(command, InvitationChange::Created, (name, email), invitation, None)?;
    Ok(Vec::new())
}

/// Sends an invitation again, accepts it, or cancels it.
pub async fn answer(command: &mut CommandContext<'_>, asked: &UserCommand) -> Result<Vec<Reason>> {
    let (session, catalog) = (command.session, command.catalog);
    let user = &asked.user_id;
    let Some(found) = command.facts.users.get(user.as_str()) else {
        return Ok(vec![reason::unknown_user(user.as_str())]);
    };
    if found.org != command.own.job.org {
        return Ok(vec![reason::other_organization(user.as_str())]);
    }
    if found.status != UserStatus::Invited {
        return Ok(vec![reason::not_invited(user.as_str())]);
    }
    let Effect { change, update, status } = effect_of(asked.kind)?;
    let mut license = None;
    if change == InvitationChange::Accepted {
        match take_license(session, catalog, found).await? {
            Ok(taken) => license = Some(taken),
            Err(reason) => return Ok(vec![reason]),
        }
    }
    if let Some(status) = status {
        host::set_status(session, catalog, user, UserStatus::Invited, status).await?;
    }
    let invitation = host::answer_invitation(session, catalog, user, update).await?;
    let (name, email) = name_and_email(command, user).await?;
    leave_event(command, change, (&name, &email), invitation, license)?;
    Ok(Vec::new())
}

/// The effect of a command on an invitation.
struct Effect {
    /// The event.
    change: InvitationChange,
    /// The change of the invitation's row.
    update: InvitationUpdate,
    /// The user's new status, if it changes.
    status: Option<UserStatus>,
}

fn effect_of(kind: RequestType) -> Result<Effect> {
    let (change, update, status) = match kind {
        RequestType::AcceptInvitation => {
            (InvitationChange::Accepted, InvitationUpdate::Accepted, Some(UserStatus::Active))
        }
        RequestType::CancelInvitation => {
            (InvitationChange::Cancelled, InvitationUpdate::Cancelled, Some(UserStatus::Inactive))
        }
        RequestType::ResendInvitation => (InvitationChange::Resent, InvitationUpdate::Resent, None),
        RequestType::Deactivate
        | RequestType::Reassign
        | RequestType::Reactivate
        | RequestType::Invite
        | RequestType::Revert
        | RequestType::Cancel
        | RequestType::Pause
        | RequestType::Resume
        | RequestType::Amend => {
            let what = format!("`{}` is not about an invitation", kind.name());
            return Err(Error::unexpected("answering an invitation", what));
        }
    };
    Ok(Effect { change, update, status })
}

async fn name_and_email(command: &CommandContext<'_>, user: &UserId) -> Result<(String, String)> {
    let profile = host::name_and_email(command.session, command.catalog, user).await?;
    profile.ok_or_else(|| Error::unexpected("reading a profile", format!("there is no user {user}")))
}

fn leave_event(
    command: &mut CommandContext<'_>,
    change: InvitationChange,
    (name, email): (&str, &str),
    invitation_id: Option<String>,
    license: Option<LicenseOutcome>,
) -> Result<()> {
    let job = &command.own.job;
    let data = InvitationData {
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
    let now = command.now;
    command.own.event(|job| messages::invitation(job, change, data, now))
}
