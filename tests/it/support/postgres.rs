//! PostgreSQL servers for one test, from installed programs.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::server::{Process, as_user, free_port, give, until};

/// Returns the folder of PostgreSQL's programs.
pub struct Programs(PathBuf);

/// A server on `localhost` that stops when dropped.
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
    /// Returns the newest installed version. If there is none, because the servers run elsewhere or in containers,
    /// prints that the test is skipped.
    pub fn find(tested: &str) -> Option<Programs> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
        let newest = programs.filter(|programs| programs.join("postgres").exists()).max();
        if newest.is_none() {
            eprintln!("skipped: PostgreSQL's programs are not installed, so {tested} was not tested");
        }
        newest.map(Programs)
    }

    /// Creates a cluster with the superuser `handover`, in a folder of the server's user.
    pub fn initialize(&self, home: &Path, data: &str) {
        give("postgres", home);
        let how = ["--username=handover", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
        self.run(home, "initdb", &[&["-D", data], &how[..]].concat());
    }

    /// Runs a program and asserts that it succeeds.
    pub fn run(&self, home: &Path, program: &str, arguments: &[&str]) {
        let status = as_user("postgres", home, &self.0.join(program)).args(arguments).status().expect(program);
        assert!(status.success(), "{program} failed");
    }

    /// Starts a server on a cluster with these settings (`name=value`) and waits until it listens.
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
