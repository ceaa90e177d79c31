//! Allotments: who receives how much of a reference, as the request says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::UserId;
use super::named::named_enum;

/// The maximum number of shares. A deal is computed, stored and sent share by share, and each share of a group contains the
/// group's members.
pub(super) const MOST_SHARES: usize = 1_000;

/// The maximum number of records that an `each` names.
pub(super) const MOST_NAMED: usize = 10_000;

/// The maximum length of a round-robin group's name, in characters.
pub(super) const LONGEST_GROUP: usize = 200;

/// An allotment of a reference's records. The two logics are those of Keap's help page: "Ratio - Each user gets up to the amount
/// specified; the process repeats for extras. Hardcoded - Each user gets up to the amount specified; extras are not
/// reassigned at all."
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "WrittenAllotment")]
pub enum Allotment {
    /// Shares that repeat for extras.
    Ratio(Vec<Share>),
    /// Shares that do not repeat. Extras stay, or are a reason to refuse.
    Hardcoded(Vec<Share>, Extras),
    /// Everything to one successor.
    User(UserId),
    /// Everything to the leaver's manager.
    Manager,
    /// Named records to named successors, and the rest by another allotment. Without one, the rest stays.
    Each(BTreeMap<String, UserId>, Option<Box<Allotment>>),
}

/// The share of one successor or one group in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The recipient.
    pub to: Recipient,
    /// The number of records in each round. Zero is allowed and receives nothing.
    pub amount: u64,
}

/// The recipient of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// A user.
    User(UserId),
    /// The members of a group who can receive records, in turn. The member served last is remembered between jobs.
    RoundRobin(String),
}

named_enum! {
    /// The treatment of records beyond a hardcoded allotment.
    #[derive(Default)]
    pub enum Extras: "treatment of extras" {
        /// They stay with the leaver and are reported.
        #[default]
        Leave = "leave",
        /// They are a reason to refuse the request.
        Reject = "reject",
    }
}

impl Allotment {
    /// Lists the users whom the allotment names.
    pub fn users(&self) -> Vec<&UserId> {
        match self {
            Allotment::Ratio(shares) | Allotment::Hardcoded(shares, _) => {
                shares.iter().filter_map(|share| share.to.user()).collect()
            }
            Allotment::User(user) => vec![user],
            Allotment::Manager => Vec::new(),
            Allotment::Each(each, rest) => each.values().chain(rest.iter().flat_map(|rest| rest.users())).collect(),
        }
    }

    /// Lists the users whom the allotment names, so that their ids can be written in another way.
    pub fn users_mut(&mut self) -> Vec<&mut UserId> {
        match self {
            Allotment::Ratio(shares) | Allotment::Hardcoded(shares, _) => {
                shares.iter_mut().filter_map(|share| share.to.user_mut()).collect()
            }
            Allotment::User(user) => vec![user],
            Allotment::Manager => Vec::new(),
            Allotment::Each(each, rest) => {
                let rest = rest.iter_mut().flat_map(|rest| rest.users_mut());
                each.values_mut().chain(rest).collect()
            }
        }
    }

    /// Lists the round-robin groups that the allotment names.
    pub fn groups(&self) -> Vec<&str> {
        match self {
            Allotment::Ratio(shares) | Allotment::Hardcoded(shares, _) => {
                shares.iter().filter_map(|share| share.to.group()).collect()
            }
            Allotment::User(_) | Allotment::Manager => Vec::new(),
            Allotment::Each(_, rest) => rest.iter().flat_map(|rest| rest.groups()).collect(),
        }
    }

    /// True if the allotment names the leaver's manager.
    pub fn names_manager(&self) -> bool {
        match self {
            Allotment::Manager => true,
            Allotment::Each(_, Some(rest)) => rest.names_manager(),
            Allotment::Each(_, None) | Allotment::Ratio(_) | Allotment::Hardcoded(..) | Allotment::User(_) => false,
        }
    }
}

impl Recipient {
    fn user(&self) -> Option<&UserId> {
        match self {
            Recipient::User(user) => Some(user),
            Recipient::RoundRobin(_) => None,
        }
    }

    fn user_mut(&mut self) -> Option<&mut UserId> {
        match self {
            Recipient::User(user) => Some(user),
            Recipient::RoundRobin(_) => None,
        }
    }

    fn group(&self) -> Option<&str> {
        match self {
            Recipient::User(_) => None,
            Recipient::RoundRobin(group) => Some(group),
        }
    }
}

impl JsonSchema for Allotment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Allotment".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        WrittenAllotment::json_schema(generator)
    }
}

/// An allotment in JSON: exactly one of `logic`, `user`, `manager` and `each` is present.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenAllotment {
    /// `ratio`: the shares repeat for extras. `hardcoded`: they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logic: Option<Logic>,
    /// With `logic`: the shares of each round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 1000))]
    shares: Option<Vec<WrittenShare>>,
    /// With `hardcoded`: the treatment of records beyond the shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extras: Option<Extras>,
    /// Everything to this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    /// `true`: everything to the leaver's manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manager: Option<bool>,
    /// Named records, by key, to named users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 10_000))]
    each: Option<BTreeMap<String, UserId>>,
    /// With `each`: the allotment of all other records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Box<Allotment>>")]
    rest: Option<Box<WrittenAllotment>>,
}

named_enum! {
    /// The logic of shares.
    pub enum Logic: "logic" {
        /// They repeat for extras.
        Ratio = "ratio",
        /// They do not repeat.
        Hardcoded = "hardcoded",
    }
}

/// A share in JSON: `user` or `round_robin`, and an amount.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Share")]
struct WrittenShare {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    round_robin: Option<String>,
    amount: u64,
}

impl From<Allotment> for WrittenAllotment {
    fn from(allotment: Allotment) -> WrittenAllotment {
        let shared = |logic, shares: Vec<Share>| WrittenAllotment {
            logic: Some(logic),
            shares: Some(shares.into_iter().map(WrittenShare::from).collect()),
            ..WrittenAllotment::default()
        };
        match allotment {
            Allotment::Ratio(shares) => shared(Logic::Ratio, shares),
            Allotment::Hardcoded(shares, extras) => {
                WrittenAllotment { extras: Some(extras), ..shared(Logic::Hardcoded, shares) }
            }
            Allotment::User(user) => WrittenAllotment { user: Some(user), ..WrittenAllotment::default() },
            Allotment::Manager => WrittenAllotment { manager: Some(true), ..WrittenAllotment::default() },
            Allotment::Each(each, rest) => WrittenAllotment {
                each: Some(each),
                rest: rest.map(|rest| Box::new(WrittenAllotment::from(*rest))),
                ..WrittenAllotment::default()
            },
        }
    }
}

impl From<Share> for WrittenShare {
    fn from(share: Share) -> WrittenShare {
        let (user, round_robin) = match share.to {
            Recipient::User(user) => (Some(user), None),
            Recipient::RoundRobin(group) => (None, Some(group)),
        };
        WrittenShare { user, round_robin, amount: share.amount }
    }
}
