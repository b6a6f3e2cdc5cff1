//! What comes that should not: references to lives that are over or are never met, types that nobody exported.

use bytes::Bytes;

use super::*;
use crate::remote::Way;
use crate::remote::addressing::on_link;
use crate::remote::export::{read, write};
use crate::wire::message::{Address, Addressed, Head, Target};
use crate::wire::outbox::Outgoing;

fn elsewhere(peer: &str, incarnation: u64) -> actor_core::remote::Address {
    actor_core::remote::Address {
        peer: peer.into(),
        incarnation,
        number: 7 << 40 | 7,
        key: 77,
    }
}

/// A reference that a message from `by` had in it.
fn come_by(side: &Side, by: &PeerId, address: &actor_core::remote::Address) -> ActorRef<Sum> {
    let own = &side.end.remote.0;
    let association = own.present(by).unwrap_or_else(|| {
        own.association(by, Incarnation(5))
            .expect("it waits to be met")
    });
    let mut bytes = Vec::new();
    write(address, &mut bytes).unwrap();
    on_link(&association, || read(&bytes)).expect("a reference")
}

fn wanting(meet_within: Duration) -> Side {
    let settings = RemoteSettings {
        meet_within,
        ..RemoteSettings::default()
    };
    Side::wanted("here", settings)
}

#[test]
fn r04_a_reference_to_a_life_that_is_over_is_one_to_an_actor_that_is_gone() {
    let here = wanting(Duration::from_secs(3600));
    let (link, third) = (PeerId::new("link").unwrap(), PeerId::new("third").unwrap());
    let at = |incarnation| {
        let address = elsewhere("third", incarnation);
        come_by(&here, &link, &address)
    };
    // One that waits to be met, and is over before that.
    let early = at(5);
    let asking = here
        .system
        .tokio()
        .spawn(async move { early.ask(Add { n: 1 }).await });
    here.end.remote.over(&third, Incarnation(5), &"for a test");
    let error = here.system.block_on(asking).unwrap().unwrap_err();
    assert!(
        matches!(error, AskError::PeerGone { .. } | AskError::Dead { .. }),
        "{error}"
    );
    // And one that is heard of afterwards, of that life or an earlier one.
    for incarnation in [5, 4] {
        let late = at(incarnation);
        wait_until("it is gone", || !late.is_alive());
    }
    let next = at(6);
    assert!(next.is_alive(), "a later life may come");
    here.finish();
}

#[test]
fn r02_a_peer_that_is_never_met_counts_as_gone_in_the_end() {
    let here = wanting(Duration::from_millis(50));
    let address = elsewhere("third", 5);
    let there = come_by(&here, &PeerId::new("link").unwrap(), &address);
    let error = there.ask_blocking(Add { n: 1 }).unwrap_err();
    assert!(
        matches!(error, AskError::PeerGone { .. } | AskError::Dead { .. }),
        "{error}"
    );
    here.finish();
}

#[test]
fn r_a_type_that_nobody_exported_is_refused_and_counted() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let (line, _back) = lanes(&here, &there, 1);
    let sum = there.publish("sum", Sum::default());
    let near = here.find(&there, "sum");
    let key = there.end.remote.address_of(sum.id()).key;
    let id = sum.id().as_u64();
    let forged = |head| Outgoing {
        pair: 9,
        head,
        payload: Bytes::from_static(b"who knows").into(),
        deadline: None,
        cancel: None,
        token: 0,
    };
    let to = |message_type, target| Addressed {
        message_type,
        target,
        sender: None,
        context: None,
    };
    let actor = Target::Actor(Address { id, key });
    let before = there.stats();
    let head = Head::Ask {
        call: 1 << 40,
        reply_lane: 200,
        to: to(4711, actor.clone()),
    };
    line.push(0, forged(head)).unwrap();
    line.push(0, forged(Head::Tell(to(u32::MAX, actor))))
        .unwrap();
    let name = Target::Name("nobody".to_owned());
    line.push(0, forged(Head::Tell(to(0, name)))).unwrap();
    let nobody = Target::Actor(Address { id, key: key ^ 1 });
    line.push(0, forged(Head::Tell(to(0, nobody)))).unwrap();
    assert_eq!(
        near.ask_blocking(Add { n: 1 }).unwrap(),
        1,
        "the link stays"
    );
    let stats = there.stats();
    assert_eq!(stats.refused_not_exported, before.refused_not_exported + 3);
    assert_eq!(stats.refused_dead, before.refused_dead + 1);
    // The asker is told, and has forgotten that it asked.
    wait_until("the answer", || here.stats().answers_late == 1);
    here.finish();
    there.finish();
}

#[test]
fn w09_both_ends_of_many_watches_go_at_once_and_nothing_is_left() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    let reach = |from: &Side, to: &Side, actor: ActorRef<Sum>| {
        let address = to.end.remote.address_of(actor.id());
        come_by(from, &to.end.peer, &address)
    };
    // They know each other's peers.
    there.publish("first", Sum::default());
    here.find(&there, "first");
    here.publish("first", Sum::default());
    there.find(&here, "first");
    let left = |side: &Side, other: &Side| {
        let association = side.end.remote.0.present(&other.end.peer).unwrap();
        let watches = crate::remote::association::lock(&association.watches).len();
        (watches, association.all_proxies().len())
    };
    // The first of the other side, and its desk.
    let flat = ((1, 2), (1, 2));
    wait_until("they know each other", || {
        (left(&here, &there), left(&there, &here)) == flat
    });
    for _ in 0..200 {
        let mine = here.system.spawn(Sum::default()).unwrap();
        let theirs = there.system.spawn(Sum::default()).unwrap();
        let (far, near) = (reach(&here, &there, theirs), reach(&there, &here, mine));
        mine.tell(WatchIt(far)).unwrap();
        theirs.tell(WatchIt(near)).unwrap();
        mine.stop();
        theirs.stop();
    }
    wait_until("nothing is left", || {
        (left(&here, &there), left(&there, &here)) == flat
    });
    check_books(&here, &there);
    here.finish();
    there.finish();
}
