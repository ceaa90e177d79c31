//! Clients of the HTTP API, on plain sockets.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::worker::Setup;

/// The pause after an answer that asks for one.
const PAUSE: Duration = Duration::from_millis(200);

/// The address of an API, and tokens for it. A token may be used 50 times a second, so each client has some of its own.
pub struct Api {
    pub address: String,
    tokens: Vec<String>,
}

/// A client with a connection that it keeps.
pub struct Client {
    stream: TcpStream,
    address: String,
    tokens: Vec<String>,
    calls: usize,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Api {
    /// Returns the address of a free port for an API.
    pub fn free_address() -> Result<String> {
        Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
    }

    /// Creates two tokens for each of some services.
    pub fn open(setup: &Setup<'_>, address: String, services: usize) -> Result<Api> {
        let mut tokens = Vec::new();
        for token in 0..services * 2 {
            let service = format!("bench-{}", token / 2);
            let arguments = ["token", "create", "--service", &service, "--org", "1", "--types", "deactivate"];
            let scopes = ["--scopes", "jobs:read,jobs:write", "--json"];
            let output = setup.command(&[&arguments[..], &scopes].concat()).output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let created: Value = serde_json::from_slice(&output.stdout)?;
            tokens.push(created["token"].as_str().context("a token")?.to_owned());
        }
        Ok(Api { address, tokens })
    }

    /// Connects a client that uses the tokens of one service.
    pub async fn client(&self, service: usize) -> Result<Client> {
        let tokens = self.tokens.chunks(2).cycle().nth(service).context("a token")?.to_vec();
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, address: self.address.clone(), tokens, calls: 0 })
    }

    /// Connects a reader of a job's events, and waits for the first event.
    pub async fn reader(&self, place: usize, job: &str) -> Result<TcpStream> {
        let mut client = self.client(place).await?;
        let path = format!("/v1/jobs/{job}/events");
        client.write("GET", &path, "Accept: text/event-stream\r\n", b"").await?;
        let mut read = Vec::new();
        while !contains(&read, b"data:") {
            ensure!(client.stream.read_buf(&mut read).await? > 0, "{}", String::from_utf8_lossy(&read));
        }
        Ok(client.stream)
    }
}

impl Client {
    /// Submits a request under its id, again while the server asks for that.
    pub async fn submit(&mut self, request: &Value) -> Result<Answer> {
        let id = request["request_id"].as_str().context("a request id")?.to_owned();
        let body = unsigned(request);
        loop {
            let answer = self.call("PUT", &format!("/v1/requests/{id}"), &body).await?;
            match answer.status {
                200 | 202 => return Ok(answer),
                429 | 503 => tokio::time::sleep(PAUSE).await,
                status => bail!("{status}: {}", String::from_utf8_lossy(&answer.body)),
            }
        }
    }

    /// Previews a request.
    pub async fn preview(&mut self, request: &Value) -> Result<Answer> {
        let answer = self.call("POST", "/v1/previews", &unsigned(request)).await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(answer)
    }

    async fn call(&mut self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let body = body.to_string();
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        self.write(method, path, &headers, body.as_bytes()).await?;
        self.answer().await
    }

    async fn write(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<()> {
        self.calls += 1;
        let (token, host) = (&self.tokens[self.calls % self.tokens.len()], &self.address);
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{headers}\r\n");
        Ok(self.stream.write_all(&[head.as_bytes(), body].concat()).await?)
    }

    async fn answer(&mut self) -> Result<Answer> {
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.stream.read_buf(&mut read).await? > 0, "the server has closed the connection");
        };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("the length of an answer")?.parse()?;
        while read.len() < end + length {
            ensure!(self.stream.read_buf(&mut read).await? > 0, "the server has closed the connection");
        }
        Ok(Answer { status, body: read.split_off(end) })
    }
}

/// Returns a request without requester and organization, which the token says.
fn unsigned(request: &Value) -> Value {
    let mut request = request.clone();
    if let Some(fields) = request.as_object_mut() {
        fields.remove("requested_by");
        fields.remove("org_id");
    }
    request
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
