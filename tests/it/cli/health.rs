//! `handover health`, the probe for images without a shell.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::process::run;
use crate::support::server::free_port;

/// Answers one request with this response and returns the request.
fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut head = [0; 1024];
        let bytes = stream.read(&mut head).expect("a head");
        stream.write_all(answer.as_bytes()).expect("answered");
        String::from_utf8_lossy(&head[..bytes]).lines().next().unwrap_or_default().to_owned()
    });
    (address, asked)
}

#[test]
fn health_exit_code_reports_readiness() {
    let (address, asked) = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready");
    let ready = run(&[("HANDOVER_HTTP__LISTEN", &address)], &["health"]).expect(0);
    assert_eq!((ready.out.as_str(), asked.join().expect("asked").as_str()), ("ready\n", "GET /readyz HTTP/1.1"));

    let (address, asked) =
        answering("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 20\r\n\r\nthe database is away");
    let unready = run(&[], &["health", "--live", "--listen", &address]).expect(1);
    assert!(unready.err.contains("503") && unready.err.contains("the database is away"), "{}", unready.err);
    assert_eq!(asked.join().expect("asked"), "GET /livez HTTP/1.1");

    let nobody = format!("127.0.0.1:{}", free_port());
    let away = run(&[("HANDOVER_HTTP__LISTEN", &nobody)], &["health"]).expect(1);
    assert!(away.err.contains("does not answer"), "{}", away.err);
}
