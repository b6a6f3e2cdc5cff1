//! Where a peer is dialled: a host and a port, as people write them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A host name or an IP address, with a port: `peer-0.peers.svc:4710`, `10.0.0.7:4710`, `[::1]:4710`.
///
/// # Examples
///
/// ```
/// use actor_net::transport::Endpoint;
///
/// let seed: Endpoint = "peer-0.peers.default.svc:4710".parse()?;
/// assert_eq!((seed.host(), seed.port()), ("peer-0.peers.default.svc", 4710));
/// assert!("peer-0".parse::<Endpoint>().is_err()); // no port
/// # Ok::<(), actor_net::transport::InvalidEndpoint>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, when the host is one and needs no look-up.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let refuse = |what| InvalidEndpoint {
            text: text.chars().take(TEXT_CHARS_MAX).collect(),
            what,
        };
        if let Ok(addr) = text.parse::<SocketAddr>() {
            if addr.port() == 0 {
                return Err(refuse("port 0 cannot be dialled"));
            }
            return Ok(addr.into());
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| refuse("the port is missing"))?;
        if host.is_empty() {
            return Err(refuse("the host is missing"));
        }
        if host.contains(':') || host.contains('[') {
            return Err(refuse("an IPv6 address is written in brackets"));
        }
        if host.len() > HOST_BYTES_MAX {
            return Err(refuse("a host name has at most 253 bytes"));
        }
        if !host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        {
            return Err(refuse(
                "a host name has ASCII letters, digits, '-', '_' and '.'",
            ));
        }
        match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(refuse("the port is not a number from 1 to 65535")),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self {
            host: addr.ip().to_string(),
            port: addr.port(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// A text that is not an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEndpoint {
    text: String,
    what: &'static str,
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not host:port: {}; write peer.example:4710, 10.0.0.7:4710 or [::1]:4710",
            self.text, self.what
        )
    }
}

impl std::error::Error for InvalidEndpoint {}

/// As DNS has it (RFC 1035, without the root's dot).
const HOST_BYTES_MAX: usize = 253;

/// How much of a refused text an error repeats.
const TEXT_CHARS_MAX: usize = 80;
