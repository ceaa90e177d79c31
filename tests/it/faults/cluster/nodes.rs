//! A cluster of three RabbitMQ nodes that belongs to one test.

use std::path::Path;

use crate::support::process::text;
use crate::support::rabbitmq::{Node, Nodes, plain};

pub struct Cluster {
    // Drop order: the nodes end before the state that they share.
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

    /// Writes the definitions of `deploy/`, with this password for their users.
    pub fn define(&self, users: &[&str], password: &str) {
        let definitions = self.nodes.folder().join("definitions.json");
        self.control(&["import_definitions", text(&definitions)]);
        for user in users {
            self.control(&["change_password", user, password]);
        }
    }

    /// Returns every node's address in the format of `broker.url`.
    pub fn url(&self, user: &str, password: &str) -> String {
        let address = |node: &Node| format!("amqp://{user}:{password}@127.0.0.1:{}/%2f", node.port);
        self.members.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// Returns the node that leads a queue.
    pub fn leader_of(&self, queue: &str) -> usize {
        let listed = self.control(&["--silent", "list_queues", "name", "leader", "members"]);
        let line = listed.lines().find(|line| line.split('\t').next() == Some(queue)).expect("the queue");
        let mut columns = line.split('\t').skip(1);
        let leader = columns.next().expect("its leader");
        let members = columns.next().expect("its members");
        assert!(
            self.members.iter().all(|node| members.contains(&node.name)),
            "the queue has members on all nodes: {line}"
        );
        self.members.iter().position(|node| node.name == leader).expect("one of the test's nodes")
    }

    /// Kills a node like a power failure.
    pub fn kill(&self, node: usize) {
        self.members[node].kill();
    }

    fn control(&self, arguments: &[&str]) -> String {
        self.nodes.control(&self.members[0], arguments)
    }
}
