//! What may be wrong with certificates and keys, before any peer has seen them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::failure::HandshakeFailure;
use super::identity::InvalidFingerprint;

/// Why certificates or keys are not usable.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// A file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file with a secret can be read, or changed, by others.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file is larger than any key file is.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        max: u64,
    },
    /// A file has nothing of the kind that it should have.
    Missing {
        /// The file.
        path: PathBuf,
        /// What should be there.
        what: &'static str,
    },
    /// A file is damaged.
    Damaged {
        /// The file.
        path: PathBuf,
        /// In which way.
        what: String,
    },
    /// The private key does not belong to the certificate.
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// This side's own certificate would be refused by its own rules.
    OwnCertificate {
        /// The file.
        path: PathBuf,
        /// What a peer would say of it.
        failure: HandshakeFailure,
    },
    /// The name that is wanted is not a DNS name.
    Name(String),
    /// A line of the list of keys is not one.
    Pin {
        /// Its number, from 1; 0: given by hand.
        line: usize,
        /// What is wrong.
        error: InvalidFingerprint,
    },
    /// The list of keys is empty: nobody could come in.
    NoPins,
    /// A shared key is too short.
    Short {
        /// How many bytes it has.
        bytes: usize,
    },
    /// A shared key is no random number.
    Guessable,
    /// A line of the file of shared keys is not one in hex digits.
    Hex {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// The system has no random numbers, or the library refuses.
    Crypto(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Exposed { path, mode } => write!(
                f,
                "{} holds a secret and has mode {:03o}; chmod 600 it (640 is accepted of a file that root owns)",
                path.display(),
                mode & 0o777
            ),
            Self::TooLarge { path, max } => write!(
                f,
                "{} has more than {max} bytes; that is no key file",
                path.display()
            ),
            Self::Missing { path, what } => write!(f, "{} has no {what}", path.display()),
            Self::Damaged { path, what } => write!(f, "{} is damaged: {what}", path.display()),
            Self::Mismatch { certificate, key } => write!(
                f,
                "the key in {} does not belong to the first certificate in {}; put both there together",
                key.display(),
                certificate.display()
            ),
            Self::OwnCertificate { path, failure } => write!(
                f,
                "every peer would refuse this side's own certificate in {}, and say: {failure}",
                path.display()
            ),
            Self::Name(name) => write!(
                f,
                "{name:?} is not a DNS name; a cluster name is one like prod.actors.internal"
            ),
            Self::Pin { line: 0, error } => error.fmt(f),
            Self::Pin { line, error } => write!(f, "line {line}: {error}"),
            Self::NoPins => f.write_str(
                "the list of pinned keys is empty, so nobody could come in; add a line sha256:... for each peer",
            ),
            Self::Short { bytes } => write!(
                f,
                "the shared key has {bytes} bytes and needs 32 random ones; make one by openssl rand -hex 32"
            ),
            Self::Guessable => f.write_str(
                "the shared key is not random: it repeats few values, or is a text short enough to be a phrase; make one by openssl rand -hex 32",
            ),
            Self::Hex { path, line } => write!(
                f,
                "line {line} of {} is not a key in hex digits, as openssl rand -hex 32 prints it",
                path.display()
            ),
            Self::Crypto(what) => write!(f, "no keys: {what}"),
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::OwnCertificate { failure, .. } => Some(failure),
            Self::Pin { error, .. } => Some(error),
            _ => None,
        }
    }
}
