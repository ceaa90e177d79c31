//! The outside of a site: asks for what is to be done, once and again, listens to every event, and sends copies of what
//! Handover tells itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::line::Line;
use crate::plan::Dice;
use crate::site::Site;
use crate::sql;
use crate::worker::lock;

/// What an operator does to a queue, by its name, and what comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Purge(&'static str),
    Delete(&'static str),
    /// Messages of long ago, in no order.
    Replay,
}

/// What is asked of whom, and how far it has come.
#[derive(Default)]
struct Asked {
    body: Value,
    /// Whether the queue has it for certain, and nobody has emptied the queue since.
    is_sent: bool,
}

/// The outside of a site.
pub struct Outside {
    site: Arc<Site>,
    url: String,
    dice: Dice,
    line: Option<Line>,
    asked: BTreeMap<String, Asked>,
    steps: Vec<(String, Vec<u8>)>,
    known: BTreeMap<String, Known>,
    orders: Arc<Mutex<Vec<Order>>>,
    events: Arc<Mutex<Events>>,
}

/// A job as the ledger has it.
struct Known {
    state: String,
    id: String,
    sequence: String,
}

/// The events that were published, by id, and what was wrong with them.
#[derive(Default)]
pub struct Events {
    pub by_id: BTreeMap<String, Value>,
    pub wrong: Vec<String>,
}

/// What others hold of an outside.
#[derive(Clone)]
pub struct Handle {
    pub orders: Arc<Mutex<Vec<Order>>>,
    pub events: Arc<Mutex<Events>>,
}

impl Outside {
    pub fn new(site: &Arc<Site>, url: String, dice: &Dice) -> (Outside, Handle) {
        let handle = Handle { orders: Arc::default(), events: Arc::default() };
        let outside = Outside {
            site: site.clone(),
            url,
            dice: dice.apart(site.name).apart("outside"),
            line: None,
            asked: BTreeMap::new(),
            steps: Vec::new(),
            known: BTreeMap::new(),
            orders: handle.orders.clone(),
            events: handle.events.clone(),
        };
        (outside, handle)
    }

    /// Goes on until it is dropped. What fails is tried again on a new connection.
    pub async fn work(mut self) {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            match tokio::time::timeout(Duration::from_secs(20), self.turn()).await {
                Ok(Ok(())) => {}
                _ => self.line = None,
            }
        }
    }

    async fn turn(&mut self) -> lapin::Result<()> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => Line::open(&self.url, self.site.name).await?,
        };
        self.listen(&mut line).await?;
        self.repeat_steps(&mut line).await?;
        self.obey(&line).await?;
        if self.look().await.is_ok() {
            self.ask(&line).await?;
        }
        if self.site.is_calm() {
            // Tried again in the next turn, where the database is away.
            let _ = self.tell().await;
        }
        self.line = Some(line);
        Ok(())
    }

    async fn listen(&mut self, line: &mut Line) -> lapin::Result<()> {
        let events = line.events().await?;
        let Some(last) = events.last().map(|event| event.delivery_tag) else { return Ok(()) };
        {
            let mut known = lock(&self.events);
            events.iter().for_each(|event| known.note(&event.data));
        }
        line.keep(last).await
    }

    /// Every step comes twice, the second time later and in another order.
    async fn repeat_steps(&mut self, line: &mut Line) -> lapin::Result<()> {
        let mut copies = line.copies().await?;
        if self.site.is_calm() {
            return Ok(());
        }
        self.dice.shuffle(&mut copies);
        for (key, body) in &copies {
            line.publish(key, body).await?;
        }
        self.site.tally.add("steps sent a second time", copies.len() as u64);
        self.steps.extend(copies);
        Ok(())
    }

    async fn obey(&mut self, line: &Line) -> lapin::Result<()> {
        let orders: Vec<Order> = lock(&self.orders).drain(..).collect();
        for order in orders {
            match order {
                Order::Purge(queue) => line.purge(queue).await?,
                Order::Delete(queue) => line.delete(queue).await?,
                Order::Replay => self.replay(line).await?,
            }
            // Whoever empties the queue of requests tells their senders.
            if let Order::Purge("requests") | Order::Delete("requests") = order {
                self.asked.values_mut().for_each(|asked| asked.is_sent = false);
            }
            let what = format!("{order:?}").replace(['(', ')', '"'], " ");
            self.site.tally.count(&format!("queues: {}", what.trim().to_lowercase()));
        }
        Ok(())
    }

    /// Steps of any time, and requests that were answered.
    async fn replay(&mut self, line: &Line) -> lapin::Result<()> {
        for _ in 0..40.min(self.steps.len()) {
            let (key, body) = self.dice.pick(&self.steps).clone();
            line.publish(&key, &body).await?;
        }
        let answered: Vec<String> = self.known.keys().cloned().collect();
        for _ in 0..10.min(answered.len()) {
            if let Some(asked) = self.asked.get(self.dice.pick(&answered)) {
                line.publish(&key_of(&asked.body), asked.body.to_string().as_bytes()).await?;
            }
        }
        Ok(())
    }

    /// Reads how far everything has come.
    async fn look(&mut self) -> Result<(), sea_orm::sqlx::Error> {
        let query = "SELECT concat_ws(' ', request_id, state, id, sequence) FROM handover.jobs";
        let rows = sql::texts(&self.site.pool, query).await?;
        self.known.clear();
        for row in rows {
            if let [request, state, id, sequence] = row.split(' ').collect::<Vec<_>>()[..] {
                let known = Known { state: state.to_owned(), id: id.to_owned(), sequence: sequence.to_owned() };
                self.known.insert(request.to_owned(), known);
            }
        }
        Ok(())
    }

    /// Asks for what is to be done next: of each leaver to leave, anew where it was refused; a job that got stuck, to go
    /// on; and of some, that all of it be taken back.
    async fn ask(&mut self, line: &Line) -> lapin::Result<()> {
        for (leaver, records) in self.site.asked().to_vec() {
            let refused = (1..).take_while(|attempt| self.state(&format!("leave-{leaver}-{attempt}")) == "rejected");
            let attempt = refused.count() as u32 + 1;
            let id = format!("leave-{leaver}-{attempt}");
            let body = || self.site.request(leaver, records, attempt);
            self.asked.entry(id.clone()).or_insert_with(|| Asked { body: body(), is_sent: false });
            if let Some(known) = self.known.get(&id).filter(|known| known.state == "completed")
                && leaver % 10 == 7
            {
                let body = order("revert", &format!("revert-{leaver}"), &known.id);
                self.asked.entry(format!("revert-{leaver}")).or_insert_with(|| Asked { body, is_sent: false });
            }
        }
        for known in self.known.values().filter(|known| known.state == "needs_attention") {
            let id = format!("resume-{}-{}", known.id, known.sequence);
            let body = order("resume", &id, &known.id);
            self.asked.entry(id).or_insert_with(|| Asked { body, is_sent: false });
        }
        let mut unsent: Vec<String> = (self.asked.iter())
            .filter(|(id, asked)| !asked.is_sent && !self.known.contains_key(*id))
            .map(|(id, _)| id.clone())
            .collect();
        self.dice.shuffle(&mut unsent);
        for id in unsent {
            let Some(asked) = self.asked.get_mut(&id) else { continue };
            let (key, body) = (key_of(&asked.body), asked.body.to_string());
            for _ in 0..1 + self.dice.below(2) {
                asked.is_sent = line.publish(&key, body.as_bytes()).await? || asked.is_sent;
                self.site.tally.count("requests sent");
            }
        }
        Ok(())
    }

    /// Tells the checker what was asked for.
    async fn tell(&self) -> Result<u64, sea_orm::sqlx::Error> {
        // What was answered counts, although its queue was emptied since.
        let sent = self.asked.iter().filter(|(id, asked)| asked.is_sent || self.known.contains_key(*id));
        let rows: Vec<String> = sent.map(|(id, _)| format!("('{id}')")).collect();
        let insert = format!("INSERT INTO storm.asked VALUES {} ON CONFLICT DO NOTHING", rows.join(", "));
        sql::run(&self.site.pool, &insert).await
    }

    fn state(&self, request: &str) -> &str {
        self.known.get(request).map_or("", |known| &known.state)
    }
}

fn order(kind: &str, id: &str, job: &str) -> Value {
    json!({ "type": kind, "request_id": id, "org_id": "1", "requested_by": "1", "job_id": job })
}

fn key_of(body: &Value) -> String {
    format!("request.{}", body["type"].as_str().unwrap_or("deactivate"))
}

impl Events {
    fn note(&mut self, body: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Value>(body) else {
            return self.wrong.push(format!("an event is not JSON: {}", String::from_utf8_lossy(body)));
        };
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        match self.by_id.get(&id) {
            Some(earlier) if *earlier != event => self.wrong.push(format!("the event {id} has two bodies")),
            Some(_) => {}
            None => drop(self.by_id.insert(id, event)),
        }
    }
}
