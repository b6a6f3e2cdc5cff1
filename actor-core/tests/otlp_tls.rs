//! The export by `https`: to a receiver whose certificate is trusted, to one whose is not, and to one that asks whom it
//! speaks to.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use actor_core::otlp::OtlpOptions;
use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{SpanKind, SpanRecord, TraceContext, TracingOptions};
use common::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// A file that goes away with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("actor-otlp-tls-{}-{name}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl AsRef<Path> for File {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // In a temporary place anyway.
        _ = std::fs::remove_file(&self.0);
    }
}

/// Who vouches for clients.
struct Authority {
    name: &'static str,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &'static str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap());
        let issuer = issuer.unwrap();
        Self { name, issuer }
    }

    /// A client's certificate, and the key to it.
    fn client(&self) -> (File, File) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["shop".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |what: &str, text: &str| File::new(&format!("{}-{what}", self.name), text);
        (
            file("client", &certificate.pem()),
            file("key", &key.serialize_pem()),
        )
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap()
    }
}

/// Answers every request with 200, as `localhost`, by a certificate that it has signed itself.
struct Receiver {
    url: String,
    certificate: File,
}

impl Receiver {
    /// Whoever comes.
    fn start(name: &str) -> Self {
        Self::for_clients(name, Arc::new(NoClientAuth))
    }

    fn for_clients(name: &str, clients: Arc<dyn ClientCertVerifier>) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = File::new(name, &made.cert.pem());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let own: CertificateDer<'static> = made.cert.der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![own], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let config = config.clone();
                std::thread::spawn(move || serve(stream.unwrap(), config));
            }
        });
        Self { url, certificate }
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>) {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            // Who does not trust us hangs up.
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        if stream.get_mut().write_all(answer).is_err() {
            return;
        }
    }
}

/// Sends one span; how many were sent, how many failed, and the last error.
fn export(options: OtlpOptions) -> (u64, u64, Option<String>) {
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    let builder = builder.tracing(TracingOptions::new().flush_within(PATIENCE));
    let system = builder.build().unwrap();
    let options = options.signals(true, false).timeout(PATIENCE);
    let export = system.export_otlp(options).unwrap();
    assert!(export.warnings().is_empty(), "{:?}", export.warnings());
    let trace = TraceContext::new_root(true);
    let now = SystemTime::now();
    system.record_span(SpanRecord::new(trace, SpanKind::Request, "GET", now));
    finish(system);
    let stats = export.stats();
    (stats.spans_sent, stats.spans_failed, stats.last_error)
}

#[test]
fn spans_go_by_https_to_whom_the_certificate_says() {
    let receiver = Receiver::start("trusted");
    let options = OtlpOptions::new()
        .endpoint(&receiver.url)
        .certificate(&receiver.certificate);
    let (sent, failed, error) = export(options);
    assert_eq!((sent, failed), (1, 0), "{error:?}");
}

#[test]
fn nothing_goes_to_a_receiver_that_nobody_vouches_for() {
    let (receiver, other) = (Receiver::start("unknown"), Receiver::start("other"));
    // Neither the operating system nor the file knows it.
    let plain = OtlpOptions::new().endpoint(&receiver.url);
    let wrong = plain.clone().certificate(&other.certificate);
    for options in [plain, wrong] {
        let (sent, failed, error) = export(options);
        assert_eq!((sent, failed), (0, 1));
        let error = error.expect("told").to_lowercase();
        assert!(
            error.contains("certificate") || error.contains("issuer"),
            "{error}"
        );
    }
    let missing = OtlpOptions::new()
        .endpoint(&receiver.url)
        .certificate("/nowhere/ca.pem");
    let (sent, failed, error) = export(missing);
    assert_eq!((sent, failed), (0, 1));
    assert!(error.expect("told").contains("/nowhere/ca.pem"));
}

#[test]
fn a_receiver_that_asks_for_a_certificate_is_shown_the_client_s() {
    let ours = Authority::new("asked");
    let receiver = Receiver::for_clients("asking", ours.verifier());
    let options = || {
        OtlpOptions::new()
            .endpoint(&receiver.url)
            .certificate(&receiver.certificate)
    };
    let (certificate, key) = ours.client();
    let (sent, failed, error) = export(options().client_certificate(&certificate, &key));
    assert_eq!((sent, failed), (1, 0), "{error:?}");
    // Nobody without one, or with somebody else's: the receiver says so, and the export says that it did.
    let (theirs, their_key) = Authority::new("other-authority").client();
    for options in [options(), options().client_certificate(&theirs, &their_key)] {
        let (sent, failed, error) = export(options);
        assert_eq!((sent, failed), (0, 1));
        let error = error.expect("told");
        assert!(error.contains("alert"), "{error}");
    }
    // A key that is another's: nothing is tried, and the certificate is named.
    let (sent, failed, error) = export(options().client_certificate(&certificate, &their_key));
    assert_eq!((sent, failed), (0, 1));
    let (error, file) = (error.expect("told"), certificate.0.display().to_string());
    assert!(error.contains(&file), "{error}");
}

#[test]
fn a_client_s_certificate_is_set_by_the_standard_variables_too() {
    const ME: &str = "a_client_s_certificate_is_set_by_the_standard_variables_too";
    const ROLE: &str = "ACTOR_TEST_OTLP_CLIENT";
    if let Ok(role) = std::env::var(ROLE) {
        let (sent, failed, error) = export(OtlpOptions::from_env());
        println!("{sent} sent, {failed} failed: {error:?}");
        if role == "half" {
            // As whom, without the proof of it.
            assert_eq!((sent, failed), (0, 1));
            assert!(error.expect("told").contains("needs its key"));
        } else {
            assert_eq!((sent, failed), (1, 0));
        }
        return;
    }
    let ours = Authority::new("by-variables");
    let receiver = Receiver::for_clients("asking-variables", ours.verifier());
    let (certificate, key) = ours.client();
    for role in ["whole", "half"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", ME, "--nocapture"])
            .env(ROLE, role)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url)
            .env("OTEL_EXPORTER_OTLP_CERTIFICATE", &receiver.certificate.0)
            .env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate.0);
        if role == "whole" {
            child.env("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key.0);
        }
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{role}: {said}{errors}");
        // It was that test which ran.
        assert!(said.contains(" sent, "), "{role}: {said}{errors}");
    }
}
