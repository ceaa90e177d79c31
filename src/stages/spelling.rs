//! Writes the users of a request as the database does, where it accepts several spellings of an id. So two spellings are one
//! user, and the same request.

use std::collections::HashMap;

use crate::catalog::{Catalog, Spelling};
use crate::contract::{Principal, Request, UserId};
use crate::plan::normalize_user;
use crate::retry::RetryPolicy;
use crate::stages::accepted::Accepted;
use crate::stages::context::Context;
use crate::stages::retry::at_once;
use crate::store::{Error, Result, host};

/// Writes the users of an accepted request as the database does.
pub async fn respell_accepted(
    context: &Context,
    catalog: &Catalog,
    accepted: Accepted<Request>,
) -> Result<Accepted<Request>> {
    match catalog.users.spelling {
        Spelling::One => Ok(accepted),
        Spelling::AnyCase | Spelling::Uuid | Spelling::LeadingZeros => {
            Ok(Accepted::of(respell(context, catalog, accepted.request).await?))
        }
    }
}

/// Writes the user of a principal as the database does. A service stays as it is, and a user who does not exist.
pub async fn respell_principal(context: &Context, catalog: &Catalog, principal: Principal) -> Result<Principal> {
    let Principal::Person { org, user } = &principal else { return Ok(principal) };
    let mut user = user.clone();
    // An id that cannot be one of the host's names nobody.
    if catalog.users.spelling == Spelling::One || normalize_user(&catalog.users.key, &mut user, "user").is_err() {
        return Ok(principal);
    }
    let stored = look_up(context, catalog, org, &[user.to_string()]).await?.remove(user.as_str());
    let user = stored.and_then(|id| UserId::try_from(id).ok()).unwrap_or(user);
    Ok(Principal::Person { org: org.clone(), user })
}

/// Writes the users of a request as the database does. Users who do not exist stay as they are.
pub async fn respell(context: &Context, catalog: &Catalog, mut request: Request) -> Result<Request> {
    if catalog.users.spelling == Spelling::One {
        return Ok(request);
    }
    let org = request.header().org().to_owned();
    let ids: Vec<String> =
        request.users_mut().into_iter().filter(|user| user.service().is_none()).map(|user| user.to_string()).collect();
    let stored = look_up(context, catalog, &org, &ids).await?;
    for user in request.users_mut() {
        if let Some(id) = stored.get(user.as_str()) {
            *user = UserId::try_from(id.clone())
                .map_err(|what| Error::unexpected("reading a user's id", what.to_string()))?;
        }
    }
    Ok(request)
}

async fn look_up(context: &Context, catalog: &Catalog, org: &str, ids: &[String]) -> Result<HashMap<String, String>> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let retries = RetryPolicy::RECONNECT.start("looking up the users of a request");
    at_once(retries, || async {
        let session = context.store.snapshot().await?;
        host::enter(&session, catalog, org).await?;
        host::stored_ids(&session, &catalog.within(org), &ids).await
    })
    .await
}
