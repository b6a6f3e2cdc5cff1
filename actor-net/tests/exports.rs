//! Messages and references as bytes: what the macros write, and what the other side reads.

use std::any::TypeId;
use std::rc::Rc;

use actor_core::prelude::*;
use actor_core::remote::{Address, Addressing, CodecError, with_addressing};
use actor_core::{ActorId, SystemRef};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default)]
struct Account {
    cents: i64,
}

#[messages]
impl Account {
    /// Under its path.
    #[message(remote, derive(Debug, PartialEq, Serialize, Deserialize))]
    fn deposit(&mut self, cents: i64, note: String) -> i64 {
        let _ = note;
        self.cents += cents;
        self.cents
    }

    /// Stays here.
    #[message]
    fn close(&mut self) {}
}

#[derive(Debug, PartialEq, Message, Serialize, Deserialize)]
#[message(remote = "bank.introduce", reply = Vec<u8>)]
struct Introduce {
    whom: ActorRef<Account>,
}

#[test]
fn a_message_and_its_reply_travel_under_a_name() {
    let export = Deposit::EXPORT.expect("it is marked");
    assert_eq!(export.name, "exports::Deposit");
    assert!(Close::EXPORT.is_none(), "it is not");
    let message = Deposit {
        cents: -5,
        note: "rent".to_owned(),
    };
    let mut bytes = vec![7];
    (export.encode)(&message, &mut bytes).unwrap();
    assert_eq!(
        bytes,
        [7, 9, 4, b'r', b'e', b'n', b't'],
        "behind what was there, in postcard's form"
    );
    assert_eq!((export.decode)(&bytes[1..]).unwrap(), message);
    bytes.push(0);
    let error = (export.decode)(&bytes[1..]).unwrap_err();
    assert!(error.to_string().contains("left over"), "{error}");
    assert!((export.decode)(&bytes[1..3]).is_err(), "cut off");

    let mut reply = Vec::new();
    (export.encode_reply)(&300, &mut reply).unwrap();
    assert_eq!((export.decode_reply)(&reply).unwrap(), 300);
}

/// One link between a system and itself.
struct Link {
    system: SystemRef,
}

impl Addressing for Link {
    fn address_of(&self, actor: ActorId) -> Result<Address, CodecError> {
        Ok(Address {
            peer: "self".into(),
            incarnation: 3,
            number: actor.as_u64(),
            key: 5,
        })
    }

    fn actor_at(&self, address: &Address, actor_type: TypeId) -> Result<ActorId, CodecError> {
        if (&*address.peer, address.incarnation, address.key) != ("self", 3, 5) {
            return Err(CodecError::new("another life of another peer"));
        }
        self.system
            .resolve_type(address.number, actor_type)
            .ok_or_else(|| CodecError::new("no such actor"))
    }
}

#[test]
fn a_reference_travels_inside_of_a_message_on_a_link_only() {
    let system = ActorSystem::new().unwrap();
    let whom = system.spawn(Account::default()).unwrap();
    let export = Introduce::EXPORT.expect("it is marked");
    assert_eq!(export.name, "bank.introduce");
    let message = Introduce { whom };
    let error = (export.encode)(&message, &mut Vec::new()).unwrap_err();
    assert!(!error.to_string().is_empty());

    let link = Rc::new(Link {
        system: system.handle(),
    });
    let mut bytes = Vec::new();
    with_addressing(link.clone(), || (export.encode)(&message, &mut bytes)).unwrap();
    let read = with_addressing(link.clone(), || (export.decode)(&bytes)).unwrap();
    assert_eq!(read, message);
    let left = read.whom.ask_blocking(Deposit {
        cents: 12,
        note: String::new(),
    });
    assert_eq!(left.unwrap(), 12);
    assert!((export.decode)(&bytes).is_err(), "not without a link");

    // A stranger's bytes: another type, another actor, nobody.
    for number in [0, u64::MAX, whom.id().as_u64() ^ 1 << 40] {
        let mut forged = vec![4];
        forged.extend(b"self");
        forged.push(3);
        let mut left = number;
        while left >= 0x80 {
            forged.push(left as u8 | 0x80);
            left >>= 7;
        }
        forged.push(left as u8);
        forged.push(5);
        assert!(with_addressing(link.clone(), || (export.decode)(&forged)).is_err());
    }
    assert!(
        system
            .shutdown_blocking(std::time::Duration::from_secs(20))
            .is_clean()
    );
}
