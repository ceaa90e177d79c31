//! Why a readable request may not be done, as it is told to the outside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One reason. A rejected request is answered with all of them at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// What is wrong, one word for programs.
    pub code: String,
    /// What it concerns.
    #[serde(default, skip_serializing_if = "Subject::is_empty")]
    pub concerning: Subject,
    /// What is wrong, for people.
    pub message: String,
    /// How to fix it.
    pub hint: String,
}

/// What a rejection concerns; only what applies is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// A kind of the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// A round-robin group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Another job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// How many records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// A few of their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Fields of the user's profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

impl Subject {
    fn is_empty(&self) -> bool {
        *self == Subject::default()
    }
}
