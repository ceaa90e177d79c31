//! Ids: text from outside that was checked once, and the ids that Handover derives from it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of job ids. Published, so that a client can work out a job's id before the worker has seen the request.
pub const JOB_NAMESPACE: Uuid = Uuid::from_u128(0x6d7f_1c52_9f0e_5b1a_8a3c_4e21_70d9_5b66);

/// Longest id accepted, in characters.
const LONGEST: usize = 200;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(extend("minLength" = 1, "maxLength" = 200))]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                check_id(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// An organization of the host, as text whatever its column's type.
    OrgId
}
text_id! {
    /// A user of the host, as text whatever its column's type.
    UserId
}
text_id! {
    /// The sender's name for a request: its idempotency key within the organization.
    RequestId
}

/// How an id begins that stands for a user who was forgotten.
const FORGOTTEN: &str = "forgotten:";

impl UserId {
    /// A new id that stands for a user who is forgotten, and cannot be led back to them.
    pub fn pseudonym() -> UserId {
        UserId(format!("{FORGOTTEN}{}", Uuid::new_v4()))
    }

    /// Whether it stands for a user who was forgotten.
    pub fn is_pseudonym(&self) -> bool {
        self.0.strip_prefix(FORGOTTEN).is_some_and(|rest| Uuid::try_parse(rest).is_ok())
    }
}

fn check_id(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length == 0 {
        return Err("[invalid_id] an id may not be empty".into());
    }
    if length > LONGEST {
        return Err(format!("[invalid_id] an id has at most {LONGEST} characters, this one has {length}"));
    }
    if text.chars().any(char::is_control) {
        return Err("[invalid_id] an id may not hold control characters".into());
    }
    Ok(())
}

/// A job's id: a UUIDv5 of its organization and request id in [`JOB_NAMESPACE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// The id of the job that this request makes. The name hashed is `<length>:<org>,<length>:<request_id>,`, each
    /// length counted in bytes (two netstrings), so that no two pairs share a name; a host without organizations has
    /// the empty one.
    pub fn of(org: &str, request_id: &RequestId) -> JobId {
        let request_id = request_id.as_str();
        let name = format!("{}:{org},{}:{request_id},", org.len(), request_id.len());
        JobId(Uuid::new_v5(&JOB_NAMESPACE, name.as_bytes()))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a job's `sequence`-th event: stable, so that a consumer that deduplicates by id sees each exactly once.
pub fn event_id(job: JobId, sequence: i64) -> Uuid {
    Uuid::new_v5(&job.0, format!("event:{sequence}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_id(text: &str) -> RequestId {
        RequestId::try_from(text.to_owned()).expect("a good id")
    }

    #[test]
    fn a_job_id_depends_on_where_the_organization_ends() {
        assert_ne!(JobId::of("1", &request_id("1x")), JobId::of("11", &request_id("x")));
        assert_eq!(JobId::of("1", &request_id("x")), JobId::of("1", &request_id("x")));
    }

    #[test]
    fn an_id_is_short_printable_text() {
        for bad in [String::new(), "a\u{0}b".into(), "x".repeat(201)] {
            assert!(UserId::try_from(bad).is_err());
        }
        assert!(UserId::try_from("名".repeat(200)).is_ok());
    }
}
