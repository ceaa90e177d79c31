//! Reads the request of a row, or every reason why it has none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::answers::{self, Answer};
use super::cells::{CellFault, Row, RowFault};
use super::columns::{Column, Columns};
use super::reason::{self, FileCode, RowCode, RowReason};
use super::times::{Clock, Meaning, Moment, TimeFault};
use crate::app::error::Result;
use crate::catalog::{Catalog, Disposition, Family};
use crate::contract::{
    Allotment, DeadLetterCode, HandoverRequest, JOB_NAMESPACE, OrgId, Recipient, Request, RequestId, RequestType,
    Share, UserId, read_request,
};
use crate::plan::{check_org, normalize_handover};
use crate::store::{Store, host};

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
    /// Reads dates and times.
    pub clock: Clock,
    /// The file's name. Request ids are derived from it.
    pub file_name: String,
}

/// The request of a row.
pub struct RowRequest {
    /// The request.
    pub request: HandoverRequest,
    /// The reasons why its times are too early or too late. They do not concern a request that was sent before.
    pub untimely: Vec<RowReason>,
}

/// Users by organization and lower-case email address.
pub type Directory = HashMap<(String, String), Vec<UserId>>;

type Read<T> = std::result::Result<T, Box<RowReason>>;

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

    /// Looks up the email addresses of rows, each within the row's organization and in a transaction of its own.
    pub async fn directory(&self, store: &Store, rows: &[Row]) -> Result<Directory> {
        let mut by_org: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows.iter().filter(|row| self.is_requested(row)) {
            let Ok(org) = self.org(row) else { continue };
            let org = org.map(String::from).unwrap_or_default();
            let addresses = row.cells.iter().flatten().chain(&self.by).filter(|text| text.contains('@'));
            by_org.entry(org).or_default().extend(addresses.map(|text| text.to_lowercase()));
        }
        let mut directory = Directory::new();
        for (org, addresses) in by_org.into_iter().filter(|(_, addresses)| !addresses.is_empty()) {
            let addresses: Vec<String> = addresses.into_iter().collect();
            let session = store.snapshot().await?;
            host::enter(&session, self.catalog, &org).await?;
            let found = host::users_with_emails(&session, &self.catalog.within(&org), &org, &addresses).await?;
            directory.extend(found.into_iter().map(|(email, users)| ((org.clone(), email), users)));
        }
        Ok(directory)
    }

    /// Returns the leaver of a row.
    pub fn leaver(&self, row: &Row, directory: &Directory) -> Read<UserId> {
        let org = self.org(row)?;
        let id = self.cell(row, &Column::UserId)?;
        let email = self.cell(row, &Column::Email)?;
        if id.is_empty() && email.is_empty() {
            let hint = "fill in who leaves";
            return Err(cell(FileCode::MissingCell, "user_id", "it is empty, and so is `email`", hint));
        }
        if id.is_empty() {
            return self.person(&org, "email", &email, directory);
        }
        let user = self.id("user_id", &id)?;
        if !email.is_empty() && self.person(&org, "email", &email, directory)? != user {
            let what = format!("{email} is not the address of user {user}");
            let hint = "correct `user_id` or `email`, or leave one of them out";
            return Err(cell(FileCode::OtherUser, "email", &what, hint));
        }
        Ok(user)
    }

    /// Returns the request of a row, as the planner would read it.
    pub fn request(&self, row: &Row, directory: &Directory) -> std::result::Result<RowRequest, Vec<RowReason>> {
        let mut reasons = self.faults(row);
        let mut keep = |reason: Box<RowReason>| {
            if !reasons.contains(&reason) {
                reasons.push(*reason);
            }
        };
        self.answer(row).map_err(&mut keep).ok();
        let org = self.org(row).map_err(&mut keep).ok().flatten();
        let user = self.leaver(row, directory).map_err(&mut keep).ok();
        let requested_by = self.requester(row, &org, directory).map_err(&mut keep).ok();
        let mut untimely = Vec::new();
        let mut time = |column, meaning| {
            let at = self.time(row, column, meaning).map_err(&mut keep).ok().flatten()?;
            let text = self.text(row, column).unwrap_or_default();
            untimely.extend(self.clock.check(&at).map(|fault| *of_time(self.columns.name(column), &text, &fault)));
            Some(at)
        };
        let effective_at = time(&Column::EffectiveAt, Meaning::Leaving).map(|at| at.utc);
        let return_at = time(&Column::ReturnAt, Meaning::Returning).map(|at| at.utc);
        let reassign = self.reassign(row, &org, directory, &mut keep);
        let request_id = user.as_ref().and_then(|user| self.request_id(row, user).map_err(&mut keep).ok());
        let reason = Some(self.text(row, &Column::Reason).unwrap_or_default()).filter(|text| !text.is_empty());
        let (Some(user_id), Some(requested_by), Some(request_id), true) =
            (user, requested_by, request_id, reasons.is_empty())
        else {
            return Err(reasons);
        };
        let request = HandoverRequest {
            kind: RequestType::Deactivate,
            request_id,
            org_id: org,
            user_id,
            requested_by,
            reason,
            effective_at,
            return_at,
            lock_out: false,
            bulk: true,
            also: Default::default(),
            reassign,
            expect: None,
            drift: Default::default(),
        };
        let request = self.read_back(request).map_err(|reason| vec![*reason])?;
        Ok(RowRequest { request, untimely })
    }

    /// Checks that the planner can read the request.
    fn read_back(&self, request: HandoverRequest) -> Read<HandoverRequest> {
        let body = Request::Handover(request.clone()).canonical().to_string();
        let read = read_request(body.as_bytes()).and_then(|_| normalize_handover(self.catalog, request));
        read.map_err(|fault| cell(fault.code, &fault.path, &fault.detail, "correct the cell"))
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
            false => Some(OrgId::try_from(written).map_err(|what| bad_id("org_id", &what))?),
        };
        let fits = check_org(self.catalog, org.as_ref());
        fits.map_err(|fault| cell(fault.code, "org_id", &fault.detail, "correct the organization"))?;
        Ok(org)
    }

    fn requester(&self, row: &Row, org: &Option<OrgId>, directory: &Directory) -> Read<UserId> {
        let written = self.cell(row, &Column::RequestedBy)?;
        let written = if written.is_empty() { self.by.clone().unwrap_or_default() } else { written };
        if written.is_empty() {
            let hint = "fill in who asks, or say it for all rows with --by";
            return Err(cell(FileCode::MissingCell, "requested_by", "it is empty", hint));
        }
        self.person(org, "requested_by", &written, directory)
    }

    /// Returns a user, by id or by email address.
    fn person(&self, org: &Option<OrgId>, column: &str, written: &str, directory: &Directory) -> Read<UserId> {
        if !written.contains('@') {
            return self.id(column, written);
        }
        let place = (org.as_ref().map_or(String::new(), OrgId::to_string), written.to_lowercase());
        match directory.get(&place).map(Vec::as_slice) {
            Some([user]) => Ok(user.clone()),
            Some(users) => {
                let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
                let what = format!("{written} is the address of several users: {}", ids.join(", "));
                Err(cell(FileCode::AmbiguousAddress, column, &what, "write the user's id"))
            }
            // A text id may look like an email address.
            None if column != "email" && self.catalog.users.key.family == Family::Text => self.id(column, written),
            None => {
                let what = format!("nobody of the organization has the address {written}");
                Err(cell(FileCode::UnknownAddress, column, &what, "correct the address, or write the user's id"))
            }
        }
    }

    /// Returns an id as the database writes it, so that two spellings are one user.
    fn id(&self, column: &str, written: &str) -> Read<UserId> {
        let mut id = written.to_owned();
        if self.catalog.users.key.family == Family::Uuid
            && let Ok(uuid) = Uuid::parse_str(written)
        {
            id = uuid.to_string();
        }
        UserId::try_from(id).map_err(|what| bad_id(column, &what))
    }

    /// Returns a time of a row, if it names one.
    fn time(&self, row: &Row, column: &Column, meaning: Meaning) -> Read<Option<Moment>> {
        let text = self.cell(row, column)?;
        if text.is_empty() {
            return Ok(None);
        }
        self.clock.read(&text, meaning).map(Some).map_err(|fault| of_time(self.columns.name(column), &text, &fault))
    }

    /// Returns the request id. The same row of the same file always has the same one.
    fn request_id(&self, row: &Row, user: &UserId) -> Read<RequestId> {
        let written = self.cell(row, &Column::RequestId)?;
        let written = match written.is_empty() {
            false => written,
            true => {
                let name = format!("bulk:{}:{}:{user}", self.file_name.len(), self.file_name);
                format!("bulk-{}", Uuid::new_v5(&JOB_NAMESPACE, name.as_bytes()))
            }
        };
        RequestId::try_from(written).map_err(|what| bad_id("request_id", &what))
    }

    fn reassign(
        &self,
        row: &Row,
        org: &Option<OrgId>,
        directory: &Directory,
        keep: &mut impl FnMut(Box<RowReason>),
    ) -> BTreeMap<String, Allotment> {
        let mut reassign = BTreeMap::new();
        let mut allot = |column: &Column| match self.cell(row, column) {
            Ok(written) if written.is_empty() => None,
            Ok(written) => self.allotment(org, self.columns.name(column), &written, directory).map_err(&mut *keep).ok(),
            // Reported with the row's faults.
            Err(_) => None,
        };
        if let Some(everything) = allot(&Column::Successor) {
            let must = |disposition: &Disposition| matches!(disposition, Disposition::Transfer { required: true, .. });
            let kinds = self.catalog.references.iter().filter(|reference| must(&reference.disposition));
            reassign.extend(kinds.map(|reference| (reference.kind.clone(), everything.clone())));
        }
        for (_, column) in self.columns.iter() {
            if let Column::Kind(kind) = column
                && let Some(allotment) = allot(column)
            {
                reassign.insert(kind.clone(), allotment);
            }
        }
        reassign
    }

    /// Reads an allotment: a user, `manager`, or `round_robin: GROUP`.
    fn allotment(&self, org: &Option<OrgId>, column: &str, written: &str, directory: &Directory) -> Read<Allotment> {
        if written.eq_ignore_ascii_case("manager") {
            return Ok(Allotment::Manager);
        }
        if let Some((how, group)) = written.split_once(':')
            && how.trim().to_lowercase().replace([' ', '-'], "_") == "round_robin"
        {
            let to = Recipient::RoundRobin(group.trim().to_owned());
            return Ok(Allotment::Ratio(vec![Share { to, amount: 1 }]));
        }
        self.person(org, column, written, directory).map(Allotment::User)
    }
}

fn cell(code: impl Into<RowCode>, column: &str, what: &str, hint: &str) -> Box<RowReason> {
    Box::new(reason::cell(code, column, what, hint))
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

/// Returns the reason for an invalid id. The message begins with the code, which is removed.
fn bad_id(column: &str, what: &str) -> Box<RowReason> {
    let what = what.trim_start_matches("[invalid_id] ");
    cell(DeadLetterCode::InvalidId, column, what, "correct the cell")
}

/// Returns the reason for a cell whose time the row cannot have.
fn of_time(column: &str, text: &str, fault: &TimeFault) -> Box<RowReason> {
    let code = if *fault == TimeFault::NoZone { FileCode::MissingTimeZone } else { FileCode::InvalidTime };
    cell(code, column, &fault.explain(text), fault.hint())
}
