//! The plan token: what a preview saw, so that a plan can be held to it and drift can be explained.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, UserId};

use super::Facts;
use super::guards::Plan;

/// What a preview saw. Not a secret and no permission: it only says what the sender has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanToken {
    /// The catalog's hash, shortened.
    catalog: String,
    /// A hash of who, and of who receives what.
    allotment: String,
    /// How many records of each kind.
    counts: BTreeMap<String, u64>,
    /// The fit members of each round-robin group.
    groups: BTreeMap<String, Vec<String>>,
}

const VERSION: &str = "p1.";

impl PlanToken {
    /// What a plan with exact counts sees.
    pub fn of(catalog: &Catalog, request: &HandoverRequest, facts: &Facts, plan: &Plan) -> PlanToken {
        let who = serde_json::json!([request.org(), request.user_id, request.reassign, request.also]).to_string();
        let counts = (plan.references.iter().filter(|planned| planned.count.rows > 0))
            .map(|planned| (catalog.references[planned.position].kind.clone(), planned.count.rows))
            .collect();
        let groups = (request.groups())
            .map(|group| {
                let members = facts.groups.get(group).into_iter().flatten();
                (group.to_owned(), members.map(UserId::to_string).collect())
            })
            .collect();
        PlanToken { catalog: catalog.hash.chars().take(16).collect(), allotment: short_hash(&who), counts, groups }
    }

    /// The token: `p1.` and the fields in URL-safe base64.
    pub fn token(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// Reads a token; nothing where it is none of ours.
    pub fn from_token(token: &str) -> Option<PlanToken> {
        let json = URL_SAFE_NO_PAD.decode(token.strip_prefix(VERSION)?).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// What has changed since, for people; nothing where all is as it was.
    pub fn drift_to(&self, now: &PlanToken) -> Vec<String> {
        let mut drift = Vec::new();
        if self.catalog != now.catalog {
            drift.push("the catalog is another one".to_owned());
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
