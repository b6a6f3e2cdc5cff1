//! `https` to the collector (feature `otlp-tls`): whom it is believed to be, and as whom we speak.
//!
//! By default the certificates that the operating system trusts; with `OTEL_EXPORTER_OTLP_CERTIFICATE` those of that
//! file instead, and no others. The provider of cryptography is ours and stays ours: nothing is installed for the
//! process.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::Settings;

/// What a client of this export trusts and shows.
pub(super) fn config(settings: &Settings) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &settings.certificate {
        Some(file) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(file)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("{}: {error}", file.display()))?;
            }
            builder.with_root_certificates(roots)
        }
        None => {
            let verifier = rustls_platform_verifier::Verifier::new(provider)
                .map_err(|error| error.to_string())?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    match (&settings.client_certificate, &settings.client_key) {
        (Some(certificate), Some(key)) => {
            let own = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("{}: {error}", key.display()))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, own)
                .map_err(|error| format!("{}: {error}", certificate.display()))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err("a client's certificate needs its key, and the other way round".to_owned()),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let of_file = |error| format!("{}: {error}", file.display());
    let all = CertificateDer::pem_file_iter(file).map_err(of_file)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(of_file)?;
    if all.is_empty() {
        return Err(format!("{} has no certificate in it", file.display()));
    }
    Ok(all)
}
