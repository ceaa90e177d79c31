//! Where a step can be made to fail: the points around its commit. Nothing stands here in production; the tests put a
//! failpoints in that fails each step at each point, and find the job finished correctly afterwards.

use super::error::Result;

/// A point of a step's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// Everything is written and nothing is committed.
    BeforeCommit,
    /// It is committed, and the reply is lost.
    AfterCommit,
}

/// Decides at each point whether the step goes on.
pub trait Failpoints: Send + Sync {
    /// An error fails the step there.
    fn at(&self, step: &str, point: Point) -> Result<()>;
}
