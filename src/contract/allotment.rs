//! Allotments: who receives how much of a reference, as the request says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{UserId, unique};

/// The maximum number of shares. A deal is computed, stored and sent share by share, and each share of a group contains the
/// group's members.
const MOST_SHARES: usize = 1_000;

/// The maximum number of records that an `each` names.
const MOST_NAMED: usize = 10_000;

/// The maximum length of a round-robin group's name, in characters.
const LONGEST_GROUP: usize = 200;

/// An allotment of a reference's records. The two logics are those of Keap's help page: "Ratio - Each user gets up to the amount
/// specified; the process repeats for extras. Hardcoded - Each user gets up to the amount specified; extras are not
/// reassigned at all."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenAllotment", into = "WrittenAllotment")]
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

/// The treatment of records beyond a hardcoded allotment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extras {
    /// They stay with the leaver and are reported.
    #[default]
    Leave,
    /// They are a reason to refuse the request.
    Reject,
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
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Allotment")]
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
    #[serde(default, deserialize_with = "unique::some_map", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 10_000))]
    each: Option<BTreeMap<String, UserId>>,
    /// With `each`: the allotment of all other records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<Box<WrittenAllotment>>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Logic {
    Ratio,
    Hardcoded,
}

/// A share in JSON: `user` or `round_robin`, and an amount.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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

impl TryFrom<WrittenAllotment> for Allotment {
    type Error = String;

    fn try_from(written: WrittenAllotment) -> Result<Self, String> {
        let WrittenAllotment { logic, shares, extras, user, manager, each, rest } = written;
        let ways = [logic.is_some(), user.is_some(), manager.is_some(), each.is_some()];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            return Err(
                "[invalid_field] an allotment needs exactly one of `logic`, `user`, `manager` and `each`".into()
            );
        }
        let only_with = |field: &str, with: &str| Err(format!("[invalid_field] `{field}` is valid only with `{with}`"));
        if shares.is_some() && logic.is_none() {
            return only_with("shares", "logic");
        }
        if extras.is_some() && !matches!(logic, Some(Logic::Hardcoded)) {
            return only_with("extras", "\"logic\": \"hardcoded\"");
        }
        if rest.is_some() && each.is_none() {
            return only_with("rest", "each");
        }
        if let Some(user) = user {
            return Ok(Allotment::User(user));
        }
        if let Some(manager) = manager {
            return match manager {
                true => Ok(Allotment::Manager),
                false => Err("[invalid_field] `manager` must be true or absent".into()),
            };
        }
        if let Some(each) = each {
            return read_each(each, rest);
        }
        let shares = read_shares(shares.unwrap_or_default())?;
        Ok(match logic {
            Some(Logic::Hardcoded) => Allotment::Hardcoded(shares, extras.unwrap_or_default()),
            Some(Logic::Ratio) | None => Allotment::Ratio(shares),
        })
    }
}

fn read_each(each: BTreeMap<String, UserId>, rest: Option<Box<WrittenAllotment>>) -> Result<Allotment, String> {
    if each.is_empty() {
        return Err("[empty_shares] `each` names no record".into());
    }
    if each.len() > MOST_NAMED {
        return Err(format!("[too_large] `each` names {} records; the maximum is {MOST_NAMED}", each.len()));
    }
    let rest = rest.map(|rest| Allotment::try_from(*rest)).transpose()?;
    if matches!(rest, Some(Allotment::Each(..))) {
        return Err("[invalid_field] `rest` cannot be another `each`".into());
    }
    Ok(Allotment::Each(each, rest.map(Box::new)))
}

fn read_shares(written: Vec<WrittenShare>) -> Result<Vec<Share>, String> {
    if written.is_empty() {
        return Err("[empty_shares] `shares` is empty: name at least one user or round-robin group".into());
    }
    if written.len() > MOST_SHARES {
        return Err(format!("[too_large] there are {} shares; the maximum is {MOST_SHARES}", written.len()));
    }
    let mut total: u64 = 0;
    let mut shares = Vec::with_capacity(written.len());
    for share in written {
        let to = match (share.user, share.round_robin) {
            (Some(user), None) => Recipient::User(user),
            (None, Some(group)) if group.chars().count() > LONGEST_GROUP => {
                return Err(format!("[invalid_field] the name of the group exceeds {LONGEST_GROUP} characters"));
            }
            (None, Some(group)) if !group.is_empty() => Recipient::RoundRobin(group),
            (Some(_) | None, Some(_) | None) => {
                return Err("[invalid_field] a share needs exactly one of `user` and `round_robin`".into());
            }
        };
        // Ranks and amounts are stored in signed 64-bit columns.
        total = (total.checked_add(share.amount))
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or("[invalid_amount] the amounts add up to more than 9223372036854775807")?;
        shares.push(Share { to, amount: share.amount });
    }
    if total == 0 {
        return Err("[invalid_amount] the amounts add up to zero: give at least one share an amount".into());
    }
    Ok(shares)
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
