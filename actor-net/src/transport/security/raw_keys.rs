//! TLS 1.3 with raw public keys (RFC 7250): pinned ones, and keys made for one process's life.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible,
    SignatureScheme,
};
use zeroize::Zeroizing;

use super::files;
use super::identity::{Fingerprint, Mode, NotPinned};
use super::key_error::KeyError;
use super::tls::{Pins, TlsConfigs, client_builder, provider, server_builder};

/// This peer's private key, and the public keys of all peers.
///
/// The list has a line for each peer: its [`Fingerprint`], and optionally a name that its
/// [`PeerIdentity`](super::PeerIdentity) will have. What follows `#` is ignored. One list with all peers,
/// this one too, suits every peer.
///
/// ```text
/// sha256:9f2c...  peer-a
/// sha256:07d1...  peer-b   # in the other rack
/// ```
///
/// A list or a key in a file that changes is read again, as certificates are. A key that is taken off the
/// list keeps the links it has; abort them to be rid of it.
#[derive(Clone)]
pub struct PinnedKeys {
    key: PathBuf,
    pins: PinSource,
}

#[derive(Clone)]
enum PinSource {
    File(PathBuf),
    Given(Vec<(Fingerprint, Option<String>)>),
}

impl PinnedKeys {
    /// With a private key (PEM; Ed25519, ECDSA or RSA) and a list, both in files.
    pub fn from_files(key: impl Into<PathBuf>, list: impl Into<PathBuf>) -> Self {
        Self {
            key: key.into(),
            pins: PinSource::File(list.into()),
        }
    }

    /// With a private key in a file and a list that does not change.
    pub fn with_list(
        key: impl Into<PathBuf>,
        list: impl IntoIterator<Item = (Fingerprint, Option<String>)>,
    ) -> Self {
        Self {
            key: key.into(),
            pins: PinSource::Given(list.into_iter().collect()),
        }
    }

    /// The fingerprint of the private key in a file: the line that its peers need.
    ///
    /// # Errors
    ///
    /// When there is no usable private key in it.
    pub fn fingerprint_of(key: impl AsRef<Path>) -> Result<Fingerprint, KeyError> {
        let (key, _) = load_key(key.as_ref())?;
        Ok(Fingerprint::of(&public_key(&*key)?))
    }

    pub(super) fn load(&self) -> Result<(TlsConfigs, [Vec<u8>; 2]), KeyError> {
        let (key, digest) = load_key(&self.key)?;
        let (pins, list) = match &self.pins {
            PinSource::Given(pins) => (pins.iter().cloned().collect(), Vec::new()),
            PinSource::File(path) => {
                let list = files::read_public(path)?;
                (parse_list(path, &list)?, list)
            }
        };
        if pins.is_empty() {
            return Err(KeyError::NoPins);
        }
        let pins = Arc::new(pins);
        let configs = configs(key, Some(pins.clone()), Mode::PinnedKeys)?;
        Ok((configs.pinned(pins), [digest, list]))
    }
}

impl fmt::Debug for PinnedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("PinnedKeys");
        s.field("key", &self.key);
        match &self.pins {
            PinSource::File(path) => s.field("list", path),
            PinSource::Given(pins) => s.field("list", pins),
        };
        s.finish()
    }
}

/// Configurations with a key that nobody has seen before: TLS for those who prove themselves otherwise.
pub(super) fn ephemeral() -> Result<TlsConfigs, KeyError> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| KeyError::Crypto("the system gives no random numbers".to_owned()))?;
    let der = Zeroizing::new(pkcs8.as_ref().to_vec());
    let key = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(&der[..]))
        .map_err(|error| KeyError::Crypto(error.to_string()))?;
    configs(key, None, Mode::SharedKey)
}

/// With a list, clients show their key too; without one they prove themselves in the admission.
fn configs(
    key: Arc<dyn SigningKey>,
    pins: Option<Arc<Pins>>,
    mode: Mode,
) -> Result<TlsConfigs, KeyError> {
    let provider = provider();
    let own = CertificateDer::from(public_key(&*key)?.to_vec());
    let certified = Arc::new(CertifiedKey::new(vec![own], key));
    let mutual = pins.is_some();
    let verifier = Arc::new(RawKeys {
        pins,
        algorithms: provider.signature_verification_algorithms,
    });
    let client = client_builder(&provider)?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone());
    let server = server_builder(&provider)?;
    let (client, server) = if mutual {
        let resolver = AlwaysResolvesClientRawPublicKeys::new(certified.clone());
        (
            client.with_client_cert_resolver(Arc::new(resolver)),
            server.with_client_cert_verifier(verifier),
        )
    } else {
        (client.with_no_client_auth(), server.with_no_client_auth())
    };
    let resolver = AlwaysResolvesServerRawPublicKeys::new(certified);
    let server = server.with_cert_resolver(Arc::new(resolver));
    Ok(TlsConfigs::new(client, server, mode))
}

fn load_key(path: &Path) -> Result<(Arc<dyn SigningKey>, Vec<u8>), KeyError> {
    let pem = files::read_secret(path)?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &pem);
    let key = provider()
        .key_provider
        .load_private_key(files::private_key(path, &pem)?)
        .map_err(|error| KeyError::Damaged {
            path: path.to_owned(),
            what: error.to_string(),
        })?;
    Ok((key, digest.as_ref().to_vec()))
}

fn public_key(key: &dyn SigningKey) -> Result<SubjectPublicKeyInfoDer<'_>, KeyError> {
    key.public_key()
        .ok_or_else(|| KeyError::Crypto("the library does not tell the public key".to_owned()))
}

fn parse_list(path: &Path, bytes: &[u8]) -> Result<Pins, KeyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| KeyError::Damaged {
        path: path.to_owned(),
        what: "it is not text".to_owned(),
    })?;
    let mut pins = Pins::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        let mut words = line.split_whitespace();
        if let Some(key) = words.next() {
            let key = key.parse().map_err(|error| KeyError::Pin {
                line: number,
                error,
            })?;
            pins.insert(key, words.next().map(str::to_owned));
        }
    }
    Ok(pins)
}

/// Takes keys of the list, or any key, from whoever can sign with it.
#[derive(Debug)]
struct RawKeys {
    pins: Option<Arc<Pins>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl RawKeys {
    fn check(&self, key: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let key = Fingerprint::of(key);
        match &self.pins {
            Some(pins) if !pins.contains_key(&key) => Err(rustls::Error::InvalidCertificate(
                CertificateError::Other(OtherError(Arc::new(NotPinned(key)))),
            )),
            _ => Ok(()),
        }
    }

    fn verify(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

impl ServerCertVerifier for RawKeys {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(key).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(key).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
