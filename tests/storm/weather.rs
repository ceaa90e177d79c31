//! The weather: a deck of disturbances, shuffled by the seed, and played to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::outside::{Handle, Order};
use crate::plan::{Dice, Plan};
use crate::proxy::{Act, LONG};
use crate::servers::{Server, Servers};
use crate::site::Site;
use crate::sql;
use crate::tally::Tally;
use crate::wire::Point;
use crate::worker::Slot;

/// One disturbance.
#[derive(Debug, Clone, Copy)]
enum Disturbance {
    /// A worker is killed, wherever it is.
    Kill,
    /// Something happens to a worker, or to its line, at a point.
    At(Point, Act),
    /// A worker stands still for longer than every time-out.
    Stop,
    /// A server is ended and started again.
    Restart(Server),
    /// A session of the database is ended by its administrator.
    EndSession,
    /// The database answers this code for a while.
    Answer(&'static str),
    /// Somebody lays hands on a queue.
    Queue(Order),
}

/// serialization_failure, deadlock_detected, lock_not_available, disk_full
const CODES: [&str; 4] = ["40001", "40P01", "55P03", "53100"];

/// What may happen to a line at a point.
const ACTS: [Act; 5] = [Act::Cut, Act::CutBehind, Act::Mute, Act::HalfClose, Act::Delay];

/// How long a worker is waited for that is to reach a point.
const PATIENCE: Duration = Duration::from_secs(6);

/// Everything that the weather can lay hands on.
pub struct Weather {
    pub sites: Vec<Arc<Site>>,
    pub outsides: Vec<Handle>,
    pub slots: Vec<Arc<Slot>>,
    pub servers: Arc<Servers>,
    pub tally: Arc<Tally>,
    pub dice: Dice,
}

/// So much of everything, in no order.
fn deck(plan: &Plan, dice: &mut Dice) -> Vec<Disturbance> {
    let mut deck = Vec::new();
    for _ in 0..plan.scale {
        deck.extend([Disturbance::Kill; 5]);
        deck.extend(Point::ALL.map(|point| {
            let act = if dice.percent(50) { Act::Kill } else { Act::KillBehind };
            Disturbance::At(point, act)
        }));
        // A request that was acknowledged too early is lost by this alone, and only where no copy of it comes.
        deck.extend([Disturbance::At(Point::Answer, Act::KillBehind); 3]);
        deck.extend((0..8).map(|_| Disturbance::At(*dice.pick(&Point::ALL), *dice.pick(&ACTS))));
        deck.extend([Disturbance::Stop, Disturbance::At(*dice.pick(&Point::ALL), Act::Stop)]);
        deck.extend([Disturbance::Restart(Server::Database), Disturbance::Restart(Server::Broker)]);
        deck.extend([Disturbance::EndSession; 4]);
        deck.extend(CODES.map(Disturbance::Answer));
        deck.extend(["requests", "steps"].map(|queue| Disturbance::Queue(Order::Purge(queue))));
        deck.extend(["requests", "steps"].map(|queue| Disturbance::Queue(Order::Delete(queue))));
        deck.extend([Disturbance::Queue(Order::Replay); 3]);
    }
    dice.shuffle(&mut deck);
    deck
}

impl Weather {
    /// Plays the deck, and lets people leave as it goes on.
    pub async fn rage(mut self, plan: &Plan) -> Result<(), String> {
        let deck = deck(plan, &mut self.dice);
        let mut restart: Option<JoinHandle<Result<(), String>>> = None;
        for (played, disturbance) in deck.iter().enumerate() {
            // Everybody has been asked to leave some time before the end.
            let progress = 30 + played as u64 * 1100 / deck.len() as u64;
            self.sites.iter().for_each(|site| site.progress.store(progress, Ordering::Relaxed));
            if let Disturbance::Restart(server) = disturbance {
                wait_for(restart.take()).await?;
                restart = Some(self.restart(*server));
            } else {
                self.disturb(*disturbance).await;
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

    async fn disturb(&mut self, disturbance: Disturbance) {
        let slot = self.dice.pick(&self.slots).clone();
        let place = self.dice.below(self.sites.len() as u64) as usize;
        match disturbance {
            Disturbance::Kill => drop(tokio::spawn(kill(slot))),
            Disturbance::At(point, act) => drop(tokio::spawn(wait_at(slot, point, act))),
            Disturbance::Stop => slot.stand_still(LONG),
            Disturbance::EndSession => self.end_session(place).await,
            Disturbance::Answer(code) => {
                let until = "clock_timestamp() + interval '3 seconds'";
                let insert = format!("INSERT INTO storm.answers VALUES ('{code}', 0.4, {until})");
                if sql::run(&self.sites[place].pool, &insert).await.is_ok() {
                    self.tally.count(&format!("times that the database answers {code} for a while"));
                }
            }
            Disturbance::Queue(order) => crate::worker::lock(&self.outsides[place].orders).push(order),
            Disturbance::Restart(_) => {}
        }
    }

    /// Whoever is at work comes first.
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

/// Sets a trap. A worker that does not come to the point in time is killed all the same, if that was the plan.
async fn wait_at(slot: Arc<Slot>, point: Point, act: Act) {
    slot.set_trap(point, act);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && slot.has_trap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if let Some(Act::Kill | Act::KillBehind) = slot.take_trap() {
        kill(slot).await;
    }
}

/// Kills a worker, once it runs: it may be dead just now, or wait for its servers.
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
