//! A reason: why a request is refused, why a job needs attention, or why a message is set aside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReasonCode;

/// One reason. A refused request is answered with all of its reasons at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason<C = ReasonCode> {
    /// The cause, as one word for programs.
    pub code: C,
    /// The user, kind, group or job that the reason concerns.
    #[serde(default = "Subject::default", skip_serializing_if = "Subject::is_empty")]
    pub concerning: Subject,
    /// The cause, as a sentence for people.
    pub message: String,
    /// The fix, as a sentence for people.
    // Dead letters that were written before the field was renamed are still read.
    #[serde(alias = "mend")]
    pub hint: String,
}

impl<C> Reason<C> {
    /// Returns the same reason with its code in a larger set of codes.
    pub fn widen<D: From<C>>(self) -> Reason<D> {
        Reason { code: D::from(self.code), concerning: self.concerning, message: self.message, hint: self.hint }
    }
}

/// The subject of a reason. Fields that do not apply are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// The path to a field of the request: `reassign.contact.user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
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
    /// The number of records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The keys of the first few records.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_dead_letters_stay_readable() {
        let json = r#"{"code":"no_manager","concerning":{"user_id":"53"},"message":"m","mend":"name a user"}"#;
        let reason: Reason = serde_json::from_str(json).expect("a reason with the old field");
        assert_eq!((reason.code, reason.hint.as_str()), (ReasonCode::NoManager, "name a user"));
        let written = serde_json::to_value(&reason).expect("JSON");
        assert_eq!((written["hint"].as_str(), written.get("mend")), (Some("name a user"), None));
    }

    #[test]
    fn unknown_codes_are_refused() {
        let json = r#"{"code":"bad_weather","message":"m","hint":"h"}"#;
        assert!(serde_json::from_str::<Reason>(json).is_err());
    }
}
