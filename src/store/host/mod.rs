//! The host's tables: users, and the rows that point at them. Every name comes from the catalog, checked against the live
//! schema.
//!
//! Changes come in two halves: `statements` describe what changes, and a `strategy` decides how a database does it.
//!
//! | file | content |
//! |---|---|
//! | `users` | the host's users: facts, locks, access, groups, licenses, invitations |
//! | `scim` | users, as identity providers read and write them |
//! | `tenant` | the settings that row-level security reads |
//! | `sample` | sample values of a column, for the authors of catalogs |
//! | `predicates`, `keys` | the tests of a reference's rows, and their keys |
//! | `user_match` | comparing columns with users' ids |
//! | `present` | the present time, in the form of a column |
//! | `collisions` | records that a successor already has |
//! | `count`, `census`, `guards` | rows before a job, rows after a job, and what guards ask |
//! | `cut`, `lock_runs` | the bounds of chunks, and locks that others hold on their rows |
//! | `item`, `apply` | units of work, and the entry to every change |
//! | `selection`, `keyless` | the rows that a statement works on, with and without a unique key |
//! | `statements` | what changes: `transfer`, `remove`, `set`, `merge` |
//! | `strategy` | how: `single_statement`, or `journal_first` |
//! | `journal_write`, `row_snapshots`, `row_codec` | what the ledger keeps of a change |
//! | `undo` | taking changes back |

mod apply;
mod census;
mod collisions;
mod count;
mod cut;
mod guards;
mod item;
mod journal_write;
mod keyless;
mod keys;
mod lock_runs;
mod predicates;
mod present;
mod row_codec;
mod row_snapshots;
mod sample;
mod schema_version;
mod scim;
mod selection;
mod statements;
mod strategy;
mod tenant;
mod undo;
mod user_match;
mod users;
mod visibility;

pub use crate::store::driver::read_schema;
pub use apply::{apply, apply_with};
pub use census::{RowCategory, census};
pub use collisions::count_collisions;
pub use count::counts;
pub use cut::{KeyRange, cut, cut_between};
pub use guards::{blocking_keys, direct_reports_above, lock_group_rows, not_owned};
pub use item::{Applied, Assignment, Key, RowRange, WorkItem};
pub use keyless::{count_next, image_of_next};
pub use lock_runs::{LockRun, lock_runs};
pub use sample::{count_known_values, count_users_among, has_value, sample_values};
pub use schema_version::fingerprints;
pub use scim::{ScimScope, ScimUser, count_scim_users, find_scim_user, list_scim_users, write_scim_user};
pub use strategy::Strategy;
pub use tenant::enter;
pub use undo::{
    EmptiedRows, MergedRows, MovedRows, RestoreOutcome, RowsToRestore, fill_back, give_back, move_back,
    preview_fill_back, preview_give_back, preview_move_back, preview_restore, preview_set_back, preview_unmerge,
    restore_rows, set_back, snapshot_keys, unmerge,
};
pub use users::{
    InvitationUpdate, Invitee, Person, UserListing, UserSelection, add_invited, answer_invitation,
    can_restore_licenses, count_organizations, count_users, free_licenses, gone_among, group_members, group_names,
    has_organization, inactive_among, invite, list_users, lock_leaver_rows, lock_out, lock_shared_rows, lock_users,
    managers, name_and_email, organizations_of, read_users, read_users_for_access, restore_licenses, set_status,
    stored_ids, take_license, try_lock_receivers, user_with_email, users_with_emails, users_with_ids,
};
