//! The web console, through a real socket and without scripts.

mod deactivation;
mod frame;
mod jobs;
mod sign_in;
mod users;
