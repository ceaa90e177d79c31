//! PostgreSQL and RabbitMQ servers that accept only TLS with a client certificate, from installed programs.
//! Tests are skipped with a message if these are missing because the servers run elsewhere or in containers.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::support::authority::{Authority, Issued};
use crate::support::postgres::{self, Programs};
use crate::support::process::{signal, text};
use crate::support::rabbitmq::{self, Node, Nodes};
use crate::support::server::give;

fn put(user: &str, folder: &Path, issued: &Issued) {
    let files = issued.write(folder, "server");
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    give(user, folder);
}

pub struct Postgres {
    pub port: u16,
    server: postgres::Server,
    folder: TempDir,
}

impl Postgres {
    pub fn start(authority: &Authority, issued: &Issued) -> Option<Postgres> {
        let programs = Programs::find("TLS to PostgreSQL")?;
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path();
        authority.write(&home.join("authority.pem"));
        put("postgres", home, issued);
        programs.initialize(home, "data");
        std::fs::write(home.join("data/pg_hba.conf"), "hostssl all all all cert\n").expect("a file");
        give("postgres", home);
        let server = programs.start(
            home,
            "data",
            &[
                "ssl=on".into(),
                format!("ssl_ca_file={}", text(&home.join("authority.pem"))),
                format!("ssl_cert_file={}", text(&home.join("server.pem"))),
                format!("ssl_key_file={}", text(&home.join("server.key"))),
            ],
        );
        Some(Postgres { port: server.port, server, folder })
    }

    /// Replaces the server's certificate.
    pub fn present(&mut self, issued: &Issued) {
        put("postgres", self.folder.path(), issued);
        signal(self.server.id(), "HUP");
    }
}

pub struct RabbitMq {
    pub port: u16,
    // Drop order: the node ends before its directory.
    node: Node,
    nodes: Nodes,
}

impl RabbitMq {
    pub fn start(authority: &Authority, issued: &Issued) -> Option<RabbitMq> {
        let nodes = Nodes::prepare("TLS to RabbitMQ")?;
        authority.write(&nodes.folder().join("authority.pem"));
        put(rabbitmq::USER, nodes.folder(), issued);
        let node = nodes.start(|port| settings(nodes.folder(), port));
        nodes.await_listening(&[&node]);
        Some(RabbitMq { port: node.port, node, nodes })
    }

    /// Replaces the server's certificate.
    pub fn present(&mut self, issued: &Issued) {
        put(rabbitmq::USER, self.nodes.folder(), issued);
        self.nodes.control(&self.node, &["eval", "ssl:clear_pem_cache()."]);
    }
}

fn settings(home: &Path, port: u16) -> String {
    let path = |name: &str| text(&home.join(name)).to_owned();
    format!(
        "listeners.tcp = none\nlisteners.ssl.local = 127.0.0.1:{port}\ndefault_user = handover\ndefault_pass = s3cret-word\n\
         ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
         ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
        path("authority.pem"),
        path("server.pem"),
        path("server.key"),
    )
}
