//! Server processes for one test, from installed programs.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::process::signal;
use super::world::LIMIT;

/// A server's process, stopped when dropped.
pub struct Process {
    child: Child,
    end: &'static str,
}

impl Process {
    /// Starts the process; `end` is the signal that stops it.
    pub fn start(command: &mut Command, end: &'static str) -> Process {
        Process { child: command.spawn().expect("a server's program"), end }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        signal(self.child.id(), self.end);
        let deadline = Instant::now() + LIMIT;
        while self.child.try_wait().expect("a process").is_none() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Returns the address of a URL's server.
pub fn address_of(url: &str) -> (String, u16) {
    let url = url::Url::parse(url).expect("a URL");
    let usual = if url.scheme().starts_with("amqp") { 5672 } else { 5432 };
    (url.host_str().expect("a host").to_owned(), url.port().unwrap_or(usual))
}

/// Returns the same URL with another address, such as that of a proxy.
pub fn at(address: SocketAddr, url: &str) -> String {
    let mut url = url::Url::parse(url).expect("a URL");
    url.set_ip_host(address.ip()).expect("a host");
    url.set_port(Some(address.port())).expect("a port");
    url.to_string()
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("an address").port()
}

/// Returns a command for a server's user with a clean environment, in its folder.
pub fn as_user(user: &str, folder: &Path, program: &Path) -> Command {
    let mut command = match is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups"]).arg(program);
            command
        }
        false => Command::new(program),
    };
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8").env("HOME", folder);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Gives a folder to the server's user.
pub fn give(user: &str, folder: &Path) {
    // Only root can do this, and only root needs to.
    if is_root() {
        let given = Command::new("chown").args(["-R", &format!("{user}:")]).arg(folder).status().expect("chown");
        assert!(given.success(), "chown failed");
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}

/// Waits for a condition, within the limit.
pub fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
