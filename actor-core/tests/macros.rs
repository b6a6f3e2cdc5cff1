//! What the macros make works with the real runtime.

use std::time::Duration;

use actor_core::prelude::*;

#[derive(Debug, PartialEq)]
struct Insufficient(i64);

/// An account.
#[derive(Actor)]
#[actor(mailbox = 16, overflow = reject, restart = transient, started = opened, stopped = closed)]
struct Account {
    balance: i64,
    log: Vec<&'static str>,
}

impl Account {
    async fn opened(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.log.push("opened");
        Ok(())
    }

    async fn closed(&mut self, _why: &StopReason, _cx: &mut ActorContext<Self>) {
        self.log.push("closed");
    }
}

#[messages]
impl Account {
    /// Puts money in.
    #[message]
    fn deposit(&mut self, cents: i64) {
        self.balance += cents;
    }

    /// What is there.
    #[message]
    fn balance(&self) -> i64 {
        self.balance
    }

    /// Takes money out, slowly.
    #[message]
    async fn withdraw(
        &mut self,
        cents: i64,
        cx: &mut ActorContext<Self>,
    ) -> Result<i64, Insufficient> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(cx.deadline().is_some(), "the caller set one");
        if self.balance < cents {
            return Err(Insufficient(self.balance));
        }
        self.balance -= cents;
        Ok(self.balance)
    }

    #[message]
    fn log(&self) -> Vec<&'static str> {
        self.log.clone()
    }
}

#[test]
fn methods_on_the_ref_ask_tell_and_send() {
    let system = ActorSystem::new().expect("a system");
    let account = system
        .spawn(|| Account {
            balance: 0,
            log: Vec::new(),
        })
        .expect("spawned");
    account.tell(Deposit { cents: 500 }).expect("room");
    account.deposit(200).tell().expect("room");
    let left = system.block_on(async {
        account.deposit(1).send().await.expect("room");
        let rich = account
            .withdraw(701)
            .within(Duration::from_secs(120))
            .await
            .expect("answered");
        let poor = account
            .withdraw(1)
            .within(Duration::from_secs(120))
            .await
            .expect("answered");
        (rich, poor, account.balance().await.expect("answered"))
    });
    assert_eq!(left, (Ok(0), Err(Insufficient(0)), 0));
    assert_eq!(account.log().blocking().expect("answered"), ["opened"]);
    let report = system.shutdown_blocking(Duration::from_secs(120));
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
}

#[derive(Actor)]
#[actor(supervise(strategy = one_for_all, intensity = 3, period = "5s", auto_shutdown = any))]
#[actor(restart = temporary, shutdown = "2s", significant, on_panic = resume)]
struct Pool;

#[test]
fn what_the_attribute_says_of_supervision_is_what_the_builders_say() {
    use actor_core::{ActorOptions, AutoShutdown, OnPanic, Shutdown};

    let expected = ActorOptions::new()
        .supervision(
            Supervision::one_for_all()
                .intensity(3)
                .period(Duration::from_secs(5))
                .auto_shutdown(AutoShutdown::Any),
        )
        .restart(Restart::Temporary)
        .shutdown(Shutdown::After(Duration::from_secs(2)))
        .significant(true)
        .on_panic(OnPanic::Resume);
    assert_eq!(Pool::options(), expected);
}

/// Answers when the door opens.
#[derive(Actor, Default)]
struct Door {
    waiting: Vec<Reply<u32>>,
    upstream: Option<ActorRef<Self>>,
}

#[messages]
impl Door {
    #[message(deferred)]
    fn pass(&mut self, reply: Reply<u32>) {
        self.waiting.push(reply);
    }

    #[message]
    fn open(&mut self) -> usize {
        let n = self.waiting.len();
        for (n, reply) in (1..).zip(self.waiting.drain(..)) {
            reply.send(n);
        }
        n
    }

    #[message(reentrant)]
    async fn pass_upstream(this: Reentrant<Self>, add: u32) -> Option<u32> {
        let upstream = this.with(|door, _cx| door.upstream)?;
        Some(upstream.pass().await.ok()? + add)
    }
}

#[test]
fn deferred_and_reentrant_methods_are_messages() {
    let system = ActorSystem::new().unwrap();
    let far = system.spawn(Door::default).unwrap();
    let near = system
        .spawn(move || Door {
            upstream: Some(far),
            ..Door::default()
        })
        .unwrap();
    system.block_on(async {
        let through = tokio::spawn(async move { near.pass_upstream(41).await });
        while far.open().await.unwrap() == 0 {
            // The near door is free all the while.
            near.open().await.unwrap();
        }
        assert_eq!(through.await.unwrap().unwrap(), Some(42));
        assert_eq!(far.pass_upstream(0).await.unwrap(), None);
    });
}

#[derive(Actor, Default)]
struct Counter {
    awake: bool,
    sum: u32,
}

#[messages]
impl Counter {
    #[message(when = is_awake)]
    fn add_when_awake(&mut self, n: u32) -> u32 {
        self.sum += n;
        self.sum
    }

    #[message(deferred, when = is_awake)]
    fn sum_when_awake(&mut self, reply: Reply<u32>) {
        reply.send(self.sum);
    }

    #[message]
    fn wake(&mut self, cx: &mut ActorContext<Self>) -> usize {
        self.awake = cx.stashed() == 2;
        if self.awake { cx.unstash_all() } else { 0 }
    }

    fn is_awake(&self) -> bool {
        self.awake
    }
}

#[test]
fn a_method_with_when_is_handled_when_the_actor_says_so() {
    let system = ActorSystem::new().unwrap();
    let counter = system.spawn(Counter::default).unwrap();
    system.block_on(async {
        let (added, summed, ()) =
            tokio::join!(counter.add_when_awake(5), counter.sum_when_awake(), async {
                while counter.wake().await.unwrap() == 0 {}
            });
        assert_eq!((added.unwrap(), summed.unwrap()), (5, 5));
    });
}
