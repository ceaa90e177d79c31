//! Checks the facts of the schema that decide what the catalog's statements do. Each is treated as [`SchemaFact`] says.

use super::resolve::Resolver;
use crate::catalog::disposition::{Retention, SetValue};
use crate::catalog::effects::of_update;
use crate::catalog::file::{InvitationsEntry, LicenseEntry, Name, UsersEntry};
use crate::catalog::reference::Reference;
use crate::catalog::relation::ComputedColumn;
use crate::catalog::schema::{KeyAction, Table};
use crate::catalog::schema_fact::{RESERVED_NAMES, SchemaFact, Verdict, Work};

/// Checks the facts about the table of a reference and about the tables that its rows take along, and notes the triggers that
/// it fires. `start` is the byte of the reference.
pub fn check_facts(resolver: &mut Resolver<'_>, reference: &mut Reference, start: usize) {
    let schema = resolver.schema;
    let Some(table) = schema.named(&reference.table) else { return };
    reference.fires = table.facts.fires(&reference.written_columns());
    let work = Work::of(&reference.disposition);
    let mut facts = TableCheck { resolver, table, work, start };
    facts.check_storage();
    facts.check_updates(&reference.written_columns());
    facts.check_triggers(&reference.written_columns(), reference.keyless);
    facts.check_row_checks(&chosen_columns(reference));
    facts.check_unvalidated(is_restored(reference));
    if is_restored(reference) || work == Work::MoveOrDrop {
        facts.check_insert_triggers();
    }
    if reference.created.is_none() && !reference.own_row {
        facts.check_reused_keys();
    }
    if matches!(work, Work::Move | Work::MoveOrDrop) {
        facts.check_computed_keys(&reference.user.name);
        facts.check_exclusions(&reference.user.name);
    }
    for follower in reference.disposition.followers().map_or(&[][..], |followers| &followers.tables) {
        let Some(table) = schema.named(&follower.table) else { continue };
        let mut facts = TableCheck { resolver, table, work: Work::Remove, start };
        facts.check_storage();
        facts.check_triggers(&[], follower.keyless);
        if is_restored(reference) {
            facts.check_insert_triggers();
        }
        facts.check_unvalidated(is_restored(reference));
    }
}

/// Returns the columns to which the catalog or a request gives a value that the database does not choose.
fn chosen_columns(reference: &Reference) -> Vec<&str> {
    let moved = reference.disposition.moves().then_some(reference.user.name.as_str());
    let is_chosen = |value: &SetValue| match value {
        SetValue::Text(_) | SetValue::Null => true,
        SetValue::Now => false,
    };
    let set = reference.disposition.values().iter().filter(|(_, value)| is_chosen(value));
    moved.into_iter().chain(set.map(|(column, _)| column.name.as_str())).collect()
}

/// True if rows are removed and an undo restores them.
fn is_restored(reference: &Reference) -> bool {
    match reference.retention() {
        Some(Retention::Journal) => true,
        Some(Retention::For(time)) => !time.is_zero(),
        None => reference.disposition.deletes() && !reference.disposition.removes(),
    }
}

/// Checks the facts about the tables of sections, of which columns are set.
pub fn check_section_facts(
    resolver: &mut Resolver<'_>,
    users: &UsersEntry,
    license: Option<&LicenseEntry>,
    invitations: Option<&InvitationsEntry>,
) {
    let users = std::iter::once((&users.table, vec![&users.status.column]));
    let license = license.iter().map(|entry| (&entry.table, vec![&entry.user]));
    let invitations = invitations.iter().map(|entry| {
        let written = entry.sent_at.iter().chain(&entry.answered_at);
        (&entry.table, written.chain(entry.status.iter().map(|status| &status.column)).collect())
    });
    let schema = resolver.schema;
    for (name, written) in users.chain(license).chain(invitations).collect::<Vec<(&Name, Vec<&Name>)>>() {
        let Some(table) = schema.table(name.get_ref()) else { continue };
        let mut facts = TableCheck { resolver, table, work: Work::Set, start: name.span().start };
        facts.check_storage();
        let written: Vec<&str> = written.iter().map(|name| name.get_ref().as_str()).collect();
        facts.check_updates(&written);
        facts.check_row_checks(&written);
        facts.check_unvalidated(false);
        facts.check_section_triggers(&written);
    }
}

struct TableCheck<'r, 'a, 's> {
    resolver: &'r mut Resolver<'a>,
    table: &'s Table,
    work: Work,
    start: usize,
}

impl TableCheck<'_, '_, '_> {
    fn report(&mut self, fact: SchemaFact, message: String) {
        match fact.verdict(self.work) {
            Verdict::Idle | Verdict::Handled => {}
            Verdict::Warned => self.resolver.warn(self.start, message),
            Verdict::With | Verdict::Session | Verdict::Refused => self.resolver.fault(self.start, message),
        }
    }

    /// Checks what decides how the database stores rows and takes statements, whatever the columns are.
    fn check_storage(&mut self) {
        let (own, facts) = (&self.table.name, &self.table.facts);
        for rule in &facts.rules {
            let message = format!(
                "the rule `{rule}` rewrites statements on {own}, so the journal cannot tell what they do: replace it by a trigger"
            );
            self.report(SchemaFact::Rule, message);
        }
        if let Some(method) = &facts.access_method {
            let message = format!(
                "{own} is stored by the access method `{method}`, of which it is unknown how rows are locked and returned: use \
                 `heap`"
            );
            self.report(SchemaFact::AccessMethod, message);
        }
        for clause in &facts.conflict_clauses {
            let message = format!(
                "a constraint of {own} says {clause}: a change may delete another row, be skipped or end the transaction without \
                 an error. Make the table again without the clause"
            );
            self.report(SchemaFact::ConflictClause, message);
        }
        for collation in &facts.collations {
            let message = format!(
                "{own} uses the collation `{collation}`, which the application defines: no other program can compare its texts. \
                 Use COLLATE NOCASE, or a column of its own"
            );
            self.report(SchemaFact::ForeignCollation, message);
        }
        for column in self.table.columns.iter().filter(|column| RESERVED_NAMES.contains(&column.name.as_str())) {
            let message = format!(
                "the column `{}` of {own} has a name under which snapshots keep other things: rename it, or use `keep`",
                column.name
            );
            self.report(SchemaFact::ReservedName, message);
        }
        self.check_publications();
    }

    fn check_publications(&mut self) {
        for publication in &self.table.facts.publications {
            let is_concerned = match self.work {
                Work::Move | Work::Set => publication.refuses_updates,
                Work::MoveOrDrop => publication.refuses_updates || publication.refuses_deletes,
                Work::Remove => publication.refuses_deletes,
                Work::Stay => false,
            };
            if is_concerned {
                let message = format!(
                    "the publication `{}` publishes {own}, which has no replica identity, so the database refuses its changes: add \
                     a primary key, or ALTER TABLE {own} REPLICA IDENTITY FULL",
                    publication.name,
                    own = self.table.name,
                );
                self.report(SchemaFact::NoReplicaIdentity, message);
            }
        }
    }

    /// Checks CHECK constraints over columns that take a value.
    fn check_row_checks(&mut self, chosen: &[&str]) {
        for check in self.table.facts.checks.iter().filter(|check| check.is_valid && check.columns.len() > 1) {
            if check.columns.iter().any(|column| chosen.contains(&column.as_str())) {
                let message = format!(
                    "a CHECK{} of {} compares ({}) with each other: rows for which it refuses the change stay, and are reported by \
                     their keys",
                    check.name.as_ref().map_or(String::new(), |name| format!(" `{name}`")),
                    self.table.name,
                    check.columns.join(", ")
                );
                self.report(SchemaFact::RowCheck, message);
            }
        }
    }

    /// Checks constraints that rows may break already: the database refuses to change or to restore such rows.
    fn check_unvalidated(&mut self, is_restored: bool) {
        let (own, facts) = (&self.table.name, &self.table.facts);
        let fix = |name: &str| format!("Correct the rows, and ALTER TABLE {own} VALIDATE CONSTRAINT {name}");
        let is_changed = matches!(self.work, Work::Move | Work::MoveOrDrop | Work::Set);
        for check in facts.checks.iter().filter(|check| !check.is_valid && (is_changed || is_restored)) {
            let name = check.name.as_deref().unwrap_or_default();
            let message = format!(
                "the CHECK `{name}` of {own} is NOT VALID: rows that break it can be neither changed nor restored. {}",
                fix(name)
            );
            self.report(SchemaFact::UnvalidatedCheck, message);
        }
        for name in facts.unvalidated_keys.iter().filter(|_| is_restored) {
            let message = format!(
                "the foreign key `{name}` of {own} is NOT VALID: a removed row that breaks it could not be restored. {}",
                fix(name)
            );
            self.report(SchemaFact::UnvalidatedKey, message);
        }
    }

    fn check_reused_keys(&mut self) {
        if self.table.facts.reuses_keys {
            let message = format!(
                "{} gives the key of a deleted row to a new one (its key has no AUTOINCREMENT), and an undo would take that one for \
                 the record: name the column that holds when a row was created, such as created = \"created_at\"",
                self.table.name
            );
            self.report(SchemaFact::ReusedKey, message);
        }
    }

    fn check_exclusions(&mut self, user: &str) {
        for index in self.table.unique_indexes.iter().filter(|index| index.compares_otherwise(user)) {
            let message = format!(
                "an exclusion constraint of {} compares `{user}` otherwise than by equality, ({}): it refuses records because of \
                 those of other users. Leave `{user}` out of it",
                self.table.name,
                index.describe()
            );
            self.report(SchemaFact::OtherExclusion, message);
        }
    }

    /// Checks foreign keys that point at written columns.
    fn check_updates(&mut self, written: &[&str]) {
        let schema = self.resolver.schema;
        for consequence in of_update(schema, &self.table.name, written) {
            let (columns, target) = (consequence.key.columns.join(", "), consequence.key.target.join(", "));
            let (own, other) = (&self.table.name, &consequence.table.name);
            let (fact, effect) = match consequence.action {
                KeyAction::Cascade => (SchemaFact::UpdateCascades, "are changed with it, which the journal would miss"),
                KeyAction::Empty => (SchemaFact::UpdateEmpties, "are emptied with it, which the journal would miss"),
                KeyAction::Refuse => (SchemaFact::UpdateRefused, "refuse it"),
            };
            let message = format!(
                "each change of ({target}) in {own} concerns rows of {other} (foreign key on {columns}), which {effect}: let the \
                 key point at columns that stay, or use `keep`"
            );
            self.report(fact, message);
        }
    }

    fn check_computed_keys(&mut self, user: &str) {
        let reads_user = |column: &&ComputedColumn| column.reads.iter().any(|read| read == user);
        for column in self.table.facts.computed.iter().filter(reads_user) {
            if let Some(index) = self.table.unique_indexes.iter().find(|index| index.is_over(&column.name)) {
                let message = format!(
                    "{} has a unique index over {}, and `{}` is computed from `{user}`: no move can tell which rows collide. Make \
                     the index over `{user}` itself, or over an expression of it",
                    self.table.name,
                    index.describe(),
                    column.name
                );
                self.report(SchemaFact::ComputedUnique, message);
            }
        }
    }

    fn check_section_triggers(&mut self, written: &[&str]) {
        let names: Vec<&str> = self.table.facts.on_update(written).map(|trigger| trigger.name.as_str()).collect();
        if !names.is_empty() {
            let message = format!(
                "the trigger `{}` runs at each update of `{}` in {}: what it changes in other rows is in no journal, so an undo \
                 does not restore it",
                names.join("`, `"),
                written.join("`, `"),
                self.table.name
            );
            self.resolver.warn(self.start, message);
        }
    }

    fn check_insert_triggers(&mut self) {
        let names: Vec<&str> = self.table.facts.on_insert().map(|trigger| trigger.name.as_str()).collect();
        if !names.is_empty() {
            let message = format!(
                "the trigger `{}` runs at each insert into {}, also when an undo restores a row: it may change the row, or write \
                 elsewhere",
                names.join("`, `"),
                self.table.name
            );
            self.report(SchemaFact::InsertTrigger, message);
        }
    }

    fn check_triggers(&mut self, written: &[&str], keyless: bool) {
        let facts = &self.table.facts;
        let removes = matches!(self.work, Work::Remove | Work::MoveOrDrop);
        let deletes: Vec<&str> = facts.on_delete().filter(|_| removes).map(|trigger| trigger.name.as_str()).collect();
        let updates: Vec<&str> = facts.on_update(written).map(|trigger| trigger.name.as_str()).collect();
        let moves = !written.is_empty() && !updates.is_empty();
        if keyless && let Some(name) = deletes.first().or(updates.first().filter(|_| moves)) {
            let message = format!(
                "the trigger `{name}` may keep rows of {}, which have no key by which a refused row could be named: add one",
                self.table.name
            );
            self.report(SchemaFact::KeylessTrigger, message);
        }
        if !deletes.is_empty() {
            let message = format!(
                "the trigger `{}` runs at each delete from {}: what it deletes or changes elsewhere is in no snapshot, so an \
                 undo does not restore it",
                deletes.join("`, `"),
                self.table.name
            );
            self.report(SchemaFact::DeleteTrigger, message);
        }
    }
}
