//! Where to look for the first peers: a list, a name in the DNS, a file.
//!
//! A seed is only somebody to ask; it has no other part in the cluster, and it may be gone later. All sources are
//! looked at again from time to time: often while this peer is alone, seldom afterwards, so that two parts of a
//! cluster that never met find each other.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::transport::{Endpoint, InvalidEndpoint};

/// Bytes of a file with seeds that are read: 64 KiB.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Seeds that are taken from one source: 256.
const SEEDS_MAX: usize = 256;

/// How long a look-up in the DNS may take: 5 s.
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);

/// Addresses of peers that a new one asks first.
///
/// # Examples
///
/// ```
/// use actor_net::cluster::Seeds;
///
/// // A headless service of Kubernetes has an address for each pod.
/// let seeds = Seeds::none()
///     .endpoint("10.0.0.7:4710".parse()?)
///     .dns("peers.default.svc.cluster.local:4710".parse()?)
///     .file("/etc/bank/seeds");
/// assert_eq!(seeds.to_string(), "10.0.0.7:4710, dns peers.default.svc.cluster.local:4710, file /etc/bank/seeds");
/// # Ok::<(), actor_net::transport::InvalidEndpoint>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    endpoints: BTreeSet<Endpoint>,
    dns: BTreeSet<Endpoint>,
    files: BTreeSet<PathBuf>,
}

impl Seeds {
    /// No seeds: a cluster of one, which others may join.
    pub fn none() -> Self {
        Self::default()
    }

    /// This address, too. A name is looked up at each dial, and stands for one peer.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.insert(endpoint);
        self
    }

    /// Every address that the DNS has for a name, too: one peer each.
    #[must_use]
    pub fn dns(mut self, name: Endpoint) -> Self {
        self.dns.insert(name);
        self
    }

    /// The addresses in a file, too: one `host:port` a line, `#` begins a comment. The file may change; where it is
    /// missing nobody is found there.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.insert(path.into());
        self
    }

    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        self.endpoints.is_empty() && self.dns.is_empty() && self.files.is_empty()
    }

    /// Looks at all sources now: whom they name, and what is wrong with them.
    pub(super) async fn look(&self) -> (BTreeSet<Endpoint>, Vec<SeedError>) {
        let mut found = self.endpoints.clone();
        let mut wrong = Vec::new();
        for name in &self.dns {
            match look_up(name).await {
                Ok(endpoints) => found.extend(endpoints),
                Err(error) => wrong.push(error),
            }
        }
        for path in &self.files {
            match read(path).await {
                Ok(endpoints) => found.extend(endpoints),
                Err(error) => wrong.push(error),
            }
        }
        (found, wrong)
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("no seeds");
        }
        let endpoints = self.endpoints.iter().map(ToString::to_string);
        let dns = self.dns.iter().map(|name| format!("dns {name}"));
        let files = self
            .files
            .iter()
            .map(|path| format!("file {}", path.display()));
        let all: Vec<String> = endpoints.chain(dns).chain(files).collect();
        f.write_str(&all.join(", "))
    }
}

/// Why a source of seeds named nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedError {
    /// The DNS has no answer.
    Dns {
        /// What was looked up.
        name: Endpoint,
        /// What the system says.
        text: String,
    },
    /// The file cannot be read.
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        text: String,
    },
    /// A line of the file is no address.
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        error: InvalidEndpoint,
    },
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns { name, text } => write!(
                f,
                "the DNS has no address for the seed {name}: {text}; it is looked up again"
            ),
            Self::File { path, text } => write!(
                f,
                "the file of seeds {} cannot be read: {text}; it is looked at again",
                path.display()
            ),
            Self::Line { path, line, error } => {
                write!(
                    f,
                    "line {line} of the file of seeds {}: {error}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for SeedError {}

async fn look_up(name: &Endpoint) -> Result<Vec<Endpoint>, SeedError> {
    let looked = tokio::net::lookup_host((name.host(), name.port()));
    let addresses = match tokio::time::timeout(LOOKUP_WITHIN, looked).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(dns(name, error.to_string())),
        Err(_) => return Err(dns(name, format!("no answer within {LOOKUP_WITHIN:?}"))),
    };
    Ok(addresses.take(SEEDS_MAX).map(Endpoint::from).collect())
}

fn dns(name: &Endpoint, text: String) -> SeedError {
    let name = name.clone();
    SeedError::Dns { name, text }
}

async fn read(path: &Path) -> Result<Vec<Endpoint>, SeedError> {
    let unreadable = |error: io::Error| SeedError::File {
        path: path.to_owned(),
        text: error.to_string(),
    };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut text = String::new();
    let mut file = file.take(FILE_BYTES_MAX);
    file.read_to_string(&mut text).await.map_err(unreadable)?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Endpoint>, SeedError> {
    let entries = text.lines().enumerate().filter_map(|(at, line)| {
        let entry = line.split('#').next().unwrap_or_default().trim();
        (!entry.is_empty()).then_some((at + 1, entry))
    });
    entries
        .take(SEEDS_MAX)
        .map(|(line, entry)| {
            entry.parse().map_err(|error| SeedError::Line {
                path: path.to_owned(),
                line,
                error,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_seeds_has_an_address_a_line() {
        let path = Path::new("seeds");
        let text = "# the first two\n10.0.0.7:4710\n\n  peer-1.peers:4710 # the other\n";
        let found = parse(path, text).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.7:4710", "peer-1.peers:4710"]);
        let error = parse(path, "10.0.0.7:4710\npeer-1\n").unwrap_err();
        assert_eq!(
            error.to_string().split(':').next().unwrap(),
            "line 2 of the file of seeds seeds"
        );
    }

    #[tokio::test]
    async fn all_sources_are_looked_at_and_a_broken_one_stops_none() {
        let missing = std::env::temp_dir().join(format!("no-seeds-{}", std::process::id()));
        let seeds = Seeds::none()
            .endpoint("127.0.0.1:1".parse().unwrap())
            .dns("localhost:2".parse().unwrap())
            .file(&missing);
        let (found, wrong) = seeds.look().await;
        assert!(found.contains(&"127.0.0.1:1".parse().unwrap()), "{found:?}");
        assert!(found.iter().any(|seed| seed.port() == 2), "{found:?}");
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].to_string().contains("no-seeds-"), "{}", wrong[0]);
    }
}
