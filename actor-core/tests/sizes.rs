//! What the public types and an idle actor weigh. A binary of its own: one test reads the memory of the
//! whole process, so there is one test only.

use std::sync::mpsc;

use actor_core::prelude::*;
use actor_core::{ActorId, SendFuture};

struct Small(#[expect(dead_code, reason = "only its size matters")] u64);
impl Actor for Small {}
struct Ping(u64);
impl Message for Ping {
    type Reply = u64;
}
impl SyncHandler<Ping> for Small {
    fn handle(&mut self, Ping(n): Ping, _cx: &mut ActorContext<Self>) -> u64 {
        n
    }
}

/// Spawns many children.
struct Parent;
impl Actor for Parent {}
struct Spawn(usize, mpsc::Sender<usize>);
impl Message for Spawn {
    type Reply = ();
}
impl SyncHandler<Spawn> for Parent {
    fn handle(&mut self, Spawn(n, done): Spawn, cx: &mut ActorContext<Self>) {
        for n in 0..n {
            cx.spawn(Small(n as u64)).unwrap();
        }
        _ = done.send(cx.children());
    }
}

const fn is_copy<T: Copy>() {}

#[test]
fn references_contexts_calls_and_idle_actors_are_small() {
    const { is_copy::<ActorRef<Small>>() };
    const { is_copy::<Recipient<Ping>>() };
    assert_eq!(size_of::<ActorId>(), 8);
    assert_eq!(size_of::<ActorRef<Small>>(), 8);
    assert_eq!(size_of::<Recipient<Ping>>(), 16);
    assert_eq!(size_of::<Context>(), 8);
    assert_eq!(size_of::<ActorContext<Small>>(), 8);
    // A call lies in its caller's future: the less the better, but it is not the node.
    assert!(
        size_of::<Call<Small, Ping>>() <= 192,
        "{}",
        size_of::<Call<Small, Ping>>()
    );
    assert!(
        size_of::<SendFuture<Small, Ping>>() <= 192,
        "{}",
        size_of::<SendFuture<Small, Ping>>()
    );
    weigh_idle_actors();
}

#[cfg(not(target_os = "linux"))]
fn weigh_idle_actors() {}

/// The promise is 320 bytes for an actor with 8 bytes of state that has started and waits.
#[cfg(target_os = "linux")]
fn weigh_idle_actors() {
    const ACTORS: usize = 200_000;
    // The handler that makes them is a stall here; its stack would bring in the program's debug information.
    let system = ActorSystem::builder().stall_stacks(false).build().unwrap();
    let parent = system.spawn(Parent).unwrap();
    let (send, receive) = mpsc::channel();
    let spawn = |n| {
        parent.tell(Spawn(n, send.clone())).unwrap();
        let children = receive.recv().unwrap();
        // All have had their first turn.
        let asked = std::time::Instant::now();
        while system.stats().numa_nodes.iter().any(|numa| numa.queued > 0)
            || system
                .stats()
                .workers
                .iter()
                .any(|worker| worker.queued > 0)
        {
            assert!(
                asked.elapsed().as_secs() < 120,
                "the actors do not come to rest"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        children
    };
    spawn(1000);
    let before = resident();
    assert_eq!(spawn(ACTORS), ACTORS + 1000);
    let each = resident().saturating_sub(before) as f64 / ACTORS as f64;
    println!("{each:.1} bytes for each idle actor");
    assert!(each <= 320.0, "{each:.1} bytes for each idle actor");
    assert!(
        each >= 136.0,
        "a cell and a state cannot weigh {each:.1} bytes"
    );
    let report = system.shutdown_blocking(std::time::Duration::from_secs(120));
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
}

#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    // SAFETY: asks for a number.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize
}
