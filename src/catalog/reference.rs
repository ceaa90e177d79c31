//! A reference: a place in the host's tables that points at a user, and what happens to it.

use super::condition::{SomeUsers, When};
use super::disposition::{Disposition, Retention};
use super::filter::{Filter, OrgScope};
use super::followers::{Link, Place};
use super::relation::Fires;
use super::schema::{Column, ForeignKey, TableName, UniqueIndex};

/// A place in the host's tables that points at a user.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The position in the catalog, from 0.
    pub position: usize,
    /// The catalog's name for the reference: `contact`.
    pub kind: String,
    /// The table.
    pub table: TableName,
    /// The key of its rows, in order: unique and never NULL. For a table without a unique key it is the row's physical
    /// address, which is valid for one transaction and never stored.
    pub key: Vec<Column>,
    /// True if the table has no unique key: its rows are counted, and found again by their content.
    pub keyless: bool,
    /// The column that holds the user.
    pub user: Column,
    /// True if an index gives the rows of a user in key order.
    pub has_ordered_index: bool,
    /// The column that holds the organization, if users are known only together with it.
    pub org: Option<Column>,
    /// The organization that bounds every statement.
    pub within: Option<OrgScope>,
    /// The unique indexes over the user column: a row may collide there with one that its successor has.
    pub unique_indexes: Vec<UniqueIndex>,
    /// Every column of the table that a snapshot of a row holds.
    pub columns: Vec<Column>,
    /// The foreign keys that can be checked at the commit.
    pub deferrable: Vec<ForeignKey>,
    /// The foreign keys to tables with row-level security: they prove that a row exists, whether or not it can be seen.
    pub secured_parents: Vec<ForeignKey>,
    /// The column of the other user, if a row links two users and each of them may restore it (a follow). Such a row is
    /// restored only when both users are active.
    pub other_user: Option<Column>,
    /// The rows that count.
    pub filter: Filter,
    /// Rows that earlier references of the same user column claim.
    pub claimed: Vec<ClaimedRows>,
    /// The leavers and requests for which the reference counts.
    pub when: When,
    /// True if the rows are done when the request is accepted, not in chunks. Access ends then, and what the leaver alone
    /// has is handed over before it can be removed as one of several.
    pub at_start: bool,
    /// True if the table is the users' own (direct reports).
    pub of_users: bool,
    /// A column that every change of a row increments, so that readers notice that their copy is outdated.
    pub version_column: Option<Column>,
    /// The column that holds when a row was created.
    pub created: Option<Column>,
    /// True if the row is the leaver's own in the users' table: a guard on the leaver, not a reference to them.
    pub own_row: bool,
    /// True if the rows are credentials: they are removed without a copy, and nothing restores them.
    pub secret: bool,
    /// The statements that fire triggers.
    pub fires: Fires,
    /// The effect on the rows.
    pub disposition: Disposition,
}

/// Rows that an earlier reference claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRows {
    /// The rows.
    pub filter: Filter,
    /// The users whose rows they are, if the earlier reference counts only for some.
    pub of: Option<SomeUsers>,
}

impl Reference {
    /// True if the reference claims every row that passes its filter. A guard over the last of a group does not: it claims
    /// only some rows, which are handed over when the request is accepted.
    pub fn covers_rows(&self) -> bool {
        !self.own_row && self.disposition.sole_in().is_none()
    }

    /// Returns how long snapshots of removed rows are kept, or nothing if none are taken.
    pub fn retention(&self) -> Option<Retention> {
        self.disposition.retention().filter(|_| !self.secret)
    }

    /// True if the rows give the user access, and go when the access ends.
    pub fn ends_access(&self) -> bool {
        self.at_start && self.disposition.ends_access()
    }

    /// Returns the columns that the disposition writes.
    pub fn written_columns(&self) -> Vec<&str> {
        let moved = self.disposition.moves().then_some(&self.user);
        let set = self.disposition.values().iter().map(|(column, _)| column);
        let columns = moved.into_iter().chain(self.disposition.touch()).chain(set).chain(&self.version_column);
        columns.map(|column| column.name.as_str()).collect()
    }

    /// Returns the kind of rows that are removed because they follow this reference's.
    pub fn removed_kind(&self, table: &TableName) -> String {
        format!("{}/{table}", self.kind)
    }

    /// Returns the kind of rows of which a link is emptied because they point at this reference's.
    pub fn emptied_kind(&self, table: &TableName, link: &Link) -> String {
        let points: Vec<&str> = link.points.iter().map(|column| column.name.as_str()).collect();
        format!("{}/{table}.{}", self.kind, points.join("+"))
    }

    /// Returns the table at a place among those that lose rows.
    pub fn table_at(&self, place: Place) -> &TableName {
        let follower = place.and_then(|place| self.disposition.followers()?.tables.get(place));
        follower.map_or(&self.table, |follower| &follower.table)
    }

    /// Returns the key of the rows at a place among the tables that lose rows.
    pub fn key_at(&self, place: Place) -> &[Column] {
        let follower = place.and_then(|place| self.disposition.followers()?.tables.get(place));
        follower.map_or(&self.key, |follower| &follower.key)
    }

    /// True if a row can pass the tests of both references, for the same user.
    pub fn may_overlap(&self, other: &Reference) -> bool {
        let same_place = self.table == other.table && self.user == other.user;
        same_place && !self.when.excludes(&other.when) && !self.filter.excludes(&other.filter)
    }
}
