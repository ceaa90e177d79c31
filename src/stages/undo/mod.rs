//! The undo of a job: how it begins, what it gives back, how it ends, and its preview.
//!
//! An undo is a job like any other, in the same steps. A cut reads the journal of the job to be undone from its end, and the
//! snapshots that wait for the user. A chunk is a row of that journal, or a range of snapshots. The undo journals what came
//! back and what did not, and the certificate is made of that. Nothing is undone twice: a record goes back only from where the
//! job put it, and a snapshot is marked when it is used.

pub(super) mod begin;
pub(super) mod cut;
pub(super) mod finalize;
pub(super) mod journaled;
pub mod preview;
pub(super) mod snapshots;
pub(super) mod work;
