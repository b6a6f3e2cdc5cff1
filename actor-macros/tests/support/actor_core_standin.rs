//! The part of `actor-core` that the macros name, with just enough behind it to run a handler.
//!
//! The signatures are the runtime's. An actor lives behind a lock and is never dropped, and asking
//! runs its handler in place.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "a public face, seen from within one test crate"
)]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub trait Actor: Sized + Send + 'static {
    fn options() -> ActorOptions {
        ActorOptions::new()
    }
    fn started(
        &mut self,
        _cx: &mut ActorContext<Self>,
    ) -> impl Future<Output = Result<(), ActorError>> + Send {
        async { Ok(()) }
    }
    fn stopped(
        &mut self,
        _reason: &StopReason,
        _cx: &mut ActorContext<Self>,
    ) -> impl Future<Output = ()> + Send {
        async {}
    }
    fn terminated(
        &mut self,
        _who: Terminated,
        _cx: &mut ActorContext<Self>,
    ) -> impl Future<Output = ()> + Send {
        async {}
    }
}

pub trait Message: Send + 'static {
    type Reply: Send + 'static;
}

pub trait Handler<M: Message>: Actor {
    fn handle(
        &mut self,
        message: M,
        cx: &mut ActorContext<Self>,
    ) -> impl Future<Output = M::Reply> + Send;

    #[doc(hidden)]
    const IS_SYNC: bool = false;

    #[doc(hidden)]
    const BLOCKING: bool = false;

    #[doc(hidden)]
    fn handle_lent(&mut self, message: M) -> M::Reply {
        let _ = message;
        unreachable!("called only for handlers whose BLOCKING is true")
    }
}

pub trait SyncHandler<M: Message>: Actor {
    fn handle(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply;
}

impl<A: ReentrantHandler<M>, M: Message> Handler<M> for A {
    async fn handle(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        self.run_sync(message, cx)
    }

    const IS_SYNC: bool = true;
}

pub trait DeferredHandler<M: Message>: Actor {
    fn handle(&mut self, message: M, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>);

    #[doc(hidden)]
    fn handle_plain(&mut self, _message: M, _cx: &mut ActorContext<Self>) -> M::Reply {
        unimplemented!("the stand-in answers at once or not at all")
    }
}

impl<A: SyncHandler<M>, M: Message> DeferredHandler<M> for A {
    fn handle(&mut self, message: M, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>) {
        reply.send(SyncHandler::handle(self, message, cx));
    }

    fn handle_plain(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        SyncHandler::handle(self, message, cx)
    }
}

pub trait ReentrantHandler<M: Message>: Actor {
    fn handle(this: Reentrant<Self>, message: M)
    -> impl Future<Output = M::Reply> + Send + 'static;

    #[doc(hidden)]
    fn run_sync(&mut self, _message: M, _cx: &mut ActorContext<Self>) -> M::Reply {
        unimplemented!("the stand-in answers at once or not at all")
    }
}

impl<A: DeferredHandler<M>, M: Message> ReentrantHandler<M> for A {
    async fn handle(_this: Reentrant<Self>, _message: M) -> M::Reply {
        unimplemented!("the stand-in answers at once or not at all")
    }

    fn run_sync(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        self.handle_plain(message, cx)
    }
}

#[derive(Debug)]
pub struct Reply<R>(PhantomData<fn(R)>);

impl<R> Reply<R> {
    pub fn send(self, _reply: R) {}
}

#[derive(Debug)]
pub struct Reentrant<A>(PhantomData<fn(A)>);

impl<A: Actor> Reentrant<A> {
    pub fn with<R>(&self, _f: impl FnOnce(&mut A, &mut ActorContext<A>) -> R) -> R {
        unimplemented!("the stand-in answers at once or not at all")
    }
}

pub struct ActorContext<A>(PhantomData<fn() -> A>);

impl<A> ActorContext<A> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<A> fmt::Debug for ActorContext<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActorContext")
    }
}

#[derive(Debug, PartialEq)]
pub struct ActorError(pub(super) String);

#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StopReason {
    Normal,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Terminated(pub(super) StopReason);

pub struct ActorRef<A: 'static>(&'static Mutex<A>);

impl<A> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for ActorRef<A> {}

impl<A> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActorRef")
    }
}

impl<A: Actor> ActorRef<A> {
    pub(super) fn start(actor: A) -> Self {
        Self(Box::leak(Box::new(Mutex::new(actor))))
    }

    pub fn ask<M>(self, message: M) -> Call<A, M>
    where
        A: Handler<M>,
        M: Message,
    {
        Call(self, message)
    }
}

#[must_use = "a call does nothing until it is awaited or sent"]
pub struct Call<A: 'static, M>(ActorRef<A>, M);

impl<A: Handler<M>, M: Message> Call<A, M> {
    pub(super) fn reply(self) -> M::Reply {
        let mut actor = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        super::block_on(Handler::handle(
            &mut *actor,
            self.1,
            &mut ActorContext::new(),
        ))
    }
}

impl<A, M: fmt::Debug> fmt::Debug for Call<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.1).finish()
    }
}

#[derive(Clone, Debug, Default)]
pub struct ActorOptions {
    mailbox: Option<Mailbox>,
    restart: Option<Restart>,
    backoff: Option<Backoff>,
    supervision: Option<Supervision>,
    placement: Option<Placement>,
    shutdown: Option<Shutdown>,
    significant: Option<bool>,
    on_panic: Option<OnPanic>,
    trap_links: Option<bool>,
    stash: Option<usize>,
}

impl ActorOptions {
    pub const fn new() -> Self {
        Self {
            mailbox: None,
            restart: None,
            backoff: None,
            supervision: None,
            placement: None,
            shutdown: None,
            significant: None,
            on_panic: None,
            trap_links: None,
            stash: None,
        }
    }
    pub const fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = Some(mailbox);
        self
    }
    pub const fn restart(mut self, restart: Restart) -> Self {
        self.restart = Some(restart);
        self
    }
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }
    pub const fn supervision(mut self, supervision: Supervision) -> Self {
        self.supervision = Some(supervision);
        self
    }
    pub const fn placement(mut self, placement: Placement) -> Self {
        self.placement = Some(placement);
        self
    }
    pub const fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = Some(shutdown);
        self
    }
    pub const fn significant(mut self, significant: bool) -> Self {
        self.significant = Some(significant);
        self
    }
    pub const fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.on_panic = Some(on_panic);
        self
    }
    pub const fn trap_links(mut self, trap: bool) -> Self {
        self.trap_links = Some(trap);
        self
    }
    pub const fn stash(mut self, messages: usize) -> Self {
        self.stash = Some(messages);
        self
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Mailbox {
    capacity: Option<usize>,
    overflow: Overflow,
}

impl Mailbox {
    pub const fn bounded(capacity: usize) -> Self {
        Self {
            capacity: Some(capacity),
            overflow: Overflow::Wait,
        }
    }
    pub const fn unbounded() -> Self {
        Self {
            capacity: None,
            overflow: Overflow::Wait,
        }
    }
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Overflow {
    Wait,
    Reject,
    DropNewest,
    DropOldest,
}

#[derive(Clone, Copy, Debug)]
pub enum Restart {
    Permanent,
    Transient,
    Temporary,
}

#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Placement {
    Inherit,
    Spread,
    LeastLoaded,
    Node(NumaNodeId),
    Key(u64),
}

#[derive(Clone, Copy, Debug)]
pub struct NumaNodeId(pub u8);

#[derive(Clone, Copy, Debug)]
pub struct Backoff(Duration, Duration);

impl Backoff {
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self(min, max)
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Shutdown {
    After(Duration),
    Kill,
    Infinity,
}

#[derive(Clone, Copy, Debug)]
pub enum OnPanic {
    Restart,
    Resume,
}

#[derive(Clone, Copy, Debug)]
pub enum AutoShutdown {
    Never,
    Any,
    All,
}

#[derive(Clone, Copy, Debug)]
pub struct Supervision {
    strategy: &'static str,
    intensity: u32,
    period: Duration,
    auto_shutdown: AutoShutdown,
    keep_children: bool,
}

impl Supervision {
    const fn of(strategy: &'static str) -> Self {
        Self {
            strategy,
            intensity: 3,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::Never,
            keep_children: false,
        }
    }
    pub const fn one_for_one() -> Self {
        Self::of("one_for_one")
    }
    pub const fn one_for_all() -> Self {
        Self::of("one_for_all")
    }
    pub const fn rest_for_one() -> Self {
        Self::of("rest_for_one")
    }
    pub const fn simple_one_for_one() -> Self {
        Self::of("simple_one_for_one")
    }
    pub const fn auto_shutdown(mut self, when: AutoShutdown) -> Self {
        self.auto_shutdown = when;
        self
    }
    pub const fn keep_children(mut self) -> Self {
        self.keep_children = true;
        self
    }
    pub const fn intensity(mut self, restarts: u32) -> Self {
        self.intensity = restarts;
        self
    }
    pub const fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }
}
