//! Catalogs: their check against the live schema, the scan for forgotten references, and the draft.

mod checks;
mod contained;
mod drafts;
mod published;
mod scim;
mod values;
