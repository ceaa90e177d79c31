//! `handover demo --scim`: plays what Okta and Microsoft Entra send when users leave, against a server on the demo's database.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::app::jobs;
use crate::app::scim::connections;
use crate::app::scim::policy::Policy;
use crate::broker::Broker;
use crate::broker::local::LocalBroker;
use crate::cli::process::until_stopped;
use crate::cli::{exit::Exit, jobs as jobs_command, output, serve};
use crate::config::Settings;
use crate::http::Listener;
use crate::scim::{HANDOVER, PATCH_OP};
use crate::stages::Context;
use crate::worker::{self, Role};

/// The catalog whose example the messages are about.
pub const CATALOG: &str = "keap";

/// The time to settle in the demo.
pub const SETTLE: Duration = Duration::from_secs(1);

/// The organization of the example.
const ORG: &str = "1";
/// A user with records, and the one who leaves.
const LEAVER: &str = "53";
/// A user whose successor nobody has named.
const OTHER: &str = "13";

/// The time between two looks at a user.
const POLL: Duration = Duration::from_millis(100);

/// The size of an answer, at most.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Serves the API on a free port of this machine, and plays the messages.
pub async fn run(settings: &Settings, context: Context) -> Result<Exit> {
    let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &[]).await?;
    until_stopped(async |stop| {
        let base = format!("http://{}/scim/v2", listener.address()?);
        let broker: Arc<dyn Broker> = Arc::new(LocalBroker::new(context.store.clone()));
        let serving = serve::start(listener, settings, context.clone(), Some(broker.clone()), stop.clone());
        let stopped = stop.clone().cancelled_owned();
        let worker = tokio::spawn(worker::run(context.clone(), broker, &Role::ALL, settings.worker, stopped));
        let played = tokio::select! {
            played = play(&context, &base) => played,
            () = stop.cancelled() => Ok(()),
        };
        stop.cancel();
        worker.await.context("the demo's worker")??;
        serving.stop().await;
        played.map(|()| Exit::Done)
    })
    .await
}

/// Plays the messages, and prints each with its answer.
async fn play(context: &Context, base: &str) -> Result<()> {
    let okta = Provider::connect(context, base, "okta", "manager").await?;
    let entra = Provider::connect(context, base, "entra", "wait").await?;
    output::lines(format!(
        "Serving SCIM on {base} for two connections: okta with the policy `manager`, entra with `wait`."
    ))?;
    okta_deactivates(context, &okta).await?;
    entra_deactivates(&entra).await?;
    bring_back(&okta, &entra).await?;
    output::lines(
        "\nWhat to try next:\n  handover demo --keep demo.db --serve\n  HANDOVER_CATALOG=keap HANDOVER_DATABASE__URL=sqlite://demo.db handover scim add okta --org 1 --policy manager",
    )
}

/// Okta's calls: a deactivation without a path, and the same again. The records follow when the time to settle has passed.
async fn okta_deactivates(context: &Context, okta: &Provider<'_>) -> Result<()> {
    say("Okta finds user 53 by name, and deactivates them. Access ends before the answer:")?;
    let found = okta.send("GET", &filtered(r#"userName eq "DANA@example.com""#), None, 200).await?;
    ensure!(found["totalResults"] == 1, "the demo's leaver is not found: {found}");
    let body = patch(&json!({ "op": "replace", "value": { "active": false } }));
    let first = okta.send("PATCH", &user(LEAVER), Some(&body), 200).await?;
    say(
        "The records go to the leaver's manager after `scim.settle`, which is a second here and 15 minutes by default:",
    )?;
    let done = okta.wait_for(LEAVER, "completed").await?;
    certificate(context, &done).await?;
    say("Okta sends the same again. It has no further effect:")?;
    let again = okta.send("PATCH", &user(LEAVER), Some(&body), 200).await?;
    ensure!(first[HANDOVER]["jobId"] == again[HANDOVER]["jobId"], "a second job was made: {again}");
    Ok(())
}

/// Entra's calls: its test of the connection, and a deactivation with the value as text.
async fn entra_deactivates(entra: &Provider<'_>) -> Result<()> {
    say("Microsoft Entra tests the connection with a name that nobody has:")?;
    entra.send("GET", &filtered(r#"userName eq "6f1f3c1e-7f0a-4b57-9c11-0e6b7f2a91aa""#), None, 200).await?;
    say("It deactivates user 13. Its policy names nobody, so the records wait for a person:")?;
    let body = patch(&json!({ "op": "Replace", "path": "active", "value": "False" }));
    entra.send("PATCH", &user(OTHER), Some(&body), 200).await?;
    entra.wait_for(OTHER, "needs_attention").await?;
    Ok(())
}

/// A full sync of Okta that lets in nobody whom another connection has locked out, and the return of a user.
async fn bring_back(okta: &Provider<'_>, entra: &Provider<'_>) -> Result<()> {
    say("A full sync of Okta does not let in whom Entra has locked out:")?;
    let active = json!({ "op": "replace", "value": { "active": true } });
    okta.send("PATCH", &user(OTHER), Some(&patch(&active)), 409).await?;
    say("Entra takes its deactivation back, and the job is cancelled:")?;
    let body = patch(&json!({ "op": "Replace", "path": "active", "value": "True" }));
    entra.send("PATCH", &user(OTHER), Some(&body), 200).await?;
    say("Okta assigns user 53 anew: the same user is active again, and the records stay with the manager:")?;
    okta.send("PATCH", &user(LEAVER), Some(&patch(&active)), 200).await.map(drop)
}

fn say(caption: &str) -> Result<()> {
    output::lines(format!("\n{caption}"))
}

fn user(id: &str) -> String {
    format!("/Users/{id}")
}

/// Returns the path of a search, as a provider encodes it.
fn filtered(filter: &str) -> String {
    format!("/Users?{}", form_urlencoded::Serializer::new(String::new()).append_pair("filter", filter).finish())
}

fn patch(operation: &Value) -> Value {
    json!({ "schemas": [PATCH_OP], "Operations": [operation] })
}

/// Prints what went to others by the job that a user's extension names.
async fn certificate(context: &Context, answer: &Value) -> Result<()> {
    let id = answer[HANDOVER]["jobId"].as_str().and_then(|id| id.parse().ok()).context("the job is not named")?;
    let job = jobs::find(&context.store, id).await?.context("the job is not there")?;
    let mut certificate = jobs::certificate(&job)?.context("there is no certificate")?;
    certificate.references.retain(|reference| !reference.successors.is_empty());
    jobs_command::print_references(&certificate.references)
}

/// A provider, with its connection.
struct Provider<'p> {
    name: &'p str,
    base: &'p str,
    authorization: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl<'p> Provider<'p> {
    async fn connect(context: &Context, base: &'p str, name: &'p str, policy: &str) -> Result<Provider<'p>> {
        let org = Some(ORG.to_owned().try_into()?);
        let policy = Policy::of(vec![policy.parse().map_err(|fault| anyhow!("{fault}"))?])
            .map_err(|fault| anyhow!("{fault}"))?;
        let token = connections::add(context, org, name, policy).await?.token;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Provider { name, base, authorization: format!("Bearer {token}"), client })
    }

    /// Sends a message, and prints it and its answer.
    async fn send(&self, method: &str, path: &str, body: Option<&Value>, expected: u16) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        output::lines(format!("  {} > {method} {path} {body}", self.name).trim_end())?;
        let (status, answer) = self.call(method, path, body).await?;
        output::lines(format!("  {} < {status} {}", self.name, brief(&answer)))?;
        ensure!(status == expected, "the demo's message was answered with {status} instead of {expected}: {answer}");
        Ok(answer)
    }

    async fn call(&self, method: &str, path: &str, body: String) -> Result<(u16, Value)> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header(AUTHORIZATION, &self.authorization).header(CONTENT_TYPE, "application/scim+json");
        let answer = self.client.request(request.body(Full::from(body))?).await.context("the demo's server")?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow!("reading the answer: {error}"))?.to_bytes();
        Ok((status, serde_json::from_slice(&body)?))
    }

    /// Waits until the last handover of a user has a state, and prints the answer that says so.
    async fn wait_for(&self, id: &str, state: &str) -> Result<Value> {
        loop {
            let (_, answer) = self.call("GET", &user(id), String::new()).await?;
            if answer[HANDOVER]["state"] == state {
                output::lines(format!("  {} > GET {}", self.name, user(id)))?;
                output::lines(format!("  {} < 200 {}", self.name, brief(&answer)))?;
                return Ok(answer);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Returns what matters of an answer: of a user whether they are active and the handover, of a list the total, of an error its text.
fn brief(answer: &Value) -> String {
    let named = ["detail", "totalResults", "userName", "active", HANDOVER];
    let parts = named.into_iter().filter_map(|name| Some((name, answer.get(name)?)));
    let part = |(name, value): (&str, &Value)| match value.as_str() {
        Some(text) => format!("{name}: {text}"),
        None => format!("{}: {value}", name.rsplit(':').nth(2).unwrap_or(name)),
    };
    parts.map(part).collect::<Vec<_>>().join(", ")
}
