//! A message for an entity, on its way between the routers of its kind: the message itself, and a key before it.
//!
//! Written down it is the head (key, epoch, hops), then the message as its own export writes it. Between
//! peers it has the name of the message with `entity ` before it: another type, that other actors take.

use std::marker::PhantomData;

use actor_core::Message;
use actor_core::remote::{CodecError, Export};
use serde::{Deserialize, Serialize};

use super::key::EntityKey;
use super::region::Origin;

/// A message for an entity.
pub(super) struct Keyed<M> {
    pub(super) key: EntityKey,
    pub(super) origin: Origin,
    pub(super) message: M,
}

impl<M> std::fmt::Debug for Keyed<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyed")
            .field("key", &self.key)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    key: EntityKey,
    epoch: u64,
    hops: u8,
}

impl<M: Message> Message for Keyed<M> {
    type Reply = M::Reply;

    const EXPORT: Option<Export<Self>> = match M::EXPORT {
        Some(export) => Some(Export {
            name: Name::<M>::TEXT,
            schema: export.schema,
            encode,
            decode,
            encode_reply: export.encode_reply,
            decode_reply: export.decode_reply,
        }),
        None => None,
    };
}

fn encode<M: Message>(keyed: &Keyed<M>, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    let export = M::EXPORT.ok_or_else(|| CodecError::new("the message does not travel"))?;
    let Origin::Peer { epoch, hops } = keyed.origin else {
        return Err(CodecError::new(
            "a message of this peer leaves it by its router",
        ));
    };
    let head = Head {
        key: keyed.key.clone(),
        epoch,
        hops,
    };
    let head = postcard::to_allocvec(&head).map_err(CodecError::new)?;
    bytes.extend_from_slice(&head);
    (export.encode)(&keyed.message, bytes)
}

fn decode<M: Message>(bytes: &[u8]) -> Result<Keyed<M>, CodecError> {
    let export = M::EXPORT.ok_or_else(|| CodecError::new("the message does not travel"))?;
    // Three fields, and a text that is no longer than the bytes.
    let (head, rest) = postcard::take_from_bytes::<Head>(bytes).map_err(CodecError::new)?;
    Ok(Keyed {
        key: head.key,
        origin: Origin::Peer {
            epoch: head.epoch,
            hops: head.hops.max(1),
        },
        message: (export.decode)(rest)?,
    })
}

/// `entity ` and the name of the message.
struct Name<M>(PhantomData<M>);

const PREFIX: &[u8] = b"entity ";

/// Bytes of a message's name between peers, as `wire::table` has it.
const NAME_MAX: usize = 255;

impl<M: Message> Name<M> {
    const OF: &'static str = match M::EXPORT {
        Some(export) => export.name,
        None => "",
    };

    const LEN: usize = {
        let len = PREFIX.len() + Self::OF.len();
        assert!(
            len <= NAME_MAX,
            "a message for entities may have a name of 248 bytes"
        );
        len
    };

    const BYTES: &'static [u8; NAME_MAX] = &{
        let mut bytes = [0; NAME_MAX];
        let mut at = 0;
        while at < Self::LEN {
            bytes[at] = if at < PREFIX.len() {
                PREFIX[at]
            } else {
                Self::OF.as_bytes()[at - PREFIX.len()]
            };
            at += 1;
        }
        bytes
    };

    const TEXT: &'static str = match str::from_utf8(Self::BYTES.split_at(Self::LEN).0) {
        Ok(text) => text,
        Err(_) => panic!("two texts are one"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Deposit(i64);
    impl Message for Deposit {
        type Reply = i64;
        const EXPORT: Option<Export<Self>> = Some(crate::remote::export("bank.deposit ü"));
    }

    struct Stays;
    impl Message for Stays {
        type Reply = ();
    }

    #[test]
    fn a_message_travels_behind_its_key() {
        let export = Keyed::<Deposit>::EXPORT.unwrap();
        assert_eq!(export.name, "entity bank.deposit ü");
        let keyed = Keyed {
            key: EntityKey::from(7u8),
            origin: Origin::Peer { epoch: 3, hops: 2 },
            message: Deposit(-5),
        };
        let mut bytes = Vec::new();
        (export.encode)(&keyed, &mut bytes).unwrap();
        assert_eq!(bytes, [1, b'7', 3, 2, 9]);
        let read = (export.decode)(&bytes).unwrap();
        assert_eq!((read.key, read.origin), (keyed.key, keyed.origin));
        assert_eq!(read.message, Deposit(-5));
        assert!(Keyed::<Stays>::EXPORT.is_none());
    }

    #[test]
    fn no_bytes_are_a_panic() {
        let export = Keyed::<Deposit>::EXPORT.unwrap();
        for bytes in [
            &[][..],
            &[0, 3, 2, 9],
            &[1, b'\n', 3, 2, 9],
            &[200, 1],
            &[1, b'7', 3, 2],
        ] {
            assert!((export.decode)(bytes).is_err(), "{bytes:?}");
        }
    }
}
