//! The HTTP API, through a real socket.

mod bulk;
mod clients;
mod document;
mod doors;
mod guide;
mod principals;
mod problems;
mod progress;
mod reading;
mod requests;
mod tls;
