//! An OpenTelemetry collector for one test: receives spans over HTTP and keeps them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A span and its process.
#[derive(Debug, Clone)]
pub struct Taken {
    pub process: String,
    pub trace: String,
    pub id: String,
    /// The parent's id; empty for a root span.
    pub parent: String,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
}

/// The collector, which stops when dropped.
pub struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    _tasks: JoinSet<()>,
}

impl Collector {
    pub async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, taken.clone()));
        Collector { address, taken, _tasks: tasks }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the spans received so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().expect("a lock").clone()
    }
}

async fn accept(listener: TcpListener, taken: Arc<Mutex<Vec<Taken>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, taken.clone()));
    }
}

/// Answers HTTP 1.1 requests until the connection ends.
async fn serve(stream: TcpStream, taken: Arc<Mutex<Vec<Taken>>>) {
    let mut stream = BufReader::new(stream);
    while let Some((head, length)) = read_head(&mut stream).await {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.expect("a body");
        let head = head.to_lowercase();
        assert!(head.starts_with("post /v1/traces ") && head.contains("application/x-protobuf"), "{head}");
        let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("protobuf");
        taken.lock().expect("a lock").extend(request.resource_spans.into_iter().flat_map(|spans| {
            let process = spans.resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default();
            let process = process.get("service.instance.id").cloned().unwrap_or_default();
            let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| one(&process, &span))
        }));
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("answered");
    }
}

/// Returns the header lines and the length of the body.
async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<(String, usize)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            return Some((head, length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
        head.push_str(&line);
    }
}

fn one(process: &str, span: &Span) -> Taken {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Taken {
        process: process.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        attributes: attributes(&span.attributes),
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("neither text nor number: {other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}
