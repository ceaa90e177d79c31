//! Reads a row: what it says, or every reason why it cannot be understood.

use super::answers::{self, Answer};
use super::cells::{CellFault, Row, RowFault};
use super::columns::{Column, Columns};
use super::directory::{Directory, Wanted};
use super::named_users::{NamedCell, NamedUsers, all_inactive, bad_id, read_id, without_user};
use super::reading::Reading;
use super::reason::{self, FileCode, Read, RowReason, cell};
use super::time_fault::TimeFault;
use super::times::{Clock, Meaning, Moment};
use crate::app::error::Result;
use crate::catalog::{Catalog, Disposition};
use crate::contract::{OrgId, RequestId, UserId};
use crate::plan::check_org;
use crate::store::Store;

/// Reads requests from rows.
pub struct RowReader<'r> {
    /// The catalog.
    pub catalog: &'r Catalog,
    /// The columns of the file.
    pub columns: Columns,
    /// The requester of rows that name none.
    pub by: Option<String>,
    /// The organization of rows that name none.
    pub org: Option<String>,
    /// The principal who asks, if a door has established one: rows may then name no other requester and organization.
    pub principal: Option<UserId>,
    /// Reads dates and times.
    pub clock: Clock,
}

impl RowReader<'_> {
    /// Returns the row's answer to the question whether its user leaves.
    pub fn answer(&self, row: &Row) -> Read<Answer> {
        let written = self.cell(row, &Column::Deactivated)?;
        answers::read(&written).ok_or_else(|| {
            let what = format!("{written:?} is neither yes nor no");
            cell(
                FileCode::NotUnderstood,
                self.columns.name(&Column::Deactivated),
                &what,
                "write `yes` if the user leaves, or `no`",
            )
        })
    }

    /// Returns true unless the row clearly says that its user stays. A row whose answer cannot be read is not skipped.
    pub fn is_requested(&self, row: &Row) -> bool {
        !matches!(self.answer(row), Ok(Answer::No))
    }

    /// Returns the reason why a row is skipped.
    pub fn skipped(&self, row: &Row) -> String {
        let column = self.columns.name(&Column::Deactivated);
        match self.text(row, &Column::Deactivated).filter(|text| !text.is_empty()) {
            Some(text) => format!("column `{column}` says {text:?}"),
            None => format!("column `{column}` is empty"),
        }
    }

    /// Returns the leaver as written in the row.
    pub fn user_text(&self, row: &Row) -> String {
        let texts = [Column::UserId, Column::Email].map(|column| self.text(row, &column).unwrap_or_default());
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// Looks up the users whom rows name.
    pub async fn directory(&self, store: &Store, rows: &[Row]) -> Result<Directory> {
        let mut wanted = Wanted::default();
        for row in rows.iter().filter(|row| self.is_requested(row)) {
            let Ok(org) = self.org(row) else { continue };
            let org = org.map(String::from).unwrap_or_default();
            let people = self.columns.iter().map(|(_, column)| column).filter(|column| names_user(column));
            let texts = people.filter_map(|column| self.text(row, column)).chain(self.by.clone());
            for text in texts.filter(|text| !text.is_empty() && without_user(text).is_none()) {
                if text.contains('@') {
                    wanted.email(&org, &text);
                }
                if let Ok(id) = read_id(self.catalog, NamedCell { column: "", text: &text }) {
                    wanted.id(&org, id);
                }
            }
        }
        Directory::read(store, self.catalog, wanted).await
    }

    /// Returns the leaver of a row, or each user who may be: several if all have left and have the same address.
    pub fn leavers(&self, row: &Row, directory: &Directory) -> Read<Vec<UserId>> {
        let org = self.org(row)?;
        let (id, email) = (self.cell(row, &Column::UserId)?, self.cell(row, &Column::Email)?);
        let named = |column, text| NamedCell { column: self.columns.name(column), text };
        let users = self.users(&org, directory);
        users.leavers(named(&Column::UserId, &id), named(&Column::Email, &email))
    }

    /// Reads a row, as far as it can be understood.
    pub fn read(&self, row: &Row, directory: &Directory) -> Reading {
        let mut reading = Reading { faults: self.faults(row), ..Reading::default() };
        reading.keep(self.answer(row));
        reading.org = reading.keep(self.org(row)).flatten();
        reading.leavers = reading.keep(self.leavers(row, directory)).unwrap_or_default();
        if reading.leavers.len() > 1 {
            let email = self.text(row, &Column::Email).unwrap_or_default();
            let reason =
                all_inactive(NamedCell { column: self.columns.name(&Column::Email), text: &email }, &reading.leavers);
            reading.if_new.push(reason);
        }
        reading.requested_by = reading.keep(self.requester(row, &reading.org, directory));
        reading.starts = self.time(row, &Column::EffectiveAt, Meaning::Leaving, &mut reading);
        reading.returns = self.time(row, &Column::ReturnAt, Meaning::Returning, &mut reading);
        self.read_successors(row, directory, &mut reading);
        reading.request_id = reading.keep(self.request_id(row)).flatten();
        reading.reason = self.text(row, &Column::Reason).filter(|text| !text.is_empty());
        reading
    }

    /// Returns the reason why a row as a whole cannot be done. A row that is only hidden and asks for nothing has none.
    pub fn fault(&self, row: &Row) -> Option<RowReason> {
        let fault = row.fault.filter(|fault| *fault != RowFault::Hidden || self.is_requested(row))?;
        Some(reason::row(fault, self.columns.width()))
    }

    /// Reports cells that cannot be read.
    fn faults(&self, row: &Row) -> Vec<RowReason> {
        let cells = self.columns.iter().filter_map(|(place, column)| Some((column, row.cells.get(place)?)));
        let faults = cells.filter_map(|(column, cell)| Some((column, cell.as_ref().err()?)));
        faults.map(|(column, fault)| *of_cell(self.columns.name(column), fault)).collect()
    }

    fn cell(&self, row: &Row, wanted: &Column) -> Read<String> {
        match self.columns.place(wanted).and_then(|place| row.cells.get(place)) {
            Some(Ok(text)) => Ok(text.clone()),
            Some(Err(fault)) => Err(of_cell(self.columns.name(wanted), fault)),
            None => Ok(String::new()),
        }
    }

    /// Returns a cell's text, if it can be read; [`RowReader::faults`] reports the others.
    fn text(&self, row: &Row, wanted: &Column) -> Option<String> {
        self.cell(row, wanted).ok()
    }

    fn org(&self, row: &Row) -> Read<Option<OrgId>> {
        let written = self.cell(row, &Column::OrgId)?;
        let written = if written.is_empty() { self.org.clone().unwrap_or_default() } else { written };
        let org = match written.is_empty() {
            true => None,
            false => Some(OrgId::try_from(written).map_err(|what| bad_id(self.columns.name(&Column::OrgId), &what))?),
        };
        let fits = check_org(self.catalog, org.as_ref());
        fits.map_err(|fault| cell(fault.code, self.columns.name(&Column::OrgId), &fault.detail, &fault.hint))?;
        let is_own = self.principal.is_none() || org.as_ref().map(OrgId::as_str) == self.org.as_deref();
        if is_own { Ok(org) } else { Err(reason::other_principal(self.columns.name(&Column::OrgId))) }
    }

    fn requester(&self, row: &Row, org: &Option<OrgId>, directory: &Directory) -> Read<UserId> {
        let written = self.cell(row, &Column::RequestedBy)?;
        let written = if written.is_empty() { self.by.clone().unwrap_or_default() } else { written };
        let column = self.columns.name(&Column::RequestedBy);
        if let Some(principal) = &self.principal {
            // A service is no user, and cannot be looked up.
            let is_own = |named: &UserId| named == principal;
            let own = written == principal.as_str()
                || self.users(org, directory).person(NamedCell { column, text: &written }).as_ref().is_ok_and(is_own);
            return if own { Ok(principal.clone()) } else { Err(reason::other_principal(column)) };
        }
        if written.is_empty() {
            let hint = "fill in who asks, or say it for all rows with --by";
            return Err(cell(FileCode::MissingCell, column, "it is empty", hint));
        }
        self.users(org, directory).person(NamedCell { column, text: &written })
    }

    fn users<'u>(&'u self, org: &'u Option<OrgId>, directory: &'u Directory) -> NamedUsers<'u> {
        NamedUsers { catalog: self.catalog, org: org.as_ref().map_or("", OrgId::as_str), directory }
    }

    /// Reads a time of a row, if it names one.
    fn time(&self, row: &Row, column: &Column, meaning: Meaning, reading: &mut Reading) -> Option<Moment> {
        let text = self.text(row, column).filter(|text| !text.is_empty())?;
        let fault = |fault| of_time(self.columns.name(column), &text, &fault);
        let at = reading.keep(self.clock.read(&text, meaning).map_err(fault))?;
        let reason = self.clock.check(&at).map(|fault| *of_time(self.columns.name(column), &text, &fault));
        match self.clock.is_near(&at) {
            true => reading.if_new.extend(reason),
            false => reading.faults.extend(reason),
        }
        Some(at)
    }

    /// Returns the row's own request id, if it has one.
    fn request_id(&self, row: &Row) -> Read<Option<RequestId>> {
        let written = self.cell(row, &Column::RequestId)?;
        match written.is_empty() {
            true => Ok(None),
            false => RequestId::try_from(written)
                .map(Some)
                .map_err(|what| bad_id(self.columns.name(&Column::RequestId), &what)),
        }
    }

    /// Reads who receives what: the column `successor`, and those of kinds, which take precedence.
    fn read_successors(&self, row: &Row, directory: &Directory, reading: &mut Reading) {
        let org = reading.org.clone();
        let users = self.users(&org, directory);
        let allotted = |column: &Column, reading: &mut Reading| {
            // Cells that cannot be read are reported with the row's faults.
            let text = self.text(row, column).filter(|text| !text.is_empty())?;
            reading.keep(users.allotment(NamedCell { column: self.columns.name(column), text: &text }))
        };
        if let Some(everything) = allotted(&Column::Successor, reading) {
            let must = |disposition: &Disposition| matches!(disposition, Disposition::Transfer { required: true, .. });
            for reference in self.catalog.references.iter().filter(|reference| must(&reference.disposition)) {
                reading.from_successor.insert(reference.kind.clone());
                reading.reassign.insert(reference.kind.clone(), everything.clone());
            }
        }
        for (_, column) in self.columns.iter() {
            if let Column::Kind(kind) = column
                && let Some(allotment) = allotted(column, reading)
            {
                reading.from_successor.remove(kind);
                reading.reassign.insert(kind.clone(), allotment);
            }
        }
    }
}

/// Returns true if a cell of the column names a user.
fn names_user(column: &Column) -> bool {
    match column {
        Column::UserId | Column::Email | Column::RequestedBy | Column::Successor | Column::Kind(_) => true,
        Column::Deactivated
        | Column::OrgId
        | Column::Reason
        | Column::EffectiveAt
        | Column::ReturnAt
        | Column::RequestId => false,
    }
}

fn of_cell(column: &str, fault: &CellFault) -> Box<RowReason> {
    match fault {
        CellFault::Formula(place) => {
            let what = format!("cell {place} holds a formula whose value was not saved");
            cell(FileCode::FormulaWithoutValue, column, &what, "paste the value in the formula's place")
        }
        CellFault::Error(error) => {
            cell(FileCode::CellError, column, &format!("it holds the error {error}"), "fix the formula")
        }
        CellFault::Merged => {
            let what = "the cell is merged into another one, which holds the value";
            cell(FileCode::MergedCell, column, what, "split the cells and write the value into each row")
        }
        CellFault::Inexact => {
            let what = "a spreadsheet does not keep all digits of so large a number";
            cell(FileCode::InexactNumber, column, what, "format the column as text and write the number again")
        }
    }
}

/// Returns the reason for a cell whose time the row cannot have.
fn of_time(column: &str, text: &str, fault: &TimeFault) -> Box<RowReason> {
    let code = if *fault == TimeFault::NoZone { FileCode::MissingTimeZone } else { FileCode::InvalidTime };
    cell(code, column, &fault.explain(text), fault.hint())
}
