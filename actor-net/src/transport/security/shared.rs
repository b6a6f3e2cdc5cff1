//! A secret that all peers know, and the proof of knowing it.
//!
//! TLS runs first, between keys that prove nothing. Then the dialler sends
//! `HMAC-SHA256(secret, LABEL || "dial" || exporter)`, the listener checks it and answers with
//! `HMAC-SHA256(secret, LABEL || "listen" || exporter)`, where `exporter` are 32 bytes that TLS derives from
//! this very session (RFC 8446 section 7.5). So:
//!
//! - whoever sits between two peers has two sessions with two exporters, and can pass no proof on;
//! - a proof seen once is worth nothing in another session, and a dialler's proof is not a listener's;
//! - the listener says nothing until the dialler has proven itself, so strangers that dial learn nothing.
//!   One that a peer *dials* (a stolen address) gets a proof and may try keys against it at leisure. That
//!   is why a key must be random: 256 bits are not guessed, a phrase is.
//!
//! Comparisons take the same time for all wrong proofs (`ring::hmac::verify`).

use std::fmt;
use std::path::Path;

use ring::hmac;
use zeroize::Zeroizing;

use super::files;
use super::identity::from_hex;
use super::key_error::KeyError;

/// A secret that all peers know: at least 32 random bytes.
///
/// `Debug` does not show it, and its memory is overwritten when it is dropped. More about the proof, and
/// about changing a key, in `docs/security.md`.
///
/// # Examples
///
/// ```
/// use actor_net::transport::SharedKey;
///
/// let digits = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
/// let key = SharedKey::from_hex(digits)?;
/// assert_eq!(format!("{key:?}"), "SharedKey(1 key, not shown)");
/// assert!(SharedKey::new(b"correct horse battery staple 123").is_err());
/// # Ok::<(), actor_net::transport::KeyError>(())
/// ```
#[derive(Clone)]
pub struct SharedKey {
    /// The first is proven, all are accepted.
    keys: Vec<Zeroizing<Vec<u8>>>,
}

impl SharedKey {
    /// With these bytes.
    ///
    /// # Errors
    ///
    /// When they are fewer than 32, or show that they are not random.
    pub fn new(secret: &[u8]) -> Result<Self, KeyError> {
        check(secret)?;
        Ok(Self {
            keys: vec![Zeroizing::new(secret.to_vec())],
        })
    }

    /// With bytes in hex digits, as `openssl rand -hex 32` prints them.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); text that is not hex digits counts as guessable.
    pub fn from_hex(digits: &str) -> Result<Self, KeyError> {
        let bytes = from_hex(digits.trim()).map(Zeroizing::new);
        Self::new(&bytes.ok_or(KeyError::Guessable)?)
    }

    /// Also lets in who proves `old`, for the time of a change.
    #[must_use]
    pub fn and_accept(mut self, old: Self) -> Self {
        self.keys.extend(old.keys);
        self
    }

    pub(super) fn from_file(path: &Path) -> Result<(Self, [u8; 32]), KeyError> {
        let bytes = files::read_secret(path)?;
        let wrong = |line| KeyError::Hex {
            path: path.to_owned(),
            line,
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong(1))?;
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let key = Zeroizing::new(from_hex(line.trim()).ok_or_else(|| wrong(number))?);
            check(&key)?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyError::Missing {
                path: path.to_owned(),
                what: "key; write one by openssl rand -hex 32",
            });
        }
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let mut of_file = [0; 32];
        of_file.copy_from_slice(digest.as_ref());
        Ok((Self { keys }, of_file))
    }

    pub(super) fn prover(&self) -> Prover {
        Prover(self.clone())
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.keys.len();
        let s = if n == 1 { "" } else { "s" };
        write!(f, "SharedKey({n} key{s}, not shown)")
    }
}

/// Whether bytes can be a random key. It cannot tell that they are: it finds what people type.
fn check(secret: &[u8]) -> Result<(), KeyError> {
    if secret.len() < KEY_BYTES_MIN {
        return Err(KeyError::Short {
            bytes: secret.len(),
        });
    }
    let mut seen = [false; 256];
    secret.iter().for_each(|&b| seen[usize::from(b)] = true);
    let distinct = seen.iter().filter(|&&seen| seen).count();
    let text = secret.iter().all(|b| (b' '..=b'~').contains(b));
    // Of 32 random bytes about 30 are distinct, and fewer than 12 or all of them printable once in more
    // than 10^13 keys. Text has to be as long as 256 bits are in base64.
    if distinct < 12 || (text && secret.len() < 43) {
        return Err(KeyError::Guessable);
    }
    Ok(())
}

/// Which end of a connection a proof speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Dialler,
    Listener,
}

/// Makes and checks proofs.
#[derive(Clone, Debug)]
pub(crate) struct Prover(SharedKey);

/// Which of the keys the other side knows, so that it is answered with the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known(usize);

impl Prover {
    /// Proves knowledge of the first key, or of the one that the other side has proven.
    pub(crate) fn prove(
        &self,
        role: Role,
        exporter: &[u8; 32],
        known: Option<Known>,
    ) -> [u8; PROOF_BYTES] {
        let index = known.map_or(0, |known| known.0);
        let tag = hmac::sign(&self.key(index), &statement(role, exporter));
        let mut proof = [0; PROOF_BYTES];
        proof.copy_from_slice(tag.as_ref());
        proof
    }

    /// Which key a proof of the other side proves; `None`: none.
    pub(crate) fn check(
        &self,
        role: Role,
        exporter: &[u8; 32],
        proof: &[u8; PROOF_BYTES],
    ) -> Option<Known> {
        let statement = statement(role, exporter);
        // All are tried: which of them fits, too, takes no time to tell.
        (0..self.0.keys.len())
            .filter(|&index| hmac::verify(&self.key(index), &statement, proof).is_ok())
            .fold(None, |first, index| first.or(Some(Known(index))))
    }

    fn key(&self, index: usize) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0.keys[index])
    }
}

fn statement(role: Role, exporter: &[u8; 32]) -> Vec<u8> {
    let role: &[u8] = match role {
        Role::Dialler => b"dial",
        Role::Listener => b"listen",
    };
    [LABEL, role, &[0], exporter].concat()
}

/// The length of HMAC-SHA256.
pub(crate) const PROOF_BYTES: usize = 32;

const LABEL: &[u8] = b"actor-net shared key 1\0";

const KEY_BYTES_MIN: usize = 32;
