//! Reads certificates and keys from files, and refuses secrets that others can read.
//!
//! The rule for secrets is that of PostgreSQL: a file of this user's own is for this user alone (600 or
//! stricter); one that root owns may be readable for a group (640), as Kubernetes mounts secrets for a
//! process that is not root.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use zeroize::Zeroizing;

use super::key_error::KeyError;

/// Everything in a file that anyone may read.
pub(super) fn read_public(path: &Path) -> Result<Vec<u8>, KeyError> {
    read(path, open(path)?).map(|bytes| bytes.to_vec())
}

/// Everything in a file that nobody else may read.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let file = open(path)?;
    check_mode(path, &file)?;
    read(path, file)
}

pub(super) fn certificates(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| damaged(path, &error))?;
    if found.is_empty() {
        return Err(KeyError::Missing {
            path: path.to_owned(),
            what: "certificate (-----BEGIN CERTIFICATE-----)",
        });
    }
    Ok(found)
}

pub(super) fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, KeyError> {
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(KeyError::Missing {
            path: path.to_owned(),
            what: "private key (-----BEGIN PRIVATE KEY-----, without a passphrase)",
        }),
        Err(error) => Err(damaged(path, &error)),
    }
}

/// Says what, not what stands there: it may be a secret.
fn damaged(path: &Path, error: &pem::Error) -> KeyError {
    KeyError::Damaged {
        path: path.to_owned(),
        what: match error {
            pem::Error::MissingSectionEnd { .. } => "a PEM section does not end".to_owned(),
            pem::Error::IllegalSectionStart { .. } => "a PEM section begins oddly".to_owned(),
            pem::Error::Base64Decode(_) => "a PEM section is not base64".to_owned(),
            _ => "it is not PEM".to_owned(),
        },
    }
}

fn open(path: &Path) -> Result<File, KeyError> {
    File::open(path).map_err(|error| KeyError::Read {
        path: path.to_owned(),
        error,
    })
}

fn read(path: &Path, file: File) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // Room for all of it at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| KeyError::Read {
            path: path.to_owned(),
            error,
        })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(KeyError::TooLarge {
            path: path.to_owned(),
            max: FILE_BYTES_MAX,
        });
    }
    Ok(bytes)
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::MetadataExt;

    // Of the open file, so that it is the one that is read.
    let meta = file.metadata().map_err(|error| KeyError::Read {
        path: path.to_owned(),
        error,
    })?;
    let forbidden = if meta.uid() == 0 { 0o137 } else { 0o177 };
    // Whoever runs may mark its own file executable; that exposes nothing.
    let forbidden = forbidden & !0o100;
    if meta.mode() & forbidden != 0 {
        return Err(KeyError::Exposed {
            path: path.to_owned(),
            mode: meta.mode(),
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File) -> Result<(), KeyError> {
    Ok(())
}

/// A CA bundle of a large organisation has some hundred KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;
