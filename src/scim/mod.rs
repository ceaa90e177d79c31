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
mod schema_ids;
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
pub use schema_ids::{ENTERPRISE, ERROR, HANDOVER, LIST_RESPONSE, PATCH_OP, USER};
pub use user::{read_new_user, read_whole_user};
