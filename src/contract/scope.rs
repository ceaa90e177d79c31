//! Scopes and owners of the HTTP API's tokens.

use super::named::named_enum;

named_enum! {
    /// What a token may be used for.
    pub enum TokenScope: "scope" {
        /// Read jobs, certificates and progress of the organization, and preview requests.
        JobsRead = "jobs:read",
        /// Send requests and commands.
        JobsWrite = "jobs:write",
        /// Read users of the organization, what they own, and who may receive records.
        UsersRead = "users:read",
        /// Read the audit trail of the organization.
        AuditRead = "audit:read",
        /// Read what is not of one organization: dead letters and the catalog. Only for operators.
        OperatorRead = "operator:read",
        /// Replay and drop dead letters. Only for operators.
        OperatorWrite = "operator:write",
        /// Speak SCIM, as a connection. `handover scim add` gives it, and no other command does.
        Scim = "scim",
    }
}

impl TokenScope {
    /// True if only an operator may have it.
    pub fn is_operators(self) -> bool {
        match self {
            TokenScope::OperatorRead | TokenScope::OperatorWrite => true,
            TokenScope::JobsRead
            | TokenScope::JobsWrite
            | TokenScope::UsersRead
            | TokenScope::AuditRead
            | TokenScope::Scim => false,
        }
    }
}

named_enum! {
    /// The kind of a token's owner.
    pub enum OwnerKind: "owner of a token" {
        /// A user of the host. The catalog's `may` decides what they may ask for.
        Person = "person",
        /// An application, with a grant of request types in one organization.
        Service = "service",
        /// Who operates Handover, for all organizations.
        Operator = "operator",
    }
}

named_enum! {
    /// The kind of a secret by which a person signs in to the console.
    pub enum SignInKind: "sign-in" {
        /// A link, which is used once.
        Link = "link",
        /// The session of a browser.
        Session = "session",
    }
}
