//! The certificates of the link: a root, the host's and the terminal's, made on first use.
//!
//! They are for tests: the private keys lie unencrypted in the folder, for the owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// The name in the host's certificate, which the terminal checks.
pub const SERVER_NAME: &str = "acquirer.sim.smartpos.example";

const ROOT: &str = "root-ca.pem";
const ROOT_KEY: &str = "root-ca-key.pem";
const SERVER_CERT: &str = "server-cert.pem";
const SERVER_KEY: &str = "server-key.pem";
const TERMINAL_CERT: &str = "terminal-cert.pem";
const TERMINAL_KEY: &str = "terminal-key.pem";

/// Makes the certificates in `dir`, unless it has a root already.
///
/// # Errors
/// What the file system or the certificate maker says.
pub fn ensure(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if dir.join(ROOT).exists() {
        return Ok(());
    }
    let root_key = KeyPair::generate().map_err(io::Error::other)?;
    write(&dir.join(ROOT_KEY), &root_key.serialize_pem(), 0o600)?;
    let root = root_params()?;
    let root_cert = root.self_signed(&root_key).map_err(io::Error::other)?;
    let issuer = Issuer::new(root, root_key);

    let mut server = params(SERVER_NAME)?;
    server.subject_alt_names =
        vec![rcgen::SanType::DnsName(SERVER_NAME.try_into().map_err(io::Error::other)?)];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(dir, &issuer, server, SERVER_CERT, SERVER_KEY)?;

    let terminal = terminal_params("terminal 12345678, TEST")?;
    issue(dir, &issuer, terminal, TERMINAL_CERT, TERMINAL_KEY)?;
    // Last: a folder with a root is complete.
    write(&dir.join(ROOT), &root_cert.pem(), 0o644)
}

/// The certificate, in PEM, for which a terminal asks with `request` (PKCS #10, in PEM). The request has to be signed by the key
/// that it is for.
///
/// # Errors
/// A request that is wrong, or a folder `dir` without our root.
pub fn certify(dir: &Path, request: &str) -> io::Result<String> {
    let file = dir.join(ROOT_KEY);
    let wrong = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let key = fs::read_to_string(&file).map_err(|error| wrong(&error))?;
    let key = KeyPair::from_pem(&key).map_err(|error| wrong(&error))?;
    let mut request = CertificateSigningRequestParams::from_pem(request)
        .map_err(|error| io::Error::other(format!("the request for a certificate: {error}")))?;
    // What it is good for is ours to say.
    let subject = std::mem::take(&mut request.params.distinguished_name);
    request.params = terminal_params("")?;
    request.params.distinguished_name = subject;
    let issuer = Issuer::new(root_params()?, key);
    request.signed_by(&issuer).map(|certificate| certificate.pem()).map_err(io::Error::other)
}

fn root_params() -> io::Result<CertificateParams> {
    let mut root = params("smartpos virtual acquirer, TEST root")?;
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(root)
}

fn terminal_params(name: &str) -> io::Result<CertificateParams> {
    let mut terminal = params(name)?;
    terminal.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    terminal.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    terminal.use_authority_key_identifier_extension = true;
    Ok(terminal)
}

fn params(name: &str) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 12, 31);
    Ok(params)
}

fn issue(
    dir: &Path,
    issuer: &Issuer<'_, KeyPair>,
    mut params: CertificateParams,
    cert: &str,
    key: &str,
) -> io::Result<()> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let pair = KeyPair::generate().map_err(io::Error::other)?;
    let signed = params.signed_by(&pair, issuer).map_err(io::Error::other)?;
    write(&dir.join(key), &pair.serialize_pem(), 0o600)?;
    write(&dir.join(cert), &signed.pem(), 0o644)
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

/// The host's side of TLS 1.2 and 1.3. A terminal without a certificate of our root is turned away.
///
/// # Errors
/// A file of `dir` that is missing or wrong.
pub fn server_config(dir: &Path) -> io::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots(dir)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let verifier = verifier.build().map_err(io::Error::other)?;
    let (chain, key) = identity(dir, SERVER_CERT, SERVER_KEY)?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(io::Error::other)
}

/// The root that both sides trust.
///
/// # Errors
/// A file that is missing or wrong.
pub fn roots(dir: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for cert in certificates(dir, ROOT)? {
        roots.add(cert).map_err(io::Error::other)?;
    }
    Ok(roots)
}

/// The terminal's certificate and private key.
///
/// # Errors
/// A file that is missing or wrong.
pub fn terminal_identity(dir: &Path) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    identity(dir, TERMINAL_CERT, TERMINAL_KEY)
}

fn identity(
    dir: &Path,
    cert: &str,
    key: &str,
) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let path = dir.join(key);
    let private = PrivateKeyDer::from_pem_file(&path).map_err(|error| named(&path, error))?;
    Ok((certificates(dir, cert)?, private))
}

fn certificates(dir: &Path, name: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let path = dir.join(name);
    let certificates = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    certificates.map_err(|error| named(&path, error))
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
