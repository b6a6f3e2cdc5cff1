//! Clients and relays that do what a transport does not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use actor_net::transport::{HandshakeFailure, Verdict};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme,
};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Dials with a certificate that a transport would not start with; what it is told.
pub(crate) async fn dial(
    to: SocketAddr,
    ca: &str,
    certificate: &str,
    key: &str,
) -> HandshakeFailure {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"actor-net/1+mtls".to_vec()];
    let name = ServerName::try_from("127.0.0.1").unwrap();
    tokio::task::spawn_blocking(move || {
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tcp = TcpStream::connect(to).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        let _ = stream.write_all(b"actornet\x01\x01\0\0\0\0\0\0");
        let error = stream.read_exact(&mut [0; 16]).unwrap_err();
        let inner = error.get_ref().expect("an alert");
        match inner.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::AlertReceived(AlertDescription::CertificateExpired)) => {
                HandshakeFailure::Refused(Verdict::CertificateDates)
            }
            other => panic!("{other:?}"),
        }
    })
    .await
    .unwrap()
}

/// Ends TLS towards one who dials and towards `to`, and passes on what is inside: where it listens.
pub(crate) fn relay(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut far = TcpStream::connect(to).unwrap();
        let mut server = ServerConnection::new(Arc::new(anyones_server())).unwrap();
        let name = ServerName::try_from("peer.invalid").unwrap();
        let mut client = ClientConnection::new(Arc::new(anyones_client()), name).unwrap();
        let passed = (|| -> io::Result<()> {
            let mut near = rustls::Stream::new(&mut server, &mut near);
            let mut far = rustls::Stream::new(&mut client, &mut far);
            let mut hello = [0; 48];
            near.read_exact(&mut hello)?;
            far.write_all(&hello)?;
            let mut answer = [0; 16];
            far.read_exact(&mut answer)?;
            near.write_all(&answer)?;
            near.flush()
        })();
        assert!(passed.is_ok(), "{passed:?}");
    });
    addr
}

fn anyones_server() -> ServerConfig {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let der = PrivatePkcs8KeyDer::from(pkcs8.as_ref());
    let key = rustls::crypto::ring::sign::any_eddsa_type(&der).unwrap();
    let public = CertificateDer::from(key.public_key().unwrap().to_vec());
    let certified = Arc::new(CertifiedKey::new(vec![public], key));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified)));
    config.alpn_protocols = vec![b"actor-net/1+shared".to_vec()];
    config
}

fn anyones_client() -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"actor-net/1+shared".to_vec()];
    config
}

/// Asks nobody for anything.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
