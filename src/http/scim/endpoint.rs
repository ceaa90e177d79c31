//! The endpoints of SCIM, by their paths.

use axum::http::Method;

use crate::http::api::Purpose;
use crate::scim::Failure;

/// An endpoint, with the ids in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// The configuration.
    Configuration,
    /// Every schema.
    Schemas,
    /// One schema.
    Schema(String),
    /// Every resource type.
    ResourceTypes,
    /// One resource type.
    ResourceType(String),
    /// Searches users by a query.
    List,
    /// Searches users by a body.
    Search,
    /// Creates a user.
    Create,
    /// Reads a user.
    Read(String),
    /// Replaces a user.
    Replace(String),
    /// Changes a user.
    Patch(String),
    /// Removes a user.
    Delete(String),
}

impl Endpoint {
    /// Returns the endpoint of a path below the root, or the error of one that does not exist.
    pub fn of(method: &Method, path: &str) -> Result<Endpoint, Failure> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let unknown = || Failure::not_found("there is no such endpoint: /ResourceTypes lists the resources");
        let endpoint = match (method.as_str(), segments.as_slice()) {
            ("GET", ["ServiceProviderConfig"]) => Endpoint::Configuration,
            ("GET", ["Schemas"]) => Endpoint::Schemas,
            ("GET", ["Schemas", id]) => Endpoint::Schema((*id).to_owned()),
            ("GET", ["ResourceTypes"]) => Endpoint::ResourceTypes,
            ("GET", ["ResourceTypes", id]) => Endpoint::ResourceType((*id).to_owned()),
            ("GET", [] | ["Users"]) => Endpoint::List,
            ("POST", [".search"] | ["Users", ".search"]) => Endpoint::Search,
            ("POST", ["Users"]) => Endpoint::Create,
            ("GET", ["Users", id]) => Endpoint::Read((*id).to_owned()),
            ("PUT", ["Users", id]) => Endpoint::Replace((*id).to_owned()),
            ("PATCH", ["Users", id]) => Endpoint::Patch((*id).to_owned()),
            ("DELETE", ["Users", id]) => Endpoint::Delete((*id).to_owned()),
            (
                _,
                ["ServiceProviderConfig" | "Schemas" | "ResourceTypes", ..]
                | []
                | [".search"]
                | ["Users"]
                | ["Users", _],
            ) => {
                return Err(Failure::new(405, "the endpoint has no such method"));
            }
            _ => return Err(unknown()),
        };
        Ok(endpoint)
    }

    /// Returns the path without ids, for the log.
    pub fn template(&self) -> &'static str {
        match self {
            Endpoint::Configuration => "/scim/v2/ServiceProviderConfig",
            Endpoint::Schemas => "/scim/v2/Schemas",
            Endpoint::Schema(_) => "/scim/v2/Schemas/{id}",
            Endpoint::ResourceTypes => "/scim/v2/ResourceTypes",
            Endpoint::ResourceType(_) => "/scim/v2/ResourceTypes/{id}",
            Endpoint::List | Endpoint::Create => "/scim/v2/Users",
            Endpoint::Search => "/scim/v2/Users/.search",
            Endpoint::Read(_) | Endpoint::Replace(_) | Endpoint::Patch(_) | Endpoint::Delete(_) => {
                "/scim/v2/Users/{id}"
            }
        }
    }

    /// True if a body is read.
    pub fn has_body(&self) -> bool {
        match self {
            Endpoint::Search | Endpoint::Create | Endpoint::Replace(_) | Endpoint::Patch(_) => true,
            Endpoint::Configuration
            | Endpoint::Schemas
            | Endpoint::Schema(_)
            | Endpoint::ResourceTypes
            | Endpoint::ResourceType(_)
            | Endpoint::List
            | Endpoint::Read(_)
            | Endpoint::Delete(_) => false,
        }
    }

    /// Returns the purpose for which a call uses the database. A change may end somebody's access.
    pub fn purpose(&self) -> Purpose {
        match self {
            Endpoint::Replace(_) | Endpoint::Patch(_) | Endpoint::Delete(_) => Purpose::LockOut,
            Endpoint::Create => Purpose::Request,
            Endpoint::Configuration
            | Endpoint::Schemas
            | Endpoint::Schema(_)
            | Endpoint::ResourceTypes
            | Endpoint::ResourceType(_)
            | Endpoint::List
            | Endpoint::Search
            | Endpoint::Read(_) => Purpose::Read,
        }
    }
}
