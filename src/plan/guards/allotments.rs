//! Turns an allotment into a deal, and finds successors who cannot receive records.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Eligible, Reference};
use crate::contract::{Allotment, HandoverRequest, Reason, Recipient, Share, UserId};
use crate::job::reason;
use crate::plan::deal::{Deal, Receiver, Slots};
use crate::plan::facts::{Facts, UserFacts, UserStatus};

/// Returns the deal of an allotment, and the records that it names one by one. Adds a reason for each successor who cannot
/// receive records.
pub fn deal_allotment(
    catalog: &Catalog,
    request: &HandoverRequest,
    facts: &Facts,
    leaver: &UserFacts,
    reference: &Reference,
    allotment: &Allotment,
    reasons: &mut Vec<Reason>,
) -> (Deal, BTreeMap<String, UserId>) {
    let mut dealer = Dealer { catalog, request, facts, leaver, reference, reasons, checked: BTreeSet::new() };
    match allotment {
        Allotment::Each(each, rest) => {
            each.values().for_each(|user| dealer.require(user));
            let deal = rest.as_ref().map_or(Deal::Nobody, |rest| dealer.deal(rest));
            (deal, each.clone())
        }
        Allotment::Ratio(_) | Allotment::Hardcoded(..) | Allotment::User(_) | Allotment::Manager => {
            (dealer.deal(allotment), BTreeMap::new())
        }
    }
}

/// Deals one reference's records, and checks each successor once.
struct Dealer<'a> {
    catalog: &'a Catalog,
    request: &'a HandoverRequest,
    facts: &'a Facts,
    leaver: &'a UserFacts,
    reference: &'a Reference,
    reasons: &'a mut Vec<Reason>,
    checked: BTreeSet<UserId>,
}

impl Dealer<'_> {
    fn deal(&mut self, allotment: &Allotment) -> Deal {
        match allotment {
            Allotment::User(user) => {
                self.require(user);
                Deal::Everything(user.clone())
            }
            // Some hosts store 0 for "no manager"; an id without a user counts as none.
            Allotment::Manager => match self.leaver.manager.clone().filter(|manager| self.exists(manager)) {
                Some(manager) => {
                    self.require(&manager);
                    Deal::Everything(manager)
                }
                None => {
                    self.reasons.push(reason::no_manager(&self.reference.kind, self.leaver.id.as_str()));
                    Deal::Nobody
                }
            },
            Allotment::Ratio(shares) => self.rounds(shares, true),
            Allotment::Hardcoded(shares, _) => self.rounds(shares, false),
            // Refused when the request is read: a rest cannot be an `each`.
            Allotment::Each(..) => Deal::Nobody,
        }
    }

    fn rounds(&mut self, shares: &[Share], repeats: bool) -> Deal {
        let mut end = 0;
        let mut slots: Vec<Slots> = Vec::new();
        for (index, share) in shares.iter().enumerate() {
            let to = match &share.to {
                Recipient::User(user) => {
                    self.require(user);
                    Some(Receiver::User(user.clone()))
                }
                Recipient::RoundRobin(group) => self.turn(group, shares, index),
            };
            if let Some(to) = to
                && share.amount > 0
            {
                end += share.amount;
                slots.push(Slots { end, to });
            }
        }
        match slots.is_empty() {
            true => Deal::Nobody,
            false => Deal::Rounds { shares: slots, repeats },
        }
    }

    fn turn(&mut self, group: &str, shares: &[Share], index: usize) -> Option<Receiver> {
        let members = self.facts.groups.get(group).map_or(&[][..], Vec::as_slice);
        let members: Vec<UserId> = members.iter().filter(|member| self.refusal(member).is_none()).cloned().collect();
        if members.is_empty() {
            self.reasons.push(reason::no_fit_member(&self.reference.kind, group));
            return None;
        }
        let of_group = |shares: &[Share]| -> u64 {
            let same = |share: &&Share| matches!(&share.to, Recipient::RoundRobin(other) if other == group);
            shares.iter().filter(same).map(|share| share.amount).sum()
        };
        let (before, per_round) = (of_group(&shares[..index]), of_group(shares));
        Some(Receiver::Turn { group: group.to_owned(), members, start: 0, before, per_round })
    }

    fn exists(&self, user: &UserId) -> bool {
        self.facts.users.contains_key(user.as_str())
    }

    /// Adds the reason, if a named successor cannot receive records. Each is reported once.
    fn require(&mut self, user: &UserId) {
        if self.checked.insert(user.clone()) {
            self.reasons.extend(self.refusal(user));
        }
    }

    fn refusal(&self, user: &UserId) -> Option<Reason> {
        let Dealer { catalog, request, facts, leaver, reference, .. } = self;
        check_successor(catalog, facts, reference, (request.org(), &leaver.id), user)
    }
}

/// Returns the reason why a user cannot receive records of a leaver, if there is one.
pub fn check_successor(
    catalog: &Catalog,
    facts: &Facts,
    reference: &Reference,
    (org, leaver): (&str, &UserId),
    user: &UserId,
) -> Option<Reason> {
    let (kind, id) = (reference.kind.as_str(), user.as_str());
    if user == leaver {
        return Some(reason::leaver_is_successor(kind, id));
    }
    let Some(found) = facts.users.get(id) else {
        return Some(reason::unknown_successor(kind, id));
    };
    if found.org != org {
        return Some(reason::successor_of_other_organization(kind, id));
    }
    if found.status != UserStatus::Active {
        return Some(reason::successor_inactive(kind, id));
    }
    if let Some(job) = found.leaving() {
        return Some(reason::successor_leaving(kind, id, job));
    }
    let wants = not_eligible(catalog, facts, reference, found)?;
    Some(reason::successor_not_eligible(kind, id, &wants))
}

fn not_eligible(catalog: &Catalog, facts: &Facts, reference: &Reference, user: &UserFacts) -> Option<String> {
    match reference.disposition.eligible()? {
        Eligible::Group(group) if !facts.is_member(group, &user.id) => {
            Some(format!("only members of the group {group:?} may"))
        }
        Eligible::Users(condition) if !user.meets(condition) => {
            Some(format!("only users with {} in {} may", condition.describe(), catalog.users.table))
        }
        Eligible::Group(_) | Eligible::Users(_) => None,
    }
}
