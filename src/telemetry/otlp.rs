//! Where the spans of [`trace`] go: an OpenTelemetry collector, over OTLP. Nothing waits for it: spans are handed to a thread
//! of the exporter's own, and dropped where it does not keep up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::{KeyValue, global};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;

use crate::config::Otlp;
use crate::trace;

/// Variables of OpenTelemetry's own that say where to; the exporter reads them by itself.
const STANDARD: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// How long a collector may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the end of the process may be held up by it.
const GOODBYE: Duration = Duration::from_secs(5);

/// What an answer may hold: a message about spans that were not taken.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What is exported, until its end.
pub struct Export(SdkTracerProvider);

/// Begins to export, where a collector is named. To be called inside the runtime.
pub fn start(settings: &Otlp) -> Result<Option<Export>> {
    let is_named = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if settings.endpoint.is_none() && !STANDARD.into_iter().any(is_named) {
        return Ok(None);
    }
    let mut exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    if let Some(endpoint) = &settings.endpoint {
        exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')));
    }
    let exporter = exporter.with_http_client(Collector::new()?).build();
    let exporter = exporter.map_err(|error| anyhow!("spans cannot be exported by OTLP: {error}"))?;
    let service = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "handover".into());
    let process = KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name(service).with_attributes([version, process]).build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    global::set_tracer_provider(provider.clone());
    trace::enable(global::tracer("handover"));
    Ok(Some(Export(provider)))
}

impl Export {
    /// Sends what has not been sent, as far as the collector takes it in time.
    pub async fn finish(self) {
        let finished = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(GOODBYE)).await;
        if let Ok(Err(error)) = finished {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The collector, as the exporter's thread reaches it: by the worker's runtime.
#[derive(Debug)]
struct Collector {
    client: HttpsClient,
    runtime: Handle,
    /// Whether it has been told that the collector is away: once, and not for each batch.
    away: Arc<AtomicBool>,
}

impl Collector {
    fn new() -> Result<Collector> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.context("TLS to a collector")?;
        // A machine that trusts nobody reaches a collector by http all the same, and is told of one by https.
        let tls = match tls.clone().with_native_roots() {
            Ok(tls) => tls,
            Err(_) => tls.with_root_certificates(RootCertStore::empty()),
        };
        let tls = tls.with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Collector { client, runtime: Handle::current(), away: Arc::new(AtomicBool::new(false)) })
    }

    /// Tells that the collector is away, or back, when that changes.
    fn note(&self, trouble: Option<&str>) {
        match (trouble, self.away.swap(trouble.is_some(), Ordering::Relaxed)) {
            (Some(reason), false) => {
                tracing::warn!(reason, "the collector does not take spans: they are dropped until it does");
            }
            (None, true) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = exchange(self.client.clone(), request);
        // The limit too is made inside the runtime: this thread is none of its own.
        let answer = self.runtime.spawn(async move { tokio::time::timeout(ANSWER, sent).await }).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(format!("it does not answer within {ANSWER:?}").into()),
            Err(_) => Err("the worker has stopped".into()),
        };
        match &answer {
            Ok(answer) if answer.status().is_success() => self.note(None),
            Ok(answer) => self.note(Some(&format!("it answers {}", answer.status()))),
            Err(error) => self.note(Some(&with_causes(error.as_ref()))),
        }
        answer
    }
}

async fn exchange(client: HttpsClient, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER).collect().await?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// What hyper says is in the cause, and not in the error.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}
