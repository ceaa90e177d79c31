//! The live view: reads, draws, and ends with a key, a signal, the deadline, or the job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use uuid::Uuid;

use super::frame::{self, AllJobs, OneJob, Queues, View};
use super::rates::Rates;
use super::screen::Screen;
use crate::app::{self, jobs, overview};
use crate::broker::{Broker, BrokerError, Channel};
use crate::cli::follow;
use crate::cli::signals::Signals;
use crate::store::Store;
use crate::store::ledger::jobs::Job;

/// The interval of drawing.
const REDRAW: Duration = Duration::from_secs(1);

/// Jobs of each group that are read, at most. A screen shows fewer.
const MOST: u64 = 100;

/// The end of a view.
pub enum Ended {
    /// The job ended or waits for a person.
    Job(Box<Job>),
    /// A key or a signal ended the view.
    Quit,
    /// The time is over.
    TimedOut,
}

/// A live view.
pub struct Live<'l> {
    store: &'l Store,
    broker: &'l std::result::Result<Arc<dyn Broker>, BrokerError>,
    job: Option<Uuid>,
    records: Rates<Uuid>,
    messages: Rates<Channel>,
}

impl Live<'_> {
    /// Returns a view of one job, or of all open jobs.
    pub fn new<'l>(
        store: &'l Store,
        broker: &'l std::result::Result<Arc<dyn Broker>, BrokerError>,
        job: Option<Uuid>,
    ) -> Live<'l> {
        Live { store, broker, job, records: Rates::new(), messages: Rates::new() }
    }

    /// Draws until the view ends, and restores the terminal.
    pub async fn run(mut self, deadline: Option<Instant>) -> Result<Ended> {
        let mut signals = Signals::listen()?;
        let mut screen = Screen::open()?;
        let mut shown = View::Nothing;
        loop {
            let problem = match self.read().await {
                Ok(view) => {
                    shown = view;
                    None
                }
                // The last view stays until the database is back.
                Err(error) if error.is_transient() => Some(error.to_string()),
                Err(error) => return Err(error.into()),
            };
            let (columns, lines) = Screen::size();
            let head = frame::head(&self.store.label(), problem.as_deref());
            screen.draw(&frame::lines(&head, &shown, columns, lines))?;
            if let View::OneJob(one) = &shown
                && follow::has_stopped(&one.status.job)
            {
                return Ok(Ended::Job(Box::new(one.status.job.clone())));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Ended::TimedOut);
            }
            tokio::select! {
                () = screen.quit() => return Ok(Ended::Quit),
                () = signals.next() => return Ok(Ended::Quit),
                () = tokio::time::sleep(REDRAW) => {}
            }
        }
    }

    async fn read(&mut self) -> app::Result<View> {
        let queues = self.queues().await;
        let Some(id) = self.job else {
            let jobs = overview::read(self.store, MOST).await?;
            let done = jobs.working.iter().map(|status| (status.job.id, status.chunks.done));
            self.records.record(Instant::now(), done);
            let rates = jobs.working.iter().filter_map(|status| self.rate_of(status.job.id)).collect();
            return Ok(View::AllJobs(AllJobs { jobs, rates, queues }));
        };
        let Some(status) = jobs::status(self.store, id).await? else { return Ok(View::Nothing) };
        self.records.record(Instant::now(), [(id, status.chunks.done)]);
        let (rate, kinds) = (self.records.per_second(id), jobs::progress(self.store, id).await?);
        Ok(View::OneJob(Box::new(OneJob { status, rate, kinds, queues })))
    }

    fn rate_of(&self, job: Uuid) -> Option<(Uuid, f64)> {
        Some((job, self.records.per_second(job)?))
    }

    async fn queues(&mut self) -> Queues {
        let depths = match self.broker {
            Ok(broker) => overview::queues(broker.as_ref()).await,
            Err(error) => Err(error.to_string()),
        };
        let counts = depths.iter().flatten().map(|depth| (depth.channel, depth.messages));
        self.messages.record(Instant::now(), counts);
        let rate = |channel| Some((channel, self.messages.per_second(channel)?));
        let rates: BTreeMap<Channel, f64> = Channel::QUEUES.into_iter().filter_map(rate).collect();
        Queues { depths, rates }
    }
}
