//! The checked catalog: every table, column and type exists in the live schema.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::condition::{Condition, Permission};
use super::disposition::{Eligible, SetValue};
use super::filter::OrgScope;
use super::reference::Reference;
use super::schema::{Column, Spelling, TableName};
use super::scim::Scim;
use crate::contract::RequestType;

/// The references of one host and their dispositions, checked against its schema.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The name, or the path of the file.
    pub name: String,
    /// SHA-256 of the text. A job names the catalog of its plan by it.
    pub hash: String,
    /// The text, as stored in the ledger.
    pub source: String,
    /// The users' table.
    pub users: Users,
    /// The licenses' table.
    pub license: Option<License>,
    /// The invitations' table.
    pub invitations: Option<Invitations>,
    /// The table of round-robin groups and of eligibility.
    pub groups: Option<Groups>,
    /// The columns that identity providers read and write.
    pub scim: Option<Scim>,
    /// Every reference, in the order of work.
    pub references: Vec<Reference>,
    /// The settings of a transaction that the host's row-level security reads, with their values. `{org}` in a value is
    /// replaced by the organization.
    pub session: Vec<(String, String)>,
    /// A fingerprint of each table of the schema that it was checked against. Empty if it is unknown.
    pub fingerprints: BTreeMap<TableName, String>,
    /// Columns that a scan ignores because they only look as if they held users.
    pub ignored: Vec<(TableName, String)>,
}

/// The users' table and its columns.
#[derive(Debug, Clone)]
pub struct Users {
    /// The table.
    pub table: TableName,
    /// The key.
    pub key: Column,
    /// The ways in which an id may be written in a request, if the database accepts several.
    pub spelling: Spelling,
    /// The organization, if the host has organizations.
    pub org: Option<Column>,
    /// True if the key is unique only together with the organization: a row is then a person's membership of one.
    pub per_org: bool,
    /// The organization that bounds every statement.
    pub within: Option<OrgScope>,
    /// The person's name.
    pub name: Column,
    /// The person's email address.
    pub email: Column,
    /// The user's manager.
    pub manager: Option<Column>,
    /// The column that says if a user is active.
    pub status: Status,
    /// Columns that a complete profile fills.
    pub required: Vec<Column>,
    /// The values of other columns for an invited user.
    pub new: Vec<(Column, String)>,
    /// The permissions for each request type, any of which suffices. A type that is absent takes the rule of
    /// `deactivate`; without one, every active user of the organization may ask.
    pub may: BTreeMap<RequestType, Vec<Permission>>,
}

/// The column that says if a user is active, and its values.
#[derive(Debug, Clone)]
pub struct Status {
    /// The column.
    pub column: Column,
    /// The value of active users.
    pub active: SetValue,
    /// The value of users who have left.
    pub inactive: SetValue,
    /// The value of users who have not accepted their invitation yet.
    pub invited: Option<SetValue>,
}

/// The licenses' table: one row for each license, which points at its holder or at nobody.
#[derive(Debug, Clone)]
pub struct License {
    /// The table.
    pub table: TableName,
    /// The key, which identifies one free license among others.
    pub key: Vec<Column>,
    /// The organization that pays for the license, if licenses belong to organizations.
    pub org: Option<Column>,
    /// The column that points at the holder.
    pub user: Column,
    /// The column of the product, if licenses are not all alike.
    pub of: Option<Column>,
    /// The value of the column `user` for a free license; nothing for NULL.
    pub free: Option<String>,
    /// The condition of users who need no license.
    pub exempt: Option<Condition>,
    /// The organization that bounds every statement.
    pub within: Option<OrgScope>,
}

/// The invitations' table: one row for each invitation.
#[derive(Debug, Clone)]
pub struct Invitations {
    /// The table.
    pub table: TableName,
    /// The key.
    pub key: Column,
    /// The invited user.
    pub user: Column,
    /// The user who asked for the invitation.
    pub invited_by: Option<Column>,
    /// The address of the mail.
    pub email: Option<Column>,
    /// The organization.
    pub org: Option<Column>,
    /// The time of the last mail.
    pub sent_at: Option<Column>,
    /// The time when it was accepted or withdrawn.
    pub answered_at: Option<Column>,
    /// The column of the invitation's status.
    pub status: Option<InvitationStatus>,
}

/// The column of an invitation's status, and its values.
#[derive(Debug, Clone)]
pub struct InvitationStatus {
    /// The column.
    pub column: Column,
    /// The value while it is neither accepted nor withdrawn.
    pub open: String,
    /// The value after the user accepted.
    pub accepted: String,
    /// The value after it was withdrawn.
    pub cancelled: String,
}

/// The table of groups and their members.
#[derive(Debug, Clone)]
pub struct Groups {
    /// The table, with one row for each member.
    pub table: TableName,
    /// The group's name.
    pub group: Column,
    /// The member.
    pub user: Column,
    /// The column that holds the organization, if users are known only together with it.
    pub org: Option<Column>,
    /// The organization that bounds every statement.
    pub within: Option<OrgScope>,
}

impl Catalog {
    /// True if a transaction works for one organization only.
    pub fn is_org_isolated(&self) -> bool {
        self.users.per_org || !self.session.is_empty()
    }

    /// Returns the catalog for one organization. If users are known only together with their organization, it bounds every
    /// statement.
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

    /// Returns the catalog for the users of one organization, whether or not it bounds the other statements.
    pub fn with_users_of(&self, org: &str) -> Catalog {
        let mut catalog = self.within(org).into_owned();
        catalog.users.within = catalog.users.org.clone().map(|column| OrgScope { column, org: org.to_owned() });
        catalog
    }

    /// True if a row of a reference may belong to two leavers at once: in a table with several columns of users, such as follows, or in
    /// the users' own.
    pub fn shares_rows(&self, reference: &Reference) -> bool {
        let may_share = changes_rows(reference) && !reference.own_row;
        may_share && (reference.of_users || self.is_changed_by_another_column(reference))
    }

    /// True if a guard over the last of a group locks rows that a job of somebody outside of the group may change.
    pub fn guards_shared_rows(&self) -> bool {
        let mut guards = self.references.iter().filter(|reference| reference.disposition.sole_in().is_some());
        guards.any(|guard| self.is_changed_by_another_column(guard))
    }

    /// True if jobs change rows of the users' own table, other than those of their leavers.
    pub fn changes_users(&self) -> bool {
        self.references.iter().any(|reference| reference.of_users && changes_rows(reference) && !reference.own_row)
    }

    fn is_changed_by_another_column(&self, reference: &Reference) -> bool {
        let changes = |other: &&Reference| other.table == reference.table && other.user.name != reference.user.name;
        self.references.iter().filter(changes).any(changes_rows)
    }

    /// Returns the reference of this kind.
    pub fn reference(&self, kind: &str) -> Option<&Reference> {
        self.references.iter().find(|reference| reference.kind == kind)
    }

    /// Returns the reference to which journal rows and snapshots of a kind belong: rows that follow those of `order` are of the
    /// kind `order/lines`.
    pub fn reference_of(&self, kind: &str) -> Option<&Reference> {
        self.reference(kind.split('/').next().unwrap_or(kind))
    }

    /// Lists the conditions on users that rules have: each once.
    pub fn rule_conditions(&self) -> Vec<&Condition> {
        distinct(self.conditions())
    }

    /// Lists the conditions on users that decide who may ask and whose access may end: each once.
    pub fn access_conditions(&self) -> Vec<&Condition> {
        let guards = self.references.iter().filter(|reference| reference.own_row);
        let guards = guards.flat_map(|reference| reference.when.conditions());
        distinct(self.may_conditions().chain(guards).chain(self.protected()))
    }

    fn may_conditions(&self) -> impl Iterator<Item = &Condition> {
        let permissions = self.users.may.values().flatten();
        permissions.flat_map(|permission| std::iter::once(&permission.requester).chain(&permission.of))
    }

    /// Returns the condition of users whom no connection of an identity provider may change, if there is one.
    fn protected(&self) -> impl Iterator<Item = &Condition> {
        self.scim.iter().filter_map(|scim| scim.protected.as_ref())
    }

    /// Lists every condition on a user that a rule has.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let may = self.may_conditions();
        let when = self.references.iter().flat_map(|reference| reference.when.conditions());
        let exempt = self.license.iter().filter_map(|license| license.exempt.as_ref());
        let eligible = self.references.iter().filter_map(|reference| match reference.disposition.eligible()? {
            Eligible::Users(condition) => Some(condition),
            Eligible::Group(_) => None,
        });
        may.chain(when).chain(exempt).chain(eligible).chain(self.protected())
    }
}

fn changes_rows(reference: &Reference) -> bool {
    reference.disposition.changes_rows(true)
}

fn distinct<'c>(all: impl Iterator<Item = &'c Condition>) -> Vec<&'c Condition> {
    let mut conditions: Vec<&Condition> = Vec::new();
    for condition in all {
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    conditions
}
