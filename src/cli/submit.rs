//! `handover submit`: sends requests to the queue.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::confirmation::Confirmation;
use super::exit::Exit;
use super::follow::{Sent, Wait};
use super::{open, output, preview, question, request_file};
use crate::app::{organizations, submit};
use crate::broker::Broker;
use crate::config::Settings;
use crate::contract::{Request, RequestType};
use crate::stages::Context;
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Arguments {
    /// A file with one request, or one per line; `-` is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    pub(super) confirmation: Confirmation,
    /// Print the job ids as JSON, one per line.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let Arguments { file, wait, confirmation, json } = arguments;
    let requests = request_file::read_requests(&file)?;
    let store = open::ledger(&settings).await?;
    Submission { store, requests, confirmation, wait, json }.perform(&settings).await
}

/// Checks requests before any of them is sent. Returns them in the form that the planner gives them.
async fn prepare(context: &Context, requests: Vec<Request>) -> Result<Vec<Request>> {
    organizations::check_all(&context.store, &context.catalogs.current(), &requests).await?;
    let mut prepared = Vec::with_capacity(requests.len());
    for request in requests {
        // The catalog of the job says what is right for it, and only an amendment says more than the job.
        let depends_on_job = matches!(&request, Request::Job(asked) if asked.kind != RequestType::Amend);
        prepared.push(match submit::prepare(context, request.clone()).await {
            Err(_) if depends_on_job => request,
            result => {
                result.with_context(|| format!("request {}: nothing was sent", request.header().request_id.as_str()))?
            }
        });
    }
    Ok(prepared)
}

/// Requests, and how they are sent.
pub struct Submission {
    /// The database.
    pub store: Store,
    /// The requests.
    pub requests: Vec<Request>,
    /// The confirmation.
    pub confirmation: Confirmation,
    /// The options of waiting for the jobs.
    pub wait: Wait,
    /// True to print JSON.
    pub json: bool,
}

impl Submission {
    /// Shows what the requests would do, or sends them once that is confirmed.
    pub async fn perform(mut self, settings: &Settings) -> Result<Exit> {
        let Submission { store, confirmation, .. } = &self;
        let is_about_jobs = self.requests.iter().all(|request| matches!(request, Request::Job(_)));
        // A catalog that does not fit any more must not keep anybody from stopping a job.
        let context = match open::context(settings, store.clone()).await {
            Err(_) if is_about_jobs && !confirmation.dry_run => None,
            opened => Some(opened?),
        };
        if let Some(context) = &context {
            self.requests = prepare(context, self.requests).await?;
        }
        let Submission { store, requests, confirmation, .. } = &self;
        if let Some(context) = context.as_ref().filter(|_| confirmation.dry_run) {
            return preview::show(context, settings.worker, self.requests, self.json).await;
        }
        let question = async || Ok(Some(question::before_sending(store, context.as_ref(), requests).await?));
        if !confirmation.is_given(question).await? {
            return Ok(Exit::Failed);
        }
        let broker = open::broker(settings, &self.store).await?;
        self.send(broker.as_ref()).await
    }

    /// Sends the requests, prints the ids of their jobs, and follows the jobs if that was asked for.
    async fn send(&self, broker: &dyn Broker) -> Result<Exit> {
        let mut sent = Vec::with_capacity(self.requests.len());
        for (request, result) in self.requests.iter().zip(submit::publish(broker, &self.requests).await) {
            let request_id = request.header().request_id;
            let message_id = result.with_context(|| format!("the request {request_id} could not be sent"))?;
            sent.push(Sent { request, message_id });
            let job = request.job_id();
            match self.json {
                true => output::json_line(&serde_json::json!({ "request_id": request_id, "job_id": job }))?,
                false => output::line(job.to_string())?,
            }
        }
        let exit = self.wait.follow(&self.store, broker, &sent, self.json).await;
        broker.close().await;
        exit
    }
}
