//! TLS of the API's listener, with an authority and certificates of the test.

use std::path::Path;
use std::sync::Arc;

use handover::contract::TokenScope;
use handover::http::TlsFiles;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::api::{Answer, ApiProcess, ApiServer, Call, Setup, token_of};
use crate::support::authority::{Authority, Files, Of};
use crate::support::http::lines;
use crate::support::keap::ADMIN;
use crate::support::process::{Ended, borrowed, run, settings, text};
use crate::support::world::LIMIT;
use crate::support::{World, on_sqlite};

const BAD_PAIR: &str = "the new TLS certificate cannot be used; the old one stays in use";

/// Connects as a client that trusts one authority.
async fn connect(address: &str, trusted: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(trusted).expect("a file") {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().expect("a name"), stream).await
}

async fn answer(call: Call<'_>, address: &str, trusted: &Path) -> Answer {
    let mut stream = connect(address, trusted).await.expect("a connection");
    stream.write_all(call.text().as_bytes()).await.expect("a request");
    Answer::read(stream, "a call by TLS").await
}

fn tls(files: &Files) -> Setup {
    let files = TlsFiles { certificate: files.certificate.clone(), key: files.key.clone() };
    Setup { tls: Some(files), ..Setup::default() }
}

/// Promise: the certificate is presented and can be verified; a client that trusts others, and one without TLS, get nothing.
#[on_sqlite]
async fn calls_are_served_by_tls_alone(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, strangers) = (Authority::new("Ours"), Authority::new("Strangers"));
    let trusted = ours.write(&folder.path().join("ours.pem"));
    let files = ours.issue(Of::Server("localhost")).write(folder.path(), "api");
    let server = ApiServer::start_as(world, tls(&files)).await;
    let token = &token_of(world, ADMIN, &[TokenScope::JobsRead]).await;
    answer(server.get(token, "/v1/jobs"), &server.address, &trusted).await.expect(200);
    let stranger = strangers.write(&folder.path().join("strangers.pem"));
    let refused = connect(&server.address, &stranger).await.expect_err("a stranger's certificate");
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    let (mut plain, mut bytes) = (server.get(token, "/v1/jobs").send().await, Vec::new());
    let _ = tokio::time::timeout(LIMIT, plain.read_to_end(&mut bytes)).await.expect("an end");
    assert!(!bytes.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&bytes));
}

/// Promise: connections that never begin a handshake hold up nobody, and are closed.
#[on_sqlite]
async fn silent_handshakes_hold_up_nobody(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = Authority::new("Ours");
    let trusted = ours.write(&folder.path().join("ours.pem"));
    let files = ours.issue(Of::Server("localhost")).write(folder.path(), "api");
    let server = ApiServer::start_as(world, tls(&files)).await;
    let token = &token_of(world, ADMIN, &[TokenScope::JobsRead]).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(&server.address).await.expect("a connection"));
    }
    answer(server.get(token, "/v1/jobs"), &server.address, &trusted).await.expect(200);
    for mut stream in silent {
        let closed = tokio::time::timeout(LIMIT, stream.read_to_end(&mut Vec::new())).await;
        let _ = closed.expect("the connection is closed");
    }
}

/// Counts the bad pairs that a server has logged.
fn bad_pairs(served: &ApiProcess) -> usize {
    lines(&served.log).iter().filter(|line| line["message"] == BAD_PAIR).count()
}

/// Waits until the certificate of an authority is presented.
async fn until_presented(world: &World, served: &ApiProcess, trusted: &Path) {
    let presented = async || connect(&served.address, trusted).await.ok().map(drop);
    world.until("the certificate is presented", presented).await;
}

/// Promise: a new certificate is used without a restart; a bad one is logged once, and the old one stays in use.
#[on_sqlite]
async fn changed_certificate_is_used_without_restart(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let authorities = ["First", "Second", "Third"].map(Authority::new);
    let [first, second, third] =
        [0, 1, 2].map(|number: usize| authorities[number].write(&place(&format!("authority-{number}.pem"))));
    let issue = |number: usize| authorities[number].issue(Of::Server("localhost"));
    let files = issue(0).write(folder.path(), "api");
    let served = ApiProcess::start(
        world,
        folder.path(),
        &["serve"],
        &[("HANDOVER_API__TLS_CERTIFICATE", text(&files.certificate)), ("HANDOVER_API__TLS_KEY", text(&files.key))],
    );
    connect(&served.address, &first).await.expect("the first certificate");
    std::fs::write(&files.certificate, "no certificate").expect("a file");
    let look = async || {
        connect(&served.address, &first).await.expect("the old certificate");
        (bad_pairs(&served) == 1).then_some(())
    };
    world.until("the bad pair is found", look).await;
    issue(1).write(folder.path(), "api");
    until_presented(world, &served, &second).await;
    let bad_before = bad_pairs(&served);
    std::fs::remove_file(&files.key).expect("a file");
    let look = async || {
        connect(&served.address, &second).await.expect("the old certificate");
        (bad_pairs(&served) > bad_before).then_some(())
    };
    world.until("the missing key is found", look).await;
    issue(2).write(folder.path(), "api");
    until_presented(world, &served, &third).await;
}

/// Promise: a listener that other machines reach starts with TLS or a listed proxy, and with neither it says what to do.
#[on_sqlite]
async fn open_listener_needs_tls_or_proxy(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = Authority::new("Ours");
    let files = ours.issue(Of::Server("localhost")).write(folder.path(), "api");
    let other = ours.issue(Of::Server("localhost")).write(folder.path(), "other");
    let (certificate, key) = (text(&files.certificate), text(&files.key));
    let settings = settings(world);
    let open = ("HANDOVER_API__LISTEN", "0.0.0.0:0");
    let of =
        |certificate, key| vec![open, ("HANDOVER_API__TLS_CERTIFICATE", certificate), ("HANDOVER_API__TLS_KEY", key)];
    let missing = folder.path().join("missing.pem");
    for (more, says) in [
        (vec![open], "without TLS"),
        (vec![open, ("HANDOVER_API__TLS_CERTIFICATE", certificate)], "belong together"),
        (of(certificate, text(&other.key)), "cannot be used"),
        (of(key, key), "holds no certificate"),
        (of(certificate, certificate), "holds no private key"),
        (of(text(&missing), key), "cannot be read"),
    ] {
        let Ended { err, .. } = run(&[borrowed(&settings), more].concat(), &["serve"]).expect(1);
        assert!(err.contains(says), "{says:?} is missing in: {err}");
        assert!(!err.contains("PRIVATE KEY"), "{err}");
    }
    for more in [of(certificate, key), vec![open, ("HANDOVER_API__TRUSTED_PROXIES", "127.0.0.1")]] {
        ApiProcess::start(world, folder.path(), &["serve"], &more);
    }
}
