//! TLS configurations for both roles, and what tells who came in.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, ServerConfig, WantsVerifier};
use webpki::EndEntityCert;

use super::failure::HandshakeFailure;
use super::identity::{Fingerprint, Mode, PeerIdentity};
use super::key_error::KeyError;

/// Keys of peers, and the names beside them.
pub(super) type Pins = BTreeMap<Fingerprint, Option<String>>;

/// TLS for both roles, and what tells who came in.
pub(crate) struct TlsConfigs {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    mode: Mode,
    expires: Option<SystemTime>,
    cluster_name: Option<ServerName<'static>>,
    pins: Option<Arc<Pins>>,
}

impl TlsConfigs {
    pub(super) fn new(mut client: ClientConfig, mut server: ServerConfig, mode: Mode) -> Self {
        client.alpn_protocols = vec![mode.alpn().to_vec()];
        server.alpn_protocols = vec![mode.alpn().to_vec()];
        // Each connection proves everything anew.
        client.resumption = Resumption::disabled();
        client.enable_early_data = false;
        // A listener has one identity; whom we dial is nobody else's business.
        client.enable_sni = false;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.max_early_data_size = 0;
        Self {
            client: Arc::new(client),
            server: Arc::new(server),
            mode,
            expires: None,
            cluster_name: None,
            pins: None,
        }
    }

    /// When this side's own certificate ends.
    pub(super) fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    pub(super) fn expiring(mut self, at: Option<SystemTime>) -> Self {
        self.expires = at;
        self
    }

    pub(super) fn named(mut self, cluster_name: Option<ServerName<'static>>) -> Self {
        self.cluster_name = cluster_name;
        self
    }

    pub(super) fn pinned(mut self, pins: Arc<Pins>) -> Self {
        self.pins = Some(pins);
        self
    }

    /// The name that the certificate of a peer dialled by `host` must have.
    pub(crate) fn wanted_name(&self, host: &str) -> Result<ServerName<'static>, HandshakeFailure> {
        if self.mode != Mode::Mtls {
            // Keys have no names, and the name is not sent: a constant does.
            return ServerName::try_from("peer.invalid")
                .map_err(|error| HandshakeFailure::Tls(error.to_string()));
        }
        if let Some(name) = &self.cluster_name {
            return Ok(name.clone());
        }
        let host = host.trim_end_matches('.');
        ServerName::try_from(host.to_owned()).map_err(|_| HandshakeFailure::WrongName {
            expected: host.to_owned(),
            presented: vec!["DNS names and addresses only".to_owned()],
        })
    }

    /// Who has come in, by what TLS has verified.
    pub(crate) fn identify(
        &self,
        presented: Option<&[CertificateDer<'_>]>,
    ) -> Result<PeerIdentity, HandshakeFailure> {
        let leaf = presented.and_then(<[_]>::first);
        match (self.mode, leaf) {
            (Mode::Mtls, Some(leaf)) => identify(leaf, self.cluster_name.as_ref()),
            (Mode::PinnedKeys, Some(key)) => {
                let key = Fingerprint::of(key);
                let pins = self.pins.as_deref();
                let name = pins
                    .and_then(|pins| pins.get(&key))
                    .ok_or(HandshakeFailure::KeyNotPinned { key })?;
                Ok(PeerIdentity {
                    mode: self.mode,
                    names: name.iter().cloned().collect(),
                    key: Some(key),
                })
            }
            (Mode::SharedKey | Mode::Insecure, _) => Ok(PeerIdentity {
                mode: self.mode,
                names: Vec::new(),
                key: None,
            }),
            (Mode::Mtls | Mode::PinnedKeys, None) => Err(HandshakeFailure::NoCertificate),
        }
    }
}

/// Who a verified certificate is for.
pub(super) fn identify(
    leaf: &CertificateDer<'_>,
    cluster_name: Option<&ServerName<'_>>,
) -> Result<PeerIdentity, HandshakeFailure> {
    let parsed = EndEntityCert::try_from(leaf)
        .map_err(|error| HandshakeFailure::BadCertificate(error.to_string()))?;
    let names: Vec<String> = parsed
        .valid_dns_names()
        .chain(parsed.valid_uri_names())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(HandshakeFailure::NoName);
    }
    if let Some(name) = cluster_name {
        parsed
            .verify_is_valid_for_subject_name(name)
            .map_err(|_| HandshakeFailure::WrongName {
                expected: name.to_str().into_owned(),
                presented: names.clone(),
            })?;
    }
    Ok(PeerIdentity {
        mode: Mode::Mtls,
        names,
        key: Some(Fingerprint::of(&parsed.subject_public_key_info())),
    })
}

/// The cryptography: ring's, by name, so that what else a process links makes no difference.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
        .clone()
}

pub(super) fn client_builder(
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, KeyError> {
    ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| KeyError::Crypto(error.to_string()))
}

pub(super) fn server_builder(
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, KeyError> {
    ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| KeyError::Crypto(error.to_string()))
}
