//! PostgreSQL servers of a test's own, from the programs of the machine.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::server::{Process, as_user, free_port, give, until};

/// Where PostgreSQL's programs are.
pub struct Programs(PathBuf);

/// A server that listens on `localhost`, as long as it is kept.
pub struct Server {
    pub port: u16,
    process: Process,
}

impl Server {
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Programs {
    /// The newest on this machine. Where there are none, for the servers are somebody else's or in containers, it is said
    /// that nothing was tested of this.
    pub fn find(tested: &str) -> Option<Programs> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
        let newest = programs.filter(|programs| programs.join("postgres").exists()).max();
        if newest.is_none() {
            eprintln!("skipped: PostgreSQL's programs are not on this machine, so nothing was tested of {tested}");
        }
        newest.map(Programs)
    }

    /// Makes a cluster whose superuser is `handover`, in a folder that becomes its user's.
    pub fn initialize(&self, home: &Path, data: &str) {
        give("postgres", home);
        let how = ["--username=handover", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
        self.run(home, "initdb", &[&["-D", data], &how[..]].concat());
    }

    /// Runs a program to its good end.
    pub fn run(&self, home: &Path, program: &str, arguments: &[&str]) {
        let status = as_user("postgres", home, &self.0.join(program)).args(arguments).status().expect(program);
        assert!(status.success(), "{program} failed");
    }

    /// Starts a server on a cluster, with these settings (`name=value`), and waits until it listens.
    pub fn start(&self, home: &Path, data: &str, settings: &[String]) -> Server {
        let port = free_port();
        let own = [
            format!("port={port}"),
            "listen_addresses=localhost".into(),
            "unix_socket_directories=".into(),
            "fsync=off".into(),
        ];
        let mut command = as_user("postgres", home, &self.0.join("postgres"));
        command.args(["-D", data]).args(own.iter().chain(settings).flat_map(|setting| ["-c", setting.as_str()]));
        let process = Process::start(&mut command, "INT");
        until("PostgreSQL listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Server { port, process }
    }
}
