//! The keys of the link, made on first use: the certificate of the server, and a signing key for each end.
//!
//! They are for tests: the private keys lie unencrypted in the folder, for the owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use gateway::key::{RsaSigner, RsaVerifier};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};

/// The name in the server's certificate, which the terminal checks.
pub const SERVER_NAME: &str = "gateway.sim.smartpos.example";
/// The name of the one terminal's key.
pub const TERMINAL: &str = "terminal-12345678";
/// The name of the gateway's key.
pub const GATEWAY: &str = "gateway";

/// The certificate of the server, which signs itself: what the terminal pins.
const CERT: &str = "server-cert.pem";
const CERT_KEY: &str = "server-key.pem";
const ENDS: [&str; 2] = ["terminal", "gateway"];

/// Makes the keys in `dir`, unless it has a certificate already.
///
/// # Errors
/// What the file system or the library says.
pub fn ensure(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if dir.join(CERT).exists() {
        return Ok(());
    }
    for end in ENDS {
        let pair =
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(io::Error::other)?;
        write(&dir.join(format!("{end}-key.pem")), &pair.serialize_pem(), 0o600)?;
        write(&dir.join(format!("{end}-public.pem")), &pair.public_key_pem(), 0o644)?;
    }
    let pair = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "smartpos virtual QR gateway, TEST");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 12, 31);
    let cert = params.self_signed(&pair).map_err(io::Error::other)?;
    write(&dir.join(CERT_KEY), &pair.serialize_pem(), 0o600)?;
    // Last: a folder with a certificate is complete.
    write(&dir.join(CERT), &cert.pem(), 0o644)
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

/// The gateway's side of TLS 1.2 and 1.3.
///
/// # Errors
/// A file of `dir` that is missing or wrong.
pub fn server_config(dir: &Path) -> io::Result<ServerConfig> {
    let key = PrivateKeyDer::from_pem_file(dir.join(CERT_KEY)).map_err(io::Error::other)?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate(dir)?], key)
        .map_err(io::Error::other)
}

/// What the terminal trusts.
///
/// # Errors
/// A file that is missing or wrong.
pub fn roots(dir: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(dir)?).map_err(io::Error::other)?;
    Ok(roots)
}

fn certificate(dir: &Path) -> io::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(dir.join(CERT)).map_err(io::Error::other)
}

/// The private key of an end, `terminal` or `gateway`.
///
/// # Errors
/// A file that is missing or wrong.
pub fn signer(dir: &Path, end: &str) -> io::Result<RsaSigner> {
    let pem = fs::read_to_string(dir.join(format!("{end}-key.pem")))?;
    RsaSigner::from_pem(&pem).map_err(io::Error::other)
}

/// The public key of an end, `terminal` or `gateway`.
///
/// # Errors
/// A file that is missing or wrong.
pub fn verifier(dir: &Path, end: &str) -> io::Result<RsaVerifier> {
    let pem = fs::read_to_string(dir.join(format!("{end}-public.pem")))?;
    RsaVerifier::from_pem(&pem).map_err(io::Error::other)
}
