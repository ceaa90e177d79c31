//! The least rights, column by column, that a database role needs for a catalog.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Condition, Holds};
use super::disposition::{Disposition, OnConflict, Retention};
use super::filter::{Filter, Test};
use super::followers::{Followers, Following};
use super::model::{Catalog, Invitations, License, Users};
use super::reference::Reference;
use super::schema::{Column, IndexValue, TableName, UniqueIndex};

/// The rights on each table of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(pub BTreeMap<TableName, TableRights>);

/// The rights on one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRights {
    /// The columns that are read.
    pub select: Columns,
    /// The columns that are updated. Locking a row needs this right on one column, too.
    pub update: BTreeSet<String>,
    /// The columns of inserted rows.
    pub insert: Columns,
    /// True if rows are deleted.
    pub delete: bool,
    /// A column of rows that are deleted. Where rows are locked before they are deleted, the right to update it may be needed.
    pub locked_by: Option<String>,
    /// The key that the database numbers, if rows are inserted without one.
    pub numbered: Option<String>,
}

/// Columns of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// These columns.
    Some(BTreeSet<String>),
    /// All columns, because whole rows are copied or restored.
    All,
}

impl Default for Columns {
    fn default() -> Columns {
        Columns::Some(BTreeSet::new())
    }
}

impl Columns {
    fn extend<'c>(&mut self, columns: impl IntoIterator<Item = &'c Column>) {
        self.extend_names(columns.into_iter().map(|column| &column.name));
    }

    fn extend_names<'c>(&mut self, columns: impl IntoIterator<Item = &'c String>) {
        if let Columns::Some(names) = self {
            names.extend(columns.into_iter().cloned());
        }
    }
}

impl Rights {
    /// Returns the rights that a catalog needs.
    pub fn of(catalog: &Catalog) -> Rights {
        let mut rights = Rights::default();
        rights.add(catalog);
        rights
    }

    /// Adds the rights that another catalog needs: a job keeps the catalog that it was planned with.
    pub fn add(&mut self, catalog: &Catalog) {
        self.add_users(&catalog.users);
        let users = self.table(&catalog.users.table);
        users.select.extend(&catalog.users.required);
        for condition in catalog.rule_conditions() {
            self.add_condition(&catalog.users.table, condition);
        }
        if let Some(license) = &catalog.license {
            self.add_license(license);
        }
        if let Some(invitations) = &catalog.invitations {
            self.add_invitations(invitations);
        }
        if let Some(scim) = &catalog.scim {
            let table = self.table(&catalog.users.table);
            table.select.extend(scim.columns());
            table.update.extend(scim.columns().map(|column| column.name.clone()));
        }
        if let Some(groups) = &catalog.groups {
            let table = self.table(&groups.table);
            table.select.extend([&groups.group, &groups.user].into_iter().chain(&groups.org));
        }
        for reference in &catalog.references {
            self.add_reference(reference);
        }
    }

    /// Returns the rights with those to lock rows before they are deleted, where a lock needs the right to update.
    pub fn with_locks(&self) -> Rights {
        let mut rights = self.clone();
        for table in rights.0.values_mut() {
            table.update.extend(table.locked_by.clone());
        }
        rights
    }

    fn table(&mut self, name: &TableName) -> &mut TableRights {
        self.0.entry(name.clone()).or_default()
    }

    fn add_users(&mut self, users: &Users) {
        let table = self.table(&users.table);
        let status = &users.status.column;
        table.select.extend([&users.key, &users.name, &users.email, status]);
        table.select.extend(users.org.iter().chain(&users.manager));
        table.update.insert(status.name.clone());
        if users.status.invited.is_some() {
            table.insert.extend([&users.name, &users.email, status].into_iter().chain(&users.org));
            table.insert.extend(users.new.iter().map(|(column, _)| column));
            table.numbered = Some(users.key.name.clone());
        }
    }

    fn add_condition(&mut self, users: &TableName, condition: &Condition) {
        self.table(users).select.extend([&condition.column]);
        if let Holds::ListedIn(listing) = &condition.holds {
            self.table(&listing.table).select.extend([&listing.column]);
            self.add_filter(&listing.table, &listing.filter);
        }
    }

    fn add_license(&mut self, license: &License) {
        let table = self.table(&license.table);
        table.select.extend(license.key.iter().chain(&license.org).chain(&license.of).chain([&license.user]));
        table.update.insert(license.user.name.clone());
    }

    fn add_invitations(&mut self, invitations: &Invitations) {
        let Invitations { table: name, key, user, invited_by, email, org, sent_at, answered_at, status } = invitations;
        let status = status.as_ref().map(|status| &status.column);
        let table = self.table(name);
        table.select.extend([key, user].into_iter().chain(status));
        table.insert.extend([user].into_iter().chain(invited_by).chain(email).chain(org).chain(status).chain(sent_at));
        table.update.extend(sent_at.iter().chain(answered_at).chain(status).map(|column| column.name.clone()));
        table.numbered = Some(key.name.clone());
    }

    fn add_filter(&mut self, of: &TableName, filter: &Filter) {
        for test in &filter.0 {
            match test {
                Test::OneOf(column, _) | Test::Null(column, _) => self.table(of).select.extend([column]),
                Test::Parent(parent) => {
                    self.table(of).select.extend(parent.on.iter().map(|(points, _)| points));
                    self.table(&parent.table).select.extend(parent.on.iter().map(|(_, target)| target));
                    self.add_filter(&parent.table, &parent.filter);
                }
            }
        }
    }

    fn add_reference(&mut self, reference: &Reference) {
        self.add_filter(&reference.table, &reference.filter);
        let table = self.table(&reference.table);
        let Reference { key, user, org, other_user, version_column, created, .. } = reference;
        table.select.extend(key.iter().filter(|_| !reference.keyless).chain([user]).chain(org).chain(other_user));
        let changes = reference.disposition.journals_as().is_some();
        if reference.keyless && changes {
            // Without a key, rows are identified by all their columns, and locked when they are selected.
            table.select = Columns::All;
            table.update.insert(user.name.clone());
        }
        table.select.extend(created.iter().filter(|_| changes));
        if let Some(version_column) = version_column.as_ref().filter(|_| changes) {
            table.select.extend([version_column]);
            table.update.insert(version_column.name.clone());
        }
        match &reference.disposition {
            Disposition::Transfer { touch, on_conflict, .. } => {
                table.update.extend([user].into_iter().chain(touch).map(|column| column.name.clone()));
                table.resolve_conflicts(on_conflict);
                table.compare_rows(&reference.unique_indexes);
            }
            Disposition::Block { sole_in, resolve, on_conflict, .. } => {
                table.select.extend(sole_in);
                // Two last users who leave together wait for each other by a lock on these rows.
                if (*resolve || sole_in.is_some()) && !reference.own_row {
                    table.update.insert(user.name.clone());
                }
                if *resolve {
                    table.resolve_conflicts(on_conflict);
                    table.compare_rows(&reference.unique_indexes);
                }
            }
            Disposition::Set { values, .. } => {
                table.select.extend(values.iter().map(|(column, _)| column));
                table.update.extend(values.iter().map(|(column, _)| column.name.clone()));
            }
            Disposition::Detach { .. } | Disposition::Purge { .. } | Disposition::Keep => {}
        }
        let followers = reference.disposition.followers();
        let is_kept = match reference.disposition.retention() {
            Some(Retention::For(time)) => !time.is_zero(),
            Some(Retention::Journal) | None => true,
        };
        let is_restorable = is_kept && !reference.secret;
        if reference.disposition.removes() {
            self.table(&reference.table).remove_rows(is_restorable, Some(&reference.user.name));
        }
        if let Some(followers) = followers {
            self.add_followers(reference, followers, is_restorable);
        }
        // A change looks for parents that row-level security hides.
        for key in reference.secured_parents.iter().filter(|_| changes) {
            self.table(&reference.table).select.extend_names(&key.columns);
            self.table(&key.table).select.extend_names(&key.target);
        }
        if changes {
            // An undo looks up the parents of restored rows if the database would check them only at the commit.
            let of_followers = followers.into_iter().flat_map(|followers| &followers.tables);
            for key in reference.deferrable.iter().chain(of_followers.flat_map(|follower| &follower.deferrable)) {
                self.table(&key.table).select.extend_names(&key.target);
            }
        }
    }

    /// Adds the rights on rows that follow removed ones. All of them are locked before anything is removed.
    fn add_followers(&mut self, reference: &Reference, followers: &Followers, is_restorable: bool) {
        if !followers.is_empty() || reference.fires.on_delete {
            self.table(&reference.table).update.insert(reference.user.name.clone());
        }
        for link in &followers.links {
            let table = self.table(reference.table_at(link.child));
            table.update.extend(link.points.iter().map(|column| column.name.clone()));
            match link.effect {
                Following::Removed => table.remove_rows(is_restorable, None),
                Following::Emptied => table.select.extend(reference.key_at(link.child).iter().chain(&link.points)),
            }
        }
    }
}

impl TableRights {
    /// Adds the rights to copy whole rows and delete them, and to insert them again.
    fn remove_rows(&mut self, is_restorable: bool, locked_by: Option<&String>) {
        self.select = Columns::All;
        self.delete = true;
        self.locked_by = self.locked_by.take().or(locked_by.cloned());
        if is_restorable {
            self.insert = Columns::All;
        }
    }

    /// Adds the rights to see which rows a successor has already.
    fn compare_rows(&mut self, indexes: &[UniqueIndex]) {
        let parts = indexes.iter().flat_map(|index| &index.parts);
        let columns = parts.filter_map(|part| match &part.value {
            IndexValue::Column(column) => Some(column),
            IndexValue::Expression(_) => None,
        });
        self.select.extend_names(columns.chain(indexes.iter().flat_map(|index| &index.mentioned)));
    }

    /// Adds the rights to remove rows that the successor has already. The user column may be updated in any case.
    fn resolve_conflicts(&mut self, on_conflict: &OnConflict) {
        match on_conflict {
            OnConflict::Fail => {}
            OnConflict::Drop => self.remove_rows(true, None),
            OnConflict::Add { columns, .. } => {
                self.remove_rows(true, None);
                self.update.extend(columns.iter().map(|column| column.name.clone()));
            }
        }
    }
}
