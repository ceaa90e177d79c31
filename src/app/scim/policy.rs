//! The policy of a connection: who receives the records of a user whom it deprovisions. An identity provider names no successors.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Disposition, Reference};
use crate::contract::{Allotment, Recipient, Share, UserId, most_similar};

/// The choice of who receives the records of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Choice {
    /// The user's manager.
    Manager,
    /// One user.
    User(UserId),
    /// The members of a group in turn.
    RoundRobin(String),
    /// Nobody: a person decides.
    Wait,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        match text.split_once(':') {
            None if text == "manager" => Ok(Choice::Manager),
            None if text == "wait" => Ok(Choice::Wait),
            Some(("user", id)) => Ok(Choice::User(UserId::try_from(id.to_owned()).map_err(|what| what.to_string())?)),
            Some(("round_robin", group)) if !group.trim().is_empty() => Ok(Choice::RoundRobin(group.to_owned())),
            _ => Err(format!("{text:?} is none of manager, user:ID, round_robin:GROUP and wait")),
        }
    }
}

impl TryFrom<String> for Choice {
    type Error = String;

    fn try_from(text: String) -> Result<Choice, String> {
        text.parse()
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> String {
        choice.to_string()
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Manager => f.write_str("manager"),
            Choice::User(user) => write!(f, "user:{user}"),
            Choice::RoundRobin(group) => write!(f, "round_robin:{group}"),
            Choice::Wait => f.write_str("wait"),
        }
    }
}

impl Choice {
    /// Returns the allotment that gives everything to the successor; nothing if a person decides.
    fn allotment(&self) -> Option<Allotment> {
        match self {
            Choice::Manager => Some(Allotment::Manager),
            Choice::User(user) => Some(Allotment::User(user.clone())),
            Choice::RoundRobin(group) => {
                Some(Allotment::Ratio(vec![Share { to: Recipient::RoundRobin(group.clone()), amount: 1 }]))
            }
            Choice::Wait => None,
        }
    }
}

/// One part of a policy, as the command line has it: `manager`, or `contact=user:7` for one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The kind; every other kind if there is none.
    pub kind: Option<String>,
    /// The choice.
    pub choice: Choice,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Part, String> {
        match text.split_once('=') {
            Some((kind, choice)) => Ok(Part { kind: Some(kind.to_owned()), choice: choice.parse()? }),
            None => Ok(Part { kind: None, choice: text.parse()? }),
        }
    }
}

/// The policy of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The choice for every kind that has none of its own.
    pub default: Choice,
    /// Choices for single kinds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, Choice>,
}

impl Policy {
    /// Combines parts. Returns what is wrong with them, if anything is.
    pub fn of(parts: Vec<Part>) -> Result<Policy, String> {
        let mut default = None;
        let mut kinds = BTreeMap::new();
        for Part { kind, choice } in parts {
            let earlier = match &kind {
                None => default.replace(choice),
                Some(kind) => kinds.insert(kind.clone(), choice),
            };
            if earlier.is_some() {
                return Err(match kind {
                    None => "the policy has two parts for all kinds".to_owned(),
                    Some(kind) => format!("the policy has two parts for the kind {kind}"),
                });
            }
        }
        Ok(Policy { default: default.unwrap_or(Choice::Wait), kinds })
    }

    /// Returns what the catalog cannot do of the policy, if anything.
    pub fn check(&self, catalog: &Catalog) -> Result<(), String> {
        let allotted = || catalog.references.iter().filter(|reference| reference.disposition.is_allotted());
        for kind in self.kinds.keys() {
            if !allotted().any(|reference| reference.kind == *kind) {
                let similar = most_similar(kind, allotted().map(|reference| reference.kind.as_str()));
                let hint = similar.map(|similar| format!(": did you mean {similar}?")).unwrap_or_default();
                return Err(format!("the catalog transfers no kind {kind}{hint}"));
            }
        }
        for choice in self.kinds.values().chain([&self.default]) {
            match choice {
                Choice::Manager if catalog.users.manager.is_none() => {
                    return Err("the catalog's [users] names no `manager` column".into());
                }
                Choice::RoundRobin(_) if catalog.groups.is_none() => {
                    return Err("the catalog has no [groups], so there is no round_robin".into());
                }
                Choice::Manager | Choice::RoundRobin(_) | Choice::User(_) | Choice::Wait => {}
            }
        }
        Ok(())
    }

    /// Returns the allotments of a user's records, by kind. A kind that is only handed over on request needs a choice of its own.
    pub fn allotments(&self, catalog: &Catalog) -> BTreeMap<String, Allotment> {
        let by_default = |reference: &&Reference| {
            let is_transferred =
                matches!(reference.disposition, Disposition::Transfer { .. }) && reference.when.also.is_none();
            is_transferred || self.kinds.contains_key(&reference.kind)
        };
        let chosen = catalog.references.iter().filter(by_default).map(|reference| &reference.kind);
        let allotted = chosen.filter_map(|kind| {
            let choice = self.kinds.get(kind).unwrap_or(&self.default);
            Some((kind.clone(), choice.allotment()?))
        });
        allotted.collect()
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default)?;
        self.kinds.iter().try_for_each(|(kind, choice)| write!(f, ", {kind}={choice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(parts: &[&str]) -> Result<Policy, String> {
        Policy::of(parts.iter().map(|part| part.parse()).collect::<Result<_, _>>()?)
    }

    #[test]
    fn parts_make_one_policy_and_are_read_back() {
        let made = policy(&["manager", "contact=user:7", "task=round_robin:Sales", "note=wait"]).expect("a policy");
        assert_eq!(made.to_string(), "manager, contact=user:7, note=wait, task=round_robin:Sales");
        let stored = serde_json::to_value(&made).expect("JSON");
        assert_eq!(serde_json::from_value::<Policy>(stored).expect("a policy"), made);
        assert_eq!(policy(&["contact=manager"]).map(|policy| policy.default), Ok(Choice::Wait));
        for bad in [&["boss"][..], &["manager", "wait"], &["a=wait", "a=manager"], &["user:"], &["round_robin: "]] {
            assert!(policy(bad).is_err(), "{bad:?}");
        }
    }
}
