//! The faults: a list that the seed determines and shuffles, injected one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::plan::{Dice, Plan};
use crate::proxy::{ConnectionFault, LONG};
use crate::servers::{Server, Servers};
use crate::site::Site;
use crate::sql;
use crate::tally::Tally;
use crate::traffic::{Handle, QueueCommand};
use crate::wire::Point;
use crate::worker::Slot;

/// A fault to inject.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Kills a worker at any moment.
    Kill,
    /// Applies a fault to a worker or its connection at a point.
    At(Point, ConnectionFault),
    /// Stops a worker for longer than every timeout.
    Stop,
    /// Stops a server and starts it again.
    Restart(Server),
    /// Ends a database session, as an administrator does.
    EndSession,
    /// Makes the database raise this error code for a while.
    Answer(&'static str),
    /// Purges or deletes a queue, or replays messages.
    Queue(QueueCommand),
}

/// serialization_failure, deadlock_detected, lock_not_available, disk_full
const CODES: [&str; 4] = ["40001", "40P01", "55P03", "53100"];

/// The faults of a connection at a point.
const CONNECTION_FAULTS: [ConnectionFault; 5] = [
    ConnectionFault::Cut,
    ConnectionFault::CutAfter,
    ConnectionFault::Mute,
    ConnectionFault::HalfClose,
    ConnectionFault::Delay,
];

/// The time to wait for a worker to reach a point.
const PATIENCE: Duration = Duration::from_secs(6);

/// Everything that faults can affect.
pub struct Faults {
    pub sites: Vec<Arc<Site>>,
    pub handles: Vec<Handle>,
    pub slots: Vec<Arc<Slot>>,
    pub servers: Arc<Servers>,
    pub tally: Arc<Tally>,
    pub dice: Dice,
}

/// Returns the faults of every kind in random order.
fn faults(plan: &Plan, dice: &mut Dice) -> Vec<Fault> {
    let mut faults = Vec::new();
    for _ in 0..plan.scale {
        faults.extend([Fault::Kill; 5]);
        faults.extend(Point::ALL.map(|point| {
            let fault = if dice.percent(50) { ConnectionFault::Kill } else { ConnectionFault::KillAfter };
            Fault::At(point, fault)
        }));
        // A request that is acknowledged too early is lost only by this fault, and only if no copy of it arrives.
        faults.extend([Fault::At(Point::Answer, ConnectionFault::KillAfter); 3]);
        faults.extend((0..8).map(|_| Fault::At(*dice.pick(&Point::ALL), *dice.pick(&CONNECTION_FAULTS))));
        faults.extend([Fault::Stop, Fault::At(*dice.pick(&Point::ALL), ConnectionFault::Stop)]);
        faults.extend([Fault::Restart(Server::Database), Fault::Restart(Server::Broker)]);
        faults.extend([Fault::EndSession; 4]);
        faults.extend(CODES.map(Fault::Answer));
        faults.extend(["requests", "steps"].map(|queue| Fault::Queue(QueueCommand::Purge(queue))));
        faults.extend(["requests", "steps"].map(|queue| Fault::Queue(QueueCommand::Delete(queue))));
        faults.extend([Fault::Queue(QueueCommand::Replay); 3]);
    }
    dice.shuffle(&mut faults);
    faults
}

impl Faults {
    /// Injects every fault, and lets users leave meanwhile.
    pub async fn inject_all(mut self, plan: &Plan) -> Result<(), String> {
        let faults = faults(plan, &mut self.dice);
        let mut restart: Option<JoinHandle<Result<(), String>>> = None;
        for (injected, fault) in faults.iter().enumerate() {
            // All requests are sent some time before the end.
            let progress = 30 + injected as u64 * 1100 / faults.len() as u64;
            self.sites.iter().for_each(|site| site.progress.store(progress, Ordering::Relaxed));
            if let Fault::Restart(server) = fault {
                wait_for(restart.take()).await?;
                restart = Some(self.restart(*server));
            } else {
                self.inject(*fault).await;
            }
            tokio::time::sleep(Duration::from_millis(400) + self.dice.up_to(Duration::from_millis(1_400))).await;
        }
        self.sites.iter().for_each(|site| site.progress.store(1000, Ordering::Relaxed));
        wait_for(restart).await
    }

    fn restart(&mut self, server: Server) -> JoinHandle<Result<(), String>> {
        let signal = *self.dice.pick(&server.ends());
        let away = self.dice.up_to(Duration::from_secs(3));
        self.tally.count(&format!("restarts of the {server:?}").to_lowercase());
        let servers = self.servers.clone();
        tokio::task::spawn_blocking(move || servers.restart(server, signal, away))
    }

    async fn inject(&mut self, fault: Fault) {
        let slot = self.dice.pick(&self.slots).clone();
        let place = self.dice.below(self.sites.len() as u64) as usize;
        match fault {
            Fault::Kill => drop(tokio::spawn(kill(slot))),
            Fault::At(point, fault) => drop(tokio::spawn(wait_at(slot, point, fault))),
            Fault::Stop => slot.freeze(LONG),
            Fault::EndSession => self.end_session(place).await,
            Fault::Answer(code) => {
                let until = "clock_timestamp() + interval '3 seconds'";
                let insert = format!("INSERT INTO storm.answers VALUES ('{code}', 0.4, {until})");
                if sql::run(&self.sites[place].pool, &insert).await.is_ok() {
                    self.tally.count(&format!("periods in which the database raises {code}"));
                }
            }
            Fault::Queue(command) => crate::worker::lock(&self.handles[place].commands).push(command),
            Fault::Restart(_) => {}
        }
    }

    /// Ends a session, preferably one in a transaction.
    async fn end_session(&self, place: usize) {
        let site = &self.sites[place];
        let victim = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'handover' \
                      ORDER BY xact_start NULLS LAST, random() LIMIT 1";
        let end = format!("SELECT CAST(count(pg_terminate_backend(pid)) AS text) FROM ({victim}) AS victim");
        if sql::number(&site.pool, &end).await.is_ok_and(|ended| ended > 0) {
            self.tally.count("sessions of the database ended");
        }
    }
}

/// Sets a trap. If the worker does not reach the point in time and the fault was a kill, kills it anyway.
async fn wait_at(slot: Arc<Slot>, point: Point, fault: ConnectionFault) {
    slot.set_trap(point, fault);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && slot.has_trap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if let Some(ConnectionFault::Kill | ConnectionFault::KillAfter) = slot.take_trap() {
        kill(slot).await;
    }
}

/// Kills a worker once it runs. It may be dead at the moment, or wait for its servers.
async fn kill(slot: Arc<Slot>) {
    let deadline = Instant::now() + LONG;
    while !slot.kill() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn wait_for(restart: Option<JoinHandle<Result<(), String>>>) -> Result<(), String> {
    match restart {
        Some(restart) => restart.await.map_err(|error| error.to_string())?,
        None => Ok(()),
    }
}
