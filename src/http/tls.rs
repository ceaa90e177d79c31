//! TLS of a listener: a certificate and its key from PEM files, which are read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;

/// The time after which the files are read again, by the next connection.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and after it the intermediate ones.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// The reason why files cannot be used.
#[derive(Debug, Error)]
pub enum TlsFault {
    /// A file cannot be read.
    #[error("`{setting}` {file} cannot be read: {error}")]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: String,
        /// The cause.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{setting}` {file} holds no {what}: it must be a PEM file with `-----BEGIN`")]
    Lacks {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: String,
        /// The missing part.
        what: &'static str,
    },
    /// The certificate and the key cannot be used together.
    #[error(
        "the certificate of `api.tls_certificate` and the key of `api.tls_key` cannot be used: {0}; the file of the \
         certificate must begin with the one that belongs to the key"
    )]
    Refused(#[from] rustls::Error),
}

/// The texts of both files.
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The TLS of a listener. Its certificate is the newest that can be used.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
}

/// What the last look at the files has found.
struct Seen {
    at: Instant,
    /// A digest of the files, or the fault that kept them from being read. A fault is logged once.
    state: String,
}

impl Tls {
    /// Reads the files for the first time.
    pub async fn open(files: TlsFiles) -> Result<Tls, TlsFault> {
        let pem = read(&files).await?;
        let current = RwLock::new(Arc::new(pem.config(&files)?));
        let seen = Mutex::new(Seen { at: Instant::now(), state: pem.digest() });
        Ok(Tls { files, current, seen })
    }

    /// Returns the acceptor for a new connection. Reads the files again if the last look was a while ago.
    pub async fn acceptor(&self) -> TlsAcceptor {
        // While one connection looks, the others use the certificate that is known.
        if let Ok(mut seen) = self.seen.try_lock()
            && seen.at.elapsed() >= READ_AGAIN_AFTER
        {
            self.look(&mut seen).await;
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }

    async fn look(&self, seen: &mut Seen) {
        seen.at = Instant::now();
        let read = read(&self.files).await;
        let state = read.as_ref().map_or_else(TlsFault::to_string, Pem::digest);
        if state == seen.state {
            return;
        }
        seen.state = state;
        match read.and_then(|pem| pem.config(&self.files)) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!("the TLS certificate has changed and is in use");
            }
            Err(error) => tracing::error!(%error, "the new TLS certificate cannot be used; the old one stays in use"),
        }
    }
}

async fn read(files: &TlsFiles) -> Result<Pem, TlsFault> {
    let certificate = read_file(CERTIFICATE, &files.certificate).await?;
    let key = read_file(KEY, &files.key).await?;
    Ok(Pem { certificate, key })
}

const CERTIFICATE: &str = "api.tls_certificate";
const KEY: &str = "api.tls_key";

async fn read_file(setting: &'static str, file: &Path) -> Result<Vec<u8>, TlsFault> {
    let unreadable = |error| TlsFault::Unreadable { setting, file: file.display().to_string(), error };
    tokio::fs::read(file).await.map_err(unreadable)
}

impl Pem {
    fn digest(&self) -> String {
        let both = Sha256::new().chain_update(Sha256::digest(&self.certificate)).chain_update(&self.key);
        crate::contract::hex(&both.finalize())
    }

    /// Builds the configuration of TLS. Fails if the key does not belong to the certificate.
    fn config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsFault> {
        let lacks = |setting, file: &Path, what| TlsFault::Lacks { setting, file: file.display().to_string(), what };
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<_, _>>().unwrap_or_default();
        if chain.is_empty() {
            return Err(lacks(CERTIFICATE, &files.certificate, "certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| lacks(KEY, &files.key, "private key without a password"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
