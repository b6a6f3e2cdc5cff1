//! Two processes in two network namespaces, and the cable between them pulled: a silent peer is noticed, is not
//! down, comes back as the one it was; declared down it comes back as another.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use actor_core::{AskError, StopReason};
use actor_net::cluster::{ClusterBuilder, LinkSettings};
use actor_net::membership::{Downing, MemberState, MembershipSettings};
use actor_net::transport::{Security, SharedKey, TransportSettings};

mod remote_kit;

use remote_kit::*;

/// Everything is noticed sooner than by default, so that the test is short.
fn quick(builder: ClusterBuilder) -> ClusterBuilder {
    let ms = Duration::from_millis;
    let mut links = LinkSettings::default();
    links.heartbeat_interval = ms(200);
    links.heartbeat_timeout = ms(1000);
    links.redial = actor_core::Backoff::new(ms(20), ms(200));
    let mut membership = MembershipSettings::default();
    membership.probe_interval = ms(200);
    membership.probe_timeout = ms(100);
    membership.reconnect_grace = ms(200);
    membership.downing = Downing::Manual;
    membership.unstable_after = None;
    builder
        .links(links)
        .membership(membership)
        .transport(TransportSettings::default().connect_within(ms(500)))
        .security(key())
}

fn key() -> Security {
    let digits = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
    Security::shared_key(SharedKey::from_hex(digits).unwrap())
}

/// Run in the other namespace.
#[test]
#[ignore = "the other test runs it"]
fn the_other_process() {
    be_the_other_process(quick);
}

/// A namespace, and a virtual cable to it; they go away with the test, and so does what runs there.
struct Cable {
    /// One of its own for each test of this file.
    number: u8,
    process: Option<Other>,
}

fn ip(args: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(args.split_whitespace());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Cable {
    /// `None` where this may not be done.
    fn lay(number: u8) -> Option<Self> {
        let cable = Self {
            number,
            process: None,
        };
        let [ns, a, b] = ["n", "a", "b"].map(|what| cable.name(what));
        let address = |host| cable.address(host);
        if !ip(&format!("netns add {ns}")) {
            eprintln!("skipped: no right to make network namespaces here");
            return None;
        }
        let laid = [
            format!("link add {a} type veth peer name {b} netns {ns}"),
            format!("addr add {}/24 dev {a}", address(1)),
            format!("link set {a} up"),
            format!("-n {ns} addr add {}/24 dev {b}", address(2)),
            format!("-n {ns} link set {b} up"),
            format!("-n {ns} link set lo up"),
        ];
        laid.iter().all(|args| ip(args)).then_some(())?;
        Some(cable)
    }

    fn name(&self, what: &str) -> String {
        let pid = std::process::id() % 100_000;
        format!("ac{pid}{}{what}", self.number)
    }

    fn address(&self, host: u8) -> String {
        let pid = std::process::id() % 250;
        format!("10.{}.{pid}.{host}", 214 + self.number)
    }

    /// Starts the other process at the far end.
    fn run(&mut self, seed: SocketAddr) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name("n")]);
        command.arg(std::env::current_exe().unwrap());
        let listen = format!("{}:4720", self.address(2)).parse().unwrap();
        self.process = Some(Other::start(command, seed, listen).0);
    }

    /// Pulls the cable at the far end: this end keeps its address, and nothing arrives; or plugs it in again.
    fn plug(&self, state: &str) {
        assert!(ip(&format!(
            "-n {} link set {} {state}",
            self.name("n"),
            self.name("b")
        )));
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // First who uses it.
        self.process = None;
        ip(&format!("link del {}", self.name("a")));
        ip(&format!("netns del {}", self.name("n")));
    }
}

#[test]
fn r06_g05_a_cable_that_is_pulled_is_noticed_and_what_is_said_later_finds_the_same_life() {
    let Some(mut cable) = Cable::lay(0) else {
        return;
    };
    let listen: SocketAddr = format!("{}:4720", cable.address(1)).parse().unwrap();
    let one = Process::with("one", None, |builder| quick(builder).listen(listen));
    cable.run(listen);
    one.sees(2);
    let two = actor_net::id::PeerId::new("two").unwrap();
    let looking = one.cluster.lookup::<Witness>(&two, "witness");
    let there = one.system.block_on(looking).unwrap();
    assert_eq!(there.ask_blocking(Note { from: 1, n: 1 }).unwrap(), 1);
    let watcher = Witness::default();
    let watching = one.spawn(&watcher);
    watching.ask_blocking(Watch(there)).unwrap();
    let is = |wanted: MemberState| {
        wait_until(&wanted.to_string(), || {
            let view = one.cluster.view();
            view.get(&two).is_some_and(|two| two.state() == wanted)
        });
    };
    let life = || {
        let view = one.cluster.view();
        view.get(&two).map(|two| two.incarnation())
    };
    let first = life();

    // Out of reach: asks end in time, nothing has ended.
    cable.plug("down");
    is(MemberState::Unreachable);
    let asked = there
        .ask(Note { from: 1, n: 2 })
        .within(Duration::from_millis(200))
        .blocking();
    let error = asked.unwrap_err();
    assert!(
        matches!(
            error,
            AskError::Expired { .. } | AskError::Unreachable { .. }
        ),
        "{error}"
    );
    assert!(there.is_alive() && watcher.ends().is_empty());

    cable.plug("up");
    is(MemberState::Up);
    assert_eq!(life(), first, "it was away, not gone");
    let answered = loop {
        match there.ask_blocking(Note { from: 1, n: 3 }) {
            Ok(n) => break n,
            Err(AskError::Unreachable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(answered, 3);

    // Declared down while it cannot hear of it: this life is over.
    cable.plug("down");
    is(MemberState::Unreachable);
    assert!(one.system.block_on(one.cluster.declare_down(&two)));
    wait_until("the end", || !watcher.ends().is_empty());
    assert!(matches!(watcher.ends()[0], StopReason::PeerGone(_)));
    assert!(there.ask_blocking(Note { from: 1, n: 4 }).is_err());
    cable.plug("up");
    wait_until("another life of it", || {
        life() > first && {
            let view = one.cluster.view();
            view.get(&two)
                .is_some_and(|two| two.state() == MemberState::Up)
        }
    });
    watching.ask_blocking(Note { from: 1, n: 1 }).unwrap();
    assert_eq!(watcher.ends().len(), 1, "once");
    drop(cable);
    one.finish();
}

#[test]
fn r06_a_half_open_peer_is_noticed_within_seconds_by_default() {
    let Some(mut cable) = Cable::lay(1) else {
        return;
    };
    let listen: SocketAddr = format!("{}:4720", cable.address(1)).parse().unwrap();
    let one = Process::with("one", None, |builder| {
        let links = LinkSettings::default();
        builder.listen(listen).security(key()).links(links)
    });
    cable.run(listen);
    one.sees(2);
    let two = actor_net::id::PeerId::new("two").unwrap();
    let looking = one.cluster.lookup::<Witness>(&two, "witness");
    let there = one.system.block_on(looking).unwrap();
    assert_eq!(there.ask_blocking(Note { from: 1, n: 1 }).unwrap(), 1);

    cable.plug("down");
    let cut = Instant::now();
    // Heard by whoever asks, too: what is under way when it is noticed ends then.
    let asking = one.system.tokio().spawn(async move {
        let asked = there.ask(Note { from: 1, n: 2 }).await;
        (asked.unwrap_err(), Instant::now())
    });
    wait_until("the connection is given up", || {
        one.cluster.troubles().iter().any(|it| it.with == "two")
    });
    let noticed = cut.elapsed();
    let (error, at) = one.system.block_on(asking).unwrap();
    assert!(matches!(error, AskError::Unreachable { .. }), "{error}");
    let told = at.saturating_duration_since(cut);
    // By default 5 s after the last word of it. A loaded machine may take longer, though not for ever.
    println!("a cut is noticed after {noticed:.1?}, an ask told after {told:.1?}");
    assert!(noticed < Duration::from_secs(60));
    drop(cable);
    one.finish();
}
