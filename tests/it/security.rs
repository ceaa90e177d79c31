//! Security: hostile input, organizations, grants, secrets, TLS, and personal data.

mod forget;
mod grants;
mod hostile;
pub mod organizations;
mod secrets;
mod senders;
mod tls;
