//! `handover health`: checks whether a worker is ready, for container images without an HTTP client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::exit::Exit;
use super::output;
use crate::config::Settings;

/// The time limit for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The size of an answer, at most.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The worker's address. Default: `http.listen` in the settings.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Check only whether the process is alive, not whether it is ready.
    #[arg(long)]
    live: bool,
}

pub async fn run(arguments: Arguments, settings: &Settings) -> Result<Exit> {
    let path = if arguments.live { "livez" } else { "readyz" };
    let listen = arguments.listen.or(settings.http.listen);
    let listen = listen.context("`http.listen` is empty: the worker does not listen on any address")?;
    let url = format!("http://{}/{path}", reachable(listen));
    let asked = tokio::time::timeout(TIMEOUT, ask(&url)).await;
    output::lines(asked.with_context(|| format!("{url} does not answer within {TIMEOUT:?}"))??)?;
    Ok(Exit::Done)
}

async fn ask(url: &str) -> Result<String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&'static [u8]>>();
    let answer = client.get(url.parse()?).await.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| anyhow!("reading the answer of {url} failed: {error}"))?.to_bytes();
    let body = String::from_utf8_lossy(&body).trim_end().to_owned();
    match status.is_success() {
        true => Ok(body),
        false => bail!("{url} answers {status}: {body}"),
    }
}

/// Returns the loopback address for a worker that listens on every address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let nearest = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(nearest, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_address_becomes_loopback() {
        let near = |listen: &str| reachable(listen.parse().expect("an address")).to_string();
        assert_eq!(near("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(near("[::]:80"), "[::1]:80");
        assert_eq!(near("10.1.2.3:80"), "10.1.2.3:80");
    }
}
