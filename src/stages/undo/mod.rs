//! Undo: reverting or cancelling a job, and restoring snapshots when a user is reactivated; and the preview of an undo.
//!
//! An undo is a job like any other, in the same steps. A cut reads the journal of the job to be undone from its end, and the
//! snapshots that wait for the user. A chunk covers one row of that journal, a slice of its keys, or a range of snapshots. The
//! undo journals the records that it restored and those that it skipped; its certificate is computed from both jobs' journals
//! and the snapshots. Nothing is undone twice: a record goes back only from where the job put it, and a snapshot is marked when
//! it is used.

pub(super) mod begin;
pub(super) mod cut;
pub(super) mod finalize;
pub(super) mod journaled;
pub mod preview;
pub(super) mod snapshots;
pub(super) mod work;
