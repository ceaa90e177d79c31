//! TLS to RabbitMQ, with rustls: the trusted authority and our own certificate.

use std::io;
use std::path::{Path, PathBuf};

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::broker::error::BrokerError;

/// PEM files for a connection by `amqps`. They are read for each connection, so you can renew them while a worker runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The only authority to trust. Without it, the system's authorities are trusted.
    pub authority: Option<PathBuf>,
    /// Our certificate, with the intermediate ones, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Creates a TLS connector. lapin installs ring as the process's crypto provider, unless another is installed already.
pub(super) async fn connector(files: &TlsFiles) -> Result<RustlsConnector, BrokerError> {
    let failed = |error: io::Error| BrokerError::Configuration(format!("no TLS to RabbitMQ: {error}"));
    let config = match &files.authority {
        Some(file) => {
            let mut config = RustlsConnectorConfig::default();
            config.add_parsable_certificates(certificates(file).await?);
            config
        }
        None => RustlsConnectorConfig::new_with_native_certs().map_err(failed)?,
    };
    match &files.identity {
        Some((certificate, key)) => {
            let chain = certificates(certificate).await?;
            let pem = read(key).await?;
            let private =
                PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unreadable(key, "it holds no private key"))?;
            config.connector_with_single_cert(chain, private)
        }
        None => config.connector_with_no_client_auth(),
    }
    .map_err(failed)
}

async fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let pem = read(file).await?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unreadable(file, "it holds no certificate")),
    }
}

async fn read(file: &Path) -> Result<Vec<u8>, BrokerError> {
    tokio::fs::read(file).await.map_err(|error| unreadable(file, &error.to_string()))
}

fn unreadable(file: &Path, why: &str) -> BrokerError {
    BrokerError::Configuration(format!("cannot use the file {} for TLS to RabbitMQ: {why}", file.display()))
}
