//! The host's tables: users, and what points at them. Every name comes from the catalog, checked against the live schema.
//!
//! | file | does |
//! |---|---|
//! | `schema` | reads what the database has |
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

mod arrivals;
mod copied;
mod count;
mod cut;
mod journaled;
mod keyless;
mod live;
mod merge;
mod parents;
mod recognized;
mod remove;
mod rows;
mod sample;
mod schema;
mod selection;
mod set;
mod tenant;
mod transfer;
mod undo;
mod unmerge;
mod users;
mod work;

pub use arrivals::{
    Answered, Invited, add_invited, answer_invitation, can_take_license, invite, name_and_email, set_status,
    take_license, user_with_email, users_with_emails,
};
pub use count::{Place, blocking_keys, census, counts, lock_siblings, not_owned, reports_above};
pub use cut::{Cut, Run, cut, cut_between, runs};
pub use keyless::{count_next, image_of_next};
pub use parents::{Rows, put_back};
pub use recognized::{foresee_give_back, give_back};
pub use sample::{few_values, known_values};
pub use schema::read_schema;
pub use tenant::enter;
pub use undo::{Returned, copied_keys, foresee_move_back, foresee_put_back, foresee_set_back, move_back, set_back};
pub use unmerge::{Merged, foresee_unmerge, unmerge};
pub use users::{
    Listed, fitness_now, free_licenses, group_members, list_users, lock_rows, lock_users, managers, read_users,
    shut_out,
};
pub use work::{Done, Hand, Key, Part, Range, work};
