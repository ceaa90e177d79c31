//! Steps: the messages between stages. A step only says *look here*; all truth is in the ledger.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::JobId;

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// A scheduled job is due.
    Start,
    /// A job has references that are not completely cut.
    Cut,
    /// A job has open chunks: claim any of them.
    Ticket,
    /// Every chunk of a job is closed.
    Finalize,
    /// A completed job is due to be counted again.
    Recount,
}

/// A step of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The kind.
    pub step: StepKind,
    /// The job.
    pub job_id: JobId,
    /// The number of times that the step was blocked and put off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deferrals: u32,
}

fn is_zero(deferrals: &u32) -> bool {
    *deferrals == 0
}

impl StepKind {
    /// Every kind, in the order of a job's life.
    pub const ALL: [StepKind; 5] =
        [StepKind::Start, StepKind::Cut, StepKind::Ticket, StepKind::Finalize, StepKind::Recount];

    /// Returns the name of the work in logs, traces and metrics.
    pub fn name(self) -> &'static str {
        match self {
            StepKind::Start => "start",
            StepKind::Cut => "cut",
            StepKind::Ticket => "move",
            StepKind::Finalize => "finalize",
            StepKind::Recount => "recount",
        }
    }

    /// Returns the routing key on the broker.
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
