//! C8: at the memory limit messages are refused with themselves inside, and taken again once there is
//! room. A binary of its own, because the limit is the process's.

mod common;

use actor_core::prelude::*;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actor_core::{Conservation, Overflow, ShutdownReport};
use common::{Gate, PATIENCE, settle};

/// One at a time: the limit is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const LIMIT: u64 = 16 << 20;
const PAYLOAD: usize = 4000;

struct Hoard(usize);
impl Actor for Hoard {}
struct Wait(Gate);
impl Message for Wait {
    type Reply = ();
}
impl SyncHandler<Wait> for Hoard {
    fn handle(&mut self, Wait(gate): Wait, _cx: &mut ActorContext<Self>) {
        gate.pass();
    }
}
struct Heavy([u8; PAYLOAD]);
impl Message for Heavy {
    type Reply = usize;
}
impl SyncHandler<Heavy> for Hoard {
    fn handle(&mut self, heavy: Heavy, _cx: &mut ActorContext<Self>) -> usize {
        self.0 += usize::from(heavy.0[PAYLOAD - 1]);
        self.0
    }
}

/// Of a size that nothing else here has.
struct Odd(#[allow(dead_code, reason = "its size counts")] [u8; 1300]);
impl Message for Odd {
    type Reply = ();
}
impl SyncHandler<Odd> for Hoard {
    fn handle(&mut self, _: Odd, _cx: &mut ActorContext<Self>) {}
}

/// Too large for the slabs.
struct Large(#[allow(dead_code, reason = "its size counts")] [u8; 9_000]);
impl Message for Large {
    type Reply = ();
}
impl SyncHandler<Large> for Hoard {
    fn handle(&mut self, _: Large, _cx: &mut ActorContext<Self>) {}
}

#[test]
fn c8_messages_over_the_memory_limit_come_back() {
    let _alone = alone();
    let system = ActorSystem::builder()
        .message_memory(LIMIT)
        .build()
        .unwrap();
    let hoard = system
        .actor(Hoard(0))
        .mailbox(Mailbox::unbounded())
        .spawn()
        .unwrap();
    for round in 1..=3 {
        let gate = Gate::new();
        hoard.tell(Wait(gate.clone())).unwrap();
        let mut taken = 0;
        let refused = loop {
            match hoard.tell(Heavy([1; PAYLOAD])) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken * PAYLOAD < 4 * LIMIT as usize, "there is no limit");
        };
        assert!(
            matches!(&refused, SendError::Overloaded { target, .. } if *target == hoard.id()),
            "{refused:?}"
        );
        assert!(refused.to_string().contains("memory limit"), "{refused}");
        assert_eq!(refused.into_message().0[0], 1);
        assert!(
            taken * PAYLOAD > LIMIT as usize / 4,
            "refused after {taken} messages"
        );
        let error = system.block_on(hoard.ask(Heavy([1; PAYLOAD]))).unwrap_err();
        assert!(
            matches!(&error, AskError::Overloaded { message, .. } if message.0[9] == 1),
            "{error:?}"
        );
        let error = system
            .block_on(hoard.send(Heavy([1; PAYLOAD])))
            .unwrap_err();
        assert!(matches!(&error, SendError::Overloaded { .. }), "{error:?}");
        // What the runtime itself needs is still there: actors start, stop and hear of each other.
        // Not on the NUMA node whose worker the gate holds, if that is its only one.
        let elsewhere = system
            .numa_nodes()
            .into_iter()
            .rfind(|node| *node != hoard.id().numa_node());
        let other = system
            .actor(Hoard(0))
            .placement(elsewhere.map_or(Placement::Inherit, Placement::Node))
            .spawn()
            .unwrap();
        other.stop();
        common::wait_until("it is dead", || !other.is_alive());

        // Nor does a storm of one size leave those of other sizes without any memory.
        hoard.tell(Odd([0; 1300])).unwrap();

        gate.open();
        let books = settle(&system);
        assert_eq!(books.refused.overloaded, 3 * round);
        assert_eq!(system.stats().asks.overloaded, round);
        // And there is room again.
        hoard.ask_blocking(Heavy([0; PAYLOAD])).unwrap();
    }
    let report = system.shutdown_blocking(PATIENCE);
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
}

#[test]
fn c8_messages_too_large_for_the_slabs_are_limited_too() {
    let _alone = alone();
    let system = ActorSystem::builder()
        .message_memory(4 * LIMIT)
        .build()
        .unwrap();
    let hoard = system
        .actor(Hoard(0))
        .mailbox(Mailbox::unbounded())
        .spawn()
        .unwrap();
    for _ in 0..2 {
        let gate = Gate::new();
        hoard.tell(Wait(gate.clone())).unwrap();
        let mut taken = 0;
        let refused = loop {
            match hoard.tell(Large([1; 9_000])) {
                Ok(()) => taken += 9_000,
                Err(error) => break error,
            }
            assert!(taken <= 4 * LIMIT, "there is no limit");
        };
        assert!(
            matches!(&refused, SendError::Overloaded { .. }),
            "{refused:?}"
        );
        assert!(taken >= LIMIT, "refused after {taken} bytes");
        gate.open();
        settle(&system);
        // What was freed may be used again.
        hoard.ask_blocking(Large([0; 9_000])).unwrap();
    }
    let report = system.shutdown_blocking(PATIENCE);
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
}

/// What the child is told to do.
const STORM: &str = "ACTOR_TEST_STORM";
/// Address space of the child: all of it, from the first page to the last message.
const ADDRESS_SPACE: u64 = 1 << 30;

/// Sends 32 messages for each that it gets, to its partner, who does the same.
struct Amplifier<const SIZE: usize> {
    partner: Option<ActorRef<Self>>,
    shared: Arc<Shared>,
}
#[derive(Default)]
struct Shared {
    over: AtomicBool,
    overloaded: AtomicU64,
    full: AtomicU64,
}
impl<const SIZE: usize> Actor for Amplifier<SIZE> {}
struct Meet<const SIZE: usize>(ActorRef<Amplifier<SIZE>>);
impl<const SIZE: usize> Message for Meet<SIZE> {
    type Reply = ();
}
impl<const SIZE: usize> SyncHandler<Meet<SIZE>> for Amplifier<SIZE> {
    fn handle(&mut self, Meet(partner): Meet<SIZE>, _cx: &mut ActorContext<Self>) {
        self.partner = Some(partner);
    }
}
struct Spark<const SIZE: usize>([u8; SIZE]);
impl<const SIZE: usize> Message for Spark<SIZE> {
    type Reply = ();
}
impl<const SIZE: usize> SyncHandler<Spark<SIZE>> for Amplifier<SIZE> {
    fn handle(&mut self, spark: Spark<SIZE>, _cx: &mut ActorContext<Self>) {
        assert_eq!(spark.0[SIZE - 1], 7);
        let Some(partner) = self.partner else { return };
        for _ in 0..32 {
            if self.shared.over.load(Ordering::Relaxed) {
                return;
            }
            let counter = match partner.tell(Spark([7; SIZE])) {
                Ok(()) => continue,
                Err(SendError::Overloaded { .. }) => &self.shared.overloaded,
                Err(SendError::Full { .. }) => &self.shared.full,
                Err(error) => panic!("{error}"),
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn storm<const SIZE: usize>(mailbox: Mailbox) -> (ShutdownReport, Conservation, Arc<Shared>) {
    // The limit that counts is the default one.
    let system = ActorSystem::new().unwrap();
    let shared = Arc::new(Shared::default());
    let [a, b] = [0, 1].map(|_| {
        let shared = shared.clone();
        system
            .actor(Amplifier::<SIZE> {
                partner: None,
                shared,
            })
            .mailbox(mailbox)
            .spawn()
            .unwrap()
    });
    a.ask_blocking(Meet(b)).unwrap();
    b.ask_blocking(Meet(a)).unwrap();
    a.tell(Spark([7; SIZE])).unwrap();
    common::wait_until("the storm is refused", || {
        let refused = &shared.overloaded;
        refused.load(Ordering::Relaxed) + shared.full.load(Ordering::Relaxed) > 20_000
    });
    shared.over.store(true, Ordering::SeqCst);
    let books = settle(&system);
    (system.shutdown_blocking(PATIENCE), books, shared)
}

/// The child's part: not a test by itself.
#[test]
#[ignore = "run by c8_an_amplifier_does_not_run_the_process_out_of_memory"]
fn storm_child() {
    let Ok(kind) = std::env::var(STORM) else {
        return;
    };
    let (report, books, shared) = match kind.as_str() {
        "unbounded" => storm::<1000>(Mailbox::unbounded()),
        "large" => storm::<20_000>(Mailbox::unbounded()),
        "default" => storm::<1000>(Mailbox::default()),
        "reject" => storm::<1000>(Mailbox::bounded(60_000).overflow(Overflow::Reject)),
        other => panic!("no storm is called {other}"),
    };
    let (overloaded, full) = (
        shared.overloaded.load(Ordering::SeqCst),
        shared.full.load(Ordering::SeqCst),
    );
    assert_eq!(books.refused.overloaded, overloaded, "{books}");
    assert_eq!(books.refused.full, full, "{books}");
    assert_eq!(full > 0, kind == "default" || kind == "reject", "{books}");
    assert_eq!(
        overloaded > 0,
        kind == "unbounded" || kind == "large",
        "{books}"
    );
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
    println!("{kind}: survived, {overloaded} overloaded, {full} full");
}

#[test]
#[cfg(target_os = "linux")]
fn c8_an_amplifier_does_not_run_the_process_out_of_memory() {
    use std::os::unix::process::CommandExt;
    let _alone = alone();
    for kind in ["unbounded", "large", "default", "reject"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["storm_child", "--exact", "--ignored", "--nocapture"])
            .env(STORM, kind)
            // The address space is for messages, not for what each thread of a large machine reserves.
            .env("ACTOR_TOPOLOGY", "1x2")
            .env("MALLOC_ARENA_MAX", "2");
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; this is one.
        unsafe {
            child.pre_exec(|| {
                let limit = libc::rlimit {
                    rlim_cur: ADDRESS_SPACE,
                    rlim_max: ADDRESS_SPACE,
                };
                match libc::setrlimit(libc::RLIMIT_AS, &raw const limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            })
        };
        let output = child.output().unwrap();
        let (said, complained) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success() && said.contains("survived"),
            "{kind}: {}\n{said}\n{complained}",
            output.status
        );
    }
}
