//! Normalizes a request against the catalog: finds what is invalid only there, and brings ids into one form.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::catalog::{Catalog, Column, Family, Reference};
use crate::contract::{
    Allotment, DeadLetterCode, Fault, Faults, HandoverRequest, InvalidRequest, OrgId, Recipient, Request, UserId,
    most_similar,
};

/// Checks ids and kinds against the catalog, and brings ids into the form that the database writes. So two spellings of an id
/// are one user. Reports every fault.
pub fn normalize(catalog: &Catalog, request: Request) -> Result<Request, InvalidRequest> {
    let mut check = Check { catalog, faults: Faults::default() };
    check.org(request.header().org_id);
    let request = match request {
        Request::Handover(mut request) => {
            check.handover(&mut request);
            Request::Handover(request)
        }
        Request::User(mut request) => {
            check.user(&mut request.user_id, "user_id");
            check.requester(&mut request.requested_by);
            Request::User(request)
        }
        Request::Invite(mut request) => {
            check.requester(&mut request.requested_by);
            Request::Invite(request)
        }
        Request::Job(mut request) => {
            check.requester(&mut request.requested_by);
            check.reassign(&mut request.reassign);
            Request::Job(request)
        }
    };
    check.faults.finish(Some(request))
}

/// Normalizes a request to hand over, as [`normalize`] does.
pub fn normalize_handover(catalog: &Catalog, mut request: HandoverRequest) -> Result<HandoverRequest, InvalidRequest> {
    let mut check = Check { catalog, faults: Faults::default() };
    check.org(request.org_id.as_ref());
    check.handover(&mut request);
    check.faults.finish(Some(request))
}

/// Checks an organization against the catalog.
pub fn check_org(catalog: &Catalog, org: Option<&OrgId>) -> Result<(), Fault> {
    match (&catalog.users.org, org) {
        (Some(_), None) => {
            let detail = "the catalog has organizations, and the request names none";
            Err(Fault::new(DeadLetterCode::MissingField, "org_id", detail, "add it, such as \"org_id\": \"1\""))
        }
        (None, Some(_)) => {
            let detail = "the catalog has no organizations";
            Err(Fault::new(DeadLetterCode::UnknownField, "org_id", detail, "remove the field"))
        }
        (Some(column), Some(org)) => check_shape(column, org.as_str(), "org_id"),
        (None, None) => Ok(()),
    }
}

/// Checks a request and collects its faults.
struct Check<'c> {
    catalog: &'c Catalog,
    faults: Faults,
}

impl Check<'_> {
    fn org(&mut self, org: Option<&OrgId>) {
        self.keep(check_org(self.catalog, org));
    }

    fn handover(&mut self, request: &mut HandoverRequest) {
        self.user(&mut request.user_id, "user_id");
        self.requester(&mut request.requested_by);
        self.reassign(&mut request.reassign);
        self.also(&request.also);
    }

    /// Checks the request's `also`: each name must be one that a reference of the catalog has.
    fn also(&mut self, also: &BTreeSet<String>) {
        let known = self.catalog.references.iter().filter_map(|reference| reference.when.also.as_deref());
        let known: BTreeSet<&str> = known.collect();
        for (index, asked) in also.iter().enumerate().filter(|(_, asked)| !known.contains(asked.as_str())) {
            let detail = format!("the catalog has no `also` named `{asked}`");
            let hint = similar_or_all(asked, known.iter().copied().collect());
            self.faults.add::<()>(DeadLetterCode::UnknownKind, format!("also[{index}]"), detail, hint);
        }
    }

    fn reassign(&mut self, reassign: &mut BTreeMap<String, Allotment>) {
        let allotted = self.catalog.references.iter().filter(|reference| reference.disposition.is_allotted());
        let allotted: BTreeMap<&str, &Reference> =
            allotted.map(|reference| (reference.kind.as_str(), reference)).collect();
        for (kind, allotment) in reassign {
            let path = format!("reassign.{kind}");
            match allotted.get(kind.as_str()) {
                Some(reference) => self.allotment(reference, allotment, &path),
                None => {
                    let detail = format!("the catalog transfers no kind `{kind}`");
                    let hint = similar_or_all(kind, allotted.keys().copied().collect());
                    self.faults.add::<()>(DeadLetterCode::UnknownKind, path, detail, hint);
                }
            }
        }
    }

    fn allotment(&mut self, reference: &Reference, allotment: &mut Allotment, path: &str) {
        if !allotment.groups().is_empty() && self.catalog.groups.is_none() {
            let detail = "the catalog has no [groups], so `round_robin` is not available";
            self.faults.add::<()>(DeadLetterCode::InvalidField, path, detail, "name users");
        }
        match allotment {
            Allotment::Ratio(shares) | Allotment::Hardcoded(shares, _) => {
                for (index, share) in shares.iter_mut().enumerate() {
                    if let Recipient::User(user) = &mut share.to {
                        self.user(user, &format!("{path}.shares[{index}].user"));
                    }
                }
            }
            Allotment::User(user) => self.user(user, &format!("{path}.user")),
            Allotment::Manager if self.catalog.users.manager.is_none() => {
                let detail = "the catalog's [users] names no `manager` column";
                self.faults.add::<()>(DeadLetterCode::InvalidField, path, detail, "name a user");
            }
            Allotment::Manager => {}
            Allotment::Each(each, rest) => {
                self.each(reference, each, &format!("{path}.each"));
                if let Some(rest) = rest {
                    self.allotment(reference, rest, &format!("{path}.rest"));
                }
            }
        }
    }

    fn each(&mut self, reference: &Reference, each: &mut BTreeMap<String, UserId>, path: &str) {
        let ([record_key], false) = (reference.key.as_slice(), reference.keyless) else {
            let detail = "`each` needs a kind whose records have a key of one column";
            self.faults.add::<()>(DeadLetterCode::InvalidField, path, detail, "allot this kind in another way");
            return;
        };
        for (record, user) in each {
            let path = format!("{path}.{record}");
            self.keep(check_shape(record_key, record, &path));
            self.user(user, &path);
        }
    }

    /// Checks who asks. A service has a name of its own.
    fn requester(&mut self, requester: &mut UserId) {
        if requester.service().is_none() {
            self.user(requester, "requested_by");
        }
    }

    fn user(&mut self, user: &mut UserId, path: &str) {
        let normalized = normalize_user(&self.catalog.users.key, user, path);
        self.keep(normalized);
    }

    fn keep(&mut self, checked: Result<(), Fault>) {
        if let Err(Fault { code, path, detail, hint }) = checked {
            self.faults.add::<()>(code, path, detail, hint);
        }
    }
}

/// Brings a user's id into the form that the database writes. `path`: the place of a faulty id.
pub fn normalize_user(key: &Column, user: &mut UserId, path: &str) -> Result<(), Fault> {
    check_shape(key, user.as_str(), path)?;
    if key.family == Family::Uuid
        && let Ok(uuid) = Uuid::parse_str(user.as_str())
        && let Ok(id) = UserId::try_from(uuid.to_string())
    {
        *user = id;
    }
    Ok(())
}

fn similar_or_all(written: &str, known: Vec<&str>) -> String {
    match most_similar(written, known.iter().copied()) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("use one of: {}", known.join(", ")),
    }
}

/// Checks that an id can be one of a column.
fn check_shape(column: &Column, text: &str, path: &str) -> Result<(), Fault> {
    let (fits, wants) = match column.family {
        Family::Integer { bits } => (is_whole(text, bits), format!("whole numbers of {bits} bits")),
        Family::Uuid => (Uuid::parse_str(text).is_ok(), "UUIDs".to_owned()),
        Family::Text => (text.trim() == text, "text, without white space around it".to_owned()),
        Family::Number => (text.parse::<f64>().is_ok_and(f64::is_finite), "numbers".to_owned()),
        Family::Boolean | Family::Time | Family::Any | Family::Other | Family::Opaque => return Ok(()),
    };
    if fits {
        return Ok(());
    }
    let detail = format!("{text:?} is not an id: the column `{}` holds {wants}", column.name);
    Err(Fault::new(DeadLetterCode::InvalidId, path, detail, hint_for_shape(column.family, text)))
}

/// Returns how to write an id that does not have its column's shape.
fn hint_for_shape(family: Family, text: &str) -> String {
    let trimmed = text.trim();
    let number = trimmed.trim_start_matches('+').trim_end_matches(".0");
    let is_integer = matches!(family, Family::Integer { .. });
    match number.parse::<i64>() {
        Ok(number) if is_integer && number.to_string() != text => format!("write \"{number}\""),
        _ if trimmed != text => format!("write {trimmed:?}, without white space"),
        _ if text.contains('@') => "write the user's id, not an address; `handover users` lists both".to_owned(),
        Ok(_) if is_integer => "check the id: the column cannot hold so large a number".to_owned(),
        Ok(_) | Err(_) => "write the id as it is in the database; `handover users` lists those of users".to_owned(),
    }
}

/// True if the text is a number as the database writes it, and fits into so many bits, including the sign.
fn is_whole(text: &str, bits: u32) -> bool {
    let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    number.is_some_and(|number| matches!(number >> (bits - 1), 0 | -1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_tells_how_to_write_an_id() {
        let integer = Family::Integer { bits: 32 };
        for (text, hint) in [
            ("053", "write \"53\""),
            ("+53", "write \"53\""),
            ("53.0", "write \"53\""),
            (" 53\u{a0}", "write \"53\""),
            ("-0", "write \"0\""),
            ("zoe@example.com", "not an address"),
            ("2147483648", "so large a number"),
            ("abc", "as it is in the database"),
        ] {
            assert!(!is_whole(text, 32), "{text}");
            assert!(hint_for_shape(integer, text).contains(hint), "{text}: {}", hint_for_shape(integer, text));
        }
    }
}
