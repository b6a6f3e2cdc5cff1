//! News beside foca's own, on foca's packets: who suspects whom, whose profile is new, who is leaving.
//!
//! foca spreads such items as it spreads its own news and asks us for each whether it is new; what is not new
//! is not passed on, so that an item dies out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::Sender;

use super::codec::Told;
use super::identity::{Identity, Key, decode_peer};
use crate::id::{Incarnation, PeerId};
use crate::wire::codec::{DecodeError, Decoded, Flaw, Reader, put_text, put_u16, put_u32, put_u64};

/// Items remembered as old: beyond that the oldest is forgotten, and would be taken for new once more.
const REMEMBERED: usize = 8192;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// `by` had no answer from `about`, in that life, after so many refutations.
    Suspects {
        about: PeerId,
        incarnation: Incarnation,
        refuted: u16,
        by: PeerId,
    },
    /// The profile of that life has this version.
    Profile {
        peer: PeerId,
        incarnation: Incarnation,
        version: u32,
    },
    /// That life is about to leave.
    Leaving {
        peer: PeerId,
        incarnation: Incarnation,
    },
}

impl Fact {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Suspects {
                about,
                incarnation,
                refuted,
                by,
            } => {
                out.push(0);
                put_text(&mut out, about.as_str());
                put_u64(&mut out, incarnation.0);
                put_u16(&mut out, *refuted);
                put_text(&mut out, by.as_str());
            }
            Self::Profile {
                peer,
                incarnation,
                version,
            } => {
                out.push(1);
                put_text(&mut out, peer.as_str());
                put_u64(&mut out, incarnation.0);
                put_u32(&mut out, *version);
            }
            Self::Leaving { peer, incarnation } => {
                out.push(2);
                put_text(&mut out, peer.as_str());
                put_u64(&mut out, incarnation.0);
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8("fact")?;
        let peer = decode_peer(&mut reader)?;
        let incarnation = Incarnation(reader.u64("incarnation")?);
        let fact = match kind {
            0 => Self::Suspects {
                about: peer,
                incarnation,
                refuted: reader.u16("refutations")?,
                by: decode_peer(&mut reader)?,
            },
            1 => Self::Profile {
                peer,
                incarnation,
                version: reader.u32("version")?,
            },
            2 => Self::Leaving { peer, incarnation },
            other => {
                let value = other.into();
                return reader.flaw("fact", 0, Flaw::Unknown { value });
            }
        };
        reader.finish()?;
        Ok(fact)
    }

    fn topic(&self) -> Topic {
        match self {
            Self::Suspects { about, by, .. } => Topic {
                kind: 0,
                about: Key::of(about),
                by: Some(Key::of(by)),
            },
            Self::Profile { peer, .. } => Topic {
                kind: 1,
                about: Key::of(peer),
                by: None,
            },
            Self::Leaving { peer, .. } => Topic {
                kind: 2,
                about: Key::of(peer),
                by: None,
            },
        }
    }

    /// Of two facts of one topic the one with the greater age is the newer.
    fn age(&self) -> (Incarnation, u32) {
        match self {
            Self::Suspects {
                incarnation,
                refuted,
                ..
            } => (*incarnation, u32::from(*refuted)),
            Self::Profile {
                incarnation,
                version,
                ..
            } => (*incarnation, *version),
            Self::Leaving { incarnation, .. } => (*incarnation, 0),
        }
    }
}

/// What a fact is about: a newer one of the same topic takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Topic {
    kind: u8,
    about: Key,
    by: Option<Key>,
}

impl foca::Invalidates for Topic {
    fn invalidates(&self, other: &Self) -> bool {
        self == other
    }
}

/// Knows which facts are old.
pub(super) struct Facts {
    told: Sender<Told>,
    known: BTreeMap<Topic, (Incarnation, u32)>,
    order: VecDeque<Topic>,
}

impl Facts {
    pub(super) fn new(told: Sender<Told>) -> Self {
        Self {
            told,
            known: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl foca::BroadcastHandler<Identity> for Facts {
    type Key = Topic;
    type Error = DecodeError;

    fn receive_item(
        &mut self,
        data: &[u8],
        _from: Option<&Identity>,
    ) -> Result<Option<Topic>, DecodeError> {
        let fact = Fact::decode(data)?;
        let (topic, age) = (fact.topic(), fact.age());
        match self.known.insert(topic, age) {
            Some(known) if known >= age => {
                self.known.insert(topic, known);
                return Ok(None);
            }
            Some(_) => {}
            None => {
                self.order.push_back(topic);
                if self.order.len() > REMEMBERED
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.known.remove(&oldest);
                }
            }
        }
        // The other end lives as long as foca, beside it.
        let _at_the_end = self.told.send(Told::Fact(fact));
        Ok(Some(topic))
    }
}
