//! How two processes prove to each other who they are: four ways, one of which proves nothing.
//!
//! | mode | a peer is who | needs | tells peers apart |
//! |---|---|---|---|
//! | mTLS | has a certificate of our CA | a CA | by name |
//! | pinned keys | has a key of our list | the list on every peer | by key, by name beside it |
//! | shared key | knows the secret | the secret on every peer | no |
//! | insecure | can reach the loopback interface | nothing | no |
//!
//! The first three run over TLS 1.3 and nothing older. Pinned keys are raw public keys (RFC 7250). With a
//! shared key both sides use a key made for the occasion and then prove, by an HMAC over the TLS exporter
//! (RFC 9266's idea), that they know the secret *and* sit at the two ends of the same session; see
//! `shared.rs`. Sessions are never resumed: each connection proves everything anew, so that a certificate
//! that has expired or a key that was taken off the list opens nothing.
//!
//! `docs/security.md` has the threat model, the making of keys and their change.

mod failure;
mod files;
mod identity;
mod key_error;
mod keyring;
mod mtls;
mod raw_keys;
mod shared;
mod tls;

use std::fmt;
use std::path::PathBuf;

pub(crate) use failure::Utc;
pub use failure::{HandshakeFailure, Verdict};
pub use identity::{Fingerprint, InvalidFingerprint, Mode, PeerIdentity};
pub use key_error::KeyError;
pub(crate) use keyring::{Keyring, Loaded};
pub use mtls::Mtls;
pub use raw_keys::PinnedKeys;
pub use shared::SharedKey;
pub(crate) use shared::{PROOF_BYTES, Prover, Role};

/// How peers authenticate each other; the same on all peers of a cluster.
///
/// There is no default: what a transport does is chosen by name.
///
/// # Examples
///
/// ```
/// use actor_net::transport::{Mtls, Security, SharedKey};
///
/// let by_certificate = Security::mtls(Mtls::new("ca.pem", "peer.pem", "peer.key"));
/// let key = SharedKey::new(&[7; 32]);
/// assert!(key.is_err()); // that is not a secret
/// # let _ = by_certificate;
/// ```
#[derive(Clone)]
pub struct Security(pub(crate) Source);

#[derive(Clone)]
pub(crate) enum Source {
    Mtls(Mtls),
    Pinned(PinnedKeys),
    Shared(SharedKey),
    SharedFile(PathBuf),
    Insecure,
}

impl Security {
    /// By certificates of a certificate authority.
    pub fn mtls(files: Mtls) -> Self {
        Self(Source::Mtls(files))
    }

    /// By a list of public keys.
    pub fn pinned_keys(keys: PinnedKeys) -> Self {
        Self(Source::Pinned(keys))
    }

    /// By a secret that all peers know.
    pub fn shared_key(key: SharedKey) -> Self {
        Self(Source::Shared(key))
    }

    /// By a secret in a file, which may change: one key a line in hex digits, as `openssl rand -hex 32`
    /// prints them.
    ///
    /// The first line is the one this side proves; all are accepted. To change a key on a running
    /// cluster, add the new one as a second line everywhere, then make it the first everywhere, then
    /// remove the old one.
    pub fn shared_key_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::SharedFile(path.into()))
    }

    /// Not at all, and readable by whoever listens: for tests and for processes of one machine.
    ///
    /// Works on loopback addresses only; a transport refuses to listen on others or to dial them.
    pub fn insecure() -> Self {
        Self(Source::Insecure)
    }

    /// Which of the four it is.
    pub fn mode(&self) -> Mode {
        match self.0 {
            Source::Mtls(_) => Mode::Mtls,
            Source::Pinned(_) => Mode::PinnedKeys,
            Source::Shared(_) | Source::SharedFile(_) => Mode::SharedKey,
            Source::Insecure => Mode::Insecure,
        }
    }
}

/// Names the mode and the files; never a secret.
impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Mtls(files) => files.fmt(f),
            Source::Pinned(keys) => keys.fmt(f),
            Source::Shared(key) => key.fmt(f),
            Source::SharedFile(path) => f.debug_tuple("SharedKeyFile").field(path).finish(),
            Source::Insecure => f.write_str("Insecure"),
        }
    }
}

#[cfg(test)]
mod tests;
