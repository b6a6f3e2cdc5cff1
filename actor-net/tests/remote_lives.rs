//! Ends of actors and of peers, over TCP: watches, links, stops, connections that break, a process that is killed
//! and comes back under its name.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{AskError, Mailbox, StopMode, StopReason};
use actor_net::cluster::Seeds;
use actor_net::membership::MemberState;
use actor_net::transport::Endpoint;

#[path = "common/cuts.rs"]
mod cuts;
mod remote_kit;

use cuts::Cuts;
use remote_kit::*;

// ---- Actors -------------------------------------------------------------------------------------

#[test]
fn w01_w02_w03_the_end_of_an_actor_there_is_heard_once_by_those_who_watch() {
    let (one, two) = pair();
    let watched = two.publish("witness", &Witness::default());
    let there = one.find(&two, "witness");
    let witnesses: Vec<_> = (0..3).map(|_| Witness::default()).collect();
    let actors: Vec<_> = witnesses.iter().map(|witness| one.spawn(witness)).collect();
    for actor in &actors {
        actor.ask_blocking(Watch(there)).unwrap();
        // Twice is once.
        actor.ask_blocking(Watch(there)).unwrap();
    }
    actors[2].ask_blocking(Unwatch(there)).unwrap();
    watched.stop();
    for witness in &witnesses[..2] {
        wait_until("the end", || witness.ends().len() == 1);
        // The watch itself has to get there: it may be told that it came too late.
        let end = witness.ends().remove(0);
        assert!(
            matches!(end, StopReason::Normal | StopReason::NotFound),
            "{end}"
        );
    }
    // Too late: that is told at once.
    let late = Witness::default();
    let latecomer = one.spawn(&late);
    latecomer.ask_blocking(Watch(there)).unwrap();
    wait_until("it is told", || late.ends().len() == 1);
    for actor in &actors {
        actor.ask_blocking(Note { from: 1, n: 1 }).unwrap();
    }
    let ends: Vec<_> = witnesses.iter().map(|it| it.ends().len()).collect();
    assert_eq!(ends, [1, 1, 0]);
    assert_eq!(late.ends(), [StopReason::NotFound]);
    finish([one, two]);
}

#[test]
fn w05_the_end_comes_behind_all_that_the_actor_said() {
    let (one, two) = pair();
    let witness = Witness::default();
    let here = one.spawn(&witness);
    for from in 0..20 {
        let name = format!("sayer {from}");
        two.publish(&name, &Witness::default());
        let there = one.find(&two, &name);
        here.ask_blocking(Watch(there)).unwrap();
        let say = Say {
            to: here,
            from,
            count: 50,
            large: 40_000,
        };
        there.tell(say).unwrap();
        wait_until("the end", || witness.ends().len() as u64 == from + 1);
        assert_eq!(witness.notes_of(from), (0..50).collect::<Vec<_>>());
    }
    finish([one, two]);
}

#[test]
fn w12_who_is_gone_or_never_was_is_told_at_once_to_who_links() {
    let (one, two) = pair();
    let gone = two.publish("gone", &Witness::default());
    let there = one.find(&two, "gone");
    gone.stop();
    one.system.block_on(there.terminated());
    let trapping = |witness: &Witness| {
        let actor = one.system.actor(witness.clone());
        actor.trap_links(true).spawn().unwrap()
    };
    let witness = Witness::default();
    let here = trapping(&witness);
    here.ask_blocking(Link(there)).unwrap();
    wait_until("it is told", || witness.ends().len() == 1);
    assert_eq!(witness.ends(), [StopReason::NotFound]);

    // Of a life that is over.
    two.publish("old", &Witness::default());
    let old = one.find(&two, "old");
    assert!(
        one.system
            .block_on(one.cluster.declare_down(two.cluster.peer()))
    );
    wait_until("it is over", || !old.is_alive());
    let witness = Witness::default();
    let here = trapping(&witness);
    here.ask_blocking(Link(old)).unwrap();
    here.ask_blocking(Watch(old)).unwrap();
    wait_until("both are told", || witness.ends().len() == 2);
    assert_eq!(here.ask_blocking(Note { from: 1, n: 7 }).unwrap(), 7);
    assert_eq!(witness.ends().len(), 2);
    one.finish();
    two.finish();
}

#[test]
fn r_links_break_in_both_directions() {
    let (one, two) = pair();
    let original = two.publish("first", &Witness::default());
    let there = one.find(&two, "first");
    let here = one.spawn(&Witness::default());
    here.ask_blocking(Link(there)).unwrap();
    _ = here.ask_blocking(Fail {});
    wait_until("it fails with the other", || !original.is_alive());

    two.publish("second", &Witness::default());
    let there = one.find(&two, "second");
    let here = one.spawn(&Witness::default());
    here.ask_blocking(Link(there)).unwrap();
    _ = there.ask_blocking(Fail {});
    wait_until("it fails with the other", || !here.is_alive());
    finish([one, two]);
}

#[test]
fn r_a_stop_that_drains_goes_behind_what_was_sent() {
    let (one, two) = pair();
    let witness = Witness::default();
    let actor = two.system.actor(witness.clone());
    let actor = actor.mailbox(Mailbox::bounded(2)).spawn().unwrap();
    assert!(two.cluster.publish("witness", actor));
    let there = one.find(&two, "witness");
    for n in 0..300 {
        there.tell(Note { from: 1, n }).unwrap();
    }
    there.stop_with(StopMode::Drain);
    assert_eq!(one.system.block_on(there.terminated()), StopReason::Normal);
    assert_eq!(witness.notes_of(1), (0..300).collect::<Vec<_>>());
    // At once is at once.
    let (held, _gate) = Witness::gated();
    two.publish("held", &held);
    let there = one.find(&two, "held");
    there.tell(Hold {}).unwrap();
    held.until(&Heard::Held, 1);
    there.stop_with(StopMode::Kill);
    assert_eq!(one.system.block_on(there.terminated()), StopReason::Killed);
    finish([one, two]);
}

// ---- Peers --------------------------------------------------------------------------------------

#[test]
fn r06_a_peer_that_is_declared_down_is_heard_of_once_and_stays_away() {
    let (one, two) = pair();
    let (held, _gate) = Witness::gated();
    let original = two.publish("held", &held);
    let there = one.find(&two, "held");
    let witnesses: Vec<_> = (0..3).map(|_| Witness::default()).collect();
    let actors: Vec<_> = witnesses.iter().map(|witness| one.spawn(witness)).collect();
    for actor in &actors {
        actor.ask_blocking(Watch(there)).unwrap();
    }
    let asking = one
        .system
        .tokio()
        .spawn(async move { there.ask(Hold {}).await });
    held.until(&Heard::Held, 1);
    let former = two.cluster.incarnation();
    assert!(
        one.system
            .block_on(one.cluster.declare_down(two.cluster.peer()))
    );
    let error = one.system.block_on(asking).unwrap().unwrap_err();
    assert!(matches!(error, AskError::PeerGone { .. }), "{error}");
    for witness in &witnesses {
        wait_until("the end", || !witness.ends().is_empty());
        assert!(matches!(witness.ends()[0], StopReason::PeerGone(_)));
    }
    let refused = there.tell(Note { from: 1, n: 1 }).unwrap_err();
    assert_eq!(refused.into_message().n, 1);
    // Another life of it comes, and has its actors.
    let mut views = one.cluster.views();
    let back = views.until(|view| {
        let two = view.get(two.cluster.peer());
        two.is_some_and(|two| two.state() == MemberState::Up && Some(two.incarnation()) > former)
    });
    let back = async { tokio::time::timeout(PATIENCE, back).await };
    assert!(matches!(one.system.block_on(back), Ok(Some(_))));
    assert!(
        original.is_alive(),
        "what stops is the life, not the actors"
    );
    let again = one.find(&two, "held");
    assert_ne!(again, there);
    assert!(there.ask_blocking(Note { from: 1, n: 1 }).is_err());
    for (witness, actor) in witnesses.iter().zip(&actors) {
        actor.ask_blocking(Note { from: 1, n: 1 }).unwrap();
        assert_eq!(witness.ends().len(), 1, "once");
    }
    assert!(
        held.notes_of(1).is_empty(),
        "nothing for the old life reaches the new one"
    );
    original.stop_with(StopMode::Kill);
    one.finish();
    two.finish();
}

#[test]
fn r05_connections_that_break_cost_nothing_but_what_is_told() {
    let network = ActorSystem::builder()
        .workers(actor_core::topology::Workers::Count(1))
        .build()
        .unwrap();
    let cuts = Cuts::new(["one", "two"].map(str::to_owned));
    let relay = |name| Endpoint::from(network.block_on(cuts.relay(name, network.tokio())));
    let (to_one, to_two) = (relay("one"), relay("two"));
    let quick = || {
        let mut links = links();
        let ms = Duration::from_millis;
        links.redial = actor_core::Backoff::new(ms(5), ms(50));
        links
    };
    let one = Process::with("one", None, |builder| {
        builder.advertise(to_one.clone()).links(quick())
    });
    cuts.is_at("one", one.cluster.local_addr());
    let two = Process::with("two", None, |builder| {
        let seeds = Seeds::none().endpoint(to_one.clone());
        builder
            .seeds(seeds)
            .advertise(to_two.clone())
            .links(quick())
    });
    cuts.is_at("two", two.cluster.local_addr());
    one.sees(2);
    two.sees(2);

    let witness = Witness::default();
    let original = two.publish("witness", &witness);
    let there = one.find(&two, "witness");
    let watcher = Witness::default();
    let watching = one.spawn(&watcher);
    watching.ask_blocking(Watch(there)).unwrap();
    let (mut answered, mut unknown) = (0_u64, 0_u64);
    const ROUNDS: u64 = 6;
    for round in 0..ROUNDS {
        for n in 0..50 {
            let sending = there.send(Note {
                from: 1,
                n: round * 50 + n,
            });
            one.system.block_on(sending).unwrap();
        }
        let asking = one
            .system
            .tokio()
            .spawn(async move { there.ask(Note { from: 2, n: round }).await });
        cuts.break_all();
        match one.system.block_on(asking).unwrap() {
            Ok(_) => answered += 1,
            Err(AskError::Unreachable { .. }) => unknown += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(answered + unknown, ROUNDS);
    // Behind all of it, over a connection that holds.
    let last = loop {
        match there.ask_blocking(Note { from: 3, n: 1 }) {
            Ok(n) => break n,
            Err(AskError::Unreachable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(last, 1);
    let notes = witness.notes_of(1);
    assert!(
        notes.is_sorted_by(|a, b| a < b),
        "in order, none twice: {notes:?}"
    );
    let missing = ROUNDS * 50 - notes.len() as u64;
    assert!(missing <= one.stats().lost_tells, "{}", one.stats());
    assert!(witness.notes_of(2).len() as u64 >= answered);
    // The end comes all the same, once.
    original.stop();
    wait_until("the end", || !watcher.ends().is_empty());
    watching.ask_blocking(Note { from: 1, n: 1 }).unwrap();
    assert_eq!(watcher.ends().len(), 1);
    let (at_one, at_two) = (one.stats(), two.stats());
    assert_eq!(at_two.held, 0);
    assert!(at_one.tells_out + at_one.asks_out >= at_two.tells_in + at_two.asks_in);
    two.finish();
    one.finish();
    assert!(network.shutdown_blocking(PATIENCE).is_clean());
}

#[test]
fn r11_connections_that_nobody_uses_are_closed_and_come_back_without_loss() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let cuts = Cuts::new(["one", "two"].map(str::to_owned));
    let relay = Endpoint::from(runtime.block_on(cuts.relay("one", runtime.handle())));
    let drowsy = || {
        let mut links = links();
        links.lane_idle = Duration::from_millis(20);
        links
    };
    let one = Process::with("one", None, |builder| {
        builder.advertise(relay.clone()).links(drowsy())
    });
    cuts.is_at("one", one.cluster.local_addr());
    let two = Process::with("two", None, |builder| {
        let seeds = Seeds::none().endpoint(relay.clone());
        builder.seeds(seeds).links(drowsy())
    });
    one.sees(2);
    two.sees(2);
    let (at_one, at_two) = (Witness::default(), Witness::default());
    one.publish("witness", &at_one);
    let watched = two.publish("witness", &at_two);
    let (to_one, to_two) = (two.find(&one, "witness"), one.find(&two, "witness"));
    // The control connection and its lane are two; each that is opened again is one more.
    let mut n = 0;
    while n < 8 || cuts.carried() < 6 {
        n += 1;
        to_two.tell(Note { from: 1, n }).unwrap();
        assert_eq!(to_two.ask_blocking(Note { from: 2, n }).unwrap(), n);
        assert_eq!(to_one.ask_blocking(Note { from: 2, n }).unwrap(), n);
        std::thread::sleep(Duration::from_millis(80));
    }
    assert_eq!(at_two.notes_of(1), (1..=n).collect::<Vec<_>>());
    assert_eq!(at_one.notes_of(2), at_two.notes_of(2));
    // An end is heard of though nobody has used the lane for a while.
    let watcher = Witness::default();
    let watching = one.spawn(&watcher);
    watching.ask_blocking(Watch(to_two)).unwrap();
    std::thread::sleep(Duration::from_millis(80));
    watched.stop();
    wait_until("the end", || !watcher.ends().is_empty());
    finish([one, two]);
}

#[test]
fn g06_what_was_told_before_a_peer_leaves_arrives() {
    let (one, two) = pair();
    let witness = Witness::default();
    let actor = two.system.actor(witness.clone());
    let actor = actor.mailbox(Mailbox::bounded(8)).spawn().unwrap();
    assert!(two.cluster.publish("witness", actor));
    let there = one.find(&two, "witness");
    for n in 0..500 {
        let bytes = vec![7; if n % 50 == 0 { 100_000 } else { 10 }];
        there.tell(Bulk { from: 1, n, bytes }).unwrap();
    }
    one.leave();
    wait_until("all of it", || witness.notes_of(1).len() == 500);
    one.finish();
    two.finish();
}

#[test]
fn r_a_link_tells_who_linked_of_the_end_and_not_of_restarts() {
    let (one, two) = pair();
    let restarting = |process: &Process| {
        let actor = process.system.actor(Witness::default);
        actor.restart(Restart::Transient).spawn().unwrap()
    };
    let original = restarting(&two);
    assert!(two.cluster.publish("restarts", original));
    let there = one.find(&two, "restarts");
    let trapped = Witness::default();
    let here = one.system.actor(trapped.clone());
    let here = here.trap_links(true).spawn().unwrap();
    here.ask_blocking(Link(there)).unwrap();
    // It fails and is there again, as the same actor: nobody is told.
    _ = there.ask_blocking(Fail {});
    assert_eq!(there.ask_blocking(Note { from: 1, n: 1 }).unwrap(), 1);
    assert_eq!(here.ask_blocking(Note { from: 1, n: 1 }).unwrap(), 1);
    assert!(trapped.ends().is_empty(), "{:?}", trapped.ends());
    // Its end is told, once.
    original.stop();
    wait_until("the end", || !trapped.ends().is_empty());
    here.ask_blocking(Note { from: 1, n: 2 }).unwrap();
    assert_eq!(trapped.ends(), [StopReason::Normal]);

    // The other way round: who linked, and fails, is felt there though it is restarted here.
    let linker = restarting(&one);
    let linked = two.publish("linked", &Witness::default());
    let there = one.find(&two, "linked");
    linker.ask_blocking(Link(there)).unwrap();
    _ = linker.ask_blocking(Fail {});
    wait_until("it fails with the other", || !linked.is_alive());
    assert_eq!(linker.ask_blocking(Note { from: 1, n: 3 }).unwrap(), 3);
    finish([one, two]);
}

// ---- A process that is killed -------------------------------------------------------------------

/// Run as a process of its own.
#[test]
#[ignore = "the other tests run it"]
fn the_other_process() {
    be_the_other_process(|builder| builder);
}

fn start_other(seed: SocketAddr, listen: SocketAddr) -> (Other, SocketAddr) {
    let own = Command::new(std::env::current_exe().unwrap());
    Other::start(own, seed, listen)
}

#[test]
fn r03_r04_a_process_that_is_killed_and_comes_back_is_another_one() {
    let one = Process::start("one", None);
    let seed = one.cluster.local_addr();
    let (mut process, addr) = start_other(seed, "127.0.0.1:0".parse().unwrap());
    one.sees(2);
    let two = actor_net::id::PeerId::new("two").unwrap();
    let find = || {
        let looking = one.cluster.lookup::<Witness>(&two, "witness");
        one.system.block_on(looking)
    };
    let old = loop {
        match find() {
            Ok(found) => break found,
            // It is up before it has published anything.
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let watcher = Witness::default();
    let watching = one.spawn(&watcher);
    watching.ask_blocking(Watch(old)).unwrap();
    assert_eq!(old.ask_blocking(Note { from: 1, n: 5 }).unwrap(), 5);
    let asking = one
        .system
        .tokio()
        .spawn(async move { old.ask(Hold {}).await });
    wait_until("the ask is out", || one.stats().asks_out >= 3);
    process.kill();
    // What is sent meanwhile is for the one that was killed.
    for n in 0..20 {
        old.tell(Note { from: 1, n }).unwrap();
    }

    let (_process, _) = start_other(seed, addr);
    let error = one.system.block_on(asking).unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            AskError::PeerGone { .. } | AskError::Unreachable { .. }
        ),
        "{error}"
    );
    wait_until("the end is heard", || !watcher.ends().is_empty());
    assert!(matches!(watcher.ends()[0], StopReason::PeerGone(_)));
    let new = loop {
        match find() {
            Ok(found) => break found,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert_ne!(new, old);
    assert!(old.ask_blocking(Note { from: 1, n: 6 }).is_err());
    assert_eq!(new.ask_blocking(Note { from: 1, n: 7 }).unwrap(), 7);
    watching.ask_blocking(Note { from: 1, n: 1 }).unwrap();
    assert_eq!(watcher.ends().len(), 1, "once");
    // Every message has a fate: known to have arrived, lost, or never sent.
    let stats = one.stats();
    assert!(stats.dropped_peer_gone + stats.lost_tells <= 20, "{stats}");
    one.finish();
}
