//! Fills in numbers: an even share of everything, or of the rest.

use super::draft::Draft;
use super::form::CANDIDATES;
use crate::app::successors::{self, Query};
use crate::contract::UserId;
use crate::http::api::dispatch::problem;
use crate::http::console::pages::user::find;
use crate::http::console::visit::Visit;
use crate::http::problem::Result;

/// The numbers to fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// New numbers for everything.
    Even,
    /// Numbers for what has none yet.
    Rest,
}

impl Filling {
    /// Reads the value of a button: what to fill in, and the kind.
    pub fn of_button(value: &str) -> Option<(Filling, &str)> {
        let (filling, kind) = value.split_once(':')?;
        match filling {
            "even" => Some((Filling::Even, kind)),
            "rest" => Some((Filling::Rest, kind)),
            _ => None,
        }
    }
}

/// Shares the records of a kind evenly among the users who have a number; among all who may receive them if none has.
pub async fn fill(visit: &Visit, leaver: &UserId, draft: &mut Draft, filling: Filling, kind: &str) -> Result<()> {
    let _turn = visit.console.api.budget.read().await?;
    let found = find(visit, leaver).await?.owns.get(kind).copied().unwrap_or_default();
    let query = Query { org: visit.org()?, leaver, kind };
    let candidates = successors::page(visit.context(), query, None, CANDIDATES).await.map_err(problem)?;
    let eligible = candidates.unwrap_or_default().into_iter().filter(|candidate| candidate.refused.is_none());
    let eligible: Vec<String> = eligible.map(|candidate| candidate.user.id).collect();
    let shares = draft.kinds.entry(kind.to_owned()).or_default();
    let named: Vec<String> = shares.users.keys().cloned().collect();
    let receivers = if named.is_empty() { eligible } else { named };
    if filling == Filling::Even {
        shares.users.clear();
        shares.groups.clear();
    }
    let given: u64 = shares.users.values().chain(shares.groups.values()).fold(0, |sum, next| sum.saturating_add(*next));
    for (receiver, number) in receivers.iter().zip(even(found.saturating_sub(given), receivers.len() as u64)) {
        *shares.users.entry(receiver.clone()).or_default() += number;
    }
    shares.users.retain(|_, number| *number > 0);
    Ok(())
}

/// Divides a number into even parts. The first ones take what does not divide.
fn even(number: u64, parts: u64) -> impl Iterator<Item = u64> {
    let (each, extras) = (number.checked_div(parts).unwrap_or(0), number.checked_rem(parts).unwrap_or(0));
    (0..parts).map(move |part| each + u64::from(part < extras))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_and_complete() {
        assert_eq!(even(104, 3).collect::<Vec<_>>(), [35, 35, 34]);
        assert_eq!(even(2, 3).collect::<Vec<_>>(), [1, 1, 0]);
        assert_eq!(even(5, 0).count(), 0);
    }
}
