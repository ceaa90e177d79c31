//! Errors in the form of RFC 7644, section 3.12.

use serde_json::{Value, json};

use super::schema_ids::ERROR;
use crate::contract::named_enum;

/// The result of reading what an identity provider has sent.
pub type Result<T> = std::result::Result<T, Failure>;

named_enum! {
    /// The keyword of an error, RFC 7644 section 3.12.
    pub enum ScimType: "SCIM error type" {
        /// The filter is malformed, or it asks for what cannot be searched.
        InvalidFilter = "invalidFilter",
        /// A value is in use by another user.
        Uniqueness = "uniqueness",
        /// The attribute cannot be written.
        Mutability = "mutability",
        /// The body is malformed.
        InvalidSyntax = "invalidSyntax",
        /// The path of an operation is malformed.
        InvalidPath = "invalidPath",
        /// The path of an operation leads nowhere.
        NoTarget = "noTarget",
        /// A value is missing, or does not fit its attribute.
        InvalidValue = "invalidValue",
    }
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub status: u16,
    /// The keyword, where the RFC has one.
    pub scim_type: Option<ScimType>,
    /// The cause and the fix, for people.
    pub detail: String,
}

impl Failure {
    /// Creates an error without a keyword.
    pub fn new(status: u16, detail: impl Into<String>) -> Failure {
        Failure { status, scim_type: None, detail: detail.into() }
    }

    /// Creates the error of a request that cannot be done as it is.
    pub fn bad(scim_type: ScimType, detail: impl Into<String>) -> Failure {
        Failure { scim_type: Some(scim_type), ..Failure::new(400, detail) }
    }

    /// Creates the error of a value that another user has.
    pub fn uniqueness(detail: impl Into<String>) -> Failure {
        Failure { scim_type: Some(ScimType::Uniqueness), ..Failure::new(409, detail) }
    }

    /// Creates the error of a resource that does not exist.
    pub fn not_found(detail: impl Into<String>) -> Failure {
        Failure::new(404, detail)
    }

    /// Returns the body of the answer.
    pub fn to_json(&self) -> Value {
        // The RFC writes the status as a text.
        let mut body = json!({ "schemas": [ERROR], "status": self.status.to_string(), "detail": self.detail });
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = scim_type.name().into();
        }
        body
    }
}
