//! What comes from outside and is wrong, through the front door: each has words on both sides where there are two, says
//! what to do, reaches no user code, and disturbs no connection that is well.
//!
//! | what | who dials is told | who listens says | the link |
//! |---|---|---|---|
//! | another key | it could not authenticate this side | the shared key | is not made |
//! | another cluster | it belongs to cluster .. | the same | is not made |
//! | no common version | it speaks versions .. | the same | is not made |
//! | an expired certificate | renew it, and compare the clocks | expired .., renew it there | is not made |
//! | an unknown message | `NotExported` | counts it | stays |
//! | a message that is too large | `TooLarge` | hears nothing | stays |
//! | a frame that is too large | the peer found a fault | a body of .. bytes | is made anew |
//! | a seed that nobody listens at | nothing listens there | | is not made |
//! | a port in use | | is in use | |
//!
//! The same table with what to do is in docs/cluster.md, "When something is wrong". Where each arises it has tests of its
//! own: `peers/tests/bad_input.rs`, `transport_security.rs`, `remote/tests/strangers.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actor_core::AskError;
use actor_net::cluster::{Cluster, ClusterBuilder, Seeds};
use actor_net::transport::{Endpoint, Security};
use rcgen::date_time_ymd;

mod common;
#[path = "common/cuts.rs"]
mod cuts;
mod remote_kit;

use common::{DIGITS, Dir, OTHER, Pki, by_hand, shared};
use cuts::Cuts;
use remote_kit::*;

/// Two that are well, and what they may notice of a third.
struct Healthy {
    one: Process,
    two: Process,
    witness: Witness,
    said: u64,
}

impl Healthy {
    fn begin(with: impl Fn(&str, ClusterBuilder) -> ClusterBuilder) -> Self {
        let one = Process::with("one", None, |it| with("one", patient(it)));
        let two = Process::with("two", Some(&one), |it| with("two", patient(it)));
        Self::of(one, two)
    }

    fn of(one: Process, two: Process) -> Self {
        one.sees(2);
        two.sees(2);
        let witness = Witness::default();
        two.publish("witness", &witness);
        Self {
            one,
            two,
            witness,
            said: 0,
        }
    }

    /// Over the connections that were there from the beginning.
    fn are_well(&mut self) {
        self.said += 1;
        let n = self.said;
        let there = self.one.find(&self.two, "witness");
        assert_eq!(there.ask_blocking(Note { from: 1, n }).unwrap(), n);
        assert_eq!(self.witness.notes_of(1).len() as u64, n);
        for (at, other) in [(&self.one, "two"), (&self.two, "one")] {
            let troubles = at.cluster.troubles();
            let about = troubles.iter().find(|trouble| trouble.with == other);
            assert!(about.is_none(), "{about:?}");
            assert_eq!(at.cluster.view().members().len(), 2);
        }
    }

    /// A third dials the first, and both say why nothing comes of it.
    fn turn_away(&mut self, stranger: &Process, near: &[&str], far: &[&str]) {
        is_told(&stranger.cluster, near);
        is_told(&self.one.cluster, far);
        assert!(stranger.stats().tells_in + stranger.stats().asks_in == 0);
        // An error that a program gets has the reason, too.
        let alone = stranger.cluster.until_up(2, Duration::ZERO);
        let error = stranger.system.block_on(alone).unwrap_err().to_string();
        for text in near {
            assert!(error.contains(text), "{error}");
        }
        self.are_well();
    }

    fn finish(self) {
        finish([self.one, self.two]);
    }
}

/// Until it says all of that about one connection.
fn is_told(cluster: &Cluster, texts: &[&str]) {
    let said = || {
        cluster
            .troubles()
            .into_iter()
            .map(|trouble| trouble.to_string())
    };
    wait_until(&format!("{texts:?}"), || {
        said().any(|said| texts.iter().all(|text| said.contains(text)))
    });
}

fn seed_of(one: &Process) -> Seeds {
    Seeds::none().endpoint(one.cluster.local_addr().into())
}

#[test]
fn a_wrong_key_is_told_on_both_sides() {
    let mut healthy = Healthy::begin(|_, builder| builder.security(shared(DIGITS)));
    let seeds = seed_of(&healthy.one);
    let stranger = Process::with("three", None, |it| it.seeds(seeds).security(shared(OTHER)));
    let near = ["refused this side", "compare keys and certificates"];
    let far = ["does not know the shared key", "give both sides the same"];
    healthy.turn_away(&stranger, &near, &far);
    stranger.finish();
    healthy.finish();
}

#[test]
fn another_cluster_is_told_on_both_sides() {
    let mut healthy = Healthy::begin(|_, builder| builder);
    let seeds = seed_of(&healthy.one);
    let system = Process::start("elsewhere", None);
    let builder = Cluster::builder(system.system.handle(), "others").peer("three");
    let starting = builder.seeds(seeds).start();
    let stranger = Process {
        cluster: system.system.block_on(starting).unwrap(),
        system: {
            system.leave();
            system.system
        },
    };
    let text = ["it belongs to cluster `tests`", "the same cluster id"];
    healthy.turn_away(&stranger, &text, &text);
    stranger.finish();
    healthy.finish();
}

#[test]
fn versions_without_overlap_are_told_on_both_sides() {
    let mut healthy = Healthy::begin(|_, builder| builder);
    // Speaks as a later build would.
    let between = Between::new(|frame| {
        if frame[4] == HELLO {
            frame[14..18].copy_from_slice(&[7, 0, 9, 0]);
        }
    });
    let addr = healthy.one.cluster.local_addr();
    between.cuts.is_at("one", addr);
    let seeds = Seeds::none().endpoint(between.relay.clone());
    let stranger = Process::with("three", None, |builder| builder.seeds(seeds));
    let text = ["it speaks versions 1..=1", "upgrade the older"];
    healthy.turn_away(&stranger, &text, &text);
    stranger.finish();
    healthy.finish();
}

#[test]
fn an_expired_certificate_is_told_on_both_sides_and_to_who_starts_with_it() {
    let (dir, pki) = (Dir::new("bad-input"), Pki::new());
    let files = |name: &str| Security::mtls(pki.files(&dir, name));
    let mut healthy = Healthy::begin(|name, builder| builder.security(files(name)));
    let expired = || {
        pki.issue(&["three", "127.0.0.1"], |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    };
    // One of ours does not start with it.
    let (certificate, key) = expired();
    let own = actor_net::transport::Mtls::new(
        dir.write("ca.pem", pki.pem()),
        dir.write("three.pem", &certificate),
        dir.write("three.key", &key),
    );
    let builder = Cluster::builder(healthy.one.system.handle(), "tests").peer("three");
    let starting = builder.security(Security::mtls(own)).start();
    let error = healthy
        .one
        .system
        .block_on(starting)
        .unwrap_err()
        .to_string();
    assert!(error.contains("expired"), "{error}");
    // So this one dials by hand.
    let addr = healthy.one.cluster.local_addr();
    let (ca, (certificate, key)) = (pki.pem(), expired());
    let told = healthy
        .one
        .system
        .block_on(by_hand::dial(addr, &ca, &certificate, &key))
        .to_string();
    assert!(told.contains("renew it, and compare the clocks"), "{told}");
    let far = ["expired 2002-01-01", "renew it there"];
    is_told(&healthy.one.cluster, &far);
    healthy.are_well();
    healthy.finish();
}

#[test]
fn r07_a_message_that_the_other_does_not_know_is_refused_alone() {
    // Of one that is exported nowhere the sender is told before it leaves; of one with a number that nobody has, by the
    // other side.
    let forging = Arc::new(AtomicBool::new(false));
    let forges = forging.clone();
    let (mut healthy, between) = behind_a_relay(move |frame| {
        if frame[4] == ASK && forges.swap(false, Ordering::SeqCst) {
            // Its call, its lane, its type: each a byte as yet.
            frame[8] = 0x7f;
        }
    });
    let (one, two) = (&healthy.one, &healthy.two);
    one.publish("listener", &Witness::default());
    let there = two.find(one, "listener");
    let connections = between.cuts.carried();
    let error = there.ask_blocking(NotThere {}).unwrap_err();
    assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    assert!(error.to_string().contains("#[message(remote)]"), "{error}");
    assert_eq!(one.stats().refused_not_exported, 0, "it was not sent");
    forging.store(true, Ordering::SeqCst);
    let error = there.ask_blocking(Note { from: 2, n: 1 }).unwrap_err();
    assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    assert_eq!(one.stats().refused_not_exported, 1);
    assert_eq!(there.ask_blocking(Note { from: 2, n: 2 }).unwrap(), 2);
    assert_eq!(between.cuts.carried(), connections, "the link stays");
    healthy.are_well();
    healthy.finish();
}

#[test]
fn r08_a_message_that_is_too_large_is_refused_at_its_sender() {
    let (mut healthy, between) = behind_a_relay(|_| {});
    let (one, two) = (&healthy.one, &healthy.two);
    one.publish("listener", &Witness::default());
    let there = two.find(one, "listener");
    let connections = between.cuts.carried();
    let bulk = |bytes: usize| Bulk {
        from: 2,
        n: 1,
        bytes: vec![7; bytes],
    };
    let error = there.ask_blocking(bulk(80_000)).unwrap_err();
    assert!(matches!(error, AskError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("raise the limit"), "{error}");
    assert_eq!(there.ask_blocking(bulk(1000)).unwrap().len(), 1000);
    assert_eq!(between.cuts.carried(), connections, "the link stays");
    healthy.are_well();
    healthy.finish();
}

#[test]
fn r08_a_frame_that_is_too_large_ends_its_link_and_no_other() {
    let forging = Arc::new(AtomicBool::new(false));
    let forges = forging.clone();
    let (healthy, _between) = behind_a_relay(move |frame| {
        if frame[4] == DATAGRAM && forges.swap(false, Ordering::SeqCst) {
            frame[..4].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
        }
    });
    let (one, two) = (&healthy.one, &healthy.two);
    // A third whose connections are well.
    let three = Process::start("three", Some(one));
    for process in [one, two, &three] {
        process.sees(3);
    }
    one.publish("listener", &Witness::default());
    let (by_two, by_three) = (two.find(one, "listener"), three.find(one, "listener"));
    forging.store(true, Ordering::SeqCst);
    is_told(
        &one.cluster,
        &["two: ", "a body of 2147483647 bytes, at most 65536"],
    );
    is_told(
        &two.cluster,
        &["one: ", "the peer found a fault", "a body of 2147483647"],
    );
    assert_eq!(by_three.ask_blocking(Note { from: 3, n: 1 }).unwrap(), 1);
    let about = three.cluster.troubles();
    assert!(about.is_empty(), "{about:?}");
    // The two come together again, as the ones they were.
    let again = loop {
        match by_two.ask_blocking(Note { from: 2, n: 2 }) {
            Ok(n) => break n,
            Err(AskError::Unreachable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(again, 2);
    wait_until("all are up", || one.cluster.view().up().count() == 3);
    for process in [three, healthy.two, healthy.one] {
        process.finish();
    }
}

#[test]
fn a_seed_that_nobody_listens_at_and_a_port_in_use_are_told() {
    let healthy = Healthy::begin(|_, builder| builder);
    // Bound, so that nobody else gets the port, and nobody listens.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    bound.bind(&addr.into()).unwrap();
    let nobody = bound.local_addr().unwrap().as_socket().unwrap();
    let seeds = seed_of(&healthy.one).endpoint(nobody.into());
    let three = Process::with("three", None, |builder| builder.seeds(seeds));
    let seed = format!("{nobody}: nothing listens there");
    is_told(&three.cluster, &[&seed, "check that the peer runs"]);
    // The other seed is enough.
    three.sees(3);

    let builder = Cluster::builder(three.system.handle(), "tests").peer("four");
    let starting = builder.listen(three.cluster.local_addr()).start();
    let error = three.system.block_on(starting).unwrap_err().to_string();
    assert!(
        error.contains("is in use") && error.contains("ss -ltnp"),
        "{error}"
    );
    let there = three.find(&healthy.two, "witness");
    assert_eq!(there.ask_blocking(Note { from: 9, n: 9 }).unwrap(), 9);
    finish([healthy.one, healthy.two, three]);
}

// ---- Two with a relay between them --------------------------------------------------------------

const HELLO: u8 = 0x01;
const DATAGRAM: u8 = 0x1b;
const ASK: u8 = 0x21;

/// Messages of up to 64 KiB.
fn patient(builder: ClusterBuilder) -> ClusterBuilder {
    let mut links = links();
    links.message_max = 64 << 10;
    builder.links(links)
}

/// The network between two peers: what is dialled at `relay` is carried to `one`.
struct Between {
    cuts: Cuts,
    relay: Endpoint,
    _runtime: tokio::runtime::Runtime,
}

impl Between {
    fn new(tamper: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let names = ["one", "two", "three"].map(str::to_owned);
        let cuts = Cuts::new(names).tampering(tamper);
        let relay = runtime.block_on(cuts.relay("one", runtime.handle()));
        Self {
            cuts,
            relay: relay.into(),
            _runtime: runtime,
        }
    }
}

/// What the second says to the first passes a relay, which changes it.
fn behind_a_relay(tamper: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> (Healthy, Between) {
    let between = Between::new(tamper);
    let relay = &between.relay;
    let one = Process::with("one", None, |it| patient(it).advertise(relay.clone()));
    between.cuts.is_at("one", one.cluster.local_addr());
    let seeds = Seeds::none().endpoint(relay.clone());
    let two = Process::with("two", None, |it| patient(it).seeds(seeds));
    (Healthy::of(one, two), between)
}
