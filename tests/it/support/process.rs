//! The binary as processes: output, replies and exit codes.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use clap::CommandFactory;
use handover::cli::Cli;
use serde_json::Value;

use super::world::LIMIT;
use super::{Engine, World};

/// A finished process.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    pub fn json_lines(&self) -> Vec<Value> {
        let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(read).collect()
    }
}

/// Returns the binary with a clean environment: only the given settings apply. A command that would ask is confirmed.
pub fn binary(environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = unconfirmed(environment, arguments);
    if asks(arguments) {
        command.arg("--yes");
    }
    command
}

/// Returns true if a command with these arguments asks for a confirmation.
fn asks(arguments: &[&str]) -> bool {
    let is_answered = arguments.iter().any(|argument| ["--yes", "-y", "--dry-run"].contains(argument));
    let is_bulk_dry_run = arguments.contains(&"bulk") && !arguments.contains(&"--submit");
    let mut command = Cli::command();
    for argument in arguments {
        if let Some(found) = command.find_subcommand(argument) {
            command = found.clone();
        }
    }
    !is_answered && !is_bulk_dry_run && command.get_arguments().any(|argument| argument.get_id() == "yes")
}

/// Returns the binary as [`binary`] does, without a confirmation.
pub fn unconfirmed(environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HANDOVER_")) {
        command.env_remove(name);
    }
    // Many workers run at a time. A test that needs the address sets its own.
    command.env("HANDOVER_HTTP__LISTEN", "");
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end, within the time limit.
pub fn finish(mut child: Child, input: &[u8]) -> Ended {
    let id = child.id();
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        std::thread::spawn(move || {
            // A command that reads no input closes it.
            let _ = stdin.write_all(&input);
        });
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(LIMIT) else {
        signal(id, "KILL");
        panic!("the command did not end within {LIMIT:?}");
    };
    let output = output.expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command without input.
pub fn run(environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    finish(binary(environment, arguments).spawn().expect("the binary"), b"")
}

/// Sends a signal to a process.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// A worker process, killed if a test fails before it stops.
pub struct WorkerProcess(Option<Child>);

impl WorkerProcess {
    pub fn start(environment: &[(&str, &str)]) -> WorkerProcess {
        // The log is read only at the end.
        WorkerProcess::start_with_log(environment, Stdio::null())
    }

    pub fn start_with_log(environment: &[(&str, &str)], log: impl Into<Stdio>) -> WorkerProcess {
        WorkerProcess::start_stages(environment, &[], log)
    }

    /// Starts a worker with some stages, or all if none is named.
    pub fn start_stages(environment: &[(&str, &str)], stages: &[&str], log: impl Into<Stdio>) -> WorkerProcess {
        let stages = stages.iter().map(|stage| format!("--stage={stage}")).collect::<Vec<_>>();
        let mut command = binary(environment, &["run"]);
        command.args(stages).stdout(Stdio::null()).stderr(log);
        WorkerProcess(Some(command.spawn().expect("the binary")))
    }

    pub fn signal(&self, name: &str) {
        signal(self.0.as_ref().expect("a process").id(), name);
    }

    /// Returns the peak memory of the process, in bytes.
    pub fn most_memory(&self) -> u64 {
        let id = self.0.as_ref().expect("a process").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process's status file");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its high-water mark");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }

    /// Takes over a running process.
    pub fn of(child: Child) -> WorkerProcess {
        WorkerProcess(Some(child))
    }

    /// Sends SIGTERM and returns the exit code.
    pub fn stop(self) -> i32 {
        self.signal("TERM");
        self.end()
    }

    /// Waits for the end and returns the exit code.
    pub fn end(mut self) -> i32 {
        finish(self.0.take().expect("a process"), b"").code
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the settings of a process on a test's world.
pub fn settings(world: &World) -> Vec<(String, String)> {
    let broker = if world.engine == Engine::Postgres { world.broker_url() } else { "local".into() };
    [
        ("HANDOVER_DATABASE__URL", world.worker_url().to_owned()),
        ("HANDOVER_BROKER__URL", broker),
        ("HANDOVER_BROKER__PREFIX", world.prefix.clone()),
        ("HANDOVER_WORKER__POLL", "50ms".into()),
        ("HANDOVER_WORKER__SWEEP_EVERY", "200ms".into()),
        ("HANDOVER_LIMITS__STALLED_AFTER", "2s".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Returns settings in the form that a process takes.
pub fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Runs a command on the world.
pub fn on(world: &World, arguments: &[&str]) -> Ended {
    with_input(world, arguments, b"")
}

/// Runs a command on the world as the owner of its tables instead of a worker.
pub fn as_owner(world: &World, arguments: &[&str]) -> Ended {
    let owner = ("HANDOVER_DATABASE__URL", world.database_url());
    let settings = settings(world);
    let child = binary(&[borrowed(&settings), vec![owner]].concat(), arguments).spawn().expect("the binary");
    tokio::task::block_in_place(|| finish(child, b""))
}

/// Runs a command on the world with input.
pub fn with_input(world: &World, arguments: &[&str], input: &[u8]) -> Ended {
    let settings = settings(world);
    let child = binary(&borrowed(&settings), arguments).spawn().expect("the binary");
    tokio::task::block_in_place(|| finish(child, input))
}

/// Starts a worker process on the world with more settings.
pub fn start_worker(world: &World, more: &[(&str, &str)]) -> WorkerProcess {
    let settings = settings(world);
    WorkerProcess::start(&[borrowed(&settings), more.to_vec()].concat())
}

/// Returns a path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
