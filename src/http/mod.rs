//! The HTTP servers of a worker. [`ops`] serves metrics and health.

pub mod ops;
mod settings;

pub use self::settings::Settings;
