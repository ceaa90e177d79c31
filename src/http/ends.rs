//! The two ends of a connection, which requests carry.

use std::net::SocketAddr;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The client.
    pub peer: SocketAddr,
    /// The address of ours that it has connected to.
    pub local: SocketAddr,
    /// True if the connection has TLS.
    pub has_tls: bool,
}
