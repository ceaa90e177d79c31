//! SCIM 2.0 (RFC 7643, RFC 7644), as far as it is data: filters, changes, resources and discovery.
//!
//! A filter is parsed whole by `filter`, and `condition` turns it into one that the store can run. `patch` and `user` read what an
//! identity provider sends as a list of typed [`Change`]s over a closed set of attributes. `resource`, `list` and `discovery` write
//! what it gets. Nothing here does I/O.

mod attribute;
mod change;
mod condition;
mod discovery;
mod failure;
mod fields;
mod filter;
mod list;
mod patch;
mod projection;
mod resource;
mod tokens;
mod user;

pub use attribute::{Attribute, Mapped};
pub use change::{Change, Patch};
pub use condition::Condition;
pub use discovery::{resource_type, resource_types, schema, schemas, service_provider_config};
pub use failure::{Failure, Result, ScimType};
pub use filter::{Comparison, Filter, FilterPath, Literal, Operator, parse_filter};
pub use list::{ListResponse, Search, read_search};
pub use patch::read_patch;
pub use projection::Projection;
pub use resource::{HandoverState, User};
pub use user::{read_new_user, read_whole_user};

/// The schema of users.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The schema of the enterprise extension, which holds the manager.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The schema of the extension that reports a user's handover.
pub const HANDOVER: &str = "urn:ietf:params:scim:schemas:extension:handover:2.0:User";

/// The schema of PATCH bodies.
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The schema of lists.
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// The schema of errors.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
