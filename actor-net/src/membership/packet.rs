//! Datagrams of membership: foca's packets in an envelope, and our own beside them.
//!
//! | first byte | what follows |
//! |---|---|
//! | 0 | a packet of foca's: header, updates, facts (`codec.rs`, `facts.rs`) |
//! | 1 | all one knows: whether the same is wanted back, then members until the end |
//! | 2 | a wish for profiles: names and lives until the end |
//! | 3 | profiles: name, life, version, profile, until the end |
//! | 4 | "I am leaving": the life |
//! | 5 | "I have left": the life |
//!
//! A list has no count: it ends with the datagram, so nothing is announced that has not come.

use foca::Member;

use super::codec::{decode_member, put_member};
use super::identity::{Identity, decode_peer};
use super::profile::Profile;
use crate::id::{Incarnation, PeerId};
use crate::wire::codec::{Decoded, Flaw, Reader, put_text, put_u32, put_u64};

/// A list goes on in another datagram after so many bytes; a profile has at most 14 KB.
const BYTES_MAX: usize = 40 * 1024;

/// Profiles that are asked for at once.
pub(super) const WISHES_MAX: usize = 512;

pub(super) const SWIM: u8 = 0;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) member: Member<Identity>,
    /// Of its profile; 0 is none.
    pub(super) version: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) peer: PeerId,
    pub(super) incarnation: Incarnation,
    pub(super) version: u32,
    pub(super) profile: Profile,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Packet<'a> {
    Swim(&'a [u8]),
    Sync { back: bool, members: Vec<Known> },
    Wishes(Vec<(PeerId, Incarnation)>),
    Profiles(Vec<Told>),
    Leaving(Incarnation),
    Left(Incarnation),
}

impl<'a> Packet<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes);
        let packet = match reader.u8("kind")? {
            SWIM => {
                let rest = reader.left();
                Self::Swim(reader.slice("packet", rest)?)
            }
            1 => {
                let back = reader.u8("wanted back")? != 0;
                let mut members = Vec::new();
                while reader.left() > 0 {
                    members.push(Known {
                        member: decode_member(&mut reader)?,
                        version: reader.u32("version")?,
                    });
                }
                Self::Sync { back, members }
            }
            2 => {
                let mut wishes = Vec::new();
                while reader.left() > 0 {
                    if wishes.len() == WISHES_MAX {
                        let (value, max) = (WISHES_MAX as u64 + 1, WISHES_MAX as u64);
                        return reader.flaw("wishes", reader.at(), Flaw::TooLong { value, max });
                    }
                    let peer = decode_peer(&mut reader)?;
                    wishes.push((peer, Incarnation(reader.u64("incarnation")?)));
                }
                Self::Wishes(wishes)
            }
            3 => {
                let mut profiles = Vec::new();
                while reader.left() > 0 {
                    profiles.push(Told {
                        peer: decode_peer(&mut reader)?,
                        incarnation: Incarnation(reader.u64("incarnation")?),
                        version: reader.u32("version")?,
                        profile: Profile::decode(&mut reader)?,
                    });
                }
                Self::Profiles(profiles)
            }
            4 => Self::Leaving(Incarnation(reader.u64("incarnation")?)),
            5 => Self::Left(Incarnation(reader.u64("incarnation")?)),
            other => {
                let value = other.into();
                return reader.flaw("kind", 0, Flaw::Unknown { value });
            }
        };
        reader.finish()?;
        Ok(packet)
    }
}

/// All one knows, in as many datagrams as it takes; only the first asks for the same.
pub(super) fn sync<'a>(
    back: bool,
    members: impl Iterator<Item = (&'a Member<Identity>, u32)>,
) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut out = vec![1, u8::from(back)];
    for (member, version) in members {
        put_member(&mut out, member);
        put_u32(&mut out, version);
        if out.len() > BYTES_MAX {
            datagrams.push(std::mem::replace(&mut out, vec![1, 0]));
        }
    }
    if out.len() > 2 {
        datagrams.push(out);
    }
    datagrams
}

pub(super) fn wishes<'a>(peers: impl Iterator<Item = (&'a PeerId, Incarnation)>) -> Vec<u8> {
    let mut out = vec![2];
    for (peer, incarnation) in peers.take(WISHES_MAX) {
        put_text(&mut out, peer.as_str());
        put_u64(&mut out, incarnation.0);
    }
    out
}

pub(super) fn profiles<'a>(
    profiles: impl Iterator<Item = (&'a PeerId, Incarnation, u32, &'a Profile)>,
) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut out = vec![3];
    for (peer, incarnation, version, profile) in profiles {
        put_text(&mut out, peer.as_str());
        put_u64(&mut out, incarnation.0);
        put_u32(&mut out, version);
        profile.encode(&mut out);
        if out.len() > BYTES_MAX {
            datagrams.push(std::mem::replace(&mut out, vec![3]));
        }
    }
    if out.len() > 1 {
        datagrams.push(out);
    }
    datagrams
}

pub(super) fn leaving(incarnation: Incarnation) -> Vec<u8> {
    life(4, incarnation)
}

pub(super) fn left(incarnation: Incarnation) -> Vec<u8> {
    life(5, incarnation)
}

fn life(kind: u8, incarnation: Incarnation) -> Vec<u8> {
    let mut out = vec![kind];
    put_u64(&mut out, incarnation.0);
    out
}
