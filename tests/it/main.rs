//! Integration tests through the public interfaces: the queue, the binary and files, on real servers.
//!
//! Each test has its own database and queue prefix, and its name states the behavior that it proves.

mod allotments;
mod catalog;
mod cli;
mod concurrency;
mod console;
mod contract;
mod dispositions;
mod docs;
mod faults;
mod guards;
mod http;
mod jobs;
mod layers;
mod lock_outs;
mod mutations;
mod ops;
mod products;
mod property;
mod schemas;
mod scim;
mod security;
mod support;
mod undo;
