//! `handover demo --serve` and `--console`: serves the demo's database over HTTP, and prints the calls that deactivate the leaver, or a
//! link to the web console.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio_util::sync::CancellationToken;

use super::scenario::CaptionedRequest;
use crate::app::sign_in;
use crate::app::tokens::{self, NewToken, Owner};
use crate::broker::Broker;
use crate::broker::local::LocalBroker;
use crate::cli::process::until_stopped;
use crate::cli::{exit::Exit, output, serve};
use crate::config::Settings;
use crate::contract::{HandoverRequest, Request, TokenScope};
use crate::http::Listener;
use crate::stages::Context;
use crate::worker::{self, Role};

/// The first step that the demo prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStep {
    /// The calls of the API that deactivate the leaver.
    Calls,
    /// A link that signs in to the web console.
    Link,
}

/// Binds the address of the API. It is done first: a taken port must not leave a database behind.
pub async fn bind(settings: &Settings) -> Result<Listener> {
    serve::bind(settings, Some(&settings.worker)).await?.context("`api.listen` is empty: there is nothing to serve")
}

/// Serves the API with a worker until a signal stops both.
pub async fn run(
    listener: Listener,
    settings: &Settings,
    context: Context,
    example: &CaptionedRequest,
    first: FirstStep,
) -> Result<Exit> {
    until_stopped(async |stop| {
        let scheme = if settings.api.tls().is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", listener.address()?);
        match first {
            FirstStep::Calls => print_calls(&base, &token(&context, &example.request).await?, example)?,
            FirstStep::Link => print_link(settings, listener.address()?, &context, example).await?,
        }
        let broker: Arc<dyn Broker> = Arc::new(LocalBroker::new(context.store.clone()));
        let serving = serve::start(listener, settings, context.clone(), Some(broker.clone()), stop.clone());
        work(settings, context, broker, stop).await?;
        serving.stop().await;
        Ok(Exit::Done)
    })
    .await
}

async fn work(settings: &Settings, context: Context, broker: Arc<dyn Broker>, stop: CancellationToken) -> Result<()> {
    worker::run(context, broker, &Role::ALL, settings.worker, stop.cancelled_owned()).await
}

/// Creates a token for the person who asks in the example.
async fn token(context: &Context, request: &HandoverRequest) -> Result<String> {
    let owner = Owner::Person { org: request.org_id.clone(), user: request.requested_by.clone() };
    let scopes = BTreeSet::from([TokenScope::JobsRead, TokenScope::JobsWrite, TokenScope::UsersRead]);
    Ok(tokens::create(context, NewToken { owner, scopes, valid_for: None }).await?.token)
}

fn print_calls(base: &str, token: &str, example: &CaptionedRequest) -> Result<()> {
    let mut body = Request::Handover(example.request.clone()).canonical();
    if let Some(fields) = body.as_object_mut() {
        // The token states who asks and in which organization, and the path states the id.
        fields.retain(|name, _| !["requested_by", "org_id", "request_id"].contains(&name.as_str()));
    }
    // Within single quotes a shell changes nothing but a single quote.
    let body = body.to_string().replace('\'', r"\u0027");
    let (id, job) = (&example.request.request_id, example.request.job_id());
    let authorization = format!("-H 'Authorization: Bearer {token}'");
    output::lines(format!("Serving the HTTP API on {base}. Ctrl-C stops it.\n\n{}", example.caption))?;
    output::lines(format!(
        "  curl -X PUT {base}/v1/requests/{id} {authorization} -H 'Content-Type: application/json' -d '{body}'"
    ))?;
    output::lines("\nWatch the progress to its end:")?;
    output::lines(format!("  curl -N {base}/v1/jobs/{job}/events {authorization} -H 'Accept: text/event-stream'"))?;
    output::lines(format!("\nThe certificate is at {base}/v1/jobs/{job}/certificate."))
}

async fn print_link(
    settings: &Settings,
    address: SocketAddr,
    context: &Context,
    example: &CaptionedRequest,
) -> Result<()> {
    let public =
        settings.api.public_url_at(Some(address)).context("set `api.public_url` to the URL that browsers use")?;
    let request = &example.request;
    let link = sign_in::create_link(context, request.org_id.as_ref(), &request.requested_by).await?;
    output::lines(format!("Serving the web console on {}. Ctrl-C stops it.\n\n{}", public.origin, example.caption))?;
    output::lines("\nOpen this link within five minutes. It works once:")?;
    output::lines(format!("  {}/login/{link}", public.origin))?;
    let leaver = &request.user_id;
    output::lines(format!("\nThen open {}/users/{leaver} and press Deactivate.", public.origin))
}
