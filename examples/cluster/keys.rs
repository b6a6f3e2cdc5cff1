//! A certificate for each peer, made for one run: an authority that nobody keeps, and a directory that goes away.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// The name that each certificate has beside the peer's own: peers are dialled by address.
pub(crate) const CLUSTER_NAME: &str = "cluster.example";

/// The keys of all peers, on disk for as long as this lives.
#[derive(Debug)]
pub(crate) struct Keys(PathBuf);

impl Keys {
    pub(crate) fn make(peers: &[String]) -> io::Result<Self> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!("{PREFIX}{}-{}", std::process::id(), since.as_nanos());
        let keys = Self(std::env::temp_dir().join(name));
        // For nobody else; one that is there already is somebody else's.
        DirBuilder::new().mode(0o700).create(&keys.0)?;
        keys.fill(peers)?;
        Ok(keys)
    }

    fn fill(&self, peers: &[String]) -> io::Result<()> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pair = KeyPair::generate().map_err(io::Error::other)?;
        // Its own key is never written down.
        let authority = CertifiedIssuer::self_signed(params, pair).map_err(io::Error::other)?;
        write(&self.authority(), &authority.pem())?;
        for peer in peers {
            let names = [peer.clone(), CLUSTER_NAME.to_owned()];
            let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
            // Each peer dials and listens.
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            let pair = KeyPair::generate().map_err(io::Error::other)?;
            let certificate = params
                .signed_by(&pair, &authority)
                .map_err(io::Error::other)?;
            write(&self.certificate(peer), &certificate.pem())?;
            write(&self.key(peer), &pair.serialize_pem())?;
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    pub(crate) fn certificate(&self, peer: &str) -> PathBuf {
        self.0.join(format!("{peer}.pem"))
    }

    pub(crate) fn key(&self, peer: &str) -> PathBuf {
        self.0.join(format!("{peer}.key"))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("cluster: {} is left behind: {error}", self.0.display());
        }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// Removes what [`Keys::make`] made: whoever made it may be gone. Each peer does so that nobody told to leave.
pub(crate) fn remove(key: &Path) {
    let made = key.parent().filter(|directory| {
        let name = directory.file_name().and_then(OsStr::to_str);
        let is_ours = name.is_some_and(|name| name.starts_with(PREFIX));
        is_ours && directory.parent() == Some(&std::env::temp_dir())
    });
    if let Some(directory) = made {
        // Another peer may have been quicker.
        _ = fs::remove_dir_all(directory);
    }
}

/// How the name of the directory begins.
const PREFIX: &str = "cluster-";
