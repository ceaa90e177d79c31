//! The traffic of a site: sends requests (often repeatedly), receives every event, and repeats Handover's own steps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::plan::Dice;
use crate::site::Site;
use crate::sql;
use crate::worker::lock;

/// An operator's command about a queue, or a replay of old messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueCommand {
    Purge(&'static str),
    Delete(&'static str),
    /// Sends old messages in random order.
    Replay,
}

/// A request and its progress.
#[derive(Default)]
struct Asked {
    body: Value,
    /// True if the queue has confirmed the request and was not emptied since.
    is_sent: bool,
}

/// The traffic of a site.
pub struct Traffic {
    site: Arc<Site>,
    url: String,
    dice: Dice,
    client: Option<Client>,
    asked: BTreeMap<String, Asked>,
    steps: Vec<(String, Vec<u8>)>,
    known: BTreeMap<String, Known>,
    commands: Arc<Mutex<Vec<QueueCommand>>>,
    events: Arc<Mutex<Events>>,
}

/// A job in the ledger.
struct Known {
    state: String,
    id: String,
    sequence: String,
}

/// The received events by id, and what is wrong with them.
#[derive(Default)]
pub struct Events {
    pub by_id: BTreeMap<String, Value>,
    pub wrong: Vec<String>,
}

/// The shared handle to a site's traffic.
#[derive(Clone)]
pub struct Handle {
    pub commands: Arc<Mutex<Vec<QueueCommand>>>,
    pub events: Arc<Mutex<Events>>,
}

impl Traffic {
    pub fn new(site: &Arc<Site>, url: String, dice: &Dice) -> (Traffic, Handle) {
        let handle = Handle { commands: Arc::default(), events: Arc::default() };
        let traffic = Traffic {
            site: site.clone(),
            url,
            dice: dice.apart(site.name).apart("outside"),
            client: None,
            asked: BTreeMap::new(),
            steps: Vec::new(),
            known: BTreeMap::new(),
            commands: handle.commands.clone(),
            events: handle.events.clone(),
        };
        (traffic, handle)
    }

    /// Runs until it is dropped. After an error it continues on a new connection.
    pub async fn work(mut self) {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            match tokio::time::timeout(Duration::from_secs(20), self.run_turn()).await {
                Ok(Ok(())) => {}
                _ => self.client = None,
            }
        }
    }

    async fn run_turn(&mut self) -> lapin::Result<()> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::open(&self.url, self.site.name).await?,
        };
        self.listen(&mut client).await?;
        self.repeat_steps(&mut client).await?;
        self.run_commands(&client).await?;
        if self.look().await.is_ok() {
            self.ask(&client).await?;
        }
        if self.site.is_over() {
            // If the database is down, the next turn tries again.
            let _ = self.record_requests().await;
        }
        self.client = Some(client);
        Ok(())
    }

    async fn listen(&mut self, client: &mut Client) -> lapin::Result<()> {
        let events = client.events().await?;
        let Some(last) = events.last().map(|event| event.delivery_tag) else { return Ok(()) };
        {
            let mut known = lock(&self.events);
            events.iter().for_each(|event| known.note(&event.data));
        }
        client.keep(last).await
    }

    /// Sends every step a second time, later and in another order.
    async fn repeat_steps(&mut self, client: &mut Client) -> lapin::Result<()> {
        let mut copies = client.copies().await?;
        if self.site.is_over() {
            return Ok(());
        }
        self.dice.shuffle(&mut copies);
        for (key, body) in &copies {
            client.publish(key, body).await?;
        }
        self.site.tally.add("steps sent a second time", copies.len() as u64);
        self.steps.extend(copies);
        Ok(())
    }

    async fn run_commands(&mut self, client: &Client) -> lapin::Result<()> {
        let commands: Vec<QueueCommand> = lock(&self.commands).drain(..).collect();
        for command in commands {
            match command {
                QueueCommand::Purge(queue) => client.purge(queue).await?,
                QueueCommand::Delete(queue) => client.delete(queue).await?,
                QueueCommand::Replay => self.replay(client).await?,
            }
            // An operator who empties the queue of requests informs their senders.
            if let QueueCommand::Purge("requests") | QueueCommand::Delete("requests") = command {
                self.asked.values_mut().for_each(|asked| asked.is_sent = false);
            }
            let what = format!("{command:?}").replace(['(', ')', '"'], " ");
            self.site.tally.count(&format!("queues: {}", what.trim().to_lowercase()));
        }
        Ok(())
    }

    /// Sends old steps and already answered requests.
    async fn replay(&mut self, client: &Client) -> lapin::Result<()> {
        for _ in 0..40.min(self.steps.len()) {
            let (key, body) = self.dice.pick(&self.steps).clone();
            client.publish(&key, &body).await?;
        }
        let answered: Vec<String> = self.known.keys().cloned().collect();
        for _ in 0..10.min(answered.len()) {
            if let Some(asked) = self.asked.get(self.dice.pick(&answered)) {
                client.publish(&key_of(&asked.body), asked.body.to_string().as_bytes()).await?;
            }
        }
        Ok(())
    }

    /// Reads the progress of all jobs.
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

    /// Sends the next requests: each leaver leaves (again after a rejection), stuck jobs are resumed, and some jobs
    /// are reverted.
    async fn ask(&mut self, client: &Client) -> lapin::Result<()> {
        for (leaver, records) in self.site.asked().to_vec() {
            let refused = (1..).take_while(|attempt| self.state(&format!("leave-{leaver}-{attempt}")) == "rejected");
            let attempt = refused.count() as u32 + 1;
            let id = format!("leave-{leaver}-{attempt}");
            let body = || self.site.request(leaver, records, attempt);
            self.asked.entry(id.clone()).or_insert_with(|| Asked { body: body(), is_sent: false });
            if let Some(known) = self.known.get(&id).filter(|known| known.state == "completed")
                && leaver % 10 == 7
            {
                let body = command("revert", &format!("revert-{leaver}"), &known.id);
                self.asked.entry(format!("revert-{leaver}")).or_insert_with(|| Asked { body, is_sent: false });
            }
        }
        for known in self.known.values().filter(|known| known.state == "needs_attention") {
            let id = format!("resume-{}-{}", known.id, known.sequence);
            let body = command("resume", &id, &known.id);
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
                asked.is_sent = client.publish(&key, body.as_bytes()).await? || asked.is_sent;
                self.site.tally.count("requests sent");
            }
        }
        Ok(())
    }

    /// Records for the checker which requests were sent.
    async fn record_requests(&self) -> Result<u64, sea_orm::sqlx::Error> {
        // An answered request counts even if its queue was emptied since.
        let sent = self.asked.iter().filter(|(id, asked)| asked.is_sent || self.known.contains_key(*id));
        let rows: Vec<String> = sent.map(|(id, _)| format!("('{id}')")).collect();
        let insert = format!("INSERT INTO storm.asked VALUES {} ON CONFLICT DO NOTHING", rows.join(", "));
        sql::run(&self.site.pool, &insert).await
    }

    fn state(&self, request: &str) -> &str {
        self.known.get(request).map_or("", |known| &known.state)
    }
}

fn command(kind: &str, id: &str, job: &str) -> Value {
    json!({ "type": kind, "request_id": id, "org_id": "1", "requested_by": "1", "job_id": job })
}

fn key_of(body: &Value) -> String {
    format!("request.{}", body["type"].as_str().unwrap_or_default())
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
