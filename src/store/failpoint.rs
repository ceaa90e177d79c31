//! The points around a step's commit where tests make it fail. In production nothing is installed here.

use super::error::Result;

/// A point of a step's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// Everything is written and nothing is committed.
    BeforeCommit,
    /// It is committed, and the reply is lost.
    AfterCommit,
}

/// Decides at each point if the step goes on.
pub trait Failpoints: Send + Sync {
    /// Returns an error to fail the step there.
    fn at(&self, step: &str, point: Point) -> Result<()>;

    /// Sees the text of a statement before the step runs it.
    fn statement(&self, _step: &str, _text: &str) {}
}
