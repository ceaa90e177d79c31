//! The plan token: a summary of the plan that a preview showed. A request that carries it is refused if the plan has changed.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::facts::Facts;
use super::planned::Plan;
use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, UserId};

/// The plan that a preview showed. It is neither a secret nor a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanToken {
    /// The catalog's hash, shortened.
    catalog: String,
    /// A hash of the leaver, the allotments and `also`.
    allotment: String,
    /// The number of records of each kind.
    counts: BTreeMap<String, u64>,
    /// The members of each round-robin group.
    groups: BTreeMap<String, Vec<String>>,
}

const VERSION: &str = "p1.";

impl PlanToken {
    /// Summarizes a plan with exact counts.
    pub fn of(catalog: &Catalog, request: &HandoverRequest, facts: &Facts, plan: &Plan) -> PlanToken {
        let asked = serde_json::json!([request.org(), request.user_id, request.reassign, request.also]).to_string();
        let counts = (plan.references.iter().filter(|planned| planned.count.rows > 0))
            .map(|planned| (catalog.references[planned.position].kind.clone(), planned.count.rows))
            .collect();
        let groups = (request.groups())
            .map(|group| {
                let members = facts.groups.get(group).into_iter().flatten();
                (group.to_owned(), members.map(UserId::to_string).collect())
            })
            .collect();
        PlanToken { catalog: catalog.hash.chars().take(16).collect(), allotment: short_hash(&asked), counts, groups }
    }

    /// Writes the token: `p1.` and its fields in URL-safe base64.
    pub fn write(&self) -> String {
        let json = serde_json::to_vec(self).expect("a plan token is serializable");
        format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// Reads a token, or nothing if it is not one that a preview gives.
    pub fn read(token: &str) -> Option<PlanToken> {
        let json = URL_SAFE_NO_PAD.decode(token.strip_prefix(VERSION)?).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// Describes the changes since the preview; empty if there are none.
    pub fn drift_to(&self, now: &PlanToken) -> Vec<String> {
        let mut drift = Vec::new();
        if self.catalog != now.catalog {
            drift.push("the catalog has changed".to_owned());
        }
        if self.allotment != now.allotment {
            drift.push("the request names another user or other allotments".to_owned());
        }
        for (kind, count) in &now.counts {
            let before = self.counts.get(kind).copied().unwrap_or(0);
            if before != *count {
                drift.push(format!("{kind}: {before} previewed, {count} now"));
            }
        }
        for (kind, before) in self.counts.iter().filter(|(kind, _)| !now.counts.contains_key(*kind)) {
            drift.push(format!("{kind}: {before} previewed, none now"));
        }
        for (group, members) in &now.groups {
            if self.groups.get(group) != Some(members) {
                drift.push(format!("the members of the group {group:?} have changed"));
            }
        }
        drift
    }
}

fn short_hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..12])
}
