//! C4, M07, M13: whatever happens to an ask, it has one outcome, which says what it was.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{StopMode, SystemRef};
use common::{Gate, Shake, Tally, Token, finish, poll_once, settle, system, wait_until, within};
use tokio::sync::oneshot;

/// Answers, or panics, or blocks.
struct Server;
impl Actor for Server {}

struct Echo(
    u64,
    #[expect(dead_code, reason = "counts drops")] Token,
    Tally,
);
impl Message for Echo {
    type Reply = (u64, Token);
}
impl SyncHandler<Echo> for Server {
    fn handle(&mut self, Echo(n, _, tally): Echo, _cx: &mut ActorContext<Self>) -> (u64, Token) {
        assert_ne!(n, 13, "unlucky");
        (n, tally.token())
    }
}
fn echo(n: u64, tally: &Tally) -> Echo {
    Echo(n, tally.token(), tally.clone())
}

/// Keeps the worker's thread in the handler until the gate opens.
struct Block(Gate);
impl Message for Block {
    type Reply = ();
}
impl SyncHandler<Block> for Server {
    fn handle(&mut self, Block(gate): Block, _cx: &mut ActorContext<Self>) {
        gate.pass();
    }
}

struct Poke;
impl Message for Poke {
    type Reply = ();
}

/// Sends, waiting for room, to one that asks it.
struct Filler(ActorRef<Tight>);
impl Actor for Filler {}
struct Fill(Option<oneshot::Sender<()>>);
impl Message for Fill {
    type Reply = Result<(), String>;
}
impl Handler<Fill> for Filler {
    async fn handle(
        &mut self,
        Fill(begun): Fill,
        _cx: &mut ActorContext<Self>,
    ) -> Result<(), String> {
        let Some(begun) = begun else {
            // The asker's own message takes its room until its handler waits for us: once more then.
            loop {
                while self.0.tell(Poke).is_ok() {}
                let sent = self.0.send(Poke).await;
                sent.map_err(|error| error.to_string())?;
            }
        };
        while self.0.tell(Poke).is_ok() {}
        let mut send = Box::pin(self.0.send(Poke));
        if let Some(sent) = poll_once(send.as_mut()).await {
            return sent.map_err(|error| error.to_string());
        }
        _ = begun.send(());
        send.await.map_err(|error| error.to_string())
    }
}
struct Tight;
impl Actor for Tight {}
impl SyncHandler<Poke> for Tight {
    fn handle(&mut self, _: Poke, _cx: &mut ActorContext<Self>) {}
}
struct AskBack(oneshot::Sender<()>, Gate, ActorRef<Filler>);
impl Message for AskBack {
    type Reply = Result<Result<(), String>, String>;
}
impl Handler<AskBack> for Tight {
    async fn handle(
        &mut self,
        AskBack(begun, gate, filler): AskBack,
        _cx: &mut ActorContext<Self>,
    ) -> Result<Result<(), String>, String> {
        _ = begun.send(());
        gate.passed().await;
        let asked = filler.ask(Fill(None)).await;
        asked.map_err(|error| match error {
            AskError::Deadlock { path, .. } => path.to_string(),
            other => panic!("{other}"),
        })
    }
}
struct Refill;
impl Message for Refill {
    type Reply = Result<(), String>;
}
impl Handler<Refill> for Tight {
    async fn handle(&mut self, _: Refill, cx: &mut ActorContext<Self>) -> Result<(), String> {
        let me = cx.actor_ref();
        while me.tell(Poke).is_ok() {}
        me.send(Poke).await.map_err(|error| error.to_string())
    }
}

#[test]
fn m13_a_send_that_waits_for_room_is_a_link_of_a_circle() {
    let system = system();
    let tight = system
        .actor(Tight)
        .mailbox(Mailbox::bounded(1))
        .spawn()
        .unwrap();
    let filler = system.spawn(Filler(tight)).unwrap();
    system.block_on(async {
        // The ask closes the circle: it is refused, and the send gets its room.
        let gate = Gate::new();
        let (busy, is_busy) = oneshot::channel();
        let mut ask = Box::pin(tight.ask(AskBack(busy, gate.clone(), filler)));
        assert!(poll_once(ask.as_mut()).await.is_none());
        within(is_busy).await.unwrap();
        // A message takes its room until its handler first waits: nobody finds any after this one.
        wait_until("the handler waits", || tight.tell(Poke).is_ok());
        let (begun, has_begun) = oneshot::channel();
        let mut fill = Box::pin(filler.ask(Fill(Some(begun))));
        assert!(poll_once(fill.as_mut()).await.is_none());
        within(has_begun).await.unwrap();
        gate.open();
        let path = within(ask).await.unwrap().unwrap_err();
        for actor in [tight.to_string(), filler.to_string()] {
            assert!(path.contains(&actor), "{path} lacks {actor}");
        }
        assert_eq!(within(fill).await.unwrap(), Ok(()));
        // The send closes it: there will be no room, and it says so.
        let gate = Gate::new();
        gate.open();
        let (busy, _) = oneshot::channel();
        let sent = within(tight.ask(AskBack(busy, gate, filler)))
            .await
            .unwrap();
        let refused = sent.unwrap().unwrap_err();
        assert!(refused.contains("full"), "{refused}");
        // A circle of one.
        let refused = within(tight.ask(Refill)).await.unwrap().unwrap_err();
        assert!(refused.contains("full"), "{refused}");
    });
    finish(system);
}

#[test]
fn m07_the_errors_of_an_ask_name_actor_message_and_wait() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let gate = Gate::new();
    let error = server
        .ask(Block(gate.clone()))
        .within(Duration::from_millis(10))
        .blocking()
        .unwrap_err();
    let AskError::Expired { waited, .. } = &error else {
        panic!("{error}");
    };
    let (text, waited) = (error.to_string(), format!("(waited {waited:?})"));
    for part in [&*server.to_string(), "Block", &waited] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    gate.open();
    let tally = Tally::new();
    let panicked = server.ask_blocking(echo(13, &tally)).unwrap_err();
    assert!(panicked.to_string().contains("Echo"), "{panicked}");
    finish(system);
}

/// Everything that can happen to an ask, at once: each has one outcome, and the books agree.
#[test]
fn c4_every_ask_has_exactly_one_outcome_in_any_storm() {
    const ASKS: u64 = 3000;
    const ASKERS: u64 = 4;
    let system = system();
    let tally = Tally::new();
    let outcomes: Arc<Mutex<BTreeMap<&'static str, u64>>> = Arc::default();
    system.block_on(async {
        let seats = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..4 {
            let spawn = system.actor(|| Server).restart(Restart::Permanent);
            seats.lock().unwrap().push(spawn.spawn().unwrap());
        }
        let mut tasks = Vec::new();
        for asker in 0..ASKERS {
            let (tally, seats) = (tally.clone(), seats.clone());
            let (outcomes, system) = (outcomes.clone(), SystemRef::clone(&system));
            tasks.push(tokio::spawn(async move {
                let mut shake = Shake::new(asker + 1);
                for _ in 0..ASKS / ASKERS {
                    let seat = shake.below(4) as usize;
                    let server = seats.lock().unwrap()[seat];
                    let what = shake.below(40);
                    if what == 0 {
                        // Its end, in any way, and another in its place.
                        let mode = [StopMode::Now, StopMode::Kill, StopMode::Drain];
                        server.stop_with(mode[shake.below(3) as usize]);
                        let spawn = system.actor(|| Server).restart(Restart::Permanent);
                        seats.lock().unwrap()[seat] = spawn.spawn().unwrap();
                    }
                    let n = if what == 1 { 13 } else { 20 };
                    let token = CancelToken::new();
                    let mut call = server.ask(echo(n, &tally)).cancel(&token);
                    if what < 20 {
                        call = call.within(Duration::from_micros(shake.below(60)));
                    }
                    let mut call = Box::pin(call);
                    let polled = poll_once(call.as_mut()).await;
                    if what == 2 {
                        token.cancel();
                    }
                    let outcome = match polled {
                        None if what == 3 => {
                            drop(call);
                            "dropped"
                        }
                        polled => {
                            let result = match polled {
                                Some(result) => result,
                                None => within(call).await,
                            };
                            match result {
                                Ok(_) => "reply",
                                Err(AskError::Dead { .. }) => "dead",
                                Err(AskError::Expired { .. }) => "expired",
                                Err(AskError::Cancelled { .. }) => "cancelled",
                                Err(AskError::Panicked { .. }) => "panicked",
                                Err(other) => panic!("{other}"),
                            }
                        }
                    };
                    *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                }
            }));
        }
        for task in tasks {
            within(task).await.unwrap();
        }
    });
    let outcomes = outcomes.lock().unwrap().clone();
    let books = settle(&system);
    assert_eq!(outcomes.values().sum::<u64>(), ASKS, "{outcomes:?}");
    assert_eq!(books.offered, ASKS, "{outcomes:?}");
    assert!(outcomes["reply"] <= books.handled, "{outcomes:?}\n{books}");
    assert!(
        outcomes.get("panicked").copied().unwrap_or(0) <= books.dropped.panicked,
        "{outcomes:?}\n{books}"
    );
    // A reply is taken, or late.
    let late = system.stats().actors.late_replies;
    assert!(
        books.handled
            <= outcomes["reply"]
                + late
                + outcomes.get("dropped").copied().unwrap_or(0)
                + outcomes.get("expired").copied().unwrap_or(0)
                + outcomes.get("cancelled").copied().unwrap_or(0),
        "{outcomes:?}, late {late}\n{books}"
    );
    tally.all_dropped();
    finish(system);
}
