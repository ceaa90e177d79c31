//! Says reasons in the words of the file: with the names of its columns, and once for each cell.

use std::collections::BTreeSet;

use super::column_names::named;
use super::columns::{Column, Columns};
use super::reason::{FileCode, RowCode, RowReason};
use crate::contract::ReasonCode;

/// The columns of a row, and what its column `successor` stands for.
#[derive(Clone, Copy)]
pub struct Wording<'w> {
    /// The columns of the file.
    pub columns: &'w Columns,
    /// The kinds whose allotment is in the column `successor`.
    pub from_successor: &'w BTreeSet<String>,
}

/// Reasons about the same user or group in one cell, and the kinds that they concern.
struct Merged {
    reason: RowReason,
    kinds: BTreeSet<String>,
}

impl Wording<'_> {
    /// Returns the name of the column that holds a field of a request: `reassign.contact.user` may be in `Successor`.
    pub fn column(&self, path: &str) -> String {
        let mut parts = path.split('.');
        let (first, kind) = (parts.next().unwrap_or_default(), parts.next());
        match (first, kind) {
            ("reassign", Some(kind)) => self.of_kind(kind).to_owned(),
            _ => named(first).map_or_else(|| path.to_owned(), |column| self.columns.name(&column).to_owned()),
        }
    }

    /// Returns the name of the column that holds the allotment of a kind.
    fn of_kind<'a>(&'a self, kind: &'a str) -> &'a str {
        let own = self.columns.iter().map(|(_, column)| column).find(|column| column.name() == kind);
        match own {
            Some(own) if !self.from_successor.contains(kind) => self.columns.name(own),
            Some(_) | None => self.columns.name(&Column::Successor),
        }
    }

    /// Says the planner's reasons in the words of the file.
    pub fn reasons(&self, reasons: Vec<RowReason>) -> Vec<RowReason> {
        let mut merged: Vec<Merged> = Vec::new();
        for reason in reasons {
            let kind = reason.concerning.kind.clone();
            let is_same = |earlier: &&mut Merged| {
                let (one, other) = (&earlier.reason, &reason);
                let same_cell = [one, other].map(|reason| self.is_about_successor(reason)) == [true, true];
                let subject = |reason: &RowReason| (reason.concerning.user_id.clone(), reason.concerning.group.clone());
                same_cell && one.code == other.code && subject(one) == subject(other)
            };
            match merged.iter_mut().find(is_same) {
                Some(earlier) => earlier.kinds.extend(kind),
                None => merged.push(Merged { reason, kinds: kind.into_iter().collect() }),
            }
        }
        merged.into_iter().map(|merged| self.say(merged)).collect()
    }

    /// True if a reason is about the cell of the column `successor`.
    fn is_about_successor(&self, reason: &RowReason) -> bool {
        let kind = reason.concerning.kind.as_deref();
        is_about_recipient(reason.code) && kind.is_some_and(|kind| self.from_successor.contains(kind))
    }

    fn say(&self, Merged { mut reason, kinds }: Merged) -> RowReason {
        if let Some(kind) = reason.concerning.kind.clone() {
            if is_about_recipient(reason.code) {
                reason.message =
                    format!("column `{}`: {}", self.of_kind(&kind), self.of_all(&reason.message, &kind, &kinds));
            }
            if reason.hint.contains(&format!("`reassign.{kind}`")) {
                reason.hint = self.where_to_name(&kind, reason.code);
            }
        }
        if kinds.len() > 1 {
            reason.concerning.kind = None;
        }
        if reason.code == RowCode::Refused(ReasonCode::JobUnderWay)
            && let Some(job) = &reason.concerning.job_id
        {
            reason.hint =
                format!("wait for it, or cancel it if this row is to replace it: `handover cancel {job} --by USER`");
        }
        RowReason { message: self.named(&reason.message), hint: self.named(&reason.hint), ..reason }
    }

    /// Replaces the kind of a message by all the kinds that the cell stands for.
    fn of_all(&self, message: &str, kind: &str, kinds: &BTreeSet<String>) -> String {
        let all = match kinds.len() {
            0 | 1 => return message.to_owned(),
            _ if kinds == self.from_successor => "every kind that must be transferred".to_owned(),
            _ => kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", "),
        };
        message.replace(&format!("`{kind}`"), &all)
    }

    /// Says in which column a successor for a kind is to be named.
    fn where_to_name(&self, kind: &str, code: RowCode) -> String {
        let of_kind = Column::Kind(kind.to_owned());
        let successor = self.columns.name(&Column::Successor);
        let has = |column: &Column| self.columns.place(column).is_some();
        match code == RowCode::Refused(ReasonCode::AllotmentMissing) {
            true if has(&Column::Successor) => format!("fill in `{successor}`"),
            _ if has(&of_kind) => format!("fill in `{}`", self.columns.name(&of_kind)),
            true => format!("add a column `successor`, or a column `{kind}`"),
            false => format!("add a column `{kind}` that names a successor"),
        }
    }

    /// Replaces the documented names of columns by those of the file.
    fn named(&self, text: &str) -> String {
        let is_kind = |column: &Column| matches!(column, Column::Kind(_));
        let renamed =
            self.columns.iter().filter(|(_, column)| !is_kind(column) && self.columns.name(column) != column.name());
        renamed.fold(text.to_owned(), |text, (_, column)| {
            text.replace(&format!("`{}`", column.name()), &format!("`{}`", self.columns.name(column)))
        })
    }
}

/// True if a reason is about the user or group in a cell, rather than about the leaver's records.
fn is_about_recipient(code: RowCode) -> bool {
    [
        RowCode::Row(FileCode::SuccessorLeavesInFile),
        RowCode::Refused(ReasonCode::UnknownSuccessor),
        RowCode::Refused(ReasonCode::SuccessorOfOtherOrganization),
        RowCode::Refused(ReasonCode::SuccessorInactive),
        RowCode::Refused(ReasonCode::SuccessorLeaving),
        RowCode::Refused(ReasonCode::SuccessorNotEligible),
        RowCode::Refused(ReasonCode::LeaverIsSuccessor),
        RowCode::Refused(ReasonCode::NoFitMember),
        RowCode::Refused(ReasonCode::NoManager),
    ]
    .contains(&code)
}
