//! Three RabbitMQ nodes of a test's own, which are one cluster. Run from the programs of the machine; where these are not
//! there, for the servers are somebody else's or in containers, the test says that it skips.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::process::{signal, text};
use crate::support::server::{Process, as_user, free_port, give};

const RABBITMQ: &str = "/usr/lib/rabbitmq/bin";

/// How long nodes may take to start: three Erlang machines at once, on a busy machine.
const START: Duration = Duration::from_secs(180);

/// One node. Its data goes with the cluster's, so that it may end at once.
struct Node {
    name: String,
    port: u16,
    process: Process,
}

pub struct Cluster {
    nodes: Vec<Node>,
    directory_port: u16,
    folder: TempDir,
    // Behind the nodes: it ends after them.
    _directory: Process,
}

impl Cluster {
    pub fn start() -> Option<Cluster> {
        if !Path::new(RABBITMQ).join("rabbitmq-server").exists() {
            eprintln!("skipped: RabbitMQ's programs are not on this machine, so nothing was tested of a cluster");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path();
        // What lets the nodes speak with each other.
        let cookie = home.join(".erlang.cookie");
        std::fs::write(&cookie, uuid::Uuid::new_v4().simple().to_string()).expect("a file");
        std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o400)).expect("permissions");
        std::fs::write(home.join("enabled_plugins"), "[].").expect("a file");
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rabbitmq/definitions.json");
        std::fs::copy(definitions, home.join("definitions.json")).expect("the definitions");
        give("rabbitmq", home);
        let directory_port = free_port();
        let mut directory = as_user("rabbitmq", home, Path::new("epmd"));
        directory.args(["-port", &directory_port.to_string(), "-address", "127.0.0.1"]);
        let directory = Process::start(&mut directory, "KILL");
        until("epmd listens", || listens(directory_port));
        let nodes = (1..=3).map(|number| start_node(home, number, directory_port)).collect();
        let cluster = Cluster { nodes, directory_port, folder, _directory: directory };
        until("all nodes listen", || cluster.nodes.iter().all(|node| listens(node.port)));
        for node in &cluster.nodes[1..] {
            for arguments in [&["stop_app"][..], &["join_cluster", &cluster.nodes[0].name], &["start_app"]] {
                cluster.control(node, arguments);
            }
        }
        Some(cluster)
    }

    /// Has the definitions of `deploy/`, and lets its users in by this password.
    pub fn define(&self, users: &[&str], password: &str) {
        let first = &self.nodes[0];
        self.control(first, &["import_definitions", text(&self.folder.path().join("definitions.json"))]);
        for user in users {
            self.control(first, &["change_password", user, password]);
        }
    }

    /// Every node's address, as `broker.url` takes them.
    pub fn url(&self, user: &str, password: &str) -> String {
        let address = |node: &Node| format!("amqp://{user}:{password}@127.0.0.1:{}/%2f", node.port);
        self.nodes.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// Which node leads a queue.
    pub fn leader_of(&self, queue: &str) -> usize {
        let listed = self.control(&self.nodes[0], &["--silent", "list_queues", "name", "leader", "members"]);
        let line = listed.lines().find(|line| line.split('\t').next() == Some(queue)).expect("the queue");
        let mut columns = line.split('\t').skip(1);
        let leader = columns.next().expect("its leader");
        let members = columns.next().expect("its members");
        assert!(self.nodes.iter().all(|node| members.contains(&node.name)), "it stands on all nodes: {line}");
        self.nodes.iter().position(|node| node.name == leader).expect("one of ours")
    }

    /// Ends a node as a power cut does.
    pub fn kill(&self, node: usize) {
        signal(self.nodes[node].process.id(), "KILL");
    }

    fn control(&self, node: &Node, arguments: &[&str]) -> String {
        let home = self.folder.path();
        let mut command = as_user("rabbitmq", home, &Path::new(RABBITMQ).join("rabbitmqctl"));
        environment(&mut command, home, &node.name, self.directory_port);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let done = command.output().expect("rabbitmqctl");
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "rabbitmqctl {arguments:?}: {out}{err}");
        out.into_owned()
    }
}

fn start_node(home: &Path, number: usize, directory_port: u16) -> Node {
    let port = free_port();
    let name = format!("node{number}-{port}@localhost");
    std::fs::write(home.join(format!("{name}.conf")), format!("listeners.tcp.local = 127.0.0.1:{port}\n")).expect("it");
    let mut command = as_user("rabbitmq", home, &Path::new(RABBITMQ).join("rabbitmq-server"));
    environment(&mut command, home, &name, directory_port);
    command.env("RABBITMQ_DIST_PORT", free_port().to_string());
    Node { name, port, process: Process::start(&mut command, "KILL") }
}

fn environment(command: &mut Command, home: &Path, node: &str, directory_port: u16) {
    let path = |name: &str| text(&home.join(name)).to_owned();
    command
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("RABBITMQ_NODENAME", node)
        .env("RABBITMQ_MNESIA_BASE", path("data"))
        .env("RABBITMQ_LOG_BASE", path("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_PID_FILE", path(&format!("{node}.pid")))
        .env("RABBITMQ_CONF_ENV_FILE", path("none"))
        .env("RABBITMQ_CONFIG_FILE", path(&format!("{node}.conf")))
        .env("RABBITMQ_CONFIG_FILES", path("none"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("none"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", path(&format!("{node}.generated")))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
        .env("ERL_EPMD_PORT", directory_port.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}");
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + START;
    while !done() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
