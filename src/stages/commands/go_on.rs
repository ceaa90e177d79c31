//! Lets a held job go on.

use crate::job::{StepKind, Transition};
use crate::stages::commands::context::CommandContext;
use crate::stages::lifecycle::JobChange;
use crate::store::Result;
use crate::store::ledger::{chunks, references};

/// Lets a held job go on from where it stopped. Failed chunks are tried again, with all their attempts.
pub async fn go_on(command: &mut CommandContext<'_>, mut target: JobChange) -> Result<()> {
    let (session, now, limits) = (command.session, command.now, command.context.limits);
    let progress = references::of_jobs(session, &[target.job.id]).await?;
    chunks::reopen_failed(session, target.job.id).await?;
    let (transition, step) = if progress.is_empty() {
        (Transition::ResumedScheduled, StepKind::Start)
    } else if progress.iter().any(|progress| !progress.cut) {
        (Transition::ResumedCutting, StepKind::Cut)
    } else {
        (Transition::ResumedMoving, StepKind::Ticket)
    };
    let is_scheduled = transition == Transition::ResumedScheduled;
    let due = target.job.effective_at.filter(|at| is_scheduled && *at > now).unwrap_or(now);
    target.resume(transition, step, due, limits)?;
    if !is_scheduled {
        let open = chunks::counts_of_job(session, target.job.id).await?.open;
        let tickets = limits.window.min(open).saturating_sub(u64::from(step == StepKind::Ticket));
        target.tickets(tickets, now)?;
    }
    target.resumed(now)?;
    command.save(target);
    Ok(())
}
