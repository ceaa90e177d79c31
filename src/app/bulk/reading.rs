//! A row as it is understood, and the request that it makes.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::columns::Columns;
use super::directory::Directory;
use super::named_users::bad_id;
use super::outcome::Understood;
use super::reason::{Read, RowReason, cell};
use super::times::Moment;
use super::wording::Wording;
use crate::catalog::Catalog;
use crate::contract::{
    Allotment, Fault, HandoverRequest, InvalidRequest, JOB_NAMESPACE, OrgId, Request, RequestId, RequestType, UserId,
    read_request,
};
use crate::plan::normalize_handover;

/// A row, as far as it can be understood.
#[derive(Debug, Default)]
pub struct Reading {
    /// The organization, if the host has any.
    pub org: Option<OrgId>,
    /// The leaver. Several users if all of them have left and have the address that the row names.
    pub leavers: Vec<UserId>,
    /// The requester.
    pub requested_by: Option<UserId>,
    /// The cause.
    pub reason: Option<String>,
    /// The start; at once if there is none.
    pub starts: Option<Moment>,
    /// The return.
    pub returns: Option<Moment>,
    /// The allotment of each kind.
    pub reassign: BTreeMap<String, Allotment>,
    /// The kinds whose allotment is in the column `successor`.
    pub from_successor: BTreeSet<String>,
    /// The row's own request id.
    pub request_id: Option<RequestId>,
    /// The reasons why the row makes no request.
    pub faults: Vec<RowReason>,
    /// The reasons why it makes no new request. They do not concern a request that was sent before: its time may be past by now,
    /// and its user inactive.
    pub if_new: Vec<RowReason>,
}

impl Reading {
    /// Keeps what was read, or the reason why it cannot be read.
    pub fn keep<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|reason| {
            if !self.faults.contains(&reason) {
                self.faults.push(*reason);
            }
        })
        .ok()
    }

    /// Returns the requests of the row, as the planner would read them: one for each user who may be the leaver.
    pub fn requests(&self, catalog: &Catalog, columns: &Columns) -> Result<Vec<HandoverRequest>, Vec<RowReason>> {
        let Some(requested_by) = &self.requested_by else { return Ok(Vec::new()) };
        let request = |user_id: &UserId| {
            let read = read_back(catalog, self.request(user_id, requested_by));
            let mut request = read.map_err(|invalid| self.of_columns(columns, &invalid))?;
            if self.request_id.is_none() {
                request.request_id = content_id(&request).map_err(|reason| vec![*reason])?;
            }
            Ok(request)
        };
        self.leavers.iter().map(request).collect()
    }

    /// Says the faults of a request in the words of the row's file. A fault of several kinds in one cell is one reason.
    fn of_columns(&self, columns: &Columns, invalid: &InvalidRequest) -> Vec<RowReason> {
        let reason = |Fault { code, path, detail, hint }: &Fault| {
            *cell(*code, &self.wording(columns).column(path), detail, hint)
        };
        let mut reasons: Vec<RowReason> = invalid.faults().map(reason).collect();
        reasons.dedup();
        reasons
    }

    /// Returns the words of the row's file.
    pub fn wording<'w>(&'w self, columns: &'w Columns) -> Wording<'w> {
        Wording { columns, from_successor: &self.from_successor }
    }

    /// Returns what a report says of the row. `user`: the leaver, if one is known.
    pub fn understood(&self, directory: &Directory, text: String, user: Option<&UserId>) -> Understood {
        let org = self.org.as_ref().map_or("", OrgId::as_str);
        let person = user.and_then(|user| directory.person(org, user));
        let written = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Understood {
            user: user.map_or(text, UserId::to_string),
            name: person.and_then(|person| written(&person.name)),
            email: person.and_then(|person| written(&person.email)),
            kind: Some(RequestType::Deactivate),
            starts: self.starts.as_ref().map(Moment::to_string),
            returns: self.returns.as_ref().map(Moment::to_string),
            successors: self.successors(directory),
        }
    }

    /// Says who receives what: first the user of the column `successor`, then those of kinds.
    fn successors(&self, directory: &Directory) -> Vec<String> {
        let org = self.org.as_ref().map_or("", OrgId::as_str);
        let everything = self.from_successor.first().and_then(|kind| self.reassign.get(kind));
        let everything = everything.map(|allotment| recipients(allotment, org, directory));
        let of_kinds = self.reassign.iter().filter(|(kind, _)| !self.from_successor.contains(*kind));
        let of_kinds = of_kinds.map(|(kind, allotment)| format!("{kind}: {}", recipients(allotment, org, directory)));
        everything.into_iter().chain(of_kinds).collect()
    }

    fn request(&self, user_id: &UserId, requested_by: &UserId) -> HandoverRequest {
        HandoverRequest {
            kind: RequestType::Deactivate,
            request_id: self.request_id.clone().unwrap_or_else(unidentified),
            org_id: self.org.clone(),
            user_id: user_id.clone(),
            requested_by: requested_by.clone(),
            reason: self.reason.clone(),
            effective_at: self.starts.as_ref().map(|at| at.utc),
            return_at: self.returns.as_ref().map(|at| at.utc),
            lock_out: false,
            bulk: true,
            also: BTreeSet::new(),
            reassign: self.reassign.clone(),
            expect: None,
            drift: Default::default(),
        }
    }
}

/// Checks that the planner can read the request.
fn read_back(catalog: &Catalog, request: HandoverRequest) -> Result<HandoverRequest, InvalidRequest> {
    let body = Request::Handover(request.clone()).canonical().to_string();
    read_request(body.as_bytes()).and_then(|_| normalize_handover(catalog, request))
}

/// Says who receives by an allotment.
fn recipients(allotment: &Allotment, org: &str, directory: &Directory) -> String {
    let named = |user: &UserId| match directory.person(org, user).filter(|person| !person.name.is_empty()) {
        Some(person) => format!("{user} ({})", person.name),
        None => user.to_string(),
    };
    match allotment {
        Allotment::Manager => "manager".to_owned(),
        Allotment::Ratio(_) | Allotment::Hardcoded(..) | Allotment::User(_) | Allotment::Each(..) => {
            let groups = allotment.groups().into_iter().map(|group| format!("round_robin: {group}"));
            allotment.users().into_iter().map(named).chain(groups).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Returns the request id of a request that has none yet.
fn unidentified() -> RequestId {
    RequestId::try_from("row".to_owned()).expect("a valid id")
}

/// Returns a request id that is derived from everything that the request says. So the same row is the same request, in whatever
/// file, and a changed row is another one.
fn content_id(request: &HandoverRequest) -> Read<RequestId> {
    let mut content = Request::Handover(request.clone()).canonical();
    content.as_object_mut().and_then(|fields| fields.remove("request_id"));
    let id = Uuid::new_v5(&JOB_NAMESPACE, format!("bulk:{content}").as_bytes());
    RequestId::try_from(format!("bulk-{id}")).map_err(|what| bad_id("request_id", &what))
}
