//! The HTTP API on a real socket, and a plain client of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use handover::app::preview::Capacity;
use handover::app::tokens::{self, NewToken, Owner};
use handover::broker::Broker;
use handover::contract::{RequestType, TokenScope, UserId};
use handover::http::{self, Listener, PublicUrl, Serving, Tls, TlsFiles, api};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::World;
use super::http::line_of;
use super::process::{WorkerProcess, binary, borrowed, settings};
use super::server::until;
use super::world::LIMIT;

/// The API of a test, in its process.
pub struct ApiServer {
    pub address: String,
    pub draining: CancellationToken,
    _serving: Serving,
}

/// The parts of the API's settings that tests vary.
pub struct Setup {
    pub tls: Option<TlsFiles>,
    pub trusted_proxies: Vec<IpAddr>,
    pub connections: u32,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { tls: None, trusted_proxies: Vec::new(), connections: 10 }
    }
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// A process that serves the API, and its log.
pub struct ApiProcess {
    pub address: String,
    pub log: PathBuf,
    _process: WorkerProcess,
}

/// One call of the API.
pub struct Call<'c> {
    address: &'c str,
    method: &'c str,
    path: String,
    headers: Vec<(&'c str, String)>,
    body: Option<Vec<u8>>,
}

struct Quiet(Arc<dyn Broker>);

#[async_trait]
impl api::Surroundings for Quiet {
    async fn is_host_active(&self) -> bool {
        false
    }

    async fn broker(&self) -> Result<Arc<dyn Broker>, String> {
        Ok(self.0.clone())
    }
}

impl ApiServer {
    /// Serves the API on the world, without a worker.
    pub async fn start(world: &World) -> ApiServer {
        ApiServer::start_as(world, Setup::default()).await
    }

    /// Serves the API on the world with other settings.
    pub async fn start_as(world: &World, setup: Setup) -> ApiServer {
        let draining = CancellationToken::new();
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address"), &[]).await.expect("a port");
        let address = listener.address().expect("an address").to_string();
        let parts = api::Parts {
            context: world.context.clone(),
            surroundings: Arc::new(Quiet(world.broker().await)),
            capacity: Capacity { movers: 2, share: 1.0, shared_with_host: None },
            carries_events: true,
            connections: setup.connections,
            trusted_proxies: setup.trusted_proxies,
            public_url: PublicUrl::read(&format!("http://{address}")),
            draining: draining.clone(),
        };
        let mut listener = listener;
        if let Some(files) = setup.tls {
            listener = listener.with_tls(Tls::open(files).await.expect("a certificate"));
        }
        ApiServer { address, draining, _serving: listener.serve(http::router(parts)) }
    }

    /// Begins a call.
    pub fn call<'c>(&'c self, method: &'c str, path: impl Into<String>) -> Call<'c> {
        Call::at(&self.address, method, path)
    }

    /// Begins a call that reads.
    pub fn get<'c>(&'c self, token: &str, path: impl Into<String>) -> Call<'c> {
        self.call("GET", path).token(token)
    }

    /// Begins a call that submits a request under its id.
    pub fn put<'c>(&'c self, token: &str, request: &Value) -> Call<'c> {
        let id = request["request_id"].as_str().expect("a request id");
        self.call("PUT", format!("/v1/requests/{id}")).token(token).json(request)
    }
}

impl ApiProcess {
    /// Starts a command that serves the API on the world, with more settings.
    pub fn start(world: &World, folder: &Path, command: &[&str], more: &[(&str, &str)]) -> ApiProcess {
        let log = folder.join("api.log");
        let settings = settings(world);
        let environment = [&borrowed(&settings)[..], &[("HANDOVER_API__LISTEN", "127.0.0.1:0")], more].concat();
        let mut command = binary(&environment, command);
        let process = command.stderr(std::fs::File::create(&log).expect("a log")).spawn().expect("the binary");
        let process = WorkerProcess::of(process);
        let address = || Some(line_of(&log, "serving the API")?["address"].as_str()?.to_owned());
        until("the server says where it listens", || address().is_some());
        let address = address().expect("an address");
        ApiProcess { address, log, _process: process }
    }
}

impl<'c> Call<'c> {
    /// Begins a call of an address.
    pub fn at(address: &'c str, method: &'c str, path: impl Into<String>) -> Call<'c> {
        Call { address, method, path: path.into(), headers: Vec::new(), body: None }
    }

    pub fn token(self, token: &str) -> Call<'c> {
        self.header("Authorization", format!("Bearer {token}"))
    }

    pub fn header(mut self, name: &'c str, value: impl Into<String>) -> Call<'c> {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(self, body: &Value) -> Call<'c> {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    pub fn body(self, body: impl Into<String>) -> Call<'c> {
        self.bytes(body.into())
    }

    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Call<'c> {
        self.body = Some(body.into());
        self
    }

    /// Sends the call and returns the open connection.
    pub async fn send(self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let whole = [self.head().as_bytes(), self.body.as_deref().unwrap_or_default()].concat();
        // A server that refuses a body may close before it has read all of it.
        let _ = stream.write_all(&whole).await;
        stream
    }

    /// Returns the call as it is sent.
    pub fn text(&self) -> String {
        self.head() + &String::from_utf8_lossy(self.body.as_deref().unwrap_or_default())
    }

    fn head(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| *name == "Host") {
            text.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text
    }

    /// Sends the call and reads the whole answer.
    pub async fn answer(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        Answer::read(self.send().await, &what).await
    }
}

impl Answer {
    /// Reads the whole answer to a call.
    pub async fn read(mut stream: impl AsyncRead + Unpin, what: &str) -> Answer {
        let mut bytes = Vec::new();
        // After a refused body the connection is reset, behind the answer.
        let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut bytes)).await;
        let _ = read.unwrap_or_else(|_| panic!("{what}: no answer"));
        let text = String::from_utf8(bytes).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{what}: {text}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Answer { status, headers, body: body.to_owned() }
    }

    /// Checks the status.
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that the answer is a problem with this status and code, and returns the codes of its reasons.
    pub fn problem(&self, status: u16, code: &str) -> Vec<String> {
        assert_eq!((self.status, self.json()["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let body = self.json();
        let reasons = body["reasons"].as_array().into_iter().flatten();
        reasons.filter_map(|reason| reason["code"].as_str().map(str::to_owned)).collect()
    }
}

/// Creates a token of a user of the seed's organization.
pub async fn token_of(world: &World, user: &str, scopes: &[TokenScope]) -> String {
    let user = UserId::try_from(user.to_owned()).expect("an id");
    let org = Some("1".to_owned().try_into().expect("an id"));
    create(world, Owner::Person { org, user }, scopes).await
}

/// Creates a token of a service of the seed's organization.
pub async fn service_token(world: &World, name: &str, types: &[RequestType], scopes: &[TokenScope]) -> String {
    let org = Some("1".to_owned().try_into().expect("an id"));
    let request_types = types.iter().copied().collect();
    create(world, Owner::Service { org, name: name.into(), request_types }, scopes).await
}

/// Creates a token of an operator.
pub async fn operator_token(world: &World, scopes: &[TokenScope]) -> String {
    create(world, Owner::Operator { name: "ops".into() }, scopes).await
}

async fn create(world: &World, owner: Owner, scopes: &[TokenScope]) -> String {
    let new = NewToken { owner, scopes: scopes.iter().copied().collect(), valid_for: None };
    tokens::create(&world.context, new).await.expect("a token").token
}
