//! The turns of round-robin groups.

use crate::plan::Plan;
use crate::plan::deal::key_order;
use crate::store::ledger::round_robin;
use crate::store::{Result, Session};

/// Takes the turn of every round-robin group that the plans of these organizations use. Each plan begins with the member
/// after the one who was served last, and the last member of all plans is stored.
///
/// Locks: the groups' turns, in the order of (organization, group). Take them after every guard has passed and before any row
/// of the host is written: transactions wait for each other here, and not later.
pub async fn reserve_turns(session: &Session, plans: &mut [(&str, &mut Plan)]) -> Result<()> {
    for (org, groups) in groups_by_org(plans) {
        for mut turn in round_robin::lock(session, &org, &groups).await? {
            let before = turn.last_user.clone();
            let of_org = plans.iter_mut().filter(|(plan_org, _)| *plan_org == org);
            for planned in of_org.flat_map(|(_, plan)| &mut plan.references) {
                let ranked = planned.ranked();
                if let Some(last) = planned.deal.take_turn(&turn.group_name, &turn.last_user, ranked, key_order) {
                    turn.last_user = last.into();
                }
            }
            if turn.last_user != before {
                round_robin::remember(session, turn).await?;
            }
        }
    }
    Ok(())
}

/// Returns the groups that the plans use by organization, in the order of the locks.
fn groups_by_org(plans: &[(&str, &mut Plan)]) -> Vec<(String, Vec<String>)> {
    let mut by_org: Vec<(String, Vec<String>)> = Vec::new();
    for (org, plan) in plans {
        let groups = plan.references.iter().flat_map(|planned| planned.deal.groups()).map(str::to_owned);
        match by_org.iter_mut().find(|(known, _)| known == org) {
            Some((_, of_org)) => of_org.extend(groups),
            None => by_org.push(((*org).to_owned(), groups.collect())),
        }
    }
    by_org.retain_mut(|(_, groups)| {
        groups.sort();
        groups.dedup();
        !groups.is_empty()
    });
    by_org.sort();
    by_org
}
