//! Faults of a message: what is wrong, where, and how to fix it.

use std::fmt;

use super::{DeadLetterCode, printable};

/// The maximum length of path, detail and hint, in characters of the message.
const LONGEST_QUOTE: usize = 1_000;

/// The maximum number of faults that are reported. More of them help nobody, and a reply must stay small.
const MOST_FAULTS: usize = 20;

/// One fault of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The cause, as one word for programs.
    pub code: DeadLetterCode,
    /// The path to the field: `reassign.contact.shares[0].amount`, or `.` for the whole message.
    pub path: String,
    /// The cause, for people.
    pub detail: String,
    /// The hint: how to fix it.
    pub hint: String,
}

impl Fault {
    /// Creates a fault. Its texts may quote the message at any length and are written to headers and logs, so they are
    /// shortened and escaped.
    pub fn new(code: DeadLetterCode, path: impl ToString, detail: impl AsRef<str>, hint: impl AsRef<str>) -> Fault {
        let path = path.to_string();
        // A field name may be empty, but a header may not.
        let path = if path.is_empty() { "." } else { &path };
        Fault { code, path: shorten(path), detail: shorten(detail.as_ref()), hint: shorten(hint.as_ref()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at `{}`: {}: {}", self.code, self.path, self.detail, self.hint)
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(text),
    }
}

/// The faults for which a message is not a valid request. Such a message becomes a dead letter and is never retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.first, .more))]
pub struct InvalidRequest {
    /// The first fault.
    pub first: Fault,
    /// The other faults.
    pub more: Vec<Fault>,
}

fn listed(first: &Fault, more: &[Fault]) -> String {
    let faults: Vec<String> = [first].into_iter().chain(more).map(Fault::to_string).collect();
    faults.join("; ")
}

impl InvalidRequest {
    /// Lists all faults.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        [&self.first].into_iter().chain(&self.more)
    }
}

impl From<Fault> for InvalidRequest {
    fn from(first: Fault) -> InvalidRequest {
        InvalidRequest { first, more: Vec::new() }
    }
}

/// Collects the faults of a message.
#[derive(Debug, Default)]
pub struct Faults {
    found: Vec<Fault>,
    /// The number of faults beyond those that are reported.
    left_out: usize,
}

impl Faults {
    /// Adds a fault. Returns no value, in place of the faulty one.
    pub fn add<T>(
        &mut self,
        code: DeadLetterCode,
        path: impl ToString,
        detail: impl AsRef<str>,
        hint: impl AsRef<str>,
    ) -> Option<T> {
        match self.is_full() {
            true => self.left_out += 1,
            false => self.found.push(Fault::new(code, path, detail, hint)),
        }
        None
    }

    /// Returns true if further faults are only counted.
    pub fn is_full(&self) -> bool {
        self.found.len() >= MOST_FAULTS
    }

    /// Returns the value if there is no fault. A missing field comes last: another field may be a misspelling of it.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, InvalidRequest> {
        self.found.sort_by_key(|fault| fault.code == DeadLetterCode::MissingField);
        if self.left_out > 0 {
            let detail = format!("{} more faults are not listed", self.left_out);
            self.found.push(Fault::new(DeadLetterCode::MoreFaults, ".", detail, "fix the listed ones first"));
        }
        let mut found = self.found.into_iter();
        match (found.next(), value) {
            (None, Some(value)) => Ok(value),
            (Some(first), Some(_) | None) => Err(InvalidRequest { first, more: found.collect() }),
            (None, None) => {
                let hint = "compare it with `handover schema request`";
                Err(Fault::new(DeadLetterCode::InvalidField, ".", "the request cannot be read", hint).into())
            }
        }
    }
}
