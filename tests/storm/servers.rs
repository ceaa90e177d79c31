//! The storm's own PostgreSQL and RabbitMQ. `deploy/services` starts them in a temporary folder, and the storm
//! restarts them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::plan::Dice;
use crate::secrets;

/// One of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Database,
    Broker,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Database => "postgres",
            Server::Broker => "rabbitmq",
        }
    }

    /// Returns the signals that stop it: gracefully, or at once like a power failure.
    pub fn ends(self) -> [&'static str; 3] {
        match self {
            Server::Database => ["INT", "QUIT", "KILL"],
            Server::Broker => ["TERM", "KILL", "KILL"],
        }
    }
}

/// The servers, and the folder of their state.
pub struct Servers {
    folder: PathBuf,
    /// The password of both servers. It appears nowhere else, so that any occurrence is a leak.
    password: String,
    pub database_port: u16,
    pub broker_port: u16,
}

impl Servers {
    /// Prepares folder and ports. [`Servers::up`] starts the servers.
    pub fn new(dice: &Dice) -> Servers {
        let folder = tempfile::Builder::new().prefix("handover-storm-").tempdir().expect("a folder").keep();
        // The servers run as other users, who must be able to enter the folder.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&folder, open).expect("permissions");
        let mut dice = dice.apart(&std::process::id().to_string());
        let password = format!("pass-{:016x}-word", dice.below(u64::MAX));
        Servers { folder, password, database_port: free_ports(&mut dice, 1), broker_port: free_ports(&mut dice, 3) }
    }

    pub fn database_url(&self, port: u16, database: &str) -> String {
        format!("postgres://handover:{}@127.0.0.1:{port}/{database}", self.password)
    }

    pub fn broker_url(&self, port: u16) -> String {
        format!("amqp://handover:{}@127.0.0.1:{port}/%2f?heartbeat=10", self.password)
    }

    /// Returns the texts that no output may contain.
    pub fn secrets(&self) -> Vec<String> {
        let url = |url: String| ("URL".to_owned(), url);
        secrets::of(&[url(self.database_url(self.database_port, "")), url(self.broker_url(self.broker_port))])
    }

    /// Starts the servers that are down, and waits until they answer.
    pub fn up(&self) -> Result<(), String> {
        let up = self.script("up").stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        match up.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&up.stderr).into_owned()),
        }
    }

    fn script(&self, command: &str) -> Command {
        let mut script = Command::new(root().join("deploy/services"));
        script.arg(command).env("HANDOVER_SERVICES_FOLDER", &self.folder);
        script.env("HANDOVER_SERVICES_PASSWORD", &self.password);
        script.env("HANDOVER_PG_PORT", self.database_port.to_string());
        script.env("HANDOVER_AMQP_PORT", self.broker_port.to_string());
        script.env_remove("HANDOVER_TEST_POSTGRES_URL").env_remove("HANDOVER_TEST_AMQP_URL");
        script
    }

    /// Stops a server with a signal and starts it again after a while.
    pub fn restart(&self, server: Server, signal: &str, away: Duration) -> Result<(), String> {
        let pid = self.process_of(server);
        crate::worker::signal(pid, signal);
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while is_alive(pid) {
            if std::time::Instant::now() > deadline {
                crate::worker::signal(pid, "KILL");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(away);
        self.up()
    }

    /// Stops the servers and removes their state except their logs.
    pub fn down(&self, logs: &Path) {
        let ended = self.script("down").stdout(Stdio::null()).stdin(Stdio::null()).status();
        for server in [Server::Database, Server::Broker] {
            let log = format!("{}.log", server.name());
            // A server that never started has no log.
            let _ = std::fs::copy(self.folder.join(&log), logs.join(&log));
        }
        if !ended.is_ok_and(|status| status.success()) || std::fs::remove_dir_all(&self.folder).is_err() {
            eprintln!("storm: the servers in {} may still run", self.folder.display());
        }
    }

    fn process_of(&self, server: Server) -> u32 {
        let file = self.folder.join(format!("{}.pid", server.name()));
        let text = std::fs::read_to_string(file).expect("a pid file");
        text.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a process id")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns true if the project's servers run in containers, so that their programs may be missing here.
pub fn are_containers() -> bool {
    let postgres = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| versions.next().is_some());
    let rabbitmq = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server").exists();
    !(postgres && rabbitmq) && root().join(".services/docker").exists()
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("Z", |(_, rest)| &rest[..1]);
    state != "Z"
}

/// Returns the first of this many free consecutive ports, below the ephemeral range.
fn free_ports(dice: &mut Dice, count: u16) -> u16 {
    loop {
        let first = 20_000 + dice.below(12_000) as u16;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + count).all(is_free) {
            return first;
        }
    }
}
