//! [`Probe`]: an actor that a test holds in its hand.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::engine::{self, Engine};
use crate::cell::{StopReason, Terminated};
use crate::context::{Actor, ActorContext, ActorRef, Message, Recipient, SyncHandler};
use crate::mailbox::Mailbox;
use crate::supervision::Restart;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::system::SystemRef;

/// Takes messages of type `M` for a test, which says what it expects.
///
/// Works in a [`Simulation`](super::Simulation), which it drives while it waits, and in a real system,
/// where it waits. A wait is at most [`PATIENCE`](Self::PATIENCE) unless the method takes a time; in a
/// real system times are multiplied by the environment variable `ACTOR_TEST_DILATION` (default 1), for
/// machines that are slow or busy.
///
/// Every expectation that is not met panics, and says what was expected, what came instead and what is
/// still waiting.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::testkit::{Probe, Simulation};
///
/// #[derive(Debug, PartialEq)]
/// enum News { Began, Progress(u8), Done }
/// impl Message for News { type Reply = (); }
///
/// let sim = Simulation::new(1);
/// let probe = Probe::<News>::new(&sim);
/// let reader: Recipient<News> = probe.recipient();
///
/// for news in [News::Began, News::Progress(10), News::Progress(90), News::Done] {
///     reader.tell(news)?;
/// }
/// probe.expect_msg_eq(News::Began);
/// let percent = probe.fish_for("progress beyond 50", |news| match news {
///     News::Progress(percent) if percent > 50 => Some(percent),
///     _ => None,
/// });
/// assert_eq!(percent, 90);
/// probe.expect_msg_eq(News::Done);
/// # Ok::<(), SendError<News>>(())
/// ```
pub struct Probe<M: Message> {
    actor: ActorRef<ProbeActor<M>>,
    heard: Arc<Heard<M>>,
    system: SystemRef,
}

/// The actor behind a [`Probe`].
pub struct ProbeActor<M: Message> {
    heard: Arc<Heard<M>>,
    answer: Box<Answer<M>>,
}

type Answer<M> = dyn FnMut(&M) -> <M as Message>::Reply + Send;
type Act<M> = dyn FnOnce(&mut ActorContext<ProbeActor<M>>) + Send;

struct Heard<M> {
    ears: Mutex<Ears<M>>,
    came: Condvar,
}

struct Ears<M> {
    messages: VecDeque<M>,
    ends: Vec<Terminated>,
}

impl<M: Message> Actor for ProbeActor<M> {
    async fn terminated(&mut self, who: Terminated, _cx: &mut ActorContext<Self>) {
        self.heard.lock().ends.push(who);
        self.heard.came.notify_all();
    }
}

impl<M: Message> SyncHandler<M> for ProbeActor<M> {
    fn handle(&mut self, message: M, _cx: &mut ActorContext<Self>) -> M::Reply {
        let reply = (self.answer)(&message);
        self.heard.lock().messages.push_back(message);
        self.heard.came.notify_all();
        reply
    }
}

/// The test wants to hear of an actor's end.
struct Watch<M: Message>(Box<Act<M>>);

impl<M: Message> Message for Watch<M> {
    type Reply = ();
}

impl<M: Message> SyncHandler<Watch<M>> for ProbeActor<M> {
    fn handle(&mut self, Watch(watch): Watch<M>, cx: &mut ActorContext<Self>) {
        watch(cx);
    }
}

impl<M> Heard<M> {
    fn lock(&self) -> MutexGuard<'_, Ears<M>> {
        // A test that failed while it held it has left it whole.
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Message<Reply = ()>> Probe<M> {
    /// A probe in that system.
    ///
    /// # Panics
    ///
    /// If the system is shutting down.
    #[track_caller]
    pub fn new(system: &SystemRef) -> Self {
        Self::answering(system, |_| ())
    }
}

impl<M: Message> Probe<M> {
    /// How long a probe waits unless told otherwise: 3 s, virtual or real.
    pub const PATIENCE: Duration = Duration::from_secs(3);

    /// A probe that answers each message at once by `answer`, for messages with a reply.
    ///
    /// # Panics
    ///
    /// If the system is shutting down.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use actor_core::testkit::{Probe, Simulation};
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct Double(u32);
    /// impl Message for Double { type Reply = u32; }
    ///
    /// let sim = Simulation::new(1);
    /// let probe = Probe::answering(&sim, |Double(n)| 2 * n);
    /// assert_eq!(probe.actor_ref().ask_blocking(Double(21))?, 42);
    /// probe.expect_msg_eq(Double(21));
    /// # Ok::<(), AskError<Double>>(())
    /// ```
    #[track_caller]
    pub fn answering(
        system: &SystemRef,
        answer: impl FnMut(&M) -> M::Reply + Send + 'static,
    ) -> Self {
        let heard = Arc::new(Heard {
            ears: Mutex::new(Ears {
                messages: VecDeque::new(),
                ends: Vec::new(),
            }),
            came: Condvar::new(),
        });
        let actor = ProbeActor {
            heard: Arc::clone(&heard),
            answer: Box::new(answer),
        };
        let spawned = system
            .actor(actor)
            .mailbox(Mailbox::unbounded())
            .restart(Restart::Temporary)
            .spawn();
        match spawned {
            Ok(actor) => Self {
                actor,
                heard,
                system: *system,
            },
            Err(error) => panic!("no probe: {error}"),
        }
    }

    /// Its address, for actors that take any recipient of `M`.
    pub fn recipient(&self) -> Recipient<M> {
        self.actor.recipient()
    }

    /// Its address as an actor, which can also be asked.
    pub const fn actor_ref(&self) -> ActorRef<ProbeActor<M>> {
        self.actor
    }

    /// Starts to listen for the end of an actor: see [`expect_terminated`](Self::expect_terminated).
    /// When it returns, the probe listens; a simulation runs until then, and others in it may run too.
    ///
    /// # Panics
    ///
    /// If the probe has been stopped.
    #[track_caller]
    pub fn watch<A: 'static>(&self, actor: ActorRef<A>) {
        let watch = Watch(Box::new(move |cx| cx.watch(actor)));
        if let Err(error) = self.actor.ask_blocking(watch) {
            panic!("the probe cannot watch: {error}");
        }
    }

    /// The messages that have come and were not taken, oldest first. Does not wait.
    pub fn take_all(&self) -> Vec<M> {
        self.heard.lock().messages.drain(..).collect()
    }

    /// How many messages wait to be taken.
    pub fn len(&self) -> usize {
        self.heard.lock().messages.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until `take` finds something, or the time is up.
    fn wait<T>(
        &self,
        time: Duration,
        mut take: impl FnMut(&mut Ears<M>) -> Option<T>,
    ) -> Option<T> {
        if let Some(engine) = engine::current_of(self.system) {
            return simulate(&engine, time, || take(&mut self.heard.lock()));
        }
        let end = Instant::now() + dilated(time);
        let mut ears = self.heard.lock();
        loop {
            if let Some(taken) = take(&mut ears) {
                return Some(taken);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            ears = self
                .heard
                .came
                .wait_timeout(ears, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl<M: Message + fmt::Debug> Probe<M> {
    /// Takes the next message.
    ///
    /// # Panics
    ///
    /// If none comes in time.
    #[track_caller]
    pub fn expect_msg(&self) -> M {
        self.expect_msg_within(Self::PATIENCE)
    }

    /// Takes the next message, which must come within `time`.
    ///
    /// # Panics
    ///
    /// If none comes in time.
    #[track_caller]
    pub fn expect_msg_within(&self, time: Duration) -> M {
        match self.wait(time, |ears| ears.messages.pop_front()) {
            Some(message) => message,
            None => self.fail("a message", Some(time), &[]),
        }
    }

    /// Takes the next message, which must be this one.
    ///
    /// # Panics
    ///
    /// If another one comes, or none in time.
    #[track_caller]
    pub fn expect_msg_eq(&self, expected: M)
    where
        M: PartialEq,
    {
        match self.wait(Self::PATIENCE, |ears| ears.messages.pop_front()) {
            Some(message) if message == expected => {}
            Some(other) => self.fail(&format!("{expected:?}"), None, &[format!("{other:?}")]),
            None => self.fail(&format!("{expected:?}"), Some(Self::PATIENCE), &[]),
        }
    }

    /// Takes the next `n` messages.
    ///
    /// # Panics
    ///
    /// If fewer come in time.
    #[track_caller]
    pub fn expect_msgs(&self, n: usize) -> Vec<M> {
        let enough = self.wait(Self::PATIENCE, |ears| {
            (ears.messages.len() >= n).then(|| ears.messages.drain(..n).collect())
        });
        match enough {
            Some(messages) => messages,
            None => self.fail(&format!("{n} messages"), Some(Self::PATIENCE), &[]),
        }
    }

    /// Lets `time` pass, in which no message may come; nor may one be waiting.
    ///
    /// In a real system the time is not dilated: a longer wait makes nothing surer.
    ///
    /// # Panics
    ///
    /// If one comes.
    #[track_caller]
    pub fn expect_no_msg(&self, time: Duration) {
        let came = if engine::current_of(self.system).is_some() {
            self.wait(time, |ears| ears.messages.pop_front())
        } else {
            self.wait(time.div_f64(dilation()), |ears| ears.messages.pop_front())
        };
        if let Some(message) = came {
            let expected = format!("no message within {time:?}");
            self.fail(&expected, None, &[format!("{message:?}")]);
        }
    }

    /// Takes messages until `pick` returns something for one; the others are thrown away.
    ///
    /// # Panics
    ///
    /// If that does not happen in time; shows what was thrown away.
    #[track_caller]
    pub fn fish_for<T>(&self, what: &str, mut pick: impl FnMut(M) -> Option<T>) -> T {
        let mut thrown = Vec::new();
        let fished = self.wait(Self::PATIENCE, |ears| {
            while let Some(message) = ears.messages.pop_front() {
                let text = format!("{message:?}");
                if let Some(picked) = pick(message) {
                    return Some(picked);
                }
                thrown.push(text);
            }
            None
        });
        match fished {
            Some(picked) => picked,
            None => self.fail(what, Some(Self::PATIENCE), &thrown),
        }
    }

    /// Waits for the end of an actor and tells why it stopped. Call [`watch`](Self::watch) before, or
    /// the reason of an actor that is gone already is `NotFound`.
    ///
    /// # Panics
    ///
    /// If it does not stop in time.
    #[track_caller]
    pub fn expect_terminated<A: 'static>(&self, actor: ActorRef<A>) -> StopReason {
        // Watching twice gives one notice.
        let id = actor.id();
        let take = |ears: &mut Ears<M>| {
            let at = ears.ends.iter().position(|end| end.actor == id)?;
            Some(ears.ends.remove(at).reason)
        };
        if let Some(reason) = take(&mut self.heard.lock()) {
            return reason;
        }
        self.watch(actor);
        match self.wait(Self::PATIENCE, take) {
            Some(reason) => reason,
            None => self.fail(&format!("the end of {id}"), Some(Self::PATIENCE), &[]),
        }
    }

    #[track_caller]
    fn fail(&self, expected: &str, waited: Option<Duration>, came: &[String]) -> ! {
        let mut text = format!("expected {expected}");
        // Writing into a String does not fail.
        match (waited, came) {
            (Some(time), []) => _ = write!(text, "; nothing came within {time:?}"),
            (Some(time), _) => _ = write!(text, " within {time:?}; came, and not that:"),
            (None, _) => text.push_str("; came instead:"),
        }
        for each in came {
            let _ = write!(text, "\n    {each}");
        }
        let ears = self.heard.lock();
        if !ears.messages.is_empty() {
            let _ = write!(text, "\nwaiting in the probe ({}):", ears.messages.len());
            for message in ears.messages.iter().take(SHOWN) {
                let _ = write!(text, "\n    {message:?}");
            }
            if ears.messages.len() > SHOWN {
                text.push_str("\n    ..");
            }
        }
        for end in &ears.ends {
            let _ = write!(text, "\nhas ended: {}, {}", end.actor, end.reason);
        }
        drop(ears);
        if !self.actor.is_alive() {
            text.push_str("\nthe probe itself has stopped");
        }
        if let Some(engine) = engine::current_of(self.system) {
            let _ = write!(text, "\n{}", engine.describe());
        }
        panic!("{text}")
    }
}

/// Messages shown when an expectation fails.
const SHOWN: usize = 10;

/// Drives the simulation until `take` finds something or that much virtual time has passed.
fn simulate<T>(engine: &Engine, time: Duration, mut take: impl FnMut() -> Option<T>) -> Option<T> {
    let mut taken = take();
    if taken.is_none() {
        engine.run_until(time, &mut || {
            taken = take();
            taken.is_some()
        });
    }
    taken
}

fn dilated(time: Duration) -> Duration {
    time.mul_f64(dilation())
}

/// How much longer real waits are.
fn dilation() -> f64 {
    const VARIABLE: &str = "ACTOR_TEST_DILATION";
    static DILATION: OnceLock<f64> = OnceLock::new();
    *DILATION.get_or_init(|| {
        let Ok(text) = std::env::var(VARIABLE) else {
            return 1.0;
        };
        match text.trim().parse::<f64>() {
            Ok(times) if (0.01..=1000.0).contains(&times) => times,
            _ => panic!("{VARIABLE}={text:?}: a number from 0.01 to 1000 is expected"),
        }
    })
}

impl<M: Message> fmt::Debug for Probe<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("actor", &self.actor.id())
            .field("waiting", &self.len())
            .finish_non_exhaustive()
    }
}

impl<M: Message> fmt::Debug for ProbeActor<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeActor").finish_non_exhaustive()
    }
}
