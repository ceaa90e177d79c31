//! The findings of a read-only check of the broker.

/// The hint for messages that no worker takes.
pub const NO_WORKER_HINT: &str = "start a worker: `handover run`";

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing to do.
    Good,
    /// It works, but you should look at it.
    Warning,
    /// A worker cannot run like this.
    Fault,
    /// The check was not possible.
    NotChecked,
}

/// One finding about the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The subject: `broker`, `queues`, `exchanges` and so on.
    pub check: &'static str,
    /// The result.
    pub status: Status,
    /// The observation.
    pub found: String,
    /// The sentence that says how to fix it.
    pub hint: Option<String>,
}

impl Finding {
    /// Reports that nothing is wrong.
    pub fn good(check: &'static str, found: impl Into<String>) -> Finding {
        Finding { check, status: Status::Good, found: found.into(), hint: None }
    }

    /// Reports a warning.
    pub fn warning(check: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { check, status: Status::Warning, found: found.into(), hint: Some(hint.into()) }
    }

    /// Reports a fault.
    pub fn fault(check: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { check, status: Status::Fault, found: found.into(), hint: Some(hint.into()) }
    }

    /// Reports a check that was not possible, with the reason.
    pub fn not_checked(check: &'static str, reason: impl Into<String>) -> Finding {
        Finding { check, status: Status::NotChecked, found: reason.into(), hint: None }
    }
}
