//! The steps that stages leave for each other: messages that only say *look here*.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::JobId;

/// What is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// A scheduled job is due.
    Start,
    /// A job has references that are not cut yet.
    Cut,
    /// A job has open chunks: take any of them.
    Ticket,
    /// A job's chunks are all closed.
    Finalize,
    /// A completed job is to be counted again.
    Recount,
}

/// A step of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What to do.
    pub step: StepKind,
    /// The job.
    pub job_id: JobId,
}

impl StepKind {
    /// Every kind, in the order in which a job comes to them.
    pub const ALL: [StepKind; 5] =
        [StepKind::Start, StepKind::Cut, StepKind::Ticket, StepKind::Finalize, StepKind::Recount];

    /// What its work is called in logs, traces and metrics.
    pub fn name(self) -> &'static str {
        match self {
            StepKind::Start => "start",
            StepKind::Cut => "cut",
            StepKind::Ticket => "move",
            StepKind::Finalize => "finalize",
            StepKind::Recount => "recount",
        }
    }

    /// The routing key on the broker.
    pub fn routing_key(self) -> &'static str {
        match self {
            StepKind::Start => "step.start",
            StepKind::Cut => "step.cut",
            StepKind::Ticket => "step.ticket",
            StepKind::Finalize => "step.finalize",
            StepKind::Recount => "step.recount",
        }
    }
}
