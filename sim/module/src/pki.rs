//! The certificates of TR-34 for a virtual terminal: an authority of hosts, a host, and the device, in a folder.
//!
//! They are for tests: the private keys lie unencrypted in the folder, for the owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SerialNumber, date_time_ymd,
};
use tr34::Distributor;
use x509_cert::der::DateTime;

/// The certificate of the authority of hosts.
pub const CA_KDH: &str = "ca-kdh.der";
/// The certificate of the host.
pub const KDH: &str = "kdh.der";
/// The certificate of the device.
pub const KRD: &str = "krd.der";
/// The private key of the device.
pub const KRD_KEY: &str = "krd-key.der";

const CA_KDH_KEY: &str = "ca-kdh-key.der";
const KDH_KEY: &str = "kdh-key.der";
/// How long a list of revoked certificates is valid.
const LIST: Duration = Duration::from_secs(30 * 86_400);

/// Makes the keys and certificates in `dir`, unless it has them already.
///
/// # Errors
/// What the file system says.
pub fn ensure(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if dir.join(KRD).exists() {
        return Ok(());
    }
    let authority = Issuer::new(authority(), key()?);
    let own = self::authority().self_signed(authority.key()).map_err(io::Error::other)?;
    write(&dir.join(CA_KDH), own.der(), 0o644)?;
    write(&dir.join(CA_KDH_KEY), authority.key().serialized_der(), 0o600)?;
    let host = key()?;
    let params = named("Virtual key host", &[KeyUsagePurpose::DigitalSignature]);
    write(&dir.join(KDH), params.signed_by(&host, &authority).map_err(io::Error::other)?.der(), 0o644)?;
    write(&dir.join(KDH_KEY), host.serialized_der(), 0o600)?;
    let device = key()?;
    let params = named("Virtual terminal", &[KeyUsagePurpose::KeyEncipherment]);
    write(&dir.join(KRD_KEY), device.serialized_der(), 0o600)?;
    // Last: a folder with it is complete.
    write(&dir.join(KRD), params.signed_by(&device, &authority).map_err(io::Error::other)?.der(), 0o644)
}

/// The host whose key and certificate are in `dir`, with a list of revoked certificates of today, on which nobody is.
///
/// # Errors
/// What the file system says, or what is wrong with a file.
pub fn host(dir: &Path) -> io::Result<Distributor> {
    let key = KeyPair::try_from(fs::read(dir.join(CA_KDH_KEY))?).map_err(io::Error::other)?;
    let authority = Issuer::new(authority(), key);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    let day = |at: Duration| {
        let date = DateTime::from_unix_duration(at).map_err(io::Error::other)?;
        Ok::<_, io::Error>(date_time_ymd(i32::from(date.year()), date.month(), date.day()))
    };
    let list = CertificateRevocationListParams {
        this_update: day(now)?,
        next_update: day(now + LIST)?,
        crl_number: SerialNumber::from(now.as_secs()),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&authority).map_err(io::Error::other)?;
    Distributor::new(&fs::read(dir.join(KDH_KEY))?, &fs::read(dir.join(KDH))?, list.der())
        .map_err(io::Error::other)
}

fn authority() -> CertificateParams {
    let usages = [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut params = named("Virtual authority of key hosts", &usages);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn named(name: &str, usages: &[KeyUsagePurpose]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = usages.to_vec();
    params
}

fn key() -> io::Result<KeyPair> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(io::Error::other)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?.write_all(bytes)
}
