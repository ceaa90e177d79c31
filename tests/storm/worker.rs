//! Worker processes: the real binary, each behind a proxy of its own. One that has ended is started again.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::PgPool;

use crate::proxy::{self, Act, Wire};
use crate::servers::Servers;
use crate::site::Site;
use crate::tally::Tally;
use crate::wire::Point;
use crate::witness;

/// Sends a signal to a process of ours.
pub fn signal(process: u32, name: &str) {
    // It may have ended by itself.
    let _ = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).stderr(Stdio::null()).status();
}

/// The binary, with nothing of our environment's settings.
pub fn binary(settings: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HANDOVER_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(settings.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null());
    command
}

/// A place for a worker process, which has one most of the time.
pub struct Slot {
    pub name: String,
    arguments: &'static [&'static str],
    settings: Mutex<Vec<(String, String)>>,
    process: Mutex<Option<Child>>,
    trap: Mutex<Option<(Point, Act)>>,
    tally: Arc<Tally>,
    database: PgPool,
    is_open: AtomicBool,
    log: std::path::PathBuf,
}

impl Slot {
    /// A place with its two lines, and its first process.
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

    /// What is to happen once a point is reached, in place of what was to happen before.
    pub fn set_trap(&self, point: Point, act: Act) {
        *lock(&self.trap) = Some((point, act));
    }

    /// Takes a trap away that has not sprung; what it was to do.
    pub fn take_trap(&self) -> Option<Act> {
        lock(&self.trap).take().map(|(_, act)| act)
    }

    pub fn has_trap(&self) -> bool {
        lock(&self.trap).is_some()
    }

    /// What is to happen now.
    pub fn spring(&self, point: Point) -> Option<Act> {
        let mut trap = lock(&self.trap);
        let (_, act) = trap.take_if(|(at, _)| *at == point)?;
        self.tally.count(&format!("{act:?} at {point:?}"));
        Some(act)
    }

    /// Holds the acknowledgement of these requests until it is known whether their outcomes stand.
    pub async fn look_at(&self, requests: &[String]) {
        witness::look(&self.database, &self.tally, requests).await;
    }

    /// Kills the process as it is; whether there was one.
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

    /// Stops the process for a while. It is not told, and finds itself in the future.
    pub fn stand_still(self: &Arc<Self>, time: Duration) {
        let Some(process) = lock(&self.process).as_ref().map(Child::id) else { return };
        signal(process, "STOP");
        self.tally.count("stopped and resumed");
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            signal(process, "CONT");
        });
    }

    /// Tells the worker to finish, for good; whether it ended well.
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

    /// Ends the process at once, for good.
    pub fn end(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        if let Some(mut child) = lock(&self.process).take() {
            let _ = (child.kill(), child.wait());
        }
    }
}

/// Starts the process again whenever it has ended, as whatever supervises it in production does.
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
