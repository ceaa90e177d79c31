//! Checks the facts of the schema that decide what the catalog's statements do. Each is treated as [`SchemaFact`] says.

use super::resolve::Resolver;
use crate::catalog::effects::of_update;
use crate::catalog::file::{InvitationsEntry, LicenseEntry, Name, UsersEntry};
use crate::catalog::reference::Reference;
use crate::catalog::schema::{KeyAction, Table};
use crate::catalog::schema_fact::{SchemaFact, Verdict, Work};

/// Checks the facts about the table of a reference and about the tables that its rows take along, and notes the triggers that
/// it fires. `start` is the byte of the reference.
pub fn check_facts(resolver: &mut Resolver<'_>, reference: &mut Reference, start: usize) {
    let schema = resolver.schema;
    let Some(table) = schema.named(&reference.table) else { return };
    reference.fires = table.facts.fires(&reference.written_columns());
    let work = Work::of(&reference.disposition);
    let mut facts = TableCheck { resolver, table, work, start };
    facts.check_rules();
    facts.check_updates(&reference.written_columns());
    facts.check_triggers(&reference.written_columns(), reference.keyless);
    for follower in reference.disposition.followers().map_or(&[][..], |followers| &followers.tables) {
        let Some(table) = schema.named(&follower.table) else { continue };
        let mut facts = TableCheck { resolver, table, work: Work::Remove, start };
        facts.check_rules();
        facts.check_triggers(&[], follower.keyless);
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
        facts.check_rules();
        facts.check_updates(&written.iter().map(|name| name.get_ref().as_str()).collect::<Vec<_>>());
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

    fn check_rules(&mut self) {
        for rule in &self.table.facts.rules {
            let message = format!(
                "the rule `{rule}` rewrites statements on {}, so the journal cannot tell what they do: replace it by a trigger",
                self.table.name
            );
            self.report(SchemaFact::Rule, message);
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
