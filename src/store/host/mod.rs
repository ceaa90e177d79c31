//! The host's tables: users, and what points at them. Every name comes from the catalog, checked against the live schema.
//!
//! | file | does |
//! |---|---|
//! | `users` | who there is, locks, status, license, groups |
//! | `arrivals` | users who come, or come back |
//! | `sample` | a few values of a column, for whoever writes a catalog |
//! | `tenant` | what row-level security looks at |
//! | `rows` | which rows a reference is about: the tests every statement shares |
//! | `copied` | what a copy keeps of a row, and how it is read back |
//! | `count` | how many there are, before and after |
//! | `cut` | where chunks begin and end |
//! | `work` | one entry to moving, removing and setting, for many leavers or one chunk |
//! | `transfer`, `merge`, `remove`, `set` | the statements that change the host |
//! | `undo`, `unmerge` | the statements that take these back |
//! | `parents` | rows of several tables that come back together, and what they point at |
//! | `live` | what a table is like now, where it was changed since its rows were copied |
//! | `keyless`, `recognized` | what is different where a table has no unique key: there, and back |
//! | `selection`, `journaled` | how these begin, and what they leave in the journal |

mod user_status;
mod row_codec;
mod count;
mod cut;
mod journal_write;
mod keyless;
mod current_columns;
mod merge;
mod restore_rows;
mod content_match;
mod remove;
mod predicates;
mod sample;
mod selection;
mod set;
mod tenant;
mod transfer;
mod undo;
mod unmerge;
mod users;
mod apply;

pub use crate::store::driver::read_schema;
pub use apply::{Applied, Assignment, Key, RowRange, WorkItem, apply};
pub use content_match::{give_back, preview_give_back};
pub use count::{RowCategory, blocking_keys, census, counts, direct_reports_above, lock_group_rows, not_owned};
pub use cut::{KeyRange, LockRun, cut, cut_between, lock_runs};
pub use keyless::{count_next, image_of_next};
pub use restore_rows::{RowsToRestore, restore_rows};
pub use sample::{count_known_values, sample_values};
pub use tenant::enter;
pub use undo::{
    RestoreOutcome, move_back, preview_move_back, preview_restore, preview_set_back, set_back, snapshot_keys,
};
pub use unmerge::{MergedRows, preview_unmerge, unmerge};
pub use user_status::{
    InvitationUpdate, Invitee, add_invited, answer_invitation, can_take_license, invite, name_and_email, set_status,
    take_license, user_with_email, users_with_emails,
};
pub use users::{
    UserListing, free_licenses, group_members, inactive_among, list_users, lock_leaver_rows, lock_out, lock_users,
    managers, read_users,
};
