//! Messages for actors on other peers, over TCP: order, errors, room, deadlines, cancellation, context,
//! references, spawns. Each test ends with the books of all sides.

use std::sync::Arc;
use std::time::Duration;

use actor_core::{
    AskError, Baggage, CancelToken, Context, Mailbox, SpanKind, SpanRecord, TraceContext, TraceId,
};
use actor_net::cluster::LinkSettings;
use actor_net::remote::{Exports, LookupError, RemoteSettings, RemoteSpawnError};
use actor_net::transport::{Security, SharedKey};

mod remote_kit;

use remote_kit::*;

fn secured() -> Security {
    let digits = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
    Security::shared_key(SharedKey::from_hex(digits).unwrap())
}

/// Little room, so that a test is soon at the end of it.
fn narrow() -> LinkSettings {
    let mut links = links();
    links.message_max = 128 << 10;
    links.window_large = 1 << 20;
    links.outbox_bytes = 256 << 10;
    links
}

#[test]
fn r01_what_several_senders_tell_arrives_in_the_order_of_each() {
    let with = |name: &str, seed: Option<&Process>| {
        Process::with(name, seed, |builder| builder.security(secured()))
    };
    let one = with("one", None);
    let two = with("two", Some(&one));
    two.sees(2);
    let witness = Witness::default();
    two.publish("witness", &witness);
    one.sees(2);
    let there = one.find(&two, "witness");
    let senders: Vec<_> = (0..4)
        .map(|from| {
            one.system.tokio().spawn(async move {
                for n in 0..400 {
                    there.send(Note { from, n }).await.unwrap();
                }
                // Behind all of them.
                there.ask(Note { from, n: 400 }).await.unwrap()
            })
        })
        .collect();
    for sender in senders {
        assert_eq!(one.system.block_on(sender).unwrap(), 400);
    }
    for from in 0..4 {
        assert_eq!(witness.notes_of(from), (0..=400).collect::<Vec<_>>());
    }
    finish([one, two]);
}

#[test]
fn r07_r08_what_cannot_travel_is_refused_by_name_and_the_link_stays() {
    let one = Process::with("one", None, |builder| builder.links(narrow()));
    let two = Process::with("two", Some(&one), |builder| builder.links(narrow()));
    one.sees(2);
    two.sees(2);
    two.publish("witness", &Witness::default());
    let there = one.find(&two, "witness");

    // Too large for the peer.
    let bytes = vec![0; 128 << 10];
    let error = there
        .ask_blocking(Bulk {
            from: 1,
            n: 1,
            bytes,
        })
        .unwrap_err();
    assert!(matches!(error, AskError::TooLarge { .. }), "{error}");
    // Known to both, exported by nobody; and of a type that never leaves its process.
    let error = there.ask_blocking(NotThere {}).unwrap_err();
    assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    let error = there.ask_blocking(Stays).unwrap_err();
    assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    // Not readable there, by an error and by a panic.
    for broken in [0, 2] {
        let broken = Unreadable(broken);
        let error = there.ask_blocking(Broken { broken }).unwrap_err();
        assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    }
    there
        .tell(Broken {
            broken: Unreadable(0),
        })
        .unwrap();
    // None of it in anybody's way.
    assert_eq!(there.ask_blocking(Note { from: 1, n: 5 }).unwrap(), 5);
    assert_eq!(two.stats().refused_malformed, 3);
    // That the connection did not break the books tell. Seen as out of reach it may be meanwhile: who writes a panic down
    // with its stack answers nobody for that long.
    wait_until("both are up", || one.cluster.view().up().count() == 2);

    // A handler that panics is told as such, and what follows is for the next life.
    let error = there.ask_blocking(Unlucky {}).unwrap_err();
    assert!(matches!(error, AskError::Panicked { .. }), "{error}");
    finish([one, two]);
}

#[test]
fn r_names_and_spawns_that_are_not_there_say_what_to_do() {
    let (one, two) = pair();
    let (here, there) = (&one.cluster, two.cluster.peer());
    let spawn = |name: &str, first: u64| {
        let spawning = here.spawn_on::<Witness>(there, name, &first);
        one.system.block_on(spawning)
    };
    let spawned = spawn("witness", 7).unwrap();
    assert_eq!(spawned.ask_blocking(Note { from: 1, n: 5 }).unwrap(), 5);
    let error = spawn("account", 7).unwrap_err();
    assert!(
        matches!(error, RemoteSpawnError::NotExported { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("Exports::spawns"), "{error}");
    let error = spawn("witness", 13).unwrap_err();
    assert!(matches!(error, RemoteSpawnError::Failed(_)), "{error}");
    // Arguments of another type than it is made from.
    let spawning = here.spawn_on::<Witness>(there, "witness", &"seven");
    let error = one.system.block_on(spawning).unwrap_err();
    assert!(matches!(error, RemoteSpawnError::Failed(_)), "{error}");

    let looking = here.lookup::<Witness>(there, "nobody");
    let error = one.system.block_on(looking).unwrap_err();
    assert!(matches!(error, LookupError::NotFound { .. }), "{error}");
    let stranger = actor_net::id::PeerId::new("stranger").unwrap();
    let looking = here.lookup::<Witness>(&stranger, "witness");
    let error = one.system.block_on(looking).unwrap_err();
    assert!(matches!(error, LookupError::Unknown { .. }), "{error}");
    let spawning = here.spawn_on::<Witness>(&stranger, "witness", &1_u64);
    let error = one.system.block_on(spawning).unwrap_err();
    assert!(matches!(error, RemoteSpawnError::Unknown { .. }), "{error}");
    finish([one, two]);
}

#[test]
fn r10_m03_a_full_mailbox_there_holds_its_senders_here_and_no_other_peer() {
    let mut small = RemoteSettings::default();
    small.mailbox = Mailbox::bounded(4);
    let one = Process::with("one", None, |builder| builder.remote(small).links(narrow()));
    let mut little = RemoteSettings::default();
    little.held_bytes = 256 << 10;
    let two = Process::with("two", Some(&one), |builder| {
        builder.remote(little).links(narrow())
    });
    let three = Process::start("three", Some(&one));
    for process in [&one, &two, &three] {
        process.sees(3);
    }
    let (slow, gate) = Witness::gated();
    let actor = two
        .system
        .actor(slow.clone())
        .mailbox(Mailbox::bounded(2))
        .spawn()
        .unwrap();
    assert!(two.cluster.publish("slow", actor));
    two.publish("beside", &Witness::default());
    three.publish("quick", &Witness::default());
    let (there, beside) = (one.find(&two, "slow"), one.find(&two, "beside"));
    let quick = one.find(&three, "quick");
    there.tell(Hold {}).unwrap();
    slow.until(&Heard::Held, 1);

    const ALL: u64 = 80;
    let accepted = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let sending = one.system.tokio().spawn({
        let accepted = accepted.clone();
        async move {
            for n in 0..ALL {
                let bytes = vec![0; 64 << 10];
                there.send(Bulk { from: 1, n, bytes }).await.unwrap();
                accepted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    wait_until("some are held there", || two.stats().held > 5);
    // Other peers are not held up, and no ends.
    for n in 0..100 {
        assert_eq!(quick.ask_blocking(Note { from: 1, n }).unwrap(), n);
    }
    beside.stop();
    one.system.block_on(beside.terminated());
    // Window and outbox, what is held beside it, the mailboxes, one in each hand: more is never taken.
    let most = ((1 << 20) + (256 << 10) + (256 << 10)) / (64 << 10) + 4 + 2 + 3;
    assert!(most < ALL);
    assert!(accepted.load(std::sync::atomic::Ordering::SeqCst) <= most);
    gate.add_permits(1);
    one.system.block_on(sending).unwrap();
    // An ask does not wait for room.
    wait_until("all are there", || slow.notes_of(1).len() as u64 == ALL);
    assert_eq!(there.ask_blocking(Note { from: 2, n: 1 }).unwrap(), 1);
    assert_eq!(slow.notes_of(1), (0..ALL).collect::<Vec<_>>());
    finish([one, two, three]);
}

#[test]
fn r10_an_actor_that_stays_full_holds_up_its_senders_and_no_other_of_its_lane() {
    let mut small = RemoteSettings::default();
    small.mailbox = Mailbox::bounded(16);
    let few = || {
        let mut links = links();
        links.window_messages = 64;
        links.outbox_messages = 64;
        links
    };
    let one = Process::with("one", None, |builder| builder.remote(small).links(few()));
    let two = Process::with("two", Some(&one), |builder| builder.links(few()));
    for process in [&one, &two] {
        process.sees(2);
    }
    let (full, gate) = Witness::gated();
    let actor = two.system.actor(full.clone());
    let actor = actor.mailbox(Mailbox::bounded(2)).spawn().unwrap();
    assert!(two.cluster.publish("full", actor));
    let quick = Witness::default();
    two.publish("beside", &quick);
    let (there, beside) = (one.find(&two, "full"), one.find(&two, "beside"));
    there.tell(Hold {}).unwrap();
    full.until(&Heard::Held, 1);

    const ALL: u64 = 5000;
    let sending = one.system.tokio().spawn(async move {
        for n in 0..ALL {
            there.send(Note { from: 1, n }).await.unwrap();
        }
    });
    // More than the window has, and what is beside it gets through.
    wait_until("many are held there", || two.stats().held > 200);
    for n in 0..50 {
        assert_eq!(beside.ask_blocking(Note { from: 2, n }).unwrap(), n);
    }
    // Its senders are asked to wait. An actor here that ends is heard of there all the same.
    wait_until("its senders are held back", || one.stats().pauses_in > 0);
    for n in 50..100 {
        assert_eq!(beside.ask_blocking(Note { from: 2, n }).unwrap(), n);
    }
    let ending = one.publish("ending", &Witness::default());
    let watcher = Witness::default();
    let watching = two.spawn(&watcher);
    let ending_there = two.find(&one, "ending");
    watching.ask_blocking(Watch(ending_there)).unwrap();
    ending.stop();
    wait_until("the end", || !watcher.ends().is_empty());
    assert!(full.notes_of(1).is_empty(), "it is full all the time");

    gate.add_permits(1);
    one.system.block_on(sending).unwrap();
    wait_until("all are there", || full.notes_of(1).len() as u64 == ALL);
    assert_eq!(there.ask_blocking(Note { from: 3, n: 1 }).unwrap(), 1);
    assert_eq!(full.notes_of(1), (0..ALL).collect::<Vec<_>>());
    assert!(two.stats().pauses_out > 0);
    finish([one, two]);
}

#[test]
fn m03_an_ask_that_finds_no_room_there_says_so() {
    let (one, two) = pair();
    let (full, gate) = Witness::gated();
    let actor = two.system.actor(full.clone());
    let actor = actor.mailbox(Mailbox::bounded(1)).spawn().unwrap();
    assert!(two.cluster.publish("full", actor));
    let there = one.find(&two, "full");
    there.tell(Hold {}).unwrap();
    full.until(&Heard::Held, 1);
    // One takes the room; an ask does not wait for it.
    actor.tell(Note { from: 1, n: 1 }).unwrap();
    let error = there.ask_blocking(Note { from: 1, n: 2 }).unwrap_err();
    assert!(matches!(error, AskError::NoRoom { .. }), "{error}");
    assert!(error.to_string().contains("ask again"), "{error}");
    gate.add_permits(1);
    wait_until("the other", || full.notes_of(1) == [1]);
    assert_eq!(there.ask_blocking(Note { from: 1, n: 3 }).unwrap(), 3);
    finish([one, two]);
}

#[test]
fn m03_a_proxy_without_room_gives_the_message_back() {
    let mut small = RemoteSettings::default();
    small.mailbox = Mailbox::bounded(4);
    let one = Process::with("one", None, |builder| builder.remote(small).links(narrow()));
    let two = Process::with("two", Some(&one), |builder| builder.links(narrow()));
    one.sees(2);
    let (slow, gate) = Witness::gated();
    let actor = two.system.actor(slow.clone());
    let actor = actor.mailbox(Mailbox::bounded(1)).spawn().unwrap();
    two.sees(2);
    assert!(two.cluster.publish("slow", actor));
    let there = one.find(&two, "slow");
    there.tell(Hold {}).unwrap();
    slow.until(&Heard::Held, 1);
    let mut taken = 0;
    let refused = loop {
        let bytes = vec![7; 64 << 10];
        match there.tell(Bulk {
            from: 1,
            n: taken,
            bytes,
        }) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.is_full(), "{refused}");
    let back = refused.into_message();
    assert_eq!((back.n, back.bytes.len()), (taken, 64 << 10));
    gate.add_permits(1);
    wait_until("all that were taken", || {
        slow.notes_of(1).len() as u64 == taken
    });
    finish([one, two]);
}

// ---- Time ---------------------------------------------------------------------------------------

#[test]
fn m14_every_hop_has_less_time_left_and_who_is_late_is_cancelled_there() {
    let (one, two, three) = trio();
    let witness = Witness::default();
    two.publish("witness", &witness);
    three.publish("witness", &Witness::default());
    let (near, far) = (one.find(&two, "witness"), one.find(&three, "witness"));
    let seen = near
        .ask(LookAt { via: vec![far] })
        .within(Duration::from_secs(1000))
        .blocking()
        .unwrap();
    let left: Vec<_> = seen.iter().map(|sight| sight.left.unwrap()).collect();
    assert!(left[0] < Duration::from_secs(1000), "{left:?}");
    assert!(left[1] < left[0], "{left:?}");

    // On a slow machine the time may be over before the other side has begun: again, with more of it.
    let mut within = Duration::from_millis(200);
    while witness.count(&Heard::Held) == 0 {
        let asked = near.ask(Hold {}).within(within).blocking();
        let error = asked.unwrap_err();
        assert!(matches!(error, AskError::Expired { .. }), "{error}");
        within *= 2;
    }
    wait_until("each that began is cancelled, and both say so", || {
        let (held, cancelled) = (
            witness.count(&Heard::Held),
            witness.count(&Heard::Cancelled),
        );
        let (here, there) = (one.stats().cancelled_here, two.stats().cancelled_there);
        held == cancelled && here >= there && there >= cancelled as u64
    });
    finish([one, two, three]);
}

#[test]
fn m15_who_gives_up_at_the_edge_is_heard_by_all_who_work_for_it() {
    let (one, two, three) = trio();
    let (middle, last) = (Witness::default(), Witness::default());
    two.publish("witness", &middle);
    three.publish("witness", &last);
    let (near, far) = (one.find(&two, "witness"), one.find(&three, "witness"));
    for round in 1..=3 {
        let token = CancelToken::new();
        let asking = one.system.tokio().spawn({
            let token = token.clone();
            async move { near.ask(HoldVia { via: vec![far] }).cancel(&token).await }
        });
        last.until(&Heard::Held, round);
        match round {
            // By the token, and by nobody waiting any more.
            1 | 2 => token.cancel(),
            _ => asking.abort(),
        }
        last.until(&Heard::Cancelled, round);
        middle.until(&Heard::Cancelled, round);
        if round < 3 {
            let error = one.system.block_on(asking).unwrap().unwrap_err();
            assert!(matches!(error, AskError::Cancelled { .. }), "{error}");
        }
    }
    wait_until("all say so", || {
        two.stats().cancelled_there == 3 && three.stats().cancelled_there == 3
    });
    finish([one, two, three]);
}

#[test]
fn m16_trace_and_baggage_cross_every_hop_and_not_into_the_next_message() {
    let (one, two, three) = trio();
    two.publish("witness", &Witness::default());
    three.publish("witness", &Witness::default());
    let (near, far) = (one.find(&two, "witness"), one.find(&three, "witness"));
    let trace = TraceContext::new_root(true);
    let context = Context::empty()
        .with_trace(trace.clone())
        .with_baggage(Baggage::parse("tenant=acme,plan=gold").unwrap());
    let look = LookAt { via: vec![far] };
    let seen = near.ask(look).context(context).blocking().unwrap();
    assert_eq!(seen.len(), 2);
    for sight in seen {
        assert_eq!(sight.trace, Some(trace.trace_id().to_string()));
        assert_eq!(sight.baggage, "tenant=acme,plan=gold");
        assert_eq!(sight.left, None);
    }
    let seen = near.ask_blocking(LookAt { via: vec![far] }).unwrap();
    for sight in seen {
        assert_eq!((sight.baggage.as_str(), sight.left), ("", None));
        assert_ne!(sight.trace, Some(trace.trace_id().to_string()));
    }
    finish([one, two, three]);
}

/// The spans of a trace that a process has, when there are that many.
fn spans_of(process: &Process, trace: TraceId, spans: usize) -> Vec<Arc<SpanRecord>> {
    let mut found = Vec::new();
    wait_until("its spans have ended", || {
        found = process
            .system
            .trace(trace)
            .map_or_else(Vec::new, |trace| trace.spans);
        found.len() >= spans
    });
    assert_eq!(found.len(), spans, "{found:#?}");
    found
}

#[test]
fn m16_the_spans_of_a_trace_over_peers_hang_together_and_name_the_peers() {
    let (one, two, three) = trio();
    two.publish("witness", &Witness::default());
    three.publish("witness", &Witness::default());
    let (near, far) = (one.find(&two, "witness"), one.find(&three, "witness"));
    // The references have met, so that nothing of that is in the trace.
    near.ask_blocking(LookAt { via: vec![far] }).unwrap();
    let root = TraceContext::new_root(true);
    let context = Context::empty().with_trace(root.clone());
    let look = LookAt { via: vec![far] };
    near.ask(look).context(context).blocking().unwrap();
    // The ask and its way out; its handling, with the ask in it and its way out; and the handling of that.
    let all = [
        spans_of(&one, root.trace_id(), 2),
        spans_of(&two, root.trace_id(), 3),
        spans_of(&three, root.trace_id(), 1),
    ];
    let of = |at: usize, kind: SpanKind| {
        let found = all[at].iter().find(|span| span.kind == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {:#?}", all[at]))
    };
    let way = [
        of(0, SpanKind::Ask),
        of(0, SpanKind::Forward),
        of(1, SpanKind::Handle),
        of(1, SpanKind::Ask),
        of(1, SpanKind::Forward),
        of(2, SpanKind::Handle),
    ];
    let mut parent = root.span_id();
    for span in way {
        assert_eq!(span.parent, Some(parent), "{span:#?}");
        assert!(!span.is_error(), "{span:#?}");
        parent = span.span_id();
    }
    let peers = way.map(|span| span.peer.as_deref().map(str::to_owned));
    let name = |process: &Process| Some(process.cluster.peer().to_string());
    let (first, second, third) = (name(&one), name(&two), name(&three));
    // An ask names the peer that it goes to, as its way out does.
    let to = [
        second.clone(),
        second.clone(),
        first,
        third.clone(),
        third,
        second,
    ];
    assert_eq!(peers, to);
    finish([one, two, three]);
}

// ---- References ---------------------------------------------------------------------------------

#[test]
fn r_a_reference_reaches_its_actor_whoever_passed_it_on() {
    let (one, two, three) = trio();
    let (mine, last) = (Witness::default(), Witness::default());
    let here = one.spawn(&mine);
    two.publish("witness", &Witness::default());
    three.publish("witness", &last);
    let (near, far) = (one.find(&two, "witness"), one.find(&three, "witness"));
    // Home as itself, to and fro as itself, and of a third peer.
    assert_eq!(near.ask_blocking(Meet { whom: here }).unwrap(), here);
    assert_eq!(near.ask_blocking(Meet { whom: near }).unwrap(), near);
    assert_eq!(near.ask_blocking(Meet { whom: far }).unwrap(), far);
    let asked = near.ask_blocking(AskFor { whom: here, n: 1 }).unwrap();
    assert_eq!(asked, Ok(1));
    assert_eq!(mine.notes_of(0), [1]);
    // Directly, not by way of who passed it on.
    let answered = one.stats().answers_in;
    let asked = near.ask_blocking(AskFor { whom: far, n: 2 }).unwrap();
    assert_eq!(asked, Ok(2));
    assert_eq!(last.notes_of(0), [2]);
    assert_eq!(one.stats().answers_in, answered + 1);
    // One that has ended is refused when it is used.
    far.stop();
    one.system.block_on(far.terminated());
    let asked = near.ask_blocking(AskFor { whom: far, n: 3 }).unwrap();
    assert!(asked.unwrap_err().contains("stopped"));
    finish([one, two, three]);
}

#[test]
fn r_who_has_nothing_exported_takes_nothing() {
    let one = Process::start("one", None);
    let two = Process::with("two", Some(&one), |builder| builder.exports(Exports::new()));
    one.sees(2);
    two.sees(2);
    two.publish("witness", &Witness::default());
    let there = one.find(&two, "witness");
    let error = there.ask_blocking(Note { from: 1, n: 1 }).unwrap_err();
    assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    assert!(error.to_string().contains("export it there"), "{error}");
    finish([one, two]);
}
