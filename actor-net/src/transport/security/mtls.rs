//! Mutual TLS: both sides show a certificate of a common certificate authority.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};

use super::failure::HandshakeFailure;
use super::files;
use super::identity::Mode;
use super::key_error::KeyError;
use super::tls::{TlsConfigs, client_builder, identify, provider, server_builder};

/// The files of mutual TLS, all PEM: the certificate authority, this peer's certificate, its private key.
///
/// Each peer's certificate must be valid now, signed by the authority (intermediates follow it in the
/// file), be for both `serverAuth` and `clientAuth`, and have a DNS or URI subject alternative name. The
/// peer that is dialled must have the name it was dialled by, or the [cluster name](Self::cluster_name).
///
/// Files that change are read again (see `TransportSettings::reload_every`); links that exist stay as they
/// are. Files that do not fit each other, or would be refused, are reported and the old ones kept.
#[derive(Clone)]
pub struct Mtls {
    pub(super) ca: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) cluster_name: Option<String>,
}

impl Mtls {
    /// With these files.
    pub fn new(
        ca: impl Into<PathBuf>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        Self {
            ca: ca.into(),
            certificate: certificate.into(),
            key: key.into(),
            cluster_name: None,
        }
    }

    /// A DNS name that every peer's certificate must have, instead of the name it was dialled by.
    ///
    /// Use it when peers are dialled by address, and whenever the certificate authority also signs for
    /// others: without it, *any* certificate of the authority that may be used for clients comes in.
    #[must_use]
    pub fn cluster_name(mut self, name: impl Into<String>) -> Self {
        self.cluster_name = Some(name.into());
        self
    }

    pub(super) fn load(&self) -> Result<(TlsConfigs, [Vec<u8>; 2]), KeyError> {
        let provider = provider();
        let cluster_name = self.checked_cluster_name()?;
        let ca_pem = files::read_public(&self.ca)?;
        let mut roots = RootCertStore::empty();
        for certificate in files::certificates(&self.ca, &ca_pem)? {
            roots.add(certificate).map_err(|error| KeyError::Damaged {
                path: self.ca.clone(),
                what: error.to_string(),
            })?;
        }
        let roots = Arc::new(roots);
        let chain_pem = files::read_public(&self.certificate)?;
        let chain = files::certificates(&self.certificate, &chain_pem)?;
        let key = files::private_key(&self.key, &files::read_secret(&self.key)?)?;

        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| KeyError::Crypto(error.to_string()))?;
        let expires =
            self.check_own(&chain, &roots, &provider, &*clients, cluster_name.as_ref())?;

        let wrong = |error: rustls::Error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => KeyError::Mismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            },
            other => KeyError::Crypto(other.to_string()),
        };
        let client = client_builder(&provider)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(wrong)?;
        let server = server_builder(&provider)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(wrong)?;
        let configs = TlsConfigs::new(client, server, Mode::Mtls)
            .expiring(expires)
            .named(cluster_name);
        Ok((configs, [ca_pem, chain_pem]))
    }

    fn checked_cluster_name(&self) -> Result<Option<ServerName<'static>>, KeyError> {
        let Some(name) = &self.cluster_name else {
            return Ok(None);
        };
        match ServerName::try_from(name.clone()) {
            Ok(found @ ServerName::DnsName(_)) => Ok(Some(found)),
            _ => Err(KeyError::Name(name.clone())),
        }
    }

    /// Looks at this side's certificate as its peers will, and finds out when they will stop to like it.
    fn check_own(
        &self,
        chain: &[CertificateDer<'static>],
        roots: &Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
        clients: &dyn ClientCertVerifier,
        cluster_name: Option<&ServerName<'static>>,
    ) -> Result<Option<SystemTime>, KeyError> {
        let own = |failure| KeyError::OwnCertificate {
            path: self.certificate.clone(),
            failure,
        };
        let refused = |error| own(HandshakeFailure::from_tls(error, Mode::Mtls));
        let (leaf, rest) = chain.split_first().ok_or_else(|| KeyError::Missing {
            path: self.certificate.clone(),
            what: "certificate",
        })?;
        clients
            .verify_client_cert(leaf, rest, UnixTime::now())
            .map_err(refused)?;
        let identity = identify(leaf, None).map_err(own)?;
        let name = match (cluster_name, identity.names.first()) {
            (Some(name), _) => Some(name.clone()),
            // A wildcard or a URI is nobody's address; peers are then dialled by another of its names.
            (None, Some(name)) => ServerName::try_from(name.clone()).ok(),
            (None, None) => None,
        };
        if let Some(name) = name {
            WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
                .build()
                .map_err(|error| KeyError::Crypto(error.to_string()))?
                .verify_server_cert(leaf, rest, &name, &[], UnixTime::now())
                .map_err(refused)?;
        }
        // The end of its life is what stands between it and a distant future.
        let future =
            UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + DISTANT);
        Ok(match clients.verify_client_cert(leaf, rest, future) {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after,
                ..
            })) => UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs())),
            _ => None,
        })
    }
}

impl fmt::Debug for Mtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mtls")
            .field("ca", &self.ca)
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .field("cluster_name", &self.cluster_name)
            .finish()
    }
}

/// Later than any certificate can end: they write years with four digits.
const DISTANT: Duration = Duration::from_secs(9000 * 365 * 86_400);
