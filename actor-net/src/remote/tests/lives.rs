//! Ends, links and stops between systems; mailboxes without room; names and spawns at first contact.

use super::*;

// ---- Lives --------------------------------------------------------------------------------------

#[test]
fn w05_the_end_is_heard_after_all_that_the_actor_sent() {
    for count in [1, 2] {
        let (here, there) = (Side::new("here"), Side::new("there"));
        let _lines = lanes(&here, &there, count);
        let witness = Sum::default();
        let seen = witness.seen.clone();
        let witness = here.system.spawn(witness).unwrap();
        for name in 0..5 {
            there.publish(&name.to_string(), Sum::default());
            let sum = here.find(&there, &name.to_string());
            witness.ask_blocking(WatchIt(sum)).unwrap();
            let sent = 100;
            sum.tell(SayTo {
                whom: witness,
                count: sent,
            })
            .unwrap();
            wait_until("the end is heard", || {
                seen.lock().unwrap().last() == Some(&ENDED)
            });
            let mut expected: Vec<_> = (0..sent).collect();
            expected.push(ENDED);
            assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected);
        }
        check_books(&here, &there);
        here.finish();
        there.finish();
    }
}

#[test]
fn w12_one_that_is_gone_is_reported_at_once() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    let original = there.publish("sum", Sum::default());
    original.stop();
    wait_until("it is gone", || !original.is_alive());
    // Its name still leads to it.
    let sum = here.find(&there, "sum");
    let end = here.system.block_on(sum.terminated());
    assert_eq!(end, StopReason::NotFound);
    here.finish();
    there.finish();
}

#[test]
fn r_the_loss_of_the_peer_is_heard_once_by_all() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let (line, _back) = lanes(&here, &there, 1);
    there.publish("sum", Sum::default());
    let sum = here.find(&there, "sum");
    let witness = Sum::default();
    let seen = witness.seen.clone();
    let witness = here.system.spawn(witness).unwrap();
    witness.ask_blocking(WatchIt(sum)).unwrap();
    let asking = here
        .system
        .tokio()
        .spawn(async move { sum.ask(Hold {}).await });
    wait_until("the ask is out", || there.stats().asks_in >= 2);
    line.cut();
    here.end.remote.lost(&*line, &"for a test");
    here.end.remote.lost(&*line, &"and again");
    let error = here.system.block_on(asking).unwrap().unwrap_err();
    assert!(matches!(error, AskError::PeerGone { .. }), "{error:?}");
    wait_until("the proxy is gone", || !sum.is_alive());
    wait_until("the end is heard", || !seen.lock().unwrap().is_empty());
    witness.ask_blocking(Add { n: 3 }).unwrap();
    assert_eq!(*seen.lock().unwrap(), [ENDED, 3], "once");
    here.finish();
    there.finish();
}

/// Calls what it is given while it is written down, once.
#[derive(Deserialize)]
struct Fuse {
    #[serde(skip)]
    on_write: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Serialize for Fuse {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Some(burn) = self.on_write.lock().unwrap().take() {
            burn();
        }
        to.serialize_unit()
    }
}

impl Message for Fuse {
    type Reply = ();
    const EXPORT: Option<Export<Self>> = Some(export("fuse"));
}

impl SyncHandler<Fuse> for Sum {
    fn handle(&mut self, _: Fuse, _: &mut ActorContext<Self>) {}
}

#[test]
fn r_an_ask_on_its_way_out_when_the_peer_is_lost_has_an_answer() {
    let side = |name| {
        let exports = Exports::new().handles::<Sum, Fuse>();
        Side::with(name, exports, RemoteSettings::default())
    };
    let (here, there) = (side("here"), side("there"));
    let (line, _back) = lanes(&here, &there, 1);
    there.publish("sum", Sum::default());
    let sum = here.find(&there, "sum");
    // The connection takes the ask all the same: it ends a moment later than the life of the peer.
    let remote = here.end.remote.clone();
    let burn = move || remote.lost(&*line, &"for a test");
    let on_write = Mutex::new(Some(Box::new(burn) as Box<dyn FnOnce() + Send>));
    let asked = sum.ask(Fuse { on_write }).within(PATIENCE);
    let error = here.system.block_on(asked).unwrap_err();
    assert!(matches!(error, AskError::PeerGone { .. }), "{error:?}");
    here.finish();
    there.finish();
}

#[test]
fn r_a_stop_goes_there_unless_it_may_not() {
    let strict = RemoteSettings {
        stops: false,
        ..RemoteSettings::default()
    };
    let (here, there) = (
        Side::new("here"),
        Side::with("there", Exports::new(), strict),
    );
    let _lines = lanes(&here, &there, 1);
    let mine = here.publish("mine", Sum::default());
    there.publish("theirs", Sum::default());
    there.find(&here, "mine").stop();
    wait_until("it has stopped", || !mine.is_alive());
    let theirs = here.find(&there, "theirs");
    theirs.stop_with(StopMode::Kill);
    wait_until("the order has come", || there.stats().stops_refused == 1);
    assert_eq!(theirs.ask_blocking(Add { n: 1 }).unwrap(), 1, "it goes on");
    here.finish();
    there.finish();
}

#[test]
fn r_a_link_breaks_over_there_and_over_here() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    let original = there.publish("sum", Sum::default());
    let sum = here.find(&there, "sum");
    let mine = here.system.spawn(Sum::default()).unwrap();
    mine.ask_blocking(LinkWith(sum)).unwrap();
    mine.tell(FailNow).unwrap();
    let end = there.system.block_on(original.terminated());
    // It may have ended before it was asked about.
    assert!(
        matches!(end, StopReason::Linked(_) | StopReason::NotFound),
        "{end}"
    );

    let original = there.publish("again", Sum::default());
    let sum = here.find(&there, "again");
    let mine = here.system.spawn(Sum::default()).unwrap();
    mine.ask_blocking(LinkWith(sum)).unwrap();
    original.tell(FailNow).unwrap();
    wait_until("the linked one has failed", || !mine.is_alive());
    here.finish();
    there.finish();
}

// ---- Room ---------------------------------------------------------------------------------------

#[test]
fn r_a_full_line_fills_the_proxy_and_holds_its_senders() {
    let settings = RemoteSettings {
        mailbox: Mailbox::bounded(4),
        ..RemoteSettings::default()
    };
    let (here, there) = (
        Side::with("here", Exports::new(), settings),
        Side::new("there"),
    );
    let (line, _back) = lanes(&here, &there, 1);
    let sum = Sum::default();
    let seen = sum.seen.clone();
    there.publish("sum", sum);
    let sum = here.find(&there, "sum");
    line.set_full(true);
    let mut sent = 0;
    wait_until("the proxy is full", || match sum.tell(Add { n: sent }) {
        Ok(()) => {
            sent += 1;
            false
        }
        Err(error) => error.is_full(),
    });
    let waiting = here
        .system
        .tokio()
        .spawn(async move { sum.send(Add { n: 1000 }).await });
    line.set_full(false);
    here.system.block_on(waiting).unwrap().unwrap();
    wait_until("all are there", || {
        seen.lock().unwrap().len() as u64 == sent + 1
    });
    let mut expected: Vec<_> = (0..sent).collect();
    expected.push(1000);
    assert_eq!(*seen.lock().unwrap(), expected);
    check_books(&here, &there);
    here.finish();
    there.finish();
}

#[test]
fn r_messages_for_a_full_mailbox_are_held_in_order_and_block_nobody_else() {
    // Without room of their own they take that of the window.
    let windowed = RemoteSettings {
        held_messages: 0,
        ..RemoteSettings::default()
    };
    let there = Side::with("there", Exports::new(), windowed);
    let here = Side::new("here");
    let (_line, back) = lanes(&here, &there, 1);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let slow = Sum {
        gate: Some(gate.clone()),
        ..Sum::default()
    };
    let seen = slow.seen.clone();
    let slow = there
        .system
        .actor(slow)
        .mailbox(Mailbox::bounded(2))
        .spawn()
        .unwrap();
    assert!(there.end.remote.publish("slow", slow));
    there.publish("quick", Sum::default());
    let (slow, quick) = (here.find(&there, "slow"), here.find(&there, "quick"));
    slow.tell(Hold {}).unwrap();
    for n in 0..20 {
        slow.tell(Add { n }).unwrap();
    }
    wait_until("some are held", || there.stats().held > 10);
    assert_eq!(quick.ask_blocking(Add { n: 1 }).unwrap(), 1, "not held up");
    let released = back.released.load(Ordering::SeqCst);
    gate.add_permits(1);
    wait_until("all are there", || seen.lock().unwrap().len() == 21);
    let mut expected = vec![77];
    expected.extend(0..20);
    assert_eq!(*seen.lock().unwrap(), expected);
    check_books(&here, &there);
    // At the end of the batch in which the last one found room.
    wait_until("the window is given back", || {
        back.released.load(Ordering::SeqCst) > released
    });
    here.finish();
    there.finish();
}

// ---- First contact ------------------------------------------------------------------------------

#[test]
fn r_only_what_is_exported_is_spawned_for_others() {
    let exports = Exports::new().spawns("sum", |sum: u64| {
        assert_ne!(sum, 13, "on purpose");
        Sum {
            sum,
            ..Sum::default()
        }
    });
    let (here, there) = (
        Side::new("here"),
        Side::with("there", exports, RemoteSettings::default()),
    );
    let _lines = lanes(&here, &there, 1);
    let spawn = |name: &str, sum: u64| {
        let spawning = here.end.remote.spawn::<Sum>(&there.end.peer, name, &sum);
        here.system.block_on(spawning)
    };
    let sum = spawn("sum", 40).unwrap();
    assert_eq!(sum.ask_blocking(Add { n: 2 }).unwrap(), 42);
    let error = spawn("product", 40).unwrap_err();
    assert!(error.to_string().contains("Exports::spawns"), "{error}");
    let error = spawn("sum", 13).unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    here.finish();
    there.finish();
}

#[test]
fn r_an_address_without_its_key_is_that_of_nobody() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    let original = there.publish("sum", Sum::default());
    here.find(&there, "sum");
    let association = here.end.remote.0.present(&there.end.peer).unwrap();
    let guessed = crate::wire::message::Address {
        id: original.id().as_u64(),
        key: 12345,
    };
    let guessed = association.proxy(guessed).unwrap();
    let error = guessed.actor_ref::<Sum>().ask_blocking(Add { n: 1 });
    assert!(matches!(error, Err(AskError::Dead { .. })), "{error:?}");
    wait_until("the watch is answered", || {
        !guessed.actor_ref::<Sum>().is_alive()
    });
    guessed.actor_ref::<Sum>().stop();
    assert!(original.is_alive());
    here.finish();
    there.finish();
}
