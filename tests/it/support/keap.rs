//! The Keap seed: its people, the help page's example, and short ways to write a request.

use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};

use super::World;

/// Nicole Hart, the administrator. She sends the requests.
pub const ADMIN: &str = "1";
/// Dana Whitfield, who leaves. She owns 104 contacts, 92 leads and 12 pending tasks.
pub const LEAVER: &str = "53";
/// Alwayshelpful Support.
pub const SUPPORT: &str = "11";
/// Amanda Madsen, the leaver's manager. She has no right to deactivate anyone.
pub const AMANDA: &str = "12";
/// Geraldine Vaughn, a sales representative.
pub const GERALDINE: &str = "13";
/// Mathew Magwood, of marketing. He may not receive leads.
pub const MATHEW: &str = "14";
/// Priya Raman, the first of the group [`WEST`].
pub const PRIYA: &str = "15";
/// Lucas Ferreira, the second of the group [`WEST`].
pub const LUCAS: &str = "16";
/// Ingrid Solberg, the third of the group [`WEST`].
pub const INGRID: &str = "17";
/// Phillip Michieli, a partner. Partners hold no license.
pub const PARTNER: &str = "54";

/// The round-robin group of three sales representatives.
pub const WEST: &str = "West team";

/// A request to deactivate a user, written step by step.
pub struct Deactivation(Value);

/// Starts a request that deactivates [`LEAVER`]: contacts and tasks go to [`SUPPORT`], leads to [`AMANDA`].
pub fn leaver() -> Deactivation {
    deactivation("r1", LEAVER).contacts(to(SUPPORT)).leads(to(AMANDA)).tasks(to(SUPPORT))
}

/// Starts the request of the help page's example, as the demo sends it.
pub fn example(request_id: &str) -> Deactivation {
    let shares = [share(SUPPORT, 5), share(AMANDA, 50), share(GERALDINE, 20), share(MATHEW, 29)];
    deactivation(request_id, LEAVER).contacts(ratio(shares)).leads(hardcoded([group(WEST, 92)])).tasks(to(SUPPORT))
}

/// Starts a request that deactivates a user and allots nothing yet.
pub fn deactivation(request_id: &str, user: &str) -> Deactivation {
    Deactivation(
        json!({ "type": "deactivate", "request_id": request_id, "org_id": "1", "user_id": user, "requested_by": ADMIN, "reassign": {} }),
    )
}

impl Deactivation {
    pub fn contacts(self, allotment: Value) -> Deactivation {
        self.allot("contact", allotment)
    }

    pub fn leads(self, allotment: Value) -> Deactivation {
        self.allot("lead", allotment)
    }

    pub fn tasks(self, allotment: Value) -> Deactivation {
        self.allot("task", allotment)
    }

    /// Allots the records of a kind.
    pub fn allot(mut self, kind: &str, allotment: Value) -> Deactivation {
        self.0["reassign"][kind] = allotment;
        self
    }

    /// Allots nothing.
    pub fn without_allotments(self) -> Deactivation {
        self.with("reassign", json!({}))
    }

    pub fn requested_by(self, user: &str) -> Deactivation {
        self.with("requested_by", json!(user))
    }

    /// Sets a field of the request.
    pub fn with(mut self, field: &str, value: Value) -> Deactivation {
        self.0[field] = value;
        self
    }
}

impl Deref for Deactivation {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl DerefMut for Deactivation {
    fn deref_mut(&mut self) -> &mut Value {
        &mut self.0
    }
}

/// Allots everything to one user.
pub fn to(user: &str) -> Value {
    json!({ "user": user })
}

/// Allots everything to the leaver's manager.
pub fn to_manager() -> Value {
    json!({ "manager": true })
}

/// Allots in a ratio: the shares repeat until no record is left.
pub fn ratio<const N: usize>(shares: [Value; N]) -> Value {
    json!({ "logic": "ratio", "shares": shares.to_vec() })
}

/// Allots fixed amounts. Extras stay with the leaver.
pub fn hardcoded<const N: usize>(shares: [Value; N]) -> Value {
    json!({ "logic": "hardcoded", "shares": shares.to_vec() })
}

/// Allots fixed amounts. Extras are a reason to reject the request.
pub fn hardcoded_without_extras<const N: usize>(shares: [Value; N]) -> Value {
    json!({ "logic": "hardcoded", "extras": "reject", "shares": shares.to_vec() })
}

/// A user's share of an allotment.
pub fn share(user: &str, amount: u64) -> Value {
    json!({ "user": user, "amount": amount })
}

/// A round-robin group's share of an allotment.
pub fn group(name: &str, amount: u64) -> Value {
    json!({ "round_robin": name, "amount": amount })
}

impl World {
    /// Counts the rows of a table that a user owns.
    pub async fn owned_by(&self, user: &str, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table} WHERE owner_id = {user}")).await
    }

    /// Counts the rows of a table that belong to a user's account, such as sessions and licenses.
    pub async fn held_by(&self, user: &str, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table} WHERE user_id = {user}")).await
    }

    /// Returns a user's status.
    pub async fn status_of(&self, user: &str) -> String {
        self.texts(&format!("SELECT status AS t FROM users WHERE id = {user}")).await.remove(0)
    }
}
