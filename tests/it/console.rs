//! The web console, through a real socket without scripts, and in a real browser.

mod browser;
mod bulk;
mod deactivation;
mod demo;
mod frame;
mod inbox;
mod jobs;
mod sign_in;
mod users;
