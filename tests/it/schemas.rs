//! Host schemas that are valid but unusual.

mod changing_schema;
mod columns;
mod constraints;
mod facts;
mod followers;
mod keyless;
mod memberships;
mod nulls;
mod our_names;
mod parents;
mod row_level_security;
mod session_defaults;
mod times;
mod triggers;
mod types;
mod uncomparable_types;
mod unique_keys;
