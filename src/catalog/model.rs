//! The catalog as everything else works with it: every table, column and type was found in the live schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::condition::{Condition, Holds, Permission, SomeUsers, When};
use super::{Family, TableName};
use crate::contract::RequestType;

/// The references of one host and their dispositions, checked against its schema.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// Its name, or the path it was read from.
    pub name: String,
    /// SHA-256 of its text: jobs name the catalog they were planned with by it.
    pub hash: String,
    /// Its text, as the ledger keeps it.
    pub source: String,
    /// The users' table.
    pub users: Users,
    /// Where licenses are.
    pub license: Option<License>,
    /// Where invitations are.
    pub invitations: Option<Invitations>,
    /// Where round-robin groups and eligibility are.
    pub groups: Option<Groups>,
    /// Every reference, in the order in which they are worked on.
    pub references: Vec<Reference>,
    /// What the host's row-level security looks at: settings of a transaction, each with its value; `{org}` in it stands
    /// for the organization.
    pub session: Vec<(String, String)>,
}

/// A column of a host's table. Values travel as text and are cast to the column's own type in SQL, so a key may be a
/// number, a UUID, text or anything else that has a textual form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, unquoted.
    pub name: String,
    /// The type that bound text is cast to; empty: no cast.
    pub cast: String,
    /// What kind of values it holds: an id of another shape cannot stand in it.
    pub family: Family,
}

/// The users' table and its columns.
#[derive(Debug, Clone)]
pub struct Users {
    /// The table.
    pub table: TableName,
    /// What users are known by.
    pub key: Column,
    /// The organization, where the host has them.
    pub org: Option<Column>,
    /// Whether a key is unique only together with the organization: a row is then one person's membership of one.
    pub per_org: bool,
    /// The organization that everything is bounded by.
    pub within: Option<Within>,
    /// A person's name.
    pub name: Column,
    /// A person's address.
    pub email: Column,
    /// The user's manager.
    pub manager: Option<Column>,
    /// Whether a user is active.
    pub status: Status,
    /// Columns without which a profile is incomplete.
    pub required: Vec<Column>,
    /// What a user who is invited has in other columns.
    pub new: Vec<(Column, String)>,
    /// Who may ask for what: whoever has one of the permissions. A request type that is not here takes the rule of
    /// `deactivate`; without one, it is open to every active user of the organization.
    pub may: BTreeMap<RequestType, Vec<Permission>>,
}

/// The column that says whether a user is active, and its values.
#[derive(Debug, Clone)]
pub struct Status {
    /// The column.
    pub column: Column,
    /// Its value for users who are active.
    pub active: String,
    /// Its value for users who have left.
    pub inactive: String,
    /// Its value for users who have not accepted their invitation yet.
    pub invited: Option<String>,
}

/// The organization that a statement is bounded by, where users are known only together with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The column that holds it.
    pub column: Column,
    /// The organization.
    pub org: String,
}

/// Where licenses are: one row each, pointing at who holds it or at nobody.
#[derive(Debug, Clone)]
pub struct License {
    /// The table.
    pub table: TableName,
    /// What its rows are known by: one seat among those that are free.
    pub key: Vec<Column>,
    /// The organization that pays for the seat, where seats belong to organizations.
    pub org: Option<Column>,
    /// The column that points at the holder.
    pub user: Column,
    /// What it holds when nobody holds the license; NULL where nothing is said.
    pub free: Option<String>,
    /// Users who need none.
    pub exempt: Option<Condition>,
    /// The organization that everything is bounded by.
    pub within: Option<Within>,
}

/// Where invitations are: one row each.
#[derive(Debug, Clone)]
pub struct Invitations {
    /// The table.
    pub table: TableName,
    /// What an invitation is known by.
    pub key: Column,
    /// Who is invited.
    pub user: Column,
    /// Who asked for it.
    pub invited_by: Option<Column>,
    /// The address that it goes to.
    pub email: Option<Column>,
    /// The organization.
    pub org: Option<Column>,
    /// When it was sent last.
    pub sent_at: Option<Column>,
    /// When it was accepted or cancelled.
    pub answered_at: Option<Column>,
    /// What became of it.
    pub status: Option<InvitationStatus>,
}

/// The column that says what became of an invitation, and its values.
#[derive(Debug, Clone)]
pub struct InvitationStatus {
    /// The column.
    pub column: Column,
    /// Neither accepted nor cancelled.
    pub open: String,
    /// The user has come.
    pub accepted: String,
    /// The user is not to come.
    pub cancelled: String,
}

/// Which users are in which group.
#[derive(Debug, Clone)]
pub struct Groups {
    /// The table, one row a member.
    pub table: TableName,
    /// The group's name.
    pub group: Column,
    /// The member.
    pub user: Column,
    /// The column that holds the organization, where users are known only together with it.
    pub org: Option<Column>,
    /// The organization that everything is bounded by.
    pub within: Option<Within>,
}

/// A place in the host's tables that points at a user.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Where it stands in the catalog, from 0.
    pub position: usize,
    /// The catalog's name for it: `contact`.
    pub kind: String,
    /// The table.
    pub table: TableName,
    /// What its rows are known by, in order; unique and not null.
    pub key: Vec<Column>,
    /// The column that holds the user.
    pub user: Column,
    /// The column that holds the organization, where users are known only together with it.
    pub org: Option<Column>,
    /// The organization that everything is bounded by.
    pub within: Option<Within>,
    /// Every column of the table: what a copy of a row holds.
    pub columns: Vec<String>,
    /// The column of the other user, where a row stands between two and each may bring it back (a follow): it comes back
    /// only when both are there.
    pub other_user: Option<Column>,
    /// Which rows count.
    pub filter: Filter,
    /// Rows of earlier references of the same user column: theirs, and not this one's.
    pub taken: Vec<Taken>,
    /// For which leavers and requests it counts.
    pub when: When,
    /// Whether it is done when the request is accepted, not with the other work: access ends then, and what the leaver
    /// alone has is handed on before it can be removed as one of several.
    pub at_start: bool,
    /// Whether the table is the users' own (direct reports).
    pub of_users: bool,
    /// A column that every change of a row counts up, so that whoever read the row before finds their copy outdated.
    pub bump: Option<Column>,
    /// Whether its row is the leaver's own in the users' table: a guard on the leaver, and nothing that points at them.
    pub own_row: bool,
    /// What becomes of it.
    pub disposition: Disposition,
}

/// Rows that an earlier reference deals with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which rows.
    pub filter: Filter,
    /// Of which users, where the earlier reference counts only for some.
    pub of: Option<SomeUsers>,
}

/// What becomes of a reference when its user leaves.
#[derive(Debug, Clone)]
pub enum Disposition {
    /// Records go to successors.
    Transfer {
        /// Whether records without an allotment are a guard; else they stay.
        required: bool,
        /// Who may receive them.
        eligible: Option<Eligible>,
        /// A column that takes the time of the move.
        touch: Option<Column>,
        /// What happens where the successor holds the record already.
        on_conflict: OnConflict,
    },
    /// Rows go; a copy stays in the journal.
    Detach {
        /// Whether a reactivation brings them back, as undo does.
        restore: bool,
        /// Rows of other tables that go with them.
        with: Vec<Child>,
    },
    /// Columns take a value; the old ones stay in the journal.
    Set {
        /// The columns and what they take.
        values: Vec<(Column, SetValue)>,
        /// Whether a reactivation brings the old values back, as undo does.
        restore: bool,
    },
    /// Rows are deleted; a copy is kept for a while.
    Purge {
        /// How long; zero: no copy at all.
        keep_copy: Duration,
        /// Rows of other tables that go with them.
        with: Vec<Child>,
    },
    /// The user may not leave while such a row exists.
    Block {
        /// Only where theirs is the last row of an active, staying user among those with the same value here.
        sole_in: Option<Column>,
        /// Whether the request may name a successor; then the rows are transferred.
        resolve: bool,
        /// Who may be named.
        eligible: Option<Eligible>,
        /// What happens where the successor holds the record already.
        on_conflict: OnConflict,
        /// What would mend it, in the catalog's own words.
        mend: Option<String>,
    },
    /// Rows stay, on purpose.
    Keep,
}

impl Disposition {
    /// The word that stands in catalogs and certificates.
    pub fn name(&self) -> &'static str {
        match self {
            Disposition::Transfer { .. } => "transfer",
            Disposition::Detach { .. } => "detach",
            Disposition::Set { .. } => "set",
            Disposition::Purge { .. } => "purge",
            Disposition::Block { .. } => "block",
            Disposition::Keep => "keep",
        }
    }

    /// Rows of other tables that go with the rows removed.
    pub fn children(&self) -> &[Child] {
        match self {
            Disposition::Detach { with, .. } | Disposition::Purge { with, .. } => with,
            _ => &[],
        }
    }

    /// Whether a reactivation brings rows or values back.
    pub fn restores(&self) -> bool {
        matches!(self, Disposition::Detach { restore: true, .. } | Disposition::Set { restore: true, .. })
    }

    /// Whether a request may say who receives the records.
    pub fn is_allotted(&self) -> bool {
        matches!(self, Disposition::Transfer { .. } | Disposition::Block { resolve: true, .. })
    }
}

/// Who may receive a reference's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eligible {
    /// Members of a group (Keap: "needs to be added to the Sales Rep group").
    Group(String),
    /// Users who meet a condition.
    Users(Condition),
}

/// What happens to a record that the successor holds already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnConflict {
    /// The move fails.
    Fail,
    /// The leaver's row goes, journaled. Each entry is a unique index over the user column: its other columns.
    Drop(Vec<Occupied>),
    /// The leaver's row goes, journaled, and what its columns hold is added to the successor's row.
    Add {
        /// The one unique index over the user column: its other columns.
        occupied: Occupied,
        /// The columns that are added up.
        columns: Vec<Column>,
    },
}

/// The columns, beside the user's, that a unique index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied(pub Vec<String>);

/// What a column takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetValue {
    /// This value.
    Text(String),
    /// The time of the change.
    Now,
}

/// A table whose rows go with the rows of a reference: they would be deleted or forgotten by the database otherwise.
#[derive(Debug, Clone)]
pub struct Child {
    /// The table.
    pub table: TableName,
    /// Every column of it: what a copy holds.
    pub columns: Vec<String>,
    /// The columns that point.
    pub points: Vec<String>,
    /// What they point at, in the parent.
    pub at: Vec<String>,
    /// The parent: another child, by its place in the list, or the reference itself.
    pub parent: Option<usize>,
}

/// Tests that a row passes, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(pub Vec<Test>);

/// A test of one column, or of the row that a row belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The column has one of these values.
    OneOf(Column, Vec<String>),
    /// The column is NULL, or is not.
    Null(Column, bool),
    /// A row of another table that this row points at passes tests of its own.
    Parent(Parent),
}

/// The row that a row belongs to, and what it must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its table.
    pub table: TableName,
    /// The columns that point, each with what it points at in the parent's table.
    pub on: Vec<(Column, Column)>,
    /// Whether a row has one parent at most.
    pub sole: bool,
    /// The tests.
    pub filter: Filter,
}

impl Reference {
    /// Whether every row that passes the filter is this reference's, and none of a later one. Of a guard over the last of
    /// a group only some are: those are handed on when the request is accepted, before anything else is done.
    pub fn covers_rows(&self) -> bool {
        !self.own_row && !matches!(self.disposition, Disposition::Block { sole_in: Some(_), .. })
    }

    /// Whether a row may pass the tests of both references, for the same user.
    pub fn may_overlap(&self, other: &Reference) -> bool {
        let same_place = self.table == other.table && self.user == other.user;
        same_place && !self.when.excludes(&other.when) && !self.filter.excludes(&other.filter)
    }
}

impl Filter {
    /// Whether no row can pass both filters: some column would need two values.
    pub fn excludes(&self, other: &Filter) -> bool {
        self.0.iter().any(|mine| other.0.iter().any(|theirs| mine.excludes(theirs)))
    }
}

impl Test {
    fn excludes(&self, other: &Test) -> bool {
        match (self, other) {
            (Test::OneOf(a, mine), Test::OneOf(b, theirs)) => {
                a.name == b.name && mine.iter().all(|value| !theirs.contains(value))
            }
            (Test::Null(a, mine), Test::Null(b, theirs)) => a.name == b.name && mine != theirs,
            (Test::OneOf(a, _), Test::Null(b, true)) | (Test::Null(b, true), Test::OneOf(a, _)) => a.name == b.name,
            // Of several parents one may pass these tests, and another those.
            (Test::Parent(mine), Test::Parent(theirs)) => {
                mine.sole && mine.table == theirs.table && mine.on == theirs.on && mine.filter.excludes(&theirs.filter)
            }
            _ => false,
        }
    }
}

impl Catalog {
    /// Whether a transaction works for one organization alone.
    pub fn works_apart(&self) -> bool {
        self.users.per_org || !self.session.is_empty()
    }

    /// The same catalog for one organization: where users are known only together with it, every statement is bounded by
    /// it.
    pub fn within(&self, org: &str) -> Cow<'_, Catalog> {
        if !self.users.per_org {
            return Cow::Borrowed(self);
        }
        let bound = |column: &Option<Column>| column.clone().map(|column| Within { column, org: org.to_owned() });
        let mut catalog = self.clone();
        let of_users = bound(&catalog.users.org);
        for reference in &mut catalog.references {
            reference.within = bound(&reference.org);
            let others = reference.taken.iter_mut().filter_map(|taken| taken.of.as_mut());
            others.for_each(|of| of.within.clone_from(&of_users));
        }
        catalog.users.within = of_users;
        catalog.license.iter_mut().for_each(|license| license.within = bound(&license.org));
        catalog.groups.iter_mut().for_each(|groups| groups.within = bound(&groups.org));
        Cow::Owned(catalog)
    }

    /// The reference of that kind.
    pub fn reference(&self, kind: &str) -> Option<&Reference> {
        self.references.iter().find(|reference| reference.kind == kind)
    }

    /// Every condition on a user that a rule asks for.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let permissions = self.users.may.values().flatten();
        let may = permissions.flat_map(|permission| std::iter::once(&permission.requester).chain(&permission.of));
        let when = self.references.iter().flat_map(|reference| reference.when.conditions());
        let exempt = self.license.iter().filter_map(|license| license.exempt.as_ref());
        let eligible = self.references.iter().filter_map(|reference| match &reference.disposition {
            Disposition::Transfer { eligible: Some(Eligible::Users(condition)), .. }
            | Disposition::Block { eligible: Some(Eligible::Users(condition)), .. } => Some(condition),
            _ => None,
        });
        may.chain(when).chain(exempt).chain(eligible)
    }

    /// Columns of the users' table that rules ask for, beside the key, the organization and the status: each once.
    pub fn asked_columns(&self) -> Vec<&Column> {
        let of_value = self.conditions().filter(|condition| matches!(condition.holds, Holds::Value(_)));
        let mut columns: Vec<&Column> = self.users.required.iter().collect();
        columns.extend(of_value.map(|condition| &condition.column));
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        columns.dedup_by(|a, b| a.name == b.name);
        columns
    }

    /// Conditions that rules ask for and that look at other tables: each once.
    pub fn asked_listings(&self) -> Vec<&Condition> {
        let mut listings: Vec<&Condition> = Vec::new();
        for condition in self.conditions().filter(|condition| matches!(condition.holds, Holds::ListedIn(_))) {
            if !listings.contains(&condition) {
                listings.push(condition);
            }
        }
        listings
    }
}
