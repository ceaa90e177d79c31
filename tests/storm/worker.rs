//! Worker processes: the real binary, each behind its own proxies. A process that ends is started again.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::PgPool;

use crate::acknowledgements;
use crate::proxy::{self, ConnectionFault, Wire};
use crate::servers::Servers;
use crate::site::Site;
use crate::tally::Tally;
use crate::wire::Point;

/// Sends a signal to one of our processes.
pub fn signal(process: u32, name: &str) {
    // The process may have ended already.
    let _ = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).stderr(Stdio::null()).status();
}

/// Returns the binary without our environment's settings.
pub fn binary(settings: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HANDOVER_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(settings.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null());
    command
}

/// A place for a worker process, which is occupied most of the time.
pub struct Slot {
    pub name: String,
    arguments: &'static [&'static str],
    settings: Mutex<Vec<(String, String)>>,
    process: Mutex<Option<Child>>,
    trap: Mutex<Option<(Point, ConnectionFault)>>,
    tally: Arc<Tally>,
    database: PgPool,
    is_open: AtomicBool,
    log: std::path::PathBuf,
}

impl Slot {
    /// Opens a place with its two proxies and its first process.
    pub async fn open(
        site: &Site,
        number: usize,
        arguments: &'static [&'static str],
        servers: &Servers,
        tally: &Arc<Tally>,
    ) -> Arc<Slot> {
        let name = format!("{}-{number}", site.name);
        let slot = Arc::new(Slot {
            log: site.logs.join(format!("{name}.log")),
            name,
            arguments,
            settings: Mutex::default(),
            process: Mutex::default(),
            trap: Mutex::default(),
            tally: tally.clone(),
            database: site.pool.clone(),
            is_open: AtomicBool::new(true),
        });
        let database = proxy::open(slot.clone(), Wire::Database, servers.database_port).await;
        let broker = proxy::open(slot.clone(), Wire::Broker, servers.broker_port).await;
        let database = servers.database_url(database, &site.database);
        *lock(&slot.settings) = site.settings(&database, &servers.broker_url(broker));
        tokio::spawn(keep(slot.clone()));
        slot
    }

    fn start(&self) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).expect("a log");
        let settings = lock(&self.settings).clone();
        let mut command = binary(&settings, self.arguments);
        command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary")
    }

    /// Sets the fault for a point and replaces an earlier trap.
    pub fn set_trap(&self, point: Point, fault: ConnectionFault) {
        *lock(&self.trap) = Some((point, fault));
    }

    /// Removes a trap that has not been triggered, and returns its fault.
    pub fn take_trap(&self) -> Option<ConnectionFault> {
        lock(&self.trap).take().map(|(_, fault)| fault)
    }

    pub fn has_trap(&self) -> bool {
        lock(&self.trap).is_some()
    }

    /// Returns the fault for this point, if a trap is set.
    pub fn trigger(&self, point: Point) -> Option<ConnectionFault> {
        let mut trap = lock(&self.trap);
        let (_, fault) = trap.take_if(|(at, _)| *at == point)?;
        self.tally.count(&format!("{fault:?} at {point:?}"));
        Some(fault)
    }

    /// Holds the acknowledgement of these requests until their outcomes are checked.
    pub async fn check_outcomes(&self, requests: &[String]) {
        acknowledgements::check(&self.database, &self.tally, requests).await;
    }

    /// Kills the process. Returns true if it was running.
    pub fn kill(&self) -> bool {
        let mut process = lock(&self.process);
        let killed = process.as_mut().is_some_and(|child| {
            let runs = child.try_wait().is_ok_and(|ended| ended.is_none());
            runs && child.kill().is_ok()
        });
        if killed {
            self.tally.count("kills");
        }
        killed
    }

    /// Freezes the process for a while. It is not notified and finds itself in the future.
    pub fn freeze(self: &Arc<Self>, time: Duration) {
        let Some(process) = lock(&self.process).as_ref().map(Child::id) else { return };
        signal(process, "STOP");
        self.tally.count("stopped and resumed");
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            signal(process, "CONT");
        });
    }

    /// Stops the worker gracefully for good. Returns true if it succeeded.
    pub async fn close(&self) -> bool {
        self.is_open.store(false, Ordering::Relaxed);
        let Some(mut child) = lock(&self.process).take() else { return true };
        signal(child.id(), "TERM");
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.success(),
                _ if Instant::now() > deadline => {
                    let _ = (child.kill(), child.wait());
                    return false;
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Kills the process for good.
    pub fn end(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        if let Some(mut child) = lock(&self.process).take() {
            let _ = (child.kill(), child.wait());
        }
    }
}

/// Restarts the process whenever it ends, like a supervisor in production.
async fn keep(slot: Arc<Slot>) {
    while slot.is_open.load(Ordering::Relaxed) {
        {
            let mut process = lock(&slot.process);
            let runs = process.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none()));
            if !runs && slot.is_open.load(Ordering::Relaxed) {
                slot.tally.count("processes started");
                *process = Some(slot.start());
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
