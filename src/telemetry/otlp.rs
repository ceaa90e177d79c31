//! Exports the spans of [`trace`] to an OpenTelemetry collector by OTLP. Nothing waits for it: the exporter has a thread of
//! its own, and drops spans that it cannot send in time.

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

/// OpenTelemetry's variables for the collector's address. The exporter reads them itself.
const ENDPOINT_VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The time limit for an answer of the collector.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit for the last spans when the process ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The size of an answer, at most: it may list rejected spans.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A running export.
pub struct Export(SdkTracerProvider);

/// Starts the export if a collector is configured. Must be called inside the runtime.
pub fn start(settings: &Otlp) -> Result<Option<Export>> {
    let is_named = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if settings.endpoint.is_none() && !ENDPOINT_VARIABLES.into_iter().any(is_named) {
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
    /// Sends the remaining spans, within the time limit.
    pub async fn finish(self) {
        let finished = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(SHUTDOWN_TIMEOUT)).await;
        if let Ok(Err(error)) = finished {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// An HTTP client for the exporter's thread, which runs on the worker's runtime.
#[derive(Debug)]
struct Collector {
    client: HttpsClient,
    runtime: Handle,
    /// True if the log reports the collector as unavailable: once, not for each batch.
    is_unavailable: Arc<AtomicBool>,
}

impl Collector {
    fn new() -> Result<Collector> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.context("TLS to a collector")?;
        // A machine without root certificates can use http; https then fails with an error.
        let tls = match tls.clone().with_native_roots() {
            Ok(tls) => tls,
            Err(_) => tls.with_root_certificates(RootCertStore::empty()),
        };
        let tls = tls.with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Collector { client, runtime: Handle::current(), is_unavailable: Arc::new(AtomicBool::new(false)) })
    }

    /// Logs when the collector becomes unavailable or available.
    fn report(&self, trouble: Option<&str>) {
        match (trouble, self.is_unavailable.swap(trouble.is_some(), Ordering::Relaxed)) {
            (Some(reason), false) => {
                tracing::warn!(reason, "collector unavailable; spans are dropped");
            }
            (None, true) => tracing::info!("collector available again"),
            (Some(_), true) | (None, false) => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = exchange(self.client.clone(), request);
        // The timeout needs the runtime too, and this thread does not belong to it.
        let answer = self.runtime.spawn(async move { tokio::time::timeout(TIMEOUT, sent).await }).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(format!("no answer within {TIMEOUT:?}").into()),
            Err(_) => Err("the worker has stopped".into()),
        };
        match &answer {
            Ok(answer) if answer.status().is_success() => self.report(None),
            Ok(answer) => self.report(Some(&format!("it answered {}", answer.status()))),
            Err(error) => self.report(Some(&with_causes(error.as_ref()))),
        }
        answer
    }
}

async fn exchange(client: HttpsClient, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// Joins an error and its causes: hyper reports details only in the cause.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}
