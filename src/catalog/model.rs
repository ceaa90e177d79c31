//! The catalog as everything else works with it: every table, column and type was found in the live schema.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::SchemaColumn;
use super::condition::{Condition, Holds, Permission};
use super::reference::{Disposition, Eligible, Reference};
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
    /// Columns that a scan does not tell of: they only look as if they held users.
    pub ignored: Vec<(TableName, String)>,
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

impl From<&SchemaColumn> for Column {
    fn from(column: &SchemaColumn) -> Column {
        Column { name: column.name.clone(), cast: column.cast.clone(), family: column.family }
    }
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
    pub within: Option<OrgScope>,
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
pub struct OrgScope {
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
    pub within: Option<OrgScope>,
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
    pub within: Option<OrgScope>,
}

impl Catalog {
    /// Whether a transaction works for one organization alone.
    pub fn is_org_isolated(&self) -> bool {
        self.users.per_org || !self.session.is_empty()
    }

    /// The same catalog for one organization: where users are known only together with it, every statement is bounded by
    /// it.
    pub fn within(&self, org: &str) -> Cow<'_, Catalog> {
        if !self.users.per_org {
            return Cow::Borrowed(self);
        }
        let bound = |column: &Option<Column>| column.clone().map(|column| OrgScope { column, org: org.to_owned() });
        let mut catalog = self.clone();
        let of_users = bound(&catalog.users.org);
        for reference in &mut catalog.references {
            reference.within = bound(&reference.org);
            let others = reference.claimed.iter_mut().filter_map(|claimed| claimed.of.as_mut());
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
    pub fn rule_columns(&self) -> Vec<&Column> {
        let of_value = self.conditions().filter(|condition| matches!(condition.holds, Holds::Value(_)));
        let mut columns: Vec<&Column> = self.users.required.iter().collect();
        columns.extend(of_value.map(|condition| &condition.column));
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        columns.dedup_by(|a, b| a.name == b.name);
        columns
    }

    /// Conditions that rules ask for and that look at other tables: each once.
    pub fn rule_listings(&self) -> Vec<&Condition> {
        let mut listings: Vec<&Condition> = Vec::new();
        for condition in self.conditions().filter(|condition| matches!(condition.holds, Holds::ListedIn(_))) {
            if !listings.contains(&condition) {
                listings.push(condition);
            }
        }
        listings
    }
}
