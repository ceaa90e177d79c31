//! TLS to RabbitMQ, with rustls: whom we trust, and who we are.

use std::io;
use std::path::{Path, PathBuf};

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::BrokerError;

/// Files for a connection by `amqps`, in PEM form. They are read for each connection, so that they can be renewed while
/// a worker runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority whose certificates are trusted, and no other; without it, those that the system trusts.
    pub authority: Option<PathBuf>,
    /// Our own certificate, with those between it and its authority, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What makes a connection one by TLS. lapin's part of it installs ring as the process's crypto provider, unless another
/// was installed before.
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
    BrokerError::Configuration(format!("the file {} cannot be used for TLS to RabbitMQ: {why}", file.display()))
}
