//! The export by `https`: to a receiver whose certificate is trusted, and to one whose is not.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use actor_core::otlp::OtlpOptions;
use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{SpanKind, SpanRecord, TraceContext, TracingOptions};
use common::*;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Answers every request with 200, as `localhost`, by a certificate that it has signed itself.
struct Receiver {
    url: String,
    certificate: PathBuf,
}

impl Receiver {
    fn start(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = format!("actor-otlp-tls-{}-{name}.pem", std::process::id());
        let certificate = std::env::temp_dir().join(file);
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let own: CertificateDer<'static> = made.cert.der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
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

impl Drop for Receiver {
    fn drop(&mut self) {
        // In a temporary place anyway.
        _ = std::fs::remove_file(&self.certificate);
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
