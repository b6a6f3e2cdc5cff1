//! Who the other side is, as far as its keys say, and in which way they say it.

use std::fmt;
use std::str::FromStr;

/// SHA-256 of a public key (its DER `SubjectPublicKeyInfo`), written `sha256:` and 64 hex digits.
///
/// `openssl pkey -in peer.key -pubout -outform der | sha256sum` prints the digits.
///
/// # Examples
///
/// ```
/// use actor_net::transport::Fingerprint;
///
/// let text = format!("sha256:{}", "0f".repeat(32));
/// assert_eq!(text.parse::<Fingerprint>()?.to_string(), text);
/// assert!("sha256:0f".parse::<Fingerprint>().is_err());
/// # Ok::<(), actor_net::transport::InvalidFingerprint>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a public key in DER.
    pub fn of(subject_public_key_info: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, subject_public_key_info);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let invalid = || InvalidFingerprint(text.chars().take(80).collect());
        let digits = text.strip_prefix("sha256:").ok_or_else(invalid)?;
        let bytes = from_hex(digits).ok_or_else(invalid)?;
        Ok(Self(bytes.try_into().map_err(|_| invalid())?))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a [`Fingerprint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFingerprint(String);

impl fmt::Display for InvalidFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a fingerprint; write sha256: and 64 hex digits, as printed by openssl pkey -in peer.key -pubout -outform der | sha256sum",
            self.0
        )
    }
}

impl std::error::Error for InvalidFingerprint {}

/// The bytes of an even number of hex digits.
pub(super) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| (digit as char).to_digit(16).map(|n| n as u8);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?))
        .collect()
}

/// What is proven about the process at the other end of a link.
///
/// With a shared key nothing tells one peer from another: each may claim any name. Insecure links prove
/// nothing at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    pub(crate) mode: Mode,
    pub(crate) names: Vec<String>,
    pub(crate) key: Option<Fingerprint>,
}

impl PeerIdentity {
    /// How it was proven.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The DNS and URI names of its certificate, or the name beside its pinned key; else none.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its public key; `None` with a shared key and without security.
    pub fn key(&self) -> Option<Fingerprint> {
        self.key
    }

    /// Whether it may call itself `name`.
    ///
    /// In a mode that knows names, it must have that name (ASCII case does not matter). In the others
    /// everybody who came in may.
    pub fn vouches_for(&self, name: &str) -> bool {
        match self.mode {
            Mode::Mtls | Mode::PinnedKeys => {
                self.names.iter().any(|n| n.eq_ignore_ascii_case(name))
            }
            Mode::SharedKey | Mode::Insecure => true,
        }
    }

    /// What connections of one peer have in common.
    pub(crate) fn common(&self) -> String {
        match (self.names.first(), self.key) {
            (Some(name), _) => name.clone(),
            (None, Some(key)) => key.to_string(),
            (None, None) => String::new(),
        }
    }
}

/// The way peers authenticate each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// By certificates.
    Mtls,
    /// By a list of public keys.
    PinnedKeys,
    /// By a secret.
    SharedKey,
    /// Not at all.
    Insecure,
}

impl Mode {
    /// The application protocol that TLS agrees on (ALPN): sides of different modes notice there.
    pub(crate) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Mtls => b"actor-net/1+mtls",
            Self::PinnedKeys => b"actor-net/1+pinned",
            Self::SharedKey => b"actor-net/1+shared",
            Self::Insecure => b"",
        }
    }

    /// Its number in the admission.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Insecure => 0,
            Self::Mtls => 1,
            Self::PinnedKeys => 2,
            Self::SharedKey => 3,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mtls => "mTLS",
            Self::PinnedKeys => "pinned keys",
            Self::SharedKey => "shared key",
            Self::Insecure => "nothing (insecure)",
        })
    }
}

/// A key that is not in the list.
#[derive(Debug)]
pub(super) struct NotPinned(pub(super) Fingerprint);

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not pinned", self.0)
    }
}

impl std::error::Error for NotPinned {}
