//! Ids: text from requests that is checked once, and the ids that Handover derives from it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of job ids. It is public, so that a client can compute a job's id before the worker has read the request.
pub const JOB_NAMESPACE: Uuid = Uuid::from_u128(0x6d7f_1c52_9f0e_5b1a_8a3c_4e21_70d9_5b66);

/// The maximum length of an id, in characters.
const LONGEST: usize = 200;

macro_rules! text_id {
    ($(#[doc = $doc:literal])* $name:ident) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": concat!($($doc),+).trim(),
                    "type": ["string", "integer"], "minLength": 1, "maxLength": LONGEST,
                })
            }
        }

        impl $name {
            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
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
    /// An organization of the host, as text, for any column type.
    OrgId
}
text_id! {
    /// A user of the host, as text, for any column type.
    UserId
}
text_id! {
    /// The sender's id of a request: its idempotency key within the organization.
    RequestId
}

/// The prefix of a requester that is a service instead of a user.
const SERVICE: &str = "service:";

/// The prefix of an id that replaces a forgotten user.
const FORGOTTEN: &str = "forgotten:";

impl UserId {
    /// Creates an id that replaces a forgotten user and cannot be traced back to them.
    pub fn pseudonym() -> UserId {
        UserId(format!("{FORGOTTEN}{}", Uuid::new_v4()))
    }

    /// Returns the requester that stands for a service.
    pub fn of_service(name: &str) -> Result<UserId, InvalidId> {
        UserId::try_from(format!("{SERVICE}{name}"))
    }

    /// Returns the name of the service, if the requester is one. A service is never a user of the host, even if one has this id.
    pub fn service(&self) -> Option<&str> {
        self.0.strip_prefix(SERVICE)
    }

    /// True if the id replaces a forgotten user.
    pub fn is_pseudonym(&self) -> bool {
        self.0.strip_prefix(FORGOTTEN).is_some_and(|rest| Uuid::try_parse(rest).is_ok())
    }
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// It is empty.
    #[error("the id is empty")]
    Empty,
    /// It has too many characters.
    #[error("the id has {0} characters; the maximum is {LONGEST}")]
    TooLong(usize),
    /// It has characters that cannot be shown.
    #[error("the id contains control characters")]
    ControlCharacters,
}

impl InvalidId {
    /// Returns how to fix it.
    pub fn hint(&self) -> &'static str {
        match self {
            InvalidId::Empty => "fill it in, or leave the field out if it is optional",
            InvalidId::TooLong(_) => "write a shorter one",
            InvalidId::ControlCharacters => "remove line breaks, tabs and other control characters",
        }
    }
}

fn check_id(text: &str) -> Result<(), InvalidId> {
    let length = text.chars().count();
    if length == 0 {
        return Err(InvalidId::Empty);
    }
    if length > LONGEST {
        return Err(InvalidId::TooLong(length));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidId::ControlCharacters);
    }
    Ok(())
}

/// A job's id: a UUIDv5 of its organization and request id in [`JOB_NAMESPACE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// Returns the id of the job that a request makes.
    ///
    /// The hashed name is `<length>:<org>,<length>:<request_id>,` with lengths in bytes (two netstrings), so that no two
    /// pairs share a name. A host without organizations has the empty organization.
    ///
    /// ```
    /// use handover::contract::{JobId, RequestId};
    ///
    /// let request = RequestId::try_from("offboard-53".to_owned())?;
    /// let job = JobId::of("1", &request);
    /// // The same request is the same job; the same id in another organization is another job.
    /// assert_eq!(job, JobId::of("1", &request));
    /// assert_ne!(job, JobId::of("2", &request));
    /// # Ok::<(), handover::contract::InvalidId>(())
    /// ```
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

/// Returns the id of a job's `sequence`-th event. It is stable, so that a consumer can deduplicate events by their ids.
pub fn event_id(job: JobId, sequence: i64) -> Uuid {
    Uuid::new_v5(&job.0, format!("event:{sequence}").as_bytes())
}

/// Returns the id of the event of a connection's `wave`-th held wave of deprovisionings. It is stable, as that of a job's event is.
pub fn wave_event_id(org: &str, connection: &str, wave: i64) -> Uuid {
    let name = format!("{}:{org},{}:{connection},wave:{wave}", org.len(), connection.len());
    Uuid::new_v5(&JOB_NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_id(text: &str) -> RequestId {
        RequestId::try_from(text.to_owned()).expect("a good id")
    }

    #[test]
    fn job_ids_separate_organization_and_request() {
        assert_ne!(JobId::of("1", &request_id("1x")), JobId::of("11", &request_id("x")));
        assert_eq!(JobId::of("1", &request_id("x")), JobId::of("1", &request_id("x")));
    }

    #[test]
    fn ids_are_short_printable_text() {
        for bad in [String::new(), "a\u{0}b".into(), "x".repeat(201)] {
            assert!(UserId::try_from(bad).is_err());
        }
        assert!(UserId::try_from("名".repeat(200)).is_ok());
    }
}
