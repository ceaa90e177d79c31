//! A request that could be read, with all that is derived from its body.

use serde_json::Value;

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, InvalidRequest, Request, check_routing_key, hash_of, read_request_with};
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

/// Reads a message as a request, and brings it into the catalog's form. `stated`: the fields that its principal states, unless the
/// body does.
pub fn read(
    catalog: &Catalog,
    routing_key: &str,
    body: &[u8],
    stated: &[(&str, &str)],
) -> Result<Accepted<Request>, InvalidRequest> {
    let request = read_request_with(body, stated)?;
    check_routing_key(routing_key, request.header().kind)?;
    Ok(Accepted::of(normalize(catalog, request)?))
}

/// An accepted request, by the stage that takes it.
pub enum ByStage {
    /// A request to hand over: the planner takes it in a group.
    Planner(Accepted<HandoverRequest>),
    /// Any other request: the commands take it alone.
    Command(Accepted<Request>),
}

impl Accepted<Request> {
    /// Computes the canonical form and the hash of a request.
    pub fn of(request: Request) -> Self {
        let canonical = request.canonical();
        let body_hash = hash_of(&canonical);
        Accepted { request, canonical, body_hash }
    }

    /// Returns the request for the stage that takes it.
    pub fn by_stage(self) -> ByStage {
        let Accepted { request, canonical, body_hash } = self;
        match request {
            Request::Handover(request) => ByStage::Planner(Accepted { request, canonical, body_hash }),
            request @ (Request::User(_) | Request::Invite(_) | Request::Job(_)) => {
                ByStage::Command(Accepted { request, canonical, body_hash })
            }
        }
    }
}
