//! The HTTP servers. [`ops`] serves metrics and health of a worker, [`api`] the HTTP API, and SCIM beside
//! it for identity providers. Both listen by [`Listener`], which bounds
//! connections and times, and checks the `Host` of every request.

pub mod api;
mod ends;
mod hosts;
pub mod ops;
mod problem;
mod scim;
mod server;
mod settings;
mod tls;

pub use self::server::{Listener, Serving};
pub use self::settings::{ApiSettings, Settings, is_host_name, listed};
pub use self::tls::{Tls, TlsFault, TlsFiles};
