//! RabbitMQ nodes for one test, which it can break, cluster or configure. They run from installed programs.
//! Tests are skipped with a message if these are missing because the servers run elsewhere or in containers.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::{signal, text};
use super::server::{Process, as_user, free_port, give};

/// The name of the system user that runs a test's server, and of the server's only user.
pub const USER: &str = "rabbitmq";

const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";

/// The start limit of nodes: up to three Erlang machines at once on a busy machine.
const START: Duration = Duration::from_secs(180);

/// The shared state of a test's nodes: a folder, removed at the end, and their discovery directory.
pub struct Nodes {
    directory_port: u16,
    folder: TempDir,
    _directory: Process,
}

/// A node. It is killed when dropped, since its data is removed too.
pub struct Node {
    pub name: String,
    pub port: u16,
    process: Process,
}

impl Node {
    /// Kills the node like a power failure.
    pub fn kill(&self) {
        signal(self.process.id(), "KILL");
    }
}

impl Nodes {
    /// Returns nothing and prints that the test is skipped if the programs are missing.
    pub fn prepare(tested: &str) -> Option<Nodes> {
        if !Path::new(PROGRAMS).join("rabbitmq-server").exists() {
            eprintln!("skipped: RabbitMQ's programs are not installed, so {tested} was not tested");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path();
        // The Erlang cookie, for the nodes and the control program.
        let cookie = home.join(".erlang.cookie");
        std::fs::write(&cookie, uuid::Uuid::new_v4().simple().to_string()).expect("a file");
        std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o400)).expect("permissions");
        std::fs::write(home.join("enabled_plugins"), "[].").expect("a file");
        give(USER, home);
        let directory_port = free_port();
        let mut directory = as_user(USER, home, Path::new("epmd"));
        directory.args(["-port", &directory_port.to_string(), "-address", "127.0.0.1"]);
        let directory = Process::start(&mut directory, "KILL");
        until("epmd listens", || listens(directory_port));
        Some(Nodes { directory_port, folder, _directory: directory })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a node with settings for its port, in the format of `rabbitmq.conf`.
    pub fn start(&self, settings: impl Fn(u16) -> String) -> Node {
        let (home, port) = (self.folder(), free_port());
        let name = format!("node-{port}@localhost");
        std::fs::write(home.join(format!("{name}.conf")), settings(port)).expect("a file");
        let mut command = as_user(USER, home, &Path::new(PROGRAMS).join("rabbitmq-server"));
        self.environment(&mut command, &name);
        command.env("RABBITMQ_DIST_PORT", free_port().to_string());
        Node { name, port, process: Process::start(&mut command, "KILL") }
    }

    /// Waits until nodes accept connections.
    pub fn await_listening(&self, nodes: &[&Node]) {
        until("all nodes listen", || nodes.iter().all(|node| listens(node.port)));
    }

    /// Runs the control program on a node and returns its output.
    pub fn control(&self, node: &Node, arguments: &[&str]) -> String {
        let mut command = as_user(USER, self.folder(), &Path::new(PROGRAMS).join("rabbitmqctl"));
        self.environment(&mut command, &node.name);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let done = command.output().expect("rabbitmqctl");
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "rabbitmqctl {arguments:?}: {out}{err}");
        out.into_owned()
    }

    fn environment(&self, command: &mut Command, node: &str) {
        let path = |name: &str| text(&self.folder().join(name)).to_owned();
        command
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_NODENAME", node)
            .env("RABBITMQ_MNESIA_BASE", path("data"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_LOGS", path(&format!("{node}.log")))
            .env("RABBITMQ_PID_FILE", path(&format!("{node}.pid")))
            .env("RABBITMQ_CONF_ENV_FILE", path("none"))
            .env("RABBITMQ_CONFIG_FILE", path(&format!("{node}.conf")))
            .env("RABBITMQ_CONFIG_FILES", path("none"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("none"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", path(&format!("{node}.generated")))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
            .env("ERL_EPMD_PORT", self.directory_port.to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
            );
    }
}

/// Returns the settings of a node without TLS.
pub fn plain(port: u16) -> String {
    format!("listeners.tcp.local = 127.0.0.1:{port}\n")
}

/// A single node without TLS.
pub struct RabbitMq {
    // Drop order: the node ends before its directory.
    node: Node,
    nodes: Nodes,
}

impl RabbitMq {
    /// Starts a node with additional settings.
    pub fn start(tested: &str, settings: &str) -> Option<RabbitMq> {
        let nodes = Nodes::prepare(tested)?;
        let node = nodes.start(|port| format!("{}{settings}\n", plain(port)));
        nodes.await_listening(&[&node]);
        Some(RabbitMq { node, nodes })
    }

    /// Returns its address with the local default user.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.node.port)
    }

    /// Returns its log so far.
    pub fn log(&self) -> String {
        let file = self.nodes.folder().join(format!("{}.log", self.node.name));
        String::from_utf8_lossy(&std::fs::read(file).expect("a log")).into_owned()
    }

    /// Runs the control program and returns its output.
    pub fn control(&self, arguments: &[&str]) -> String {
        tokio::task::block_in_place(|| self.nodes.control(&self.node, arguments))
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + START;
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
