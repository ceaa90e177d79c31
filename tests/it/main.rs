//! The tests that talk to real servers and go through the public doors: the queue, the binary, the file.
//!
//! Each test has a database and a queue prefix of its own, and says in its name which promise it proves.

mod allotments;
mod catalog;
mod cli;
mod concurrency;
mod contract;
mod dispositions;
mod faults;
mod guards;
mod jobs;
mod layers;
mod mutations;
mod ops;
mod products;
mod property;
mod schemas;
mod security;
mod support;
mod undo;
