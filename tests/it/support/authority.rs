//! A private certificate authority.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The subject of a certificate.
pub enum Of<'n> {
    Server(&'n str),
    ExpiredServer(&'n str),
    Client(&'n str),
    ExpiredClient(&'n str),
}

/// A certificate and its key.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// A certificate and its key as files.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, of: Of<'_>) -> Issued {
        let (name, names, purpose) = match of {
            Of::Server(name) | Of::ExpiredServer(name) => {
                (name, vec![name.to_owned()], ExtendedKeyUsagePurpose::ServerAuth)
            }
            Of::Client(name) | Of::ExpiredClient(name) => (name, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth),
        };
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if matches!(of, Of::ExpiredServer(_) | Of::ExpiredClient(_)) {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    pub fn write(&self, file: &Path) -> PathBuf {
        std::fs::write(file, &self.pem).expect("a file");
        file.to_owned()
    }
}

impl Issued {
    pub fn write(&self, folder: &Path, name: &str) -> Files {
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate, &self.certificate).expect("a file");
        std::fs::write(&key, &self.key).expect("a file");
        Files { certificate, key }
    }
}
