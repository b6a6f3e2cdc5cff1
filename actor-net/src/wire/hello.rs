//! What the two sides of a new connection say of themselves, and how they say no.
//!
//! The greeting's layout is for ever: a side of a later version must be able to read why it is refused. What
//! later versions have to add goes into its extensions, which version 1 skips. Proofs stand at the very end
//! of a body and cover all of it before them.

use std::fmt;

use super::codec::{Decoded, Flaw, Reader, cut, put_blob, put_text, put_u16, put_u64, put_varint};
use super::limits::{LANES_MAX, PeerLimits};
use crate::id::{ClusterId, Incarnation, NAME_BYTES_MAX, PeerId};

/// What a body begins with, so that a stranger is told apart from a peer of another version.
pub(crate) const MAGIC: [u8; 8] = *b"actornet";

/// Bytes of the extensions of later versions.
const EXTENSIONS_MAX: usize = 1024;

/// Bytes of a proof.
pub(crate) const PROOF: usize = 32;

/// Bytes of a refusal's text.
const TEXT_MAX: usize = 200;

/// What a connection is to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionKind {
    Control,
    Lane {
        index: u8,
        /// The session that the control connection began.
        session: u128,
    },
}

/// Which versions of the protocol a side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) min: u16,
    pub(crate) max: u16,
}

impl Versions {
    /// The highest that both speak.
    pub(crate) fn common(self, other: Self) -> Option<u16> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

/// Who a side is and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) cluster: ClusterId,
    pub(crate) peer: PeerId,
    pub(crate) incarnation: Incarnation,
    pub(crate) nonce: [u8; 32],
    /// Its NUMA nodes, by the operating system's numbers: one data lane each.
    pub(crate) numa_nodes: Vec<u8>,
    pub(crate) limits: PeerLimits,
    /// Its silence limit in milliseconds: who says nothing for longer is given up.
    pub(crate) heartbeat_timeout_ms: u32,
    /// The hash over the message types it takes.
    pub(crate) schema: u64,
}

impl Introduction {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.cluster.as_str());
        put_text(out, self.peer.as_str());
        put_u64(out, self.incarnation.0);
        out.extend_from_slice(&self.nonce);
        put_blob(out, &self.numa_nodes);
        self.limits.encode(out);
        put_varint(out, self.heartbeat_timeout_ms.into());
        put_u64(out, self.schema);
    }

    fn decode(reader: &mut Reader<'_>) -> Decoded<Self> {
        let at = reader.at();
        let Ok(cluster) = ClusterId::new(reader.text("cluster", NAME_BYTES_MAX)?) else {
            return reader.flaw("cluster", at, Flaw::Text);
        };
        let at = reader.at();
        let Ok(peer) = PeerId::new(reader.text("peer", NAME_BYTES_MAX)?) else {
            return reader.flaw("peer", at, Flaw::Text);
        };
        let incarnation = Incarnation(reader.u64("incarnation")?);
        let nonce = reader.array("nonce")?;
        let at = reader.at();
        let numa_nodes = reader.blob("NUMA nodes", LANES_MAX)?.to_vec();
        if numa_nodes.is_empty() {
            let max = u64::try_from(LANES_MAX).unwrap_or(u64::MAX);
            let flaw = Flaw::Range {
                value: 0,
                min: 1,
                max,
            };
            return reader.flaw("NUMA nodes", at, flaw);
        }
        Ok(Self {
            cluster,
            peer,
            incarnation,
            nonce,
            numa_nodes,
            limits: PeerLimits::decode(reader)?,
            heartbeat_timeout_ms: reader.varint32("heartbeat time-out")?,
            schema: reader.u64("schema")?,
        })
    }
}

/// The dialler's greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) versions: Versions,
    /// Features it can, and those of them it cannot do without.
    pub(crate) features: u64,
    pub(crate) required: u64,
    pub(crate) kind: ConnectionKind,
    /// The number of the last connection of this kind that it knows of; 0 is none.
    pub(crate) last_epoch: u32,
    /// How far the other side's signals have come.
    pub(crate) received_through: u64,
    pub(crate) who: Introduction,
}

/// The acceptor's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) version: u16,
    pub(crate) features: u64,
    /// Of a control connection: the name of what begins now. Of a lane: the same again.
    pub(crate) session: u128,
    /// The number of this connection among those of its kind.
    pub(crate) epoch: u32,
    pub(crate) received_through: u64,
    pub(crate) who: Introduction,
}

impl Hello {
    /// Without the proof; see `put_proof`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        put_u16(out, self.versions.min);
        put_u16(out, self.versions.max);
        put_u64(out, self.features);
        put_u64(out, self.required);
        let (kind, index, session) = match self.kind {
            ConnectionKind::Control => (0, 0, 0),
            ConnectionKind::Lane { index, session } => (1, index, session),
        };
        out.extend_from_slice(&[kind, index]);
        out.extend_from_slice(&session.to_le_bytes());
        put_varint(out, self.last_epoch.into());
        put_varint(out, self.received_through);
        self.who.encode(out);
        put_blob(out, &[]);
    }

    /// What it says, its proof, and how many bytes the proof covers.
    pub(crate) fn decode(body: &[u8]) -> Decoded<(Self, Proof)> {
        let mut reader = Reader::new(body);
        magic(&mut reader)?;
        let at = reader.at();
        let versions = Versions {
            min: reader.u16("lowest version")?,
            max: reader.u16("highest version")?,
        };
        if versions.min > versions.max {
            let flaw = Flaw::Range {
                value: versions.max.into(),
                min: versions.min.into(),
                max: u16::MAX.into(),
            };
            return reader.flaw("highest version", at, flaw);
        }
        let features = reader.u64("features")?;
        let required = reader.u64("required features")?;
        let at = reader.at();
        let kind = reader.u8("connection kind")?;
        let index = reader.u8("lane")?;
        let session = reader.u128("session")?;
        let kind = match kind {
            0 => ConnectionKind::Control,
            1 => ConnectionKind::Lane { index, session },
            other => {
                let value = other.into();
                return reader.flaw("connection kind", at, Flaw::Unknown { value });
            }
        };
        let hello = Self {
            versions,
            features,
            required,
            kind,
            last_epoch: reader.varint32("last epoch")?,
            received_through: reader.varint("received signals")?,
            who: Introduction::decode(&mut reader)?,
        };
        let _of_later_versions = reader.blob("extensions", EXTENSIONS_MAX)?;
        Ok((hello, Proof::decode(&mut reader)?))
    }
}

impl Welcome {
    /// Without the proof; see `put_proof`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        put_u16(out, self.version);
        put_u64(out, self.features);
        out.extend_from_slice(&self.session.to_le_bytes());
        put_varint(out, self.epoch.into());
        put_varint(out, self.received_through);
        self.who.encode(out);
        put_blob(out, &[]);
    }

    pub(crate) fn decode(body: &[u8]) -> Decoded<(Self, Proof)> {
        let mut reader = Reader::new(body);
        magic(&mut reader)?;
        let welcome = Self {
            version: reader.u16("version")?,
            features: reader.u64("features")?,
            session: reader.u128("session")?,
            epoch: reader.varint32("epoch")?,
            received_through: reader.varint("received signals")?,
            who: Introduction::decode(&mut reader)?,
        };
        let _of_later_versions = reader.blob("extensions", EXTENSIONS_MAX)?;
        Ok((welcome, Proof::decode(&mut reader)?))
    }
}

fn magic(reader: &mut Reader<'_>) -> Decoded<()> {
    if reader.array("magic")? == MAGIC {
        return Ok(());
    }
    reader.flaw("magic", 0, Flaw::Text)
}

/// The last field: nothing, or a tag over all bytes of the body before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) tag: Option<[u8; PROOF]>,
    /// How many bytes of the body stand before it.
    pub(crate) covers: usize,
}

impl Proof {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Decoded<Self> {
        let covers = reader.at();
        let tag = match reader.u8("proof")? {
            0 => None,
            1 => Some(reader.array("proof")?),
            other => {
                let value = other.into();
                return reader.flaw("proof", covers, Flaw::Unknown { value });
            }
        };
        reader.finish()?;
        Ok(Self { tag, covers })
    }

    pub(crate) fn put(tag: Option<[u8; PROOF]>, out: &mut Vec<u8>) {
        match tag {
            Some(tag) => {
                out.push(1);
                out.extend_from_slice(&tag);
            }
            None => out.push(0),
        }
    }
}

/// Why there is no connection, told to the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not one word more: whoever does not know the key learns nothing.
    Authentication,
    Version {
        ours: Versions,
    },
    Cluster {
        ours: String,
    },
    /// Features that the refusing side needs and the other has not, or the other way round.
    Features {
        missing: u64,
    },
    /// The certificate or key belongs to another peer or cluster than the greeting says.
    Identity {
        authenticated: String,
    },
    /// The dialler wanted somebody else.
    NotTheOneDialled {
        wanted: String,
    },
    /// A later life of the peer has been here.
    StaleIncarnation {
        known: u64,
    },
    /// This life of the peer has been declared dead.
    DeclaredDead,
    /// Both dialled at once, and the other's connection counts.
    SimultaneousConnect,
    /// There is a connection already.
    AlreadyConnected,
    /// A lane without its control connection, or of an older session.
    UnknownSession,
    NoSuchLane {
        lanes: u64,
    },
    TooManyConnections {
        max: u64,
    },
    ShuttingDown,
    /// The handshake took too long.
    TooSlow {
        limit_ms: u64,
    },
    /// It reached itself.
    Myself,
    /// What came is no greeting.
    Malformed {
        detail: String,
    },
    /// A reason of a later version.
    Other {
        code: u8,
        detail: String,
    },
}

impl Refusal {
    /// Code, two numbers, a text.
    fn parts(&self) -> (u8, u64, u64, &str) {
        match self {
            Self::Authentication => (1, 0, 0, ""),
            Self::Version { ours } => (2, ours.min.into(), ours.max.into(), ""),
            Self::Cluster { ours } => (3, 0, 0, ours),
            Self::Features { missing } => (4, *missing, 0, ""),
            Self::Identity { authenticated } => (5, 0, 0, authenticated),
            Self::NotTheOneDialled { wanted } => (6, 0, 0, wanted),
            Self::StaleIncarnation { known } => (7, *known, 0, ""),
            Self::DeclaredDead => (8, 0, 0, ""),
            Self::SimultaneousConnect => (9, 0, 0, ""),
            Self::AlreadyConnected => (10, 0, 0, ""),
            Self::UnknownSession => (11, 0, 0, ""),
            Self::NoSuchLane { lanes } => (12, *lanes, 0, ""),
            Self::TooManyConnections { max } => (13, *max, 0, ""),
            Self::ShuttingDown => (14, 0, 0, ""),
            Self::TooSlow { limit_ms } => (15, *limit_ms, 0, ""),
            Self::Myself => (16, 0, 0, ""),
            Self::Malformed { detail } => (17, 0, 0, detail),
            Self::Other { code, detail } => (*code, 0, 0, detail),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (code, first, second, text) = self.parts();
        out.push(code);
        put_varint(out, first);
        put_varint(out, second);
        put_text(out, cut(text, TEXT_MAX));
    }

    pub(crate) fn decode(body: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(body);
        let code = reader.u8("reason")?;
        let first = reader.varint("first number")?;
        let second = reader.varint("second number")?;
        let text = reader.text("text", TEXT_MAX)?.to_owned();
        reader.finish()?;
        let version = |number| u16::try_from(number).unwrap_or(u16::MAX);
        Ok(match code {
            1 => Self::Authentication,
            2 => Self::Version {
                ours: Versions {
                    min: version(first),
                    max: version(second),
                },
            },
            3 => Self::Cluster { ours: text },
            4 => Self::Features { missing: first },
            5 => Self::Identity {
                authenticated: text,
            },
            6 => Self::NotTheOneDialled { wanted: text },
            7 => Self::StaleIncarnation { known: first },
            8 => Self::DeclaredDead,
            9 => Self::SimultaneousConnect,
            10 => Self::AlreadyConnected,
            11 => Self::UnknownSession,
            12 => Self::NoSuchLane { lanes: first },
            13 => Self::TooManyConnections { max: first },
            14 => Self::ShuttingDown,
            15 => Self::TooSlow { limit_ms: first },
            16 => Self::Myself,
            17 => Self::Malformed { detail: text },
            _ => Self::Other { code, detail: text },
        })
    }

    /// Whether trying again, unchanged, may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::SimultaneousConnect
                | Self::AlreadyConnected
                | Self::UnknownSession
                | Self::TooManyConnections { .. }
                | Self::ShuttingDown
                | Self::TooSlow { .. }
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authentication => f.write_str(
                "authentication failed; do both sides have the same key, and the same mode of security?",
            ),
            Self::Version { ours } => write!(
                f,
                "it speaks versions {}..={} of the protocol and the other side none of them; upgrade the \
                 older of the two",
                ours.min, ours.max
            ),
            Self::Cluster { ours } => write!(
                f,
                "it belongs to cluster `{ours}`; give both the same cluster id, or seeds of the right cluster"
            ),
            Self::Features { missing } => write!(
                f,
                "features {missing:#x} are required by one side and missing on the other; upgrade it"
            ),
            Self::Identity { authenticated } => write!(
                f,
                "the greeting and the certificate or key disagree about who this is: authenticated is \
                 {authenticated}"
            ),
            Self::NotTheOneDialled { wanted } => write!(
                f,
                "peer `{wanted}` was to be at this address, and another answers; look for an old address"
            ),
            Self::StaleIncarnation { known } => write!(
                f,
                "a later life (incarnation {known}) of this peer is known; is its id used twice?"
            ),
            Self::DeclaredDead => f.write_str(
                "this incarnation was declared dead and stays so; start it again to come back as another",
            ),
            Self::SimultaneousConnect => {
                f.write_str("both sides dialled at once; the connection of the other one counts")
            }
            Self::AlreadyConnected => f.write_str("there is a connection to this peer already"),
            Self::UnknownSession => {
                f.write_str("a data connection without its control connection; it is to be dialled first")
            }
            Self::NoSuchLane { lanes } => write!(f, "there are {lanes} lanes, counted from 0"),
            Self::TooManyConnections { max } => {
                write!(f, "it has its {max} connections; raise that limit or wait")
            }
            Self::ShuttingDown => f.write_str("it is shutting down"),
            Self::TooSlow { limit_ms } => {
                write!(f, "the handshake took longer than the {limit_ms} ms allowed")
            }
            Self::Myself => f.write_str(
                "a peer reached itself, or another process of its name; leave its own address out of the seeds, and \
                 give each process a name of its own",
            ),
            Self::Malformed { detail } => write!(f, "what came is no greeting: {detail}"),
            Self::Other { code, detail } => write!(f, "reason {code}: {detail}"),
        }
    }
}
