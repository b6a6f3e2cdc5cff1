//! What a peer says about itself: where it listens, its roles, its metadata, its NUMA nodes.
//!
//! It does not travel with the gossip, which carries names only. Whoever hears of a peer asks for its
//! profile: the peer itself, or, for many at once, whoever told of them. So its size is limited, but need not be
//! tiny.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::identity::ENDPOINT_BYTES_MAX;
use crate::transport::Endpoint;
use crate::wire::codec::{Decoded, Flaw, Reader, put_len, put_text, put_u32, put_u64};

/// Addresses of a peer: 8.
pub const ENDPOINTS_MAX: usize = 8;
/// Roles of a peer: 16, of 64 bytes each.
pub const ROLES_MAX: usize = 16;
/// Entries of a peer's metadata: 32.
pub const METADATA_MAX: usize = 32;
/// Bytes of a role, and of a key of the metadata: 64.
pub const KEY_BYTES_MAX: usize = 64;
/// Bytes of a value of the metadata: 256.
pub const VALUE_BYTES_MAX: usize = 256;
/// NUMA nodes of a peer: 64.
pub const NUMA_NODES_MAX: usize = 64;

/// A NUMA node of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerNumaNode {
    /// The number that peer's kernel gives it.
    pub id: u32,
    /// CPUs that peer may use there.
    pub cpus: u32,
    /// Bytes of memory there.
    pub bytes: u64,
}

/// What a peer says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) roles: BTreeSet<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) numa_nodes: Vec<PeerNumaNode>,
    /// Milliseconds since 1970 when it began, by its own clock; orders peers by age.
    pub(crate) started_ms: u64,
}

impl Profile {
    /// A profile that says nothing, of a peer that began so many milliseconds after 1970.
    pub fn new(started_ms: u64) -> Self {
        Self {
            started_ms,
            ..Self::default()
        }
    }

    /// Where it listens; none for a peer that only dials.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Its roles, in order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(String::as_str)
    }

    /// Whether it has that role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// Its metadata, in the order of the keys.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// One value of its metadata.
    pub fn metadata_of(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Its NUMA nodes, as it counts them: lane `n` leads to the `n`-th.
    pub fn numa_nodes(&self) -> &[PeerNumaNode] {
        &self.numa_nodes
    }

    /// When it began, in milliseconds since 1970 by its own clock.
    pub fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// The same with that address.
    ///
    /// # Errors
    ///
    /// [`InvalidProfile`] beyond 8.
    pub fn with_endpoint(mut self, endpoint: Endpoint) -> Result<Self, InvalidProfile> {
        self.endpoints.push(endpoint);
        limit("addresses", self.endpoints.len(), ENDPOINTS_MAX)?;
        Ok(self)
    }

    /// The same with that role.
    ///
    /// # Errors
    ///
    /// [`InvalidProfile`] beyond 16 roles, or 64 bytes for one.
    pub fn with_role(mut self, role: &str) -> Result<Self, InvalidProfile> {
        limit("bytes of a role", role.len(), KEY_BYTES_MAX)?;
        self.roles.insert(role.to_owned());
        limit("roles", self.roles.len(), ROLES_MAX)?;
        Ok(self)
    }

    /// The same with that entry of metadata.
    ///
    /// # Errors
    ///
    /// [`InvalidProfile`] beyond 32 entries, 64 bytes for the key or 256 for the value.
    pub fn with_metadata(mut self, key: &str, value: &str) -> Result<Self, InvalidProfile> {
        limit("bytes of a metadata key", key.len(), KEY_BYTES_MAX)?;
        limit("bytes of a metadata value", value.len(), VALUE_BYTES_MAX)?;
        self.metadata.insert(key.to_owned(), value.to_owned());
        limit("metadata entries", self.metadata.len(), METADATA_MAX)?;
        Ok(self)
    }

    /// The same with that NUMA node.
    ///
    /// # Errors
    ///
    /// [`InvalidProfile`] beyond 64.
    pub fn with_numa_node(mut self, node: PeerNumaNode) -> Result<Self, InvalidProfile> {
        self.numa_nodes.push(node);
        limit("NUMA nodes", self.numa_nodes.len(), NUMA_NODES_MAX)?;
        Ok(self)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.started_ms);
        put_len(out, self.endpoints.len());
        for endpoint in &self.endpoints {
            put_text(out, &endpoint.to_string());
        }
        put_len(out, self.roles.len());
        for role in &self.roles {
            put_text(out, role);
        }
        put_len(out, self.metadata.len());
        for (key, value) in &self.metadata {
            put_text(out, key);
            put_text(out, value);
        }
        put_len(out, self.numa_nodes.len());
        for node in &self.numa_nodes {
            put_u32(out, node.id);
            put_u32(out, node.cpus);
            put_u64(out, node.bytes);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Decoded<Self> {
        let mut profile = Self::new(reader.u64("start")?);
        for _ in 0..reader.count("addresses", ENDPOINTS_MAX)? {
            let at = reader.at();
            match reader.text("address", ENDPOINT_BYTES_MAX)?.parse() {
                Ok(endpoint) => profile.endpoints.push(endpoint),
                Err(_) => return reader.flaw("address", at, Flaw::Text),
            }
        }
        for _ in 0..reader.count("roles", ROLES_MAX)? {
            let role = reader.text("role", KEY_BYTES_MAX)?;
            profile.roles.insert(role.to_owned());
        }
        for _ in 0..reader.count("metadata", METADATA_MAX)? {
            let key = reader.text("key", KEY_BYTES_MAX)?.to_owned();
            let value = reader.text("value", VALUE_BYTES_MAX)?.to_owned();
            profile.metadata.insert(key, value);
        }
        for _ in 0..reader.count("NUMA nodes", NUMA_NODES_MAX)? {
            profile.numa_nodes.push(PeerNumaNode {
                id: reader.u32("NUMA node")?,
                cpus: reader.u32("CPUs")?,
                bytes: reader.u64("bytes")?,
            });
        }
        Ok(profile)
    }
}

fn limit(what: &'static str, value: usize, max: usize) -> Result<(), InvalidProfile> {
    if value <= max {
        return Ok(());
    }
    Err(InvalidProfile { what, value, max })
}

/// More than a profile may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProfile {
    /// Of what it has too much.
    pub what: &'static str,
    /// How much.
    pub value: usize,
    /// How much is allowed.
    pub max: usize,
}

impl fmt::Display for InvalidProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, max } = self;
        write!(
            f,
            "{value} {what}; a peer's profile may have {max}, keep what is larger in an actor that is asked"
        )
    }
}

impl std::error::Error for InvalidProfile {}
