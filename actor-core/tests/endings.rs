//! What is owed when things cross each other: no handler runs without its state, no watcher and no
//! waiting sender is forgotten, and nobody is accused of a circle that is not there.

use std::sync::mpsc;
use std::time::Duration;

use actor_core::StopMode;
use actor_core::prelude::*;

const LONG: Duration = Duration::from_secs(120);
const ROUNDS: usize = if cfg!(miri) { 20 } else { 2_000 };

fn finish(system: ActorSystem) {
    let report = system.shutdown_blocking(LONG);
    assert!(report.is_clean(), "{report}");
    assert!(
        report.conservation.holds_at_rest(),
        "{}",
        report.conservation
    );
}

/// Says what it was, and what it is asked to do with it.
struct Holder {
    text: String,
    seen: mpsc::Sender<String>,
}

impl Actor for Holder {}

impl Drop for Holder {
    fn drop(&mut self) {
        self.text = String::from("dropped");
    }
}

struct Hold(mpsc::Receiver<()>);
struct Fail;
struct Look;

impl Message for Hold {
    type Reply = ();
}
impl Message for Fail {
    type Reply = ();
}
impl Message for Look {
    type Reply = ();
}

impl SyncHandler<Hold> for Holder {
    fn handle(&mut self, Hold(gate): Hold, _cx: &mut ActorContext<Self>) {
        gate.recv_timeout(LONG).expect("the test opens the gate");
    }
}
impl SyncHandler<Fail> for Holder {
    fn handle(&mut self, Fail: Fail, _cx: &mut ActorContext<Self>) {
        panic!("on purpose");
    }
}
impl SyncHandler<Look> for Holder {
    fn handle(&mut self, Look: Look, _cx: &mut ActorContext<Self>) {
        self.seen.send(self.text.clone()).expect("the test listens");
    }
}

#[test]
fn after_a_panic_while_draining_the_rest_are_dead_letters() {
    let system = ActorSystem::new().expect("a system");
    let (seen, sights) = mpsc::channel();
    let holder = system
        .spawn(Holder {
            text: String::from("alive"),
            seen,
        })
        .expect("an actor");
    let (open, gate) = mpsc::channel();
    holder.tell(Hold(gate)).expect("room");
    holder.tell(Look).expect("room");
    holder.tell(Fail).expect("room");
    for _ in 0..100 {
        holder.tell(Look).expect("room");
    }
    holder.stop_with(StopMode::Drain);
    open.send(()).expect("it waits");
    assert_eq!(sights.recv_timeout(LONG).as_deref(), Ok("alive"));
    assert!(
        sights.recv_timeout(LONG).is_err(),
        "no message is handled without a state"
    );
    let report = system.shutdown_blocking(LONG);
    assert!(report.is_clean(), "{report}");
    let books = report.conservation;
    assert_eq!(
        (books.dropped.panicked, books.dead_letters.actor_stopped),
        (1, 100),
        "{books}"
    );
    assert!(books.holds_at_rest(), "{books}");
}

struct Watcher(mpsc::Sender<()>);
struct Watch(ActorRef<Mortal>);
struct Mortal;
struct Ping;

impl Message for Watch {
    type Reply = ();
}
impl Message for Ping {
    type Reply = ();
}
impl Actor for Mortal {}
impl Actor for Watcher {
    async fn terminated(&mut self, _who: Terminated, _cx: &mut ActorContext<Self>) {
        self.0.send(()).expect("the test listens");
    }
}
impl SyncHandler<Watch> for Watcher {
    fn handle(&mut self, Watch(whom): Watch, cx: &mut ActorContext<Self>) {
        cx.watch(whom);
    }
}
impl SyncHandler<Ping> for Mortal {
    fn handle(&mut self, Ping: Ping, _cx: &mut ActorContext<Self>) {}
}

#[test]
fn a_watch_that_crosses_the_end_is_answered() {
    let system = ActorSystem::new().expect("a system");
    let (told, ends) = mpsc::channel();
    let watcher = system.spawn(Watcher(told)).expect("an actor");
    for round in 0..ROUNDS {
        let mortal = system.spawn(Mortal).expect("an actor");
        // A message in the mailbox keeps the dead cell busy a moment longer.
        mortal.stop();
        _ = mortal.tell(Ping);
        watcher.tell(Watch(mortal)).expect("room");
        ends.recv_timeout(LONG)
            .unwrap_or_else(|_| panic!("round {round}: the end was never told"));
    }
    finish(system);
}

struct Narrow;
impl Actor for Narrow {}
impl SyncHandler<Ping> for Narrow {
    fn handle(&mut self, Ping: Ping, _cx: &mut ActorContext<Self>) {}
}

#[test]
fn every_sender_that_waits_for_room_gets_in() {
    let system = ActorSystem::new().expect("a system");
    for capacity in [1, 2, 40] {
        let narrow = system
            .actor(Narrow)
            .mailbox(Mailbox::bounded(capacity))
            .spawn()
            .expect("an actor");
        let each = ROUNDS / 4;
        system.block_on(async {
            let senders: Vec<_> = (0..8)
                .map(|_| {
                    tokio::spawn(async move {
                        for _ in 0..each {
                            narrow.send(Ping).await.expect("it lives");
                        }
                    })
                })
                .collect();
            for sender in senders {
                tokio::time::timeout(LONG, sender)
                    .await
                    .expect("nobody waits for ever")
                    .expect("no panic");
            }
        });
    }
    finish(system);
}

/// Asks its friend; and is asked by it, when it waits for nobody.
struct Friend {
    other: Option<ActorRef<Self>>,
}
struct Meet(ActorRef<Friend>);
struct AskOther;
struct Answer;

impl Message for Meet {
    type Reply = ();
}
impl Message for AskOther {
    type Reply = Result<(), AskError<()>>;
}
impl Message for Answer {
    type Reply = ();
}
impl Actor for Friend {}
impl SyncHandler<Meet> for Friend {
    fn handle(&mut self, Meet(other): Meet, _cx: &mut ActorContext<Self>) {
        self.other = Some(other);
    }
}
impl SyncHandler<Answer> for Friend {
    fn handle(&mut self, Answer: Answer, _cx: &mut ActorContext<Self>) {}
}
impl Handler<AskOther> for Friend {
    async fn handle(
        &mut self,
        AskOther: AskOther,
        _cx: &mut ActorContext<Self>,
    ) -> Result<(), AskError<()>> {
        let other = self.other.expect("they have met");
        other.ask(Answer).await.map_err(AskError::without_message)
    }
}

#[test]
fn asking_in_turns_is_no_circle() {
    let system = ActorSystem::new().expect("a system");
    let [one, two] = [(), ()].map(|()| system.spawn(Friend { other: None }).expect("an actor"));
    one.ask_blocking(Meet(two)).expect("it lives");
    two.ask_blocking(Meet(one)).expect("it lives");
    for round in 0..ROUNDS {
        for asker in [one, two] {
            let asked = asker.ask_blocking(AskOther).expect("it lives");
            assert!(asked.is_ok(), "round {round}: {asked:?}");
        }
    }
    finish(system);
}
