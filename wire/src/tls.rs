//! HTTPS on the same port: a certificate authority of this cloud's own, made at its first start, and the certificate of
//! this run, for the names of the machine itself only. Functions trust the authority; people may.
//! Deliberately absent: certificates for other names, and of public authorities.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// OpenSSL finds an authority by a hash of this name.
const NAME: &str = "Cumulet local authority";
pub const OPENSSL_HASH: &str = "8e8563fb";

/// Names the certificate is good for. No client takes `*.localhost`: a wildcard needs two names after it.
const NAMES: &[&str] = &["localhost", "127.0.0.1", "::1"];
const AUTHORITY_DAYS: i64 = 20 * 365;
/// What clients at most accept of a certificate.
const CERTIFICATE_DAYS: i64 = 820;
/// For clocks that go behind.
const BEFORE: Duration = Duration::days(1);

pub struct Authority {
    /// Its certificate, in PEM; no secret.
    pub pem: String,
    key: KeyPair,
}

impl Authority {
    /// Reads the authority from `folder`, or makes it there.
    ///
    /// # Errors
    /// When its files cannot be read, are damaged, or cannot be written.
    pub fn open(folder: &Path, now_ms: u64) -> io::Result<Authority> {
        let (key_path, pem_path) = (folder.join("authority.key"), folder.join("authority.pem"));
        match (fs::read_to_string(&key_path), fs::read_to_string(&pem_path)) {
            (Ok(key), Ok(pem)) => Ok(Authority { pem, key: KeyPair::from_pem(&key).map_err(io::Error::other)? }),
            (Err(e), _) | (_, Err(e)) if e.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(io::Error::other)?;
                let pem = params(now_ms).self_signed(&key).map_err(io::Error::other)?.pem();
                write(&key_path, 0o600, &key.serialize_pem())?;
                write(&pem_path, 0o644, &pem)?;
                Ok(Authority { pem, key })
            }
            (Err(e), _) | (_, Err(e)) => Err(e),
        }
    }

    /// What the front door shows to those who speak TLS, until the program ends.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn server(&self, now_ms: u64) -> io::Result<Arc<ServerConfig>> {
        let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
        leaf.distinguished_name = DistinguishedName::new();
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        (leaf.not_before, leaf.not_after) = (at(now_ms) - BEFORE, at(now_ms) + Duration::days(CERTIFICATE_DAYS));
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = Issuer::new(params(now_ms), &self.key);
        let certificate = leaf.signed_by(&key, &issuer).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.into()], key).map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn at(ms: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(ms / 1000).unwrap_or_default())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn params(now_ms: u64) -> CertificateParams {
    let mut authority = CertificateParams::default();
    authority.distinguished_name = DistinguishedName::new();
    authority.distinguished_name.push(DnType::CommonName, NAME);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    (authority.not_before, authority.not_after) = (at(now_ms) - BEFORE, at(now_ms) + Duration::days(AUTHORITY_DAYS));
    authority
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    /// Whether a client that trusts `pem` alone takes the server for `name`.
    async fn is_believed(server: &Arc<ServerConfig>, pem: &str, name: &'static str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let connector = TlsConnector::from(Arc::new(client));
        let acceptor = TlsAcceptor::from(server.clone());
        let (connected, _accepted) =
            tokio::join!(connector.connect(ServerName::try_from(name).unwrap(), theirs), acceptor.accept(ours));
        connected.is_ok()
    }

    #[tokio::test]
    async fn the_authority_stays_and_vouches_for_local_names_only() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), NOW_MS).unwrap();
        let again = Authority::open(folder.path(), NOW_MS + 1).unwrap();
        assert_eq!(authority.pem, again.pem);
        let now_ms = cumulet_base::clock::Clock::now_ms(&cumulet_base::clock::SystemClock);
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), now_ms).unwrap();
        let server = authority.server(now_ms).unwrap();
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert!(is_believed(&server, &authority.pem, name).await, "{name}");
        }
        assert!(!is_believed(&server, &authority.pem, "example.com").await);
        assert!(!is_believed(&server, &again.pem, "localhost").await);
    }

    #[test]
    fn damaged_files_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        Authority::open(folder.path(), NOW_MS).unwrap();
        fs::write(folder.path().join("authority.key"), "x").unwrap();
        assert!(Authority::open(folder.path(), NOW_MS).is_err());
    }
}
