//! A PostgreSQL and a RabbitMQ that talk TLS only, and ask for a client certificate. Run from the programs of the machine;
//! where these are not there, for the servers are somebody else's or in containers, the tests say that they skip.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::authority::{Authority, Issued};
use crate::support::process::{signal, text};
use crate::support::server::{Process, as_user, free_port, give, until};

const RABBITMQ: &str = "/usr/lib/rabbitmq/bin";

fn folder_of(user: &str, authority: &Authority, issued: &Issued) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    authority.write(&folder.path().join("authority.pem"));
    put(user, folder.path(), issued);
    folder
}

fn put(user: &str, folder: &Path, issued: &Issued) {
    let files = issued.write(folder, "server");
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    give(user, folder);
}

pub struct Postgres {
    pub port: u16,
    process: Process,
    folder: TempDir,
}

impl Postgres {
    pub fn start(authority: &Authority, issued: &Issued) -> Option<Postgres> {
        let Some(programs) = postgres_programs() else {
            eprintln!("skipped: PostgreSQL's programs are not on this machine, so nothing was tested of TLS to it");
            return None;
        };
        let folder = folder_of("postgres", authority, issued);
        let (home, port) = (folder.path(), free_port());
        let initdb =
            ["-D", "data", "--username=handover", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
        let made = as_user("postgres", home, &programs.join("initdb")).args(initdb).status().expect("initdb");
        assert!(made.success(), "initdb failed");
        std::fs::write(home.join("data/pg_hba.conf"), "hostssl all all all cert\n").expect("a file");
        give("postgres", home);
        let settings = [
            format!("port={port}"),
            "listen_addresses=localhost".into(),
            "unix_socket_directories=".into(),
            "fsync=off".into(),
            "ssl=on".into(),
            format!("ssl_ca_file={}", text(&home.join("authority.pem"))),
            format!("ssl_cert_file={}", text(&home.join("server.pem"))),
            format!("ssl_key_file={}", text(&home.join("server.key"))),
        ];
        let mut command = as_user("postgres", home, &programs.join("postgres"));
        command.args(["-D", "data"]).args(settings.iter().flat_map(|setting| ["-c", setting.as_str()]));
        let process = Process::start(&mut command, "INT");
        until("PostgreSQL listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Postgres { port, process, folder })
    }

    /// Shows another certificate from some moment on.
    pub fn present(&mut self, issued: &Issued) {
        put("postgres", self.folder.path(), issued);
        signal(self.process.id(), "HUP");
    }
}

fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    programs.filter(|programs| programs.join("postgres").exists()).max()
}

pub struct RabbitMq {
    pub port: u16,
    node: String,
    directory_port: u16,
    folder: TempDir,
    // In this order: the node ends before the directory of nodes.
    _process: Process,
    _directory: Process,
}

impl RabbitMq {
    pub fn start(authority: &Authority, issued: &Issued) -> Option<RabbitMq> {
        if !Path::new(RABBITMQ).join("rabbitmq-server").exists() {
            eprintln!("skipped: RabbitMQ's programs are not on this machine, so nothing was tested of TLS to it");
            return None;
        }
        let folder = folder_of("rabbitmq", authority, issued);
        let home = folder.path();
        let (port, directory_port) = (free_port(), free_port());
        configure(home, port);
        give("rabbitmq", home);
        let mut directory = as_user("rabbitmq", home, Path::new("epmd"));
        directory.args(["-port", &directory_port.to_string(), "-address", "127.0.0.1"]);
        let directory = Process::start(&mut directory, "TERM");
        until("epmd listens", || TcpStream::connect(("127.0.0.1", directory_port)).is_ok());
        let node = format!("tls-{port}@localhost");
        let mut command = as_user("rabbitmq", home, &Path::new(RABBITMQ).join("rabbitmq-server"));
        environment(&mut command, home, &node, directory_port);
        command.env("RABBITMQ_DIST_PORT", free_port().to_string());
        let process = Process::start(&mut command, "TERM");
        until("RabbitMQ listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(RabbitMq { port, node, directory_port, folder, _process: process, _directory: directory })
    }

    /// Shows another certificate from now on.
    pub fn present(&mut self, issued: &Issued) {
        let home = self.folder.path();
        put("rabbitmq", home, issued);
        let mut command = as_user("rabbitmq", home, &Path::new(RABBITMQ).join("rabbitmqctl"));
        environment(&mut command, home, &self.node, self.directory_port);
        let told = command.args(["eval", "ssl:clear_pem_cache()."]).status().expect("rabbitmqctl");
        assert!(told.success(), "rabbitmqctl failed");
    }
}

fn configure(home: &Path, port: u16) {
    let path = |name: &str| text(&home.join(name)).to_owned();
    let settings = format!(
        "listeners.tcp = none\nlisteners.ssl.local = 127.0.0.1:{port}\ndefault_user = handover\ndefault_pass = s3cret-word\n\
         ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
         ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
        path("authority.pem"),
        path("server.pem"),
        path("server.key"),
    );
    std::fs::write(home.join("rabbitmq.conf"), settings).expect("a file");
    std::fs::write(home.join("enabled_plugins"), "[].").expect("a file");
}

fn environment(command: &mut Command, home: &Path, node: &str, directory_port: u16) {
    let path = |name: &str| text(&home.join(name)).to_owned();
    command
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("RABBITMQ_NODENAME", node)
        .env("RABBITMQ_MNESIA_BASE", path("data"))
        .env("RABBITMQ_LOG_BASE", path("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_PID_FILE", path("pid"))
        .env("RABBITMQ_CONF_ENV_FILE", path("none"))
        .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
        .env("RABBITMQ_CONFIG_FILES", path("none"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("none"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", path("generated"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
        .env("ERL_EPMD_PORT", directory_port.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}");
}
