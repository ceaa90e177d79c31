//! Three RabbitMQ nodes of a test's own, which are one cluster.

use std::path::Path;

use crate::support::process::text;
use crate::support::rabbitmq::{Node, Nodes, plain};

pub struct Cluster {
    // In this order: the nodes end before what they share.
    members: Vec<Node>,
    nodes: Nodes,
}

impl Cluster {
    pub fn start() -> Option<Cluster> {
        let nodes = Nodes::prepare("a cluster")?;
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rabbitmq/definitions.json");
        std::fs::copy(definitions, nodes.folder().join("definitions.json")).expect("the definitions");
        let members: Vec<Node> = (0..3).map(|_| nodes.start(plain)).collect();
        nodes.await_listening(&members.iter().collect::<Vec<_>>());
        for member in &members[1..] {
            for arguments in [&["stop_app"][..], &["join_cluster", &members[0].name], &["start_app"]] {
                nodes.control(member, arguments);
            }
        }
        Some(Cluster { members, nodes })
    }

    /// Has the definitions of `deploy/`, and lets its users in by this password.
    pub fn define(&self, users: &[&str], password: &str) {
        let definitions = self.nodes.folder().join("definitions.json");
        self.control(&["import_definitions", text(&definitions)]);
        for user in users {
            self.control(&["change_password", user, password]);
        }
    }

    /// Every node's address, as `broker.url` takes them.
    pub fn url(&self, user: &str, password: &str) -> String {
        let address = |node: &Node| format!("amqp://{user}:{password}@127.0.0.1:{}/%2f", node.port);
        self.members.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// Which node leads a queue.
    pub fn leader_of(&self, queue: &str) -> usize {
        let listed = self.control(&["--silent", "list_queues", "name", "leader", "members"]);
        let line = listed.lines().find(|line| line.split('\t').next() == Some(queue)).expect("the queue");
        let mut columns = line.split('\t').skip(1);
        let leader = columns.next().expect("its leader");
        let members = columns.next().expect("its members");
        assert!(self.members.iter().all(|node| members.contains(&node.name)), "it stands on all nodes: {line}");
        self.members.iter().position(|node| node.name == leader).expect("one of ours")
    }

    /// Ends a node as a power cut does.
    pub fn kill(&self, node: usize) {
        self.members[node].kill();
    }

    fn control(&self, arguments: &[&str]) -> String {
        self.nodes.control(&self.members[0], arguments)
    }
}
