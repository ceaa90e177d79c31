//! The users whom a request concerns.

use std::time::{Duration, Instant};

use crate::catalog::Catalog;
use crate::contract::HandoverRequest;
use crate::plan::group::Parties;
use crate::retry::RetryPolicy;
use crate::stages::context::Context;
use crate::stages::handover::evaluate::parties;
use crate::stages::retry::at_once;
use crate::store::{Error, Result, host};

const DOING: &str = "looking up the users of requests";

/// After this time, requests are not looked up one by one any more. Those that are left are tried again later.
const ONE_BY_ONE_FOR: Duration = Duration::from_secs(10);

/// Returns the users whom requests concern, read outside of any transaction, in the requests' order.
///
/// The requests are looked up together, and one by one if that fails or if the host shows a transaction only one organization.
/// A failure is the result of its request alone.
pub async fn lookup_parties(
    context: &Context,
    catalog: &Catalog,
    requests: &[&HandoverRequest],
) -> Vec<Result<Parties>> {
    if !catalog.is_org_isolated() {
        match lookup_together(context, catalog, requests).await {
            Ok(parties) => return parties.into_iter().map(Ok).collect(),
            Err(error) => tracing::warn!(%error, "looking up the users of requests one by one"),
        }
    }
    let mut found = Vec::with_capacity(requests.len());
    let began = Instant::now();
    for request in requests {
        let parties = match began.elapsed() < ONE_BY_ONE_FOR {
            true => lookup_together(context, catalog, &[request]).await,
            false => Err(Error::contention(DOING, "earlier requests took too long")),
        };
        found.push(parties.map(|mut parties| parties.pop().unwrap_or_default()));
    }
    found
}

async fn lookup_together(context: &Context, catalog: &Catalog, requests: &[&HandoverRequest]) -> Result<Vec<Parties>> {
    let retries = RetryPolicy::RECONNECT.start(DOING);
    at_once(retries, || async {
        match requests {
            [request, ..] if catalog.is_org_isolated() => {
                let session = context.store.snapshot().await?;
                host::enter(&session, catalog, request.org()).await?;
                parties(&session, &catalog.within(request.org()), requests).await
            }
            _ => parties(&context.store.reader(), catalog, requests).await,
        }
    })
    .await
}
