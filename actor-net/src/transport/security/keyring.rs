//! The keys in use, and their exchange for new ones while everything runs.
//!
//! A handshake takes what is loaded when it begins and keeps it to its end. Loading anew replaces the
//! whole or nothing: a certificate that was written before its key is no reason to stop.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use super::identity::Mode;
use super::key_error::KeyError;
use super::raw_keys;
use super::shared::{Prover, SharedKey};
use super::tls::TlsConfigs;
use super::{Security, Source};

/// What one security mode needs for a handshake.
pub(crate) struct Loaded {
    mode: Mode,
    tls: Option<TlsConfigs>,
    prover: Option<Prover>,
    /// Of all that was read; tells whether the files say something new.
    digest: [u8; 32],
}

impl Loaded {
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn tls(&self) -> Option<&TlsConfigs> {
        self.tls.as_ref()
    }

    pub(crate) fn prover(&self) -> Option<&Prover> {
        self.prover.as_ref()
    }

    /// When this side's own certificate ends.
    pub(crate) fn expires(&self) -> Option<SystemTime> {
        self.tls.as_ref()?.expires()
    }

    fn load(source: &Source) -> Result<Self, KeyError> {
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        let (mode, tls, prover) = match source {
            Source::Mtls(files) => {
                let (configs, read) = files.load()?;
                read.iter().for_each(|bytes| digest.update(bytes));
                (Mode::Mtls, Some(configs), None)
            }
            Source::Pinned(keys) => {
                let (configs, read) = keys.load()?;
                read.iter().for_each(|bytes| digest.update(bytes));
                (Mode::PinnedKeys, Some(configs), None)
            }
            Source::Shared(key) => (
                Mode::SharedKey,
                Some(raw_keys::ephemeral()?),
                Some(key.prover()),
            ),
            Source::SharedFile(path) => {
                let (key, of_file) = SharedKey::from_file(path)?;
                digest.update(&of_file);
                let tls = raw_keys::ephemeral()?;
                (Mode::SharedKey, Some(tls), Some(key.prover()))
            }
            Source::Insecure => (Mode::Insecure, None, None),
        };
        let mut of_all = [0; 32];
        of_all.copy_from_slice(digest.finish().as_ref());
        Ok(Self {
            mode,
            tls,
            prover,
            digest: of_all,
        })
    }
}

/// The keys of a transport.
pub(crate) struct Keyring {
    source: Source,
    loaded: RwLock<Arc<Loaded>>,
}

impl Keyring {
    pub(crate) fn load(security: Security) -> Result<Self, KeyError> {
        let loaded = Loaded::load(&security.0)?;
        Ok(Self {
            source: security.0,
            loaded: RwLock::new(Arc::new(loaded)),
        })
    }

    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether there are files that can change.
    pub(crate) fn has_files(&self) -> bool {
        !matches!(self.source, Source::Shared(_) | Source::Insecure)
    }

    /// Reads the files again; `true` when they say something new, which is then in use.
    ///
    /// # Errors
    ///
    /// When they are not usable; what was loaded stays.
    pub(crate) fn reload(&self) -> Result<bool, KeyError> {
        if !self.has_files() {
            return Ok(false);
        }
        let new = Loaded::load(&self.source)?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if loaded.digest == new.digest {
            return Ok(false);
        }
        *loaded = Arc::new(new);
        Ok(true)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", self.loaded().mode)
    }
}
