//! Checks `with`: the tables whose rows follow removed rows. Every foreign key that would delete, empty or refuse must be
//! among their links, because the journal would miss those rows.

use std::collections::BTreeMap;

use toml::Spanned;

use super::resolve::Resolver;
use crate::catalog::effects::{Consequence, of_delete, of_update};
use crate::catalog::file::{LinkEntry, ReferenceEntry, WithEntry};
use crate::catalog::followers::{Follower, Followers, Following, Link, Place};
use crate::catalog::guess::key_of;
use crate::catalog::schema::{Column, KeyAction, Table, TableName};

/// Checks the tables that `with` names, and that they cover what a removal of the reference's rows does to others. `start` is
/// the byte of the reference.
pub fn check_followers(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    start: usize,
) -> Option<Followers> {
    let named: Vec<_> = entry.with.iter().map(|written| named_table(resolver, written)).collect();
    let named: Vec<(&Table, &Spanned<WithEntry>)> = named.into_iter().collect::<Option<_>>()?;
    let mut tables: Vec<&Table> = Vec::new();
    for (child, _) in &named {
        if child.name != table.name && !tables.iter().any(|other| other.name == child.name) {
            tables.push(child);
        }
    }
    let mut losing = Losing { own: table, tables, links: Vec::new() };
    let linked: Vec<bool> = named.iter().map(|(child, written)| losing.link(resolver, child, written)).collect();
    if linked.contains(&false) {
        return None;
    }
    losing.check_coverage(resolver, start);
    let followers = losing.tables.iter().map(|follower| losing.follower(resolver, follower, start)).collect::<Vec<_>>();
    Some(Followers { tables: followers.into_iter().collect::<Option<_>>()?, links: losing.links })
}

fn named_table<'a, 'e>(
    resolver: &mut Resolver<'a>,
    written: &'e Spanned<WithEntry>,
) -> Option<(&'a Table, &'e Spanned<WithEntry>)> {
    let name = match written.get_ref() {
        WithEntry::Table(name) => name,
        WithEntry::Link(link) => &link.table,
    };
    Some((resolver.table(&Spanned::new(written.span(), name.clone()))?, written))
}

/// The tables that lose rows, and the links that are found so far.
struct Losing<'a> {
    own: &'a Table,
    tables: Vec<&'a Table>,
    links: Vec<Link>,
}

impl<'a> Losing<'a> {
    fn place(&self, name: &TableName) -> Option<Place> {
        match self.own.name == *name {
            true => Some(None),
            false => self.tables.iter().position(|table| table.name == *name).map(Some),
        }
    }

    fn table(&self, place: Place) -> &'a Table {
        place.map_or(self.own, |place| self.tables[place])
    }

    /// Adds the links of an entry. Returns false if it has none, which is a fault.
    fn link(&mut self, resolver: &mut Resolver<'_>, child: &'a Table, written: &Spanned<WithEntry>) -> bool {
        let byte = written.span().start;
        let wanted = match written.get_ref() {
            WithEntry::Table(_) => None,
            WithEntry::Link(LinkEntry { column: Some(column), on: None, .. }) => Some(column),
            WithEntry::Link(LinkEntry { column: None, on: Some(on), .. }) => {
                return self.link_on(resolver, child, on, byte);
            }
            WithEntry::Link(LinkEntry { .. }) => {
                let message = "`with` names a table, \"lines\"; a foreign key of it, { table = \"lines\", column = \
                               \"order_id\" }; or columns without a foreign key, { table = \"lines\", on = { order_id = \"id\" } }";
                resolver.fault(byte, message);
                return false;
            }
        };
        let before = self.links.len();
        let is_wanted = |columns: &[String]| wanted.is_none_or(|wanted| wanted.names() == columns);
        for key in child.foreign_keys.iter().filter(|key| is_wanted(&key.columns)) {
            let (Some(parent), Some(own)) = (self.place(&key.table), self.place(&child.name)) else { continue };
            let columns = columns_of(child, &key.columns).zip(columns_of(self.table(parent), &key.target));
            let Some((points, at)) = columns else { continue };
            self.refuse_generated(resolver, parent, &at, byte);
            self.links.push(Link { parent, child: own, points, at, effect: key.on_delete.into() });
        }
        if self.links.len() == before {
            let message = format!(
                "{} has no {} to {} or to another table in `with`; without one, name the columns: {{ table = \"{}\", on = {{ \
                 {}_id = \"id\" }} }}",
                child.name,
                wanted
                    .map_or("foreign key".to_owned(), |wanted| format!("foreign key on {}", wanted.names().join(", "))),
                self.own.name,
                child.name,
                self.own.name.name.trim_end_matches('s'),
            );
            resolver.fault(byte, message);
        }
        self.links.len() > before
    }

    /// Adds a fault if a link points at a column that the database computes: no snapshot holds it.
    fn refuse_generated(&self, resolver: &mut Resolver<'_>, parent: Place, at: &[Column], byte: usize) {
        let table = self.table(parent);
        let is_generated = |name: &str| table.column(name).is_some_and(|column| column.generated);
        if let Some(column) = at.iter().find(|column| is_generated(&column.name)) {
            let message = format!(
                "rows point at `{}` of {}, which the database computes, so no snapshot holds it: they cannot be followed",
                column.name, table.name
            );
            resolver.fault(byte, message);
        }
    }

    /// Adds a link along columns without a foreign key, to the reference's own table.
    fn link_on(
        &mut self,
        resolver: &mut Resolver<'_>,
        child: &Table,
        on: &BTreeMap<String, String>,
        byte: usize,
    ) -> bool {
        let points: Vec<_> = on.keys().map(|name| resolver.column_at(child, name, byte)).collect();
        let at: Vec<_> = on.values().map(|name| resolver.column_at(self.own, name, byte)).collect();
        let columns = points.into_iter().collect::<Option<Vec<_>>>().zip(at.into_iter().collect::<Option<Vec<_>>>());
        let (Some((points, at)), Some(own)) = (columns, self.place(&child.name)) else { return false };
        let targets: Vec<&str> = at.iter().map(|column| column.name.as_str()).collect();
        if on.is_empty() || !self.own.is_unique(&targets) {
            let message = format!("`on` needs columns that are unique together in {}", self.own.name);
            resolver.fault(byte, message);
            return false;
        }
        self.links.push(Link { parent: None, child: own, points, at, effect: Following::Removed });
        true
    }

    /// Adds a fault for each foreign key that would delete, empty or refuse, and that no link follows.
    fn check_coverage(&self, resolver: &mut Resolver<'_>, start: usize) {
        let schema = resolver.schema;
        let followed = (0..self.tables.len()).map(Some).filter(|place| self.removes_from(*place));
        for parent in std::iter::once(None).chain(followed) {
            let deleted = self.table(parent);
            for consequence in of_delete(schema, &deleted.name) {
                let covered = self.links.iter().any(|link| self.is_along(link, parent, &consequence));
                if !covered {
                    resolver.fault(start, self.uncovered(deleted, &consequence));
                }
            }
        }
        for link in self.links.iter().filter(|link| link.effect == Following::Emptied) {
            let table = self.table(link.child);
            let points: Vec<&str> = link.points.iter().map(|column| column.name.as_str()).collect();
            for Consequence { table: other, key, .. } in of_update(schema, &table.name, &points) {
                let message = format!(
                    "deleting from {} empties {} of {}, at which rows of {} point (foreign key on {}): this cannot be undone",
                    self.table(link.parent).name,
                    points.join(", "),
                    table.name,
                    other.name,
                    key.columns.join(", ")
                );
                resolver.fault(start, message);
            }
        }
    }

    fn removes_from(&self, place: Place) -> bool {
        self.links.iter().any(|link| link.child == place && link.effect == Following::Removed)
    }

    fn is_along(&self, link: &Link, parent: Place, consequence: &Consequence<'_>) -> bool {
        link.parent == parent
            && self.table(link.child).name == consequence.table.name
            && link.points.iter().map(|column| &column.name).eq(&consequence.key.columns)
    }

    fn uncovered(&self, deleted: &Table, consequence: &Consequence<'_>) -> String {
        let Consequence { table, key, action } = consequence;
        let columns = key.columns.join(", ");
        let is_named = self.links.iter().any(|link| self.table(link.child).name == table.name);
        let fix = match is_named {
            true => {
                format!("add this key to `with`: {{ table = \"{}\", column = {} }}", table.name, as_toml(&key.columns))
            }
            false => format!("add \"{}\" to `with`", table.name),
        };
        match action {
            KeyAction::Cascade => format!(
                "deleting from {} also deletes rows of {} (foreign key on {columns}), which the journal would miss: {fix}",
                deleted.name, table.name
            ),
            KeyAction::Empty => format!(
                "deleting from {} also empties {columns} in rows of {}, which the journal would miss: {fix}",
                deleted.name, table.name
            ),
            KeyAction::Refuse => format!(
                "rows of {} (foreign key on {columns}) refuse the delete of the rows of {} that they point at: {fix}, to \
                 remove them too",
                table.name, deleted.name
            ),
        }
    }

    fn follower(&self, resolver: &mut Resolver<'_>, table: &Table, start: usize) -> Option<Follower> {
        let key = key_of(table).and_then(|key| columns_of(table, key));
        let place = self.place(&table.name)?;
        let keyless = key.is_none();
        let needs_key = |link: &Link| {
            link.parent == place && link.child.is_some() || link.child == place && link.effect == Following::Emptied
        };
        if keyless && (self.links.iter().any(needs_key) || table.row_address.is_none()) {
            let message =
                format!("{} in `with` has no unique key, by which its rows could be found again: add one", table.name);
            resolver.fault(start, message);
            return None;
        }
        Some(Follower {
            table: table.name.clone(),
            key: key.or_else(|| table.row_address.clone())?,
            keyless,
            columns: table.written_columns().map(Column::from).collect(),
            deferrable: table.deferrable_keys(),
        })
    }
}

fn columns_of(table: &Table, names: &[String]) -> Option<Vec<Column>> {
    names.iter().map(|name| table.column(name).map(Column::from)).collect()
}

fn as_toml(columns: &[String]) -> String {
    match columns {
        [one] => format!("\"{one}\""),
        many => format!("[\"{}\"]", many.join("\", \"")),
    }
}
