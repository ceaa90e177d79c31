//! Normalizes a request against the catalog: finds what is invalid only there, and brings ids into one form.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::catalog::{Catalog, Column, Family, Reference};
use crate::contract::{Allotment, DeadLetterCode, HandoverRequest, InvalidRequest, OrgId, Request, UserId};

/// Checks ids and kinds against the catalog, and brings ids into the form that the database writes. So two spellings of an id
/// are one user.
pub fn normalize(catalog: &Catalog, request: Request) -> Result<Request, InvalidRequest> {
    check_org(catalog, request.header().org_id)?;
    let key = &catalog.users.key;
    Ok(match request {
        Request::Handover(request) => Request::Handover(normalize_handover(catalog, request)?),
        Request::User(mut request) => {
            normalize_user(key, &mut request.user_id, || "user_id".into())?;
            normalize_user(key, &mut request.requested_by, || "requested_by".into())?;
            Request::User(request)
        }
        Request::Invite(mut request) => {
            normalize_user(key, &mut request.requested_by, || "requested_by".into())?;
            Request::Invite(request)
        }
        Request::Job(mut request) => {
            normalize_user(key, &mut request.requested_by, || "requested_by".into())?;
            normalize_reassign(catalog, &mut request.reassign)?;
            Request::Job(request)
        }
    })
}

/// Normalizes a request to hand over, as [`normalize`] does.
pub fn normalize_handover(catalog: &Catalog, mut request: HandoverRequest) -> Result<HandoverRequest, InvalidRequest> {
    check_org(catalog, request.org_id.as_ref())?;
    let key = &catalog.users.key;
    normalize_user(key, &mut request.user_id, || "user_id".into())?;
    normalize_user(key, &mut request.requested_by, || "requested_by".into())?;
    normalize_reassign(catalog, &mut request.reassign)?;
    normalize_also(catalog, &request)?;
    Ok(request)
}

/// Checks an organization against the catalog.
pub fn check_org(catalog: &Catalog, org: Option<&OrgId>) -> Result<(), InvalidRequest> {
    match (&catalog.users.org, org) {
        (Some(_), None) => Err(InvalidRequest::new(
            DeadLetterCode::MissingField,
            "org_id",
            "it is required, because the catalog has organizations",
        )),
        (None, Some(_)) => Err(InvalidRequest::new(
            DeadLetterCode::UnknownField,
            "org_id",
            "the catalog has no organizations: remove the field",
        )),
        (Some(column), Some(org)) => check_shape(column, org.as_str(), "org_id"),
        (None, None) => Ok(()),
    }
}

fn normalize_reassign(catalog: &Catalog, reassign: &mut BTreeMap<String, Allotment>) -> Result<(), InvalidRequest> {
    for (kind, allotment) in reassign {
        let path = format!("reassign.{kind}");
        let reference = allotted(catalog, kind, &path)?;
        normalize_allotment(catalog, reference, allotment, &path)?;
    }
    Ok(())
}

/// Checks the request's `also`: each name must be one that a reference of the catalog has.
fn normalize_also(catalog: &Catalog, request: &HandoverRequest) -> Result<(), InvalidRequest> {
    let known: BTreeSet<&str> =
        catalog.references.iter().filter_map(|reference| reference.when.also.as_deref()).collect();
    match request.also.iter().position(|asked| !known.contains(asked.as_str())) {
        None => Ok(()),
        Some(index) => {
            let known: Vec<&str> = known.into_iter().collect();
            let detail = format!("the catalog has no such `also`; it has: {}", known.join(", "));
            Err(InvalidRequest::new(DeadLetterCode::UnknownKind, format!("also[{index}]"), detail))
        }
    }
}

fn allotted<'c>(catalog: &'c Catalog, kind: &str, path: &str) -> Result<&'c Reference, InvalidRequest> {
    let reference = catalog.reference(kind).filter(|reference| reference.disposition.is_allotted());
    reference.ok_or_else(|| {
        let kinds = catalog.references.iter().filter(|reference| reference.disposition.is_allotted());
        let kinds: Vec<&str> = kinds.map(|reference| reference.kind.as_str()).collect();
        let detail = format!("the catalog transfers no kind `{kind}`; it has: {}", kinds.join(", "));
        InvalidRequest::new(DeadLetterCode::UnknownKind, path, detail)
    })
}

fn normalize_allotment(
    catalog: &Catalog,
    reference: &Reference,
    allotment: &mut Allotment,
    path: &str,
) -> Result<(), InvalidRequest> {
    let key = &catalog.users.key;
    if !allotment.groups().is_empty() && catalog.groups.is_none() {
        return Err(InvalidRequest::new(
            DeadLetterCode::InvalidField,
            path,
            "the catalog has no [groups], so `round_robin` is not available",
        ));
    }
    match allotment {
        Allotment::Ratio(shares) | Allotment::Hardcoded(shares, _) => {
            for (index, share) in shares.iter_mut().enumerate() {
                if let crate::contract::Recipient::User(user) = &mut share.to {
                    normalize_user(key, user, || format!("{path}.shares[{index}].user"))?;
                }
            }
            Ok(())
        }
        Allotment::User(user) => normalize_user(key, user, || format!("{path}.user")),
        Allotment::Manager if catalog.users.manager.is_none() => Err(InvalidRequest::new(
            DeadLetterCode::InvalidField,
            path,
            "the catalog's [users] names no `manager` column",
        )),
        Allotment::Manager => Ok(()),
        Allotment::Each(each, rest) => {
            let ([record_key], false) = (reference.key.as_slice(), reference.keyless) else {
                let detail = "`each` needs a kind whose records have a key of one column";
                return Err(InvalidRequest::new(DeadLetterCode::InvalidField, format!("{path}.each"), detail));
            };
            for (record, user) in each.iter_mut() {
                check_shape(record_key, record, &format!("{path}.each.{record}"))?;
                normalize_user(key, user, || format!("{path}.each.{record}"))?;
            }
            match rest {
                Some(rest) => normalize_allotment(catalog, reference, rest, &format!("{path}.rest")),
                None => Ok(()),
            }
        }
    }
}

/// Brings a user's id into the form that the database writes. `path` names the place of a faulty id.
pub fn normalize_user(key: &Column, user: &mut UserId, path: impl Fn() -> String) -> Result<(), InvalidRequest> {
    check_shape(key, user.as_str(), &path())?;
    if key.family == Family::Uuid
        && let Ok(uuid) = Uuid::parse_str(user.as_str())
        && let Ok(id) = UserId::try_from(uuid.to_string())
    {
        *user = id;
    }
    Ok(())
}

fn check_shape(column: &Column, text: &str, path: &str) -> Result<(), InvalidRequest> {
    let (fits, wants) = match column.family {
        Family::Integer { bits } => (is_whole(text, bits), format!("a whole number of {bits} bits")),
        Family::Uuid => (Uuid::parse_str(text).is_ok(), "a UUID".to_owned()),
        Family::Number | Family::Boolean | Family::Text | Family::Time | Family::Other | Family::Opaque => {
            return Ok(());
        }
    };
    match fits {
        true => Ok(()),
        false => Err(InvalidRequest::new(
            DeadLetterCode::InvalidId,
            path,
            format!("`{}` holds {wants}, written as text; {text:?} is not one", column.name),
        )),
    }
}

/// True if the text is a number as the database writes it, and fits into so many bits, including the sign.
fn is_whole(text: &str, bits: u32) -> bool {
    let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    number.is_some_and(|number| matches!(number >> (bits - 1), 0 | -1))
}
