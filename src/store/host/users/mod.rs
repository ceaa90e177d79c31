//! The host's users: who they are, their status, groups, licenses and invitations, and locks on them.

mod access;
mod columns;
mod facts;
mod freed_licenses;
mod groups;
mod invitations;
mod licenses;
mod listing;
mod locks;
mod organizations;
mod people;
mod spelling;

pub use access::{gone_among, inactive_among, lock_out, set_status};
pub use columns::{leaver_table, parse_user, read_status, status_columns, user_text};
pub use facts::{managers, read_users, read_users_for_access};
pub use freed_licenses::{can_restore_licenses, free_licenses, restore_licenses};
pub use groups::{group_members, group_names};
pub use invitations::{
    InvitationUpdate, Invitee, add_invited, answer_invitation, invite, name_and_email, user_with_email,
};
pub use licenses::take_license;
pub use listing::{UserListing, UserSelection, count_users, list_users};
pub use locks::{lock_leaver_rows, lock_shared_rows, lock_users, try_lock_receivers};
pub use organizations::{count_organizations, has_organization, organizations_of};
pub use people::{Person, users_with_emails, users_with_ids};
pub use spelling::stored_ids;
