//! TLS to real servers, with an authority and certificates of the test: right certificates are accepted, all others
//! refused.
//! The test starts its own servers from the programs that `deploy/services` uses.

mod servers;

use std::path::Path;

use serde_json::json;

use self::servers::{Postgres, RabbitMq};
use crate::support::authority::{Authority, Files, Of};
use crate::support::process::{Ended, WorkerProcess, binary, finish, run, text};
use crate::support::server::until;

/// A client's TLS settings: the authority that it trusts and its own certificate.
struct Client<'f> {
    host: &'f str,
    authority: &'f Path,
    identity: Option<&'f Files>,
}

impl Client<'_> {
    fn postgres(&self, port: u16, mode: &str) -> String {
        let mut url = format!("postgres://handover@{}:{port}/postgres?sslmode={mode}", self.host);
        url.push_str(&format!("&sslrootcert={}", text(self.authority)));
        if let Some(files) = self.identity {
            url.push_str(&format!("&sslcert={}&sslkey={}", text(&files.certificate), text(&files.key)));
        }
        url
    }

    fn migrates(&self, port: u16, mode: &str) -> Ended {
        let url = self.postgres(port, mode);
        run(
            &[("HANDOVER_DATABASE__URL", &url), ("HANDOVER_DATABASE__ACQUIRE_TIMEOUT", "5s")],
            &["migrate", "--reference-crm"],
        )
    }

    fn settings(&self, port: u16, database: &str) -> Vec<(String, String)> {
        let mut settings = vec![
            ("HANDOVER_DATABASE__URL", database.to_owned()),
            ("HANDOVER_BROKER__URL", format!("amqps://handover:s3cret-word@{}:{port}/%2f", self.host)),
            ("HANDOVER_BROKER__CA_FILE", text(self.authority).to_owned()),
            ("HANDOVER_BROKER__CONNECT_TIMEOUT", "5s".to_owned()),
        ];
        if let Some(files) = self.identity {
            settings.push(("HANDOVER_BROKER__CERT_FILE", text(&files.certificate).to_owned()));
            settings.push(("HANDOVER_BROKER__KEY_FILE", text(&files.key).to_owned()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns the error of a worker that cannot connect.
    fn is_refused_by_rabbitmq(&self, port: u16, database: &str) -> String {
        let settings = self.settings(port, database);
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let ended = run(&settings, &["run"]).expect(1);
        assert!(!ended.err.contains("s3cret-word"), "{}", ended.err);
        ended.err
    }
}

/// Returns true if the error explains why the server refused the client's certificate. In TLS 1.3 the client's
/// handshake is complete by then: data sent on the closed connection may overtake the alert, and the client sees only
/// a reset.
fn is_told_or_cut_off(reported: &str, says: &str) -> bool {
    [says, "Connection reset by peer", "Broken pipe"].iter().any(|words| reported.contains(words))
}

#[test]
fn postgresql_requires_the_right_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, strangers) = (Authority::new("Ours"), Authority::new("Strangers"));
    let trusted = ours.write(&folder.path().join("ours.pem"));
    let Some(mut server) = Postgres::start(&ours, &ours.issue(Of::Server("localhost"))) else { return };
    let client = ours.issue(Of::Client("handover")).write(folder.path(), "client");
    let right = Client { host: "localhost", authority: &trusted, identity: Some(&client) };
    right.migrates(server.port, "verify-full").expect(0);

    let refused = |client: &Client<'_>, mode: &str, says: &str| {
        let ended = client.migrates(server.port, mode).expect(1);
        assert!(ended.err.contains(says), "{says:?} is missing in: {}", ended.err);
    };
    let unwanted = |client: &Client<'_>, says: &str| {
        let ended = client.migrates(server.port, "verify-full").expect(1);
        assert!(is_told_or_cut_off(&ended.err, says), "{says:?} is missing in: {}", ended.err);
    };
    refused(&Client { identity: None, ..right }, "verify-full", "certificate");
    let theirs = strangers.issue(Of::Client("handover")).write(folder.path(), "stranger");
    unwanted(&Client { identity: Some(&theirs), ..right }, "UnknownCA");
    let other = ours.issue(Of::Client("somebody")).write(folder.path(), "somebody");
    refused(&Client { identity: Some(&other), ..right }, "verify-full", "certificate authentication failed");
    let stale = ours.issue(Of::ExpiredClient("handover")).write(folder.path(), "stale");
    unwanted(&Client { identity: Some(&stale), ..right }, "CertificateExpired");
    let stranger = strangers.write(&folder.path().join("strangers.pem"));
    refused(&Client { authority: &stranger, ..right }, "verify-full", "UnknownIssuer");
    refused(&Client { host: "127.0.0.1", ..right }, "verify-full", "not valid for name");
    refused(&right, "disable", "no pg_hba.conf entry");
    server.present(&ours.issue(Of::ExpiredServer("localhost")));
    until("the expired certificate is refused", || right.migrates(server.port, "verify-full").err.contains("expired"));
}

#[test]
fn rabbitmq_requires_the_right_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, strangers) = (Authority::new("Ours"), Authority::new("Strangers"));
    let trusted = ours.write(&folder.path().join("ours.pem"));
    let Some(mut server) = RabbitMq::start(&ours, &ours.issue(Of::Server("localhost"))) else { return };
    let client = ours.issue(Of::Client("handover")).write(folder.path(), "client");
    let right = Client { host: "localhost", authority: &trusted, identity: Some(&client) };
    let database = format!("sqlite://{}?mode=rwc", folder.path().join("host.db").display());
    carries_a_request(&right, server.port, &database);

    let refused = |client: &Client<'_>, says: &str| {
        let reported = client.is_refused_by_rabbitmq(server.port, &database);
        assert!(reported.contains(says), "{says:?} is missing in: {reported}");
    };
    let unwanted = |client: &Client<'_>, says: &str| {
        let reported = client.is_refused_by_rabbitmq(server.port, &database);
        assert!(is_told_or_cut_off(&reported, says), "{says:?} is missing in: {reported}");
    };
    unwanted(&Client { identity: None, ..right }, "CertificateRequired");
    let theirs = strangers.issue(Of::Client("handover")).write(folder.path(), "stranger");
    unwanted(&Client { identity: Some(&theirs), ..right }, "UnknownCA");
    let stale = ours.issue(Of::ExpiredClient("handover")).write(folder.path(), "stale");
    unwanted(&Client { identity: Some(&stale), ..right }, "CertificateExpired");
    let stranger = strangers.write(&folder.path().join("strangers.pem"));
    refused(&Client { authority: &stranger, ..right }, "UnknownIssuer");
    refused(&Client { host: "127.0.0.1", ..right }, "not valid for name");
    let none = Files { certificate: folder.path().join("none.pem"), key: client.key.clone() };
    refused(&Client { identity: Some(&none), ..right }, "none.pem");
    server.present(&ours.issue(Of::ExpiredServer("localhost")));
    let reported = right.is_refused_by_rabbitmq(server.port, &database);
    assert!(reported.contains("expired"), "{reported}");
}

/// Makes a demo database and sends a request to a worker. Both connect to RabbitMQ by TLS.
fn carries_a_request(client: &Client<'_>, port: u16, database: &str) {
    let settings = client.settings(port, database);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let file = database.trim_start_matches("sqlite://").trim_end_matches("?mode=rwc");
    run(&[], &["demo", "--keep", file]).expect(0);
    let worker = WorkerProcess::start(&settings);
    let request =
        json!({ "type": "deactivate", "request_id": "r1", "org_id": "1", "user_id": "9999", "requested_by": "1" });
    let child = binary(&settings, &["submit", "-", "--wait"]).spawn().expect("the binary");
    // There is no such user: the request and its answer both passed.
    let ended = finish(child, request.to_string().as_bytes()).expect(3);
    assert!(ended.out.contains("unknown_user"), "{}{}", ended.out, ended.err);
    assert_eq!(worker.stop(), 0);
}

#[test]
fn unused_certificate_files_are_a_fault() {
    let plain = [("HANDOVER_BROKER__URL", "amqp://127.0.0.1:1"), ("HANDOVER_BROKER__CERT_FILE", "/nowhere.pem")];
    let ended = run(&plain, &["jobs"]).expect(1);
    for says in ["starts with `amqps:`", "`broker.cert_file` and `broker.key_file` require each other"] {
        assert!(ended.err.contains(says), "{}", ended.err);
    }
}
