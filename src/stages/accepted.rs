//! A request that could be read, with all that is derived from its body.

use serde_json::Value;

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, InvalidRequest, Request, hash_of, read_request};
use crate::plan::normalize;

/// A request, and its canonical form and hash, computed once.
#[derive(Debug, Clone)]
pub struct Accepted<R> {
    /// The request.
    pub request: R,
    /// The request in its canonical form.
    pub canonical: Value,
    /// The hash of the canonical form.
    pub body_hash: String,
}

/// Reads a message body as a request, and brings it into the catalog's form.
pub fn read(catalog: &Catalog, body: &[u8]) -> Result<Accepted<Request>, InvalidRequest> {
    let request = normalize(catalog, read_request(body)?)?;
    let canonical = request.canonical();
    let body_hash = hash_of(&canonical);
    Ok(Accepted { request, canonical, body_hash })
}

impl Accepted<Request> {
    /// Separates requests to hand over, which the planner takes in groups, from all others.
    pub fn into_handover(self) -> Result<Accepted<HandoverRequest>, Accepted<Request>> {
        let Accepted { request, canonical, body_hash } = self;
        match request {
            Request::Handover(request) => Ok(Accepted { request, canonical, body_hash }),
            request @ (Request::User(_) | Request::Invite(_) | Request::Job(_)) => {
                Err(Accepted { request, canonical, body_hash })
            }
        }
    }
}
