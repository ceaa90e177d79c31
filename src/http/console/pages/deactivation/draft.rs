//! The allotments that a form holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::times::Times;
use crate::http::console::fields::Fields;
use crate::http::console::texts;
use crate::http::problem::{Problem, Result};

/// The allotments that a form holds, by kind, and the reason.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// By kind.
    pub kinds: BTreeMap<String, Shares>,
    /// The reason, for the audit trail.
    pub reason: Option<String>,
    /// When the user leaves and returns.
    pub times: Times,
}

/// The shares of one kind.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    /// True for *Hardcoded*: extras are not reassigned. Otherwise *Ratio*: the process repeats for extras.
    pub is_hardcoded: bool,
    /// The number for each user.
    pub users: BTreeMap<String, u64>,
    /// The number for each round-robin group.
    pub groups: BTreeMap<String, u64>,
}

impl Draft {
    /// Reads a form. Its fields are `logic:KIND`, `user:KIND:ID` and `group:KIND:NAME`.
    pub fn read(form: &Fields) -> Result<Draft> {
        let mut draft =
            Draft { reason: form.get("reason").map(str::to_owned), times: Times::read(form), ..Draft::default() };
        for (kind, logic) in form.beginning("logic:") {
            draft.kinds.entry(kind.to_owned()).or_default().is_hardcoded = logic == "hardcoded";
        }
        for (name, amount) in form.beginning("user:") {
            if let Some((shares, user, amount)) = draft.share(name, amount)? {
                shares.users.insert(user, amount);
            }
        }
        for (name, amount) in form.beginning("group:") {
            if let Some((shares, group, amount)) = draft.share(name, amount)? {
                shares.groups.insert(group, amount);
            }
        }
        Ok(draft)
    }

    /// Returns the kind's shares, the recipient and the number of a field; nothing if the number is empty or zero.
    fn share(&mut self, name: &str, amount: &str) -> Result<Option<(&mut Shares, String, u64)>> {
        let Some((kind, recipient)) = name.split_once(':') else { return Ok(None) };
        if amount.is_empty() {
            return Ok(None);
        }
        let amount: u64 = amount.parse().map_err(|_| Problem::parameter(name, texts::NO_NUMBER))?;
        let shares = self.kinds.entry(kind.to_owned()).or_default();
        Ok((amount > 0).then(|| (shares, recipient.to_owned(), amount)))
    }

    /// Returns the allotments as a request writes them. Kinds without a share are left out.
    pub fn reassign(&self) -> Value {
        let kinds = self.kinds.iter().filter(|(_, shares)| !shares.is_empty());
        Value::Object(kinds.map(|(kind, shares)| (kind.clone(), shares.allotment())).collect())
    }

    /// Returns the fields that hold the draft in another form.
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (kind, shares) in self.kinds.iter().filter(|(_, shares)| !shares.is_empty()) {
            fields.push((format!("logic:{kind}"), shares.logic().to_owned()));
            let users = shares.users.iter().map(|(user, amount)| (format!("user:{kind}:{user}"), amount.to_string()));
            fields.extend(users);
            let groups = shares.groups.iter();
            fields.extend(groups.map(|(group, amount)| (format!("group:{kind}:{group}"), amount.to_string())));
        }
        fields.extend(self.times.fields());
        fields.extend(self.reason.iter().map(|reason| ("reason".to_owned(), reason.clone())));
        fields
    }
}

impl Shares {
    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    fn logic(&self) -> &'static str {
        if self.is_hardcoded { "hardcoded" } else { "ratio" }
    }

    fn allotment(&self) -> Value {
        let users = self.users.iter().map(|(user, amount)| json!({ "user": user, "amount": amount }));
        let groups = self.groups.iter().map(|(group, amount)| json!({ "round_robin": group, "amount": amount }));
        json!({ "logic": self.logic(), "shares": users.chain(groups).collect::<Vec<_>>() })
    }
}
