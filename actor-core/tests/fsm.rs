//! T02: a state's time-out ends with the state.

mod common;

use std::time::Duration;

use actor_core::Fsm;
use actor_core::prelude::*;
use common::{Gate, finish, system, wait_until};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Light {
    #[default]
    Red,
    Green,
    Broken,
}

#[derive(Default)]
struct Crossing {
    light: Fsm<Light>,
    timeouts: u32,
}
impl Actor for Crossing {}

struct Timeout;
impl Message for Timeout {
    type Reply = ();
}
impl SyncHandler<Timeout> for Crossing {
    fn handle(&mut self, _: Timeout, cx: &mut ActorContext<Self>) {
        self.timeouts += 1;
        self.light.to(Light::Broken, cx);
    }
}
/// Goes to a state, maybe for a time only, and keeps the thread busy until that time is over.
struct Go(Light, Option<Duration>, Duration);
impl Message for Go {
    type Reply = Light;
}
impl SyncHandler<Go> for Crossing {
    fn handle(&mut self, Go(next, limit, busy): Go, cx: &mut ActorContext<Self>) -> Light {
        let left = match limit {
            Some(limit) => self.light.to_within(next, limit, Timeout, cx),
            None => self.light.to(next, cx),
        };
        let began = std::time::Instant::now();
        while began.elapsed() < busy {
            std::hint::spin_loop();
        }
        left
    }
}
/// Waits until all that the test has to say is in the mailbox.
struct Hold(Gate);
impl Message for Hold {
    type Reply = ();
}
impl SyncHandler<Hold> for Crossing {
    fn handle(&mut self, Hold(gate): Hold, _cx: &mut ActorContext<Self>) {
        gate.pass();
    }
}
struct Look;
impl Message for Look {
    type Reply = (Light, u32, u64);
}
impl SyncHandler<Look> for Crossing {
    fn handle(&mut self, _: Look, _cx: &mut ActorContext<Self>) -> (Light, u32, u64) {
        (*self.light, self.timeouts, self.light.transitions())
    }
}

#[test]
fn t02_the_timeout_of_a_state_that_was_left_is_never_delivered() {
    let system = system();
    let crossing = system.spawn(Crossing::default).unwrap();
    let short = Some(Duration::from_millis(2));
    // The next state is in the mailbox before the one that it ends is entered.
    let gate = Gate::new();
    crossing.tell(Hold(gate.clone())).unwrap();
    for _ in 0..10 {
        // Its time is over, and its message perhaps in the mailbox, when the next state is entered.
        crossing
            .tell(Go(Light::Green, short, Duration::from_millis(8)))
            .unwrap();
        crossing.tell(Go(Light::Red, None, Duration::ZERO)).unwrap();
    }
    gate.open();
    assert_eq!(crossing.ask_blocking(Look).unwrap(), (Light::Red, 0, 20));
    let later = Go(Light::Green, short, Duration::ZERO);
    assert_eq!(crossing.ask_blocking(later).unwrap(), Light::Red);
    wait_until("its time is over", || {
        crossing.ask_blocking(Look).unwrap() == (Light::Broken, 1, 22)
    });
    finish(system);
}
