//! What a database role needs to work by a catalog, column by column, and nothing more.

use std::collections::{BTreeMap, BTreeSet};

use super::TableName;
use super::condition::{Condition, Holds};
use super::model::{Catalog, Column, Invitations, License, Users};
use super::reference::{Disposition, Filter, OnConflict, Reference, Test};

/// What is needed of each table of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(pub BTreeMap<TableName, TableRights>);

/// What is needed of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRights {
    /// What is read.
    pub select: Columns,
    /// What is written of rows that are there. To lock a row takes this right on one of its columns, too.
    pub update: BTreeSet<String>,
    /// What is written of new rows.
    pub insert: Columns,
    /// Whether rows are deleted.
    pub delete: bool,
    /// The key that the database numbers, where rows are added without one.
    pub numbered: Option<String>,
}

/// Columns of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// These.
    Some(BTreeSet<String>),
    /// Whichever there are: a whole row is copied, or put back.
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
    /// What a catalog needs.
    pub fn of(catalog: &Catalog) -> Rights {
        let mut rights = Rights::default();
        rights.add(catalog);
        rights
    }

    /// Adds what another catalog needs: jobs go on with the one that they were planned with.
    pub fn add(&mut self, catalog: &Catalog) {
        self.add_users(&catalog.users);
        let users = self.table(&catalog.users.table);
        users.select.extend(catalog.rule_columns());
        for condition in catalog.rule_listings() {
            self.add_condition(&catalog.users.table, condition);
        }
        if let Some(license) = &catalog.license {
            self.add_license(license);
        }
        if let Some(invitations) = &catalog.invitations {
            self.add_invitations(invitations);
        }
        if let Some(groups) = &catalog.groups {
            let table = self.table(&groups.table);
            table.select.extend([&groups.group, &groups.user].into_iter().chain(&groups.org));
        }
        for reference in &catalog.references {
            self.add_reference(reference);
        }
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
        table.select.extend(license.key.iter().chain(&license.org).chain([&license.user]));
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
        let Reference { key, user, org, other_user, version_column, .. } = reference;
        table.select.extend(key.iter().filter(|_| !reference.keyless).chain([user]).chain(org).chain(other_user));
        let changes = !matches!(reference.disposition, Disposition::Keep);
        if reference.keyless && changes {
            // Its rows are told by all their columns, and locked where they are picked.
            table.select = Columns::All;
            table.update.insert(user.name.clone());
        }
        if let Some(version_column) = version_column.as_ref().filter(|_| changes) {
            table.select.extend([version_column]);
            table.update.insert(version_column.name.clone());
        }
        match &reference.disposition {
            Disposition::Transfer { touch, on_conflict, .. } => {
                table.update.extend([user].into_iter().chain(touch).map(|column| column.name.clone()));
                table.settle_conflicts(on_conflict);
            }
            Disposition::Block { sole_in, resolve, on_conflict, .. } => {
                table.select.extend(sole_in);
                // Whoever leaves together with the last but one waits for a lock on these rows.
                if (*resolve || sole_in.is_some()) && !reference.own_row {
                    table.update.insert(user.name.clone());
                }
                if *resolve {
                    table.settle_conflicts(on_conflict);
                }
            }
            Disposition::Set { values, .. } => {
                table.select.extend(values.iter().map(|(column, _)| column));
                table.update.extend(values.iter().map(|(column, _)| column.name.clone()));
            }
            Disposition::Detach { .. } => table.remove_rows(true),
            Disposition::Purge { keep_copy, .. } => table.remove_rows(!keep_copy.is_zero()),
            Disposition::Keep => {}
        }
        let come_back = !matches!(reference.disposition, Disposition::Purge { keep_copy, .. } if keep_copy.is_zero());
        for child in reference.disposition.children() {
            self.table(&child.table).remove_rows(come_back);
        }
        if changes {
            // What comes back is asked for its parents, where the database itself would ask only at the commit.
            let of_children = reference.disposition.children().iter().flat_map(|child| &child.deferrable);
            for key in reference.deferrable.iter().chain(of_children) {
                self.table(&key.table).select.extend_names(&key.target);
            }
        }
    }
}

impl TableRights {
    /// Rows are copied whole and deleted; what comes back is inserted whole.
    fn remove_rows(&mut self, come_back: bool) {
        self.select = Columns::All;
        self.delete = true;
        if come_back {
            self.insert = Columns::All;
        }
    }

    fn settle_conflicts(&mut self, on_conflict: &OnConflict) {
        match on_conflict {
            OnConflict::Fail => {}
            OnConflict::Drop(_) => self.remove_rows(true),
            OnConflict::Add { columns, .. } => {
                self.remove_rows(true);
                self.update.extend(columns.iter().map(|column| column.name.clone()));
            }
        }
    }
}
