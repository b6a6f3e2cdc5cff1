//! `/readyz` of a system that has more than it can take: too many messages that wait, and messages that were refused at the
//! memory limit. A binary of its own, because that limit is the process's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use actor_core::ActorSystem;
use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_net::console::Console;
use serde_json::Value;

use self::console_kit::{PATIENCE, ask, builder, finish, system, until};

mod console_kit;

/// One at a time: the limit is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Actor)]
struct Hoard;

/// Until the other end of the channel is dropped.
struct Hold(std::sync::mpsc::Receiver<()>);
impl Message for Hold {
    type Reply = ();
}
impl SyncHandler<Hold> for Hoard {
    fn handle(&mut self, Hold(until): Hold, _cx: &mut ActorContext<Self>) {
        assert!(until.recv_timeout(PATIENCE).is_err(), "nothing comes");
    }
}

struct Heavy(#[allow(dead_code, reason = "its size counts")] [u8; 4000]);
impl Message for Heavy {
    type Reply = ();
}
impl SyncHandler<Heavy> for Hoard {
    fn handle(&mut self, _: Heavy, _cx: &mut ActorContext<Self>) {}
}

fn is_overloaded(console: &Console, words: &str) {
    let told = ask(console, "/readyz").send();
    assert_eq!(told.status, 503, "{told:?}");
    let told = told.json();
    assert_eq!(told["ready"], false);
    let why = &told["why"][0];
    assert_eq!(why["reason"], "overloaded", "{told}");
    let text = why["text"].as_str().unwrap_or_default();
    assert!(text.contains(words), "{text}");
}

#[test]
fn it_is_not_ready_while_more_messages_wait_than_may() {
    let _alone = alone();
    let system = system();
    let console = builder(&system)
        .overloaded_above(3)
        .start()
        .expect("it starts");
    assert_eq!(ask(&console, "/readyz").send().status, 200);
    let hoard = system.spawn(Hoard).expect("spawned");
    let (go, hold) = std::sync::mpsc::channel();
    hoard.tell(Hold(hold)).expect("accepted");
    for _ in 0..3 {
        hoard.tell(Heavy([0; 4000])).expect("accepted");
    }
    is_overloaded(&console, "4 messages wait; 3 may");
    // It lives all the while.
    assert_eq!(ask(&console, "/healthz").send().status, 200);
    drop(go);
    hoard.ask_blocking(Heavy([0; 4000])).expect("answered");
    let end = std::time::Instant::now() + PATIENCE;
    while ask(&console, "/readyz").send().status != 200 {
        assert!(std::time::Instant::now() < end, "it is ready again");
    }
    finish(system);
}

#[test]
fn it_is_not_ready_when_messages_were_refused_at_the_memory_limit() {
    let _alone = alone();
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    let limited = builder.message_memory(16 << 20);
    let system = limited.build().expect("a system with little memory");
    let console = self::console_kit::console(&system);
    let hoard = system.actor(Hoard).mailbox(Mailbox::unbounded());
    let hoard = hoard.spawn().expect("spawned");
    // Two looks at the books lie on both sides of what is refused next.
    until(&console, "/api/v1/history", |told| {
        told["samples"].as_u64() >= Some(1)
    });
    assert_eq!(ask(&console, "/readyz").send().status, 200);
    let (go, hold) = std::sync::mpsc::channel();
    hoard.tell(Hold(hold)).expect("accepted");
    let refuse = || {
        let refused = (0..100_000).find_map(|_| hoard.tell(Heavy([0; 4000])).err());
        assert!(matches!(refused, Some(SendError::Overloaded { .. })));
    };
    // It is noticed within a second and told for five: as long as it goes on, it is told.
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        refuse();
        let told = ask(&console, "/readyz").send();
        if told.status == 503 {
            let told = told.json();
            let why: &Value = &told["why"][0];
            assert_eq!(why["reason"], "overloaded", "{told}");
            assert!(
                why["text"].as_str().is_some_and(|it| it.contains("memory")),
                "{told}"
            );
            break;
        }
        assert!(std::time::Instant::now() < end, "it is told");
    }
    drop(go);
    finish(system);
}
