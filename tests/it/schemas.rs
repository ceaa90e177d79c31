//! Host schemas that are valid but unusual.

mod changing_schema;
mod columns;
mod keyless;
mod memberships;
mod parents;
mod row_level_security;
mod session_defaults;
mod types;
mod uncomparable_types;
