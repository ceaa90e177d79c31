//! The contract: its documents and examples, the requests that are refused, and the replies.

mod bad_requests;
mod documents;
mod published;
pub mod replies;
