//! An actor that lives elsewhere, seen from here: the typed side of `cell::proxy`.
//!
//! A [`Gateway`] is what a network layer gives the runtime for one such actor. It gets each message with
//! what is needed to write it down, and for an ask the right to answer it. A message is moved out of its
//! node before the gateway sees it: the reply, which may come while the gateway still runs, is written
//! where the message was.

use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{self, Poll};

use super::actor::{Actor, Message};
use super::actor_ref::ActorRef;
use super::envelope::context_of;
use super::export::CodecError;
use super::harness::Typed;
use super::message_context::{Context, InForce};
use super::options::SpawnError;
use super::reply::{Erased, Reply};
use super::spawn::{Parent, builder};
use crate::cell::{ActorVtable, CellRef, ProxyVtable, Runtime, StopMode, StopReason, contain};
use crate::clock::Tick;
use crate::id::ActorId;
use crate::mailbox::Mailbox;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{Fate, Node, Step};
use crate::supervision::Restart;

/// The way to one actor elsewhere. Called on the workers of this system, one call at a time, and dropped
/// when the proxy ends; it must not block.
///
/// A panic in [`forward`](Self::forward) is what a handler's is: the asker gets
/// [`Panicked`](crate::AskError::Panicked), and the proxy ends. One in the other functions is counted, and the
/// order it was to pass on is lost.
///
/// # Examples
///
/// Two systems in one process, and a network that is a function call:
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::remote::{self, CodecError, Export, Gateway, Outbound, Undelivered};
/// use actor_core::{ActorId, StopMode, StopReason};
///
/// struct Square(u8);
/// impl Message for Square {
///     type Reply = u8;
///     // Usually written by `#[message(remote)]`.
///     const EXPORT: Option<Export<Self>> = Some(Export {
///         name: "square",
///         schema: || 1,
///         encode: |Self(n), bytes| Ok(bytes.push(*n)),
///         decode: |bytes| byte(bytes).map(Square),
///         encode_reply: |n, bytes| Ok(bytes.push(*n)),
///         decode_reply: byte,
///     });
/// }
/// fn byte(bytes: &[u8]) -> Result<u8, CodecError> {
///     bytes.first().copied().ok_or_else(|| CodecError::new("no byte"))
/// }
///
/// struct Worker;
/// impl Actor for Worker {}
/// impl SyncHandler<Square> for Worker {
///     fn handle(&mut self, Square(n): Square, _cx: &mut ActorContext<Self>) -> u8 { n * n }
/// }
///
/// struct Call(ActorRef<Worker>);
/// impl Gateway for Call {
///     fn forward(&mut self, message: &mut Outbound<'_>) -> Result<(), Undelivered> {
///         let mut bytes = Vec::new();
///         message.encode(&mut bytes).map_err(|_| Undelivered::NotExported)?;
///         let square = byte(&bytes).map(Square).map_err(|_| Undelivered::NotExported)?;
///         let Some(reply) = message.reply() else {
///             return self.0.tell(square).map_err(|_| Undelivered::PeerGone);
///         };
///         remote::ask(self.0, square, message.context().clone(), move |outcome| match outcome {
///             Ok(n) => _ = reply.send(&[n]),
///             Err(failure) => reply.fail(failure),
///         });
///         Ok(())
///     }
///     fn stop(&mut self, mode: StopMode) { self.0.stop_with(mode) }
///     fn link_broken(&mut self, _: ActorId, _: &StopReason) { self.0.stop() }
/// }
///
/// let (here, there) = (ActorSystem::new()?, ActorSystem::new()?);
/// let worker = there.spawn(Worker)?;
/// let (proxy, _) = here.proxy::<Worker>("worker over there", Mailbox::default(), Call(worker))?;
/// assert_eq!(proxy.ask_blocking(Square(7))?, 49);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Gateway: Send + 'static {
    /// Whether the next message may be forwarded. While it is not, messages wait in the proxy's mailbox,
    /// and its senders when that is full. The waker is to be woken when there is room.
    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Takes a message.
    ///
    /// # Errors
    ///
    /// Why it cannot be forwarded: it becomes a dead letter, and an asker is told. The gateway has not
    /// taken the [`reply`](Outbound::reply) then.
    fn forward(&mut self, message: &mut Outbound<'_>) -> Result<(), Undelivered>;

    /// For now nothing more will be forwarded: what was kept back to go together goes. Called at the end of each
    /// turn, and when no message waits; also if none was forwarded since the last time.
    fn flush(&mut self) {}

    /// Somebody here wants the actor to stop.
    fn stop(&mut self, mode: StopMode);

    /// An actor here that the actor is linked with has failed.
    fn link_broken(&mut self, failed: ActorId, reason: &StopReason);

    /// Which peer it goes to, as traces name it.
    fn peer(&self) -> Option<Arc<str>> {
        None
    }
}

/// Why a message was not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undelivered {
    /// The peer is gone.
    PeerGone,
    /// There is no connection to the peer now.
    Unreachable,
    /// The peer does not know this type of message, or it could not be written down.
    NotExported,
    /// Written down, it is larger than the peer takes.
    TooLarge,
}

impl Undelivered {
    const fn fate(self) -> Fate {
        match self {
            Self::PeerGone => Fate::PeerGone,
            Self::Unreachable => Fate::Unreachable,
            Self::NotExported => Fate::NotExported,
            Self::TooLarge => Fate::TooLarge,
        }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fate().fmt(f)
    }
}

impl std::error::Error for Undelivered {}

/// Why an ask across the network has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteFailure {
    /// The actor has stopped.
    Dead,
    /// Its handler panicked on the message.
    Panicked,
    /// The deadline passed.
    Expired,
    /// The call was cancelled, or the asker gave up.
    Cancelled,
    /// The handler gave no reply, or the mailbox's policy dropped the message.
    NoReply,
    /// The mailbox is full.
    Full,
    /// The process is at its memory limit for messages.
    Overloaded,
    /// The message was not forwarded, or the reply did not come back.
    Undelivered(Undelivered),
}

impl RemoteFailure {
    const fn fate(self) -> Fate {
        match self {
            Self::Dead => Fate::ActorStopped,
            Self::Panicked => Fate::Panicked,
            Self::Expired => Fate::Expired,
            Self::Cancelled => Fate::Cancelled,
            Self::NoReply => Fate::NoReply,
            Self::Full | Self::Overloaded => Fate::NoRoom,
            Self::Undelivered(why) => why.fate(),
        }
    }

    /// From the number of a fate.
    pub(super) fn of(fate: u8) -> Self {
        let is = |other: Fate| fate == other as u8;
        match () {
            () if is(Fate::ActorStopped) || is(Fate::Interrupted) => Self::Dead,
            () if is(Fate::Panicked) => Self::Panicked,
            () if is(Fate::Expired) => Self::Expired,
            () if is(Fate::Cancelled) || is(Fate::Abandoned) => Self::Cancelled,
            () if is(Fate::NoRoom) => Self::Full,
            () if is(Fate::PeerGone) => Self::Undelivered(Undelivered::PeerGone),
            () if is(Fate::Unreachable) => Self::Undelivered(Undelivered::Unreachable),
            () if is(Fate::NotExported) => Self::Undelivered(Undelivered::NotExported),
            () if is(Fate::TooLarge) => Self::Undelivered(Undelivered::TooLarge),
            () => Self::NoReply,
        }
    }
}

impl fmt::Display for RemoteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the mailbox is full"),
            Self::Overloaded => f.write_str("the process is at its memory limit for messages"),
            other => other.fate().fmt(f),
        }
    }
}

impl std::error::Error for RemoteFailure {}

/// A message on its way out.
pub struct Outbound<'a> {
    name: &'static str,
    schema: fn() -> u64,
    encode: &'a dyn Fn(&mut Vec<u8>) -> Result<(), CodecError>,
    context: &'a Context,
    is_ask: bool,
    asker: Option<ActorId>,
    reply: &'a mut dyn FnMut() -> Option<RemoteReply>,
}

impl Outbound<'_> {
    /// What the type of message is called between peers.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What the shape of the message and its reply is, as [`Export::schema`](super::Export::schema) says.
    pub fn schema(&self) -> u64 {
        (self.schema)()
    }

    /// Its context: deadline, cancellation, trace, baggage.
    pub const fn context(&self) -> &Context {
        self.context
    }

    /// Whether somebody waits for a reply.
    pub const fn is_ask(&self) -> bool {
        self.is_ask
    }

    /// The actor of this system whose handler waits for the reply and does nothing else; `None` where nobody of
    /// that kind is known to wait: a task, a thread, a handler that waits for several things.
    pub const fn asker(&self) -> Option<ActorId> {
        self.asker
    }

    /// Appends the message to `bytes`, which keeps what it had if that fails.
    ///
    /// # Errors
    ///
    /// As the message's own [`Export`](super::Export) says.
    pub fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        let len = bytes.len();
        (self.encode)(bytes).inspect_err(|_| bytes.truncate(len))
    }

    /// The right to answer, once; `None` for a message that was told, and the second time. To be taken when
    /// nothing can go wrong any more.
    pub fn reply(&mut self) -> Option<RemoteReply> {
        (self.reply)()
    }
}

impl fmt::Debug for Outbound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("name", &self.name)
            .field("is_ask", &self.is_ask)
            .finish_non_exhaustive()
    }
}

/// The right to answer an ask that was forwarded, from any thread. Dropped, the asker hears that there is
/// no reply.
#[must_use = "an asker waits"]
pub struct RemoteReply {
    reply: Option<Erased>,
    complete: Complete,
    is_abandoned: unsafe fn(&Erased) -> bool,
}

/// Uses the handle up: with the bytes of a reply, or why there is none.
type Complete = unsafe fn(Erased, Result<&[u8], Failure>) -> Result<(), CodecError>;

/// Why there is no reply.
enum Failure {
    Fate(Fate),
    /// The actors that wait for each other, the asker first.
    Circle(Vec<ActorId>),
}

impl RemoteReply {
    fn new<M: Message>(reply: Reply<M::Reply>) -> Self {
        Self {
            reply: Some(reply.erase()),
            // SAFETY: by the callers it is the handle that was erased above.
            complete: |reply, answer| unsafe { complete::<M>(reply.restore(), answer) },
            is_abandoned: |reply| {
                // SAFETY: as above; looked at, not used up.
                let reply = ManuallyDrop::new(unsafe { reply.clone().restore::<M::Reply>() });
                reply.is_abandoned()
            },
        }
    }

    /// Answers with a reply as it was written down.
    ///
    /// # Errors
    ///
    /// If it cannot be read; the asker hears that there is no reply.
    pub fn send(mut self, reply: &[u8]) -> Result<(), CodecError> {
        self.end(Ok(reply))
    }

    /// Answers with a failure.
    pub fn fail(mut self, why: RemoteFailure) {
        // Nothing is read, so nothing can go wrong with it.
        _ = self.end(Err(Failure::Fate(why.fate())));
    }

    /// Answers that the asker would wait for ever: it gets [`Deadlock`](crate::AskError::Deadlock) with these
    /// actors, of which it is the first, and each waits for the next.
    pub fn fail_in_circle(mut self, actors: Vec<ActorId>) {
        _ = self.end(Err(Failure::Circle(actors)));
    }

    /// Whether the asker has given up.
    pub fn is_abandoned(&self) -> bool {
        let Some(reply) = &self.reply else {
            return true;
        };
        // SAFETY: the handle that this was made with, still ours.
        unsafe { (self.is_abandoned)(reply) }
    }

    fn end(&mut self, answer: Result<&[u8], Failure>) -> Result<(), CodecError> {
        match self.reply.take() {
            // SAFETY: the handle that this was made with, used up here.
            Some(reply) => unsafe { (self.complete)(reply, answer) },
            None => Ok(()),
        }
    }
}

impl Drop for RemoteReply {
    fn drop(&mut self) {
        // Nothing is read.
        _ = self.end(Err(Failure::Fate(Fate::NoReply)));
    }
}

impl fmt::Debug for RemoteReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteReply").finish_non_exhaustive()
    }
}

fn complete<M: Message>(
    reply: Reply<M::Reply>,
    answer: Result<&[u8], Failure>,
) -> Result<(), CodecError> {
    let target = reply.target();
    let fate = match (answer, M::EXPORT) {
        (Ok(bytes), Some(export)) => {
            // The user's code.
            let read = catch_unwind(AssertUnwindSafe(|| (export.decode_reply)(bytes)))
                .unwrap_or_else(|payload| {
                    contain(|| drop(payload));
                    Err(CodecError::new("reading it panicked"))
                });
            match read {
                Ok(value) => {
                    reply.send(value);
                    return Ok(());
                }
                Err(error) => {
                    reply.fail(Fate::NoReply, target);
                    return Err(error);
                }
            }
        }
        (Ok(_), None) => Fate::NotExported,
        (Err(Failure::Fate(fate)), _) => fate,
        (Err(Failure::Circle(actors)), _) => {
            reply.fail_in_circle(actors);
            return Ok(());
        }
    };
    reply.fail(fate, target);
    Ok(())
}

/// What lives in a proxy's cell.
struct Proxy {
    gateway: Box<dyn Gateway>,
    clock: Glance,
}

/// The time, read once for messages that are forwarded one after the other. The network looks at each deadline
/// once more when the message leaves.
#[derive(Default)]
struct Glance {
    at: Option<Tick>,
    uses: u32,
}

/// For so many messages one look at the clock is good.
const GLANCE_USES: u32 = 32;

impl Glance {
    fn now(&mut self) -> Tick {
        match (self.at, self.uses.checked_sub(1)) {
            (Some(at), Some(left)) => {
                self.uses = left;
                at
            }
            _ => {
                self.uses = GLANCE_USES;
                *self.at.insert(Tick::now())
            }
        }
    }

    /// Time may pass until the next message.
    fn over(&mut self) {
        self.at = None;
    }
}

impl Actor for Proxy {}

static VTABLE: ActorVtable = ActorVtable {
    type_name: || "an actor on another peer",
    proxy: Some(&WAY),
    ..Typed::<Proxy>::VTABLE
};

static WAY: ProxyVtable = ProxyVtable {
    is_ready: |cell, cx| {
        // SAFETY: by `ProxyVtable::is_ready`; in such a cell lives a `Proxy`.
        let gateway = unsafe { &mut (*cell.state().cast::<Proxy>()).gateway };
        let mut is_ready = true;
        contain(|| is_ready = gateway.poll_ready(cx).is_ready());
        is_ready
    },
    flush: |cell| {
        // SAFETY: as above.
        let Proxy { gateway, clock } = unsafe { &mut *cell.state().cast::<Proxy>() };
        clock.over();
        contain(|| gateway.flush());
    },
    stop: |cell, mode| {
        // SAFETY: as above.
        let gateway = unsafe { &mut (*cell.state().cast::<Proxy>()).gateway };
        contain(|| gateway.stop(mode));
    },
    link_broken: |cell, failed, reason| {
        // SAFETY: as above.
        let gateway = unsafe { &mut (*cell.state().cast::<Proxy>()).gateway };
        contain(|| gateway.link_broken(failed, &reason));
    },
};

/// The end of a proxy, in the hands of the network layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHandle {
    id: ActorId,
}

impl ProxyHandle {
    /// The proxy's identity in this process.
    pub const fn id(&self) -> ActorId {
        self.id
    }

    /// The proxy as an actor of the type that the one elsewhere is said to be. A message that it does not
    /// take is refused there.
    pub const fn actor_ref<A: Actor>(&self) -> ActorRef<A> {
        ActorRef::new(self.id)
    }

    /// The actor has ended, for that reason, or its peer is gone: whoever watches or is linked with the
    /// proxy hears it. With [`StopMode::Drain`] what waits in its mailbox still goes to the gateway.
    /// Nothing happens the second time.
    pub fn end(&self, mode: StopMode, reason: StopReason) {
        CellRef::of(self.id).stop(self.id.generation(), mode, reason);
    }
}

/// Makes an actor that stands for one elsewhere, under the root of its system.
pub(crate) fn spawn_proxy<A: Actor>(
    runtime: &'static Runtime,
    name: &str,
    mailbox: Mailbox,
    gateway: Box<dyn Gateway>,
) -> Result<(ActorRef<A>, ProxyHandle), SpawnError> {
    let id = builder(
        Parent::Root(runtime),
        Proxy {
            gateway,
            clock: Glance::default(),
        },
    )
    .name(name)
    .mailbox(mailbox)
    .restart(Restart::Temporary)
    .proxied_by(&VTABLE)
    .spawn()?
    .id();
    Ok((ActorRef::new(id), ProxyHandle { id }))
}

/// Which peer the actor lives on.
///
/// # Safety
///
/// The caller owns the cell, a proxy's with its state.
pub(super) unsafe fn peer_of(cell: CellRef) -> Option<Arc<str>> {
    // SAFETY: by the caller.
    let gateway = unsafe { &(*cell.state().cast::<Proxy>()).gateway };
    let mut peer = None;
    contain(|| peer = gateway.peer());
    peer
}

/// Hands a message that nobody waits for to the gateway.
///
/// # Safety
///
/// The caller owns the cell, a proxy's, and the node, which has `message` in it.
pub(super) unsafe fn forward_told<M: Message>(
    cell: NonNull<()>,
    node: NonNull<Node>,
    message: &mut MaybeUninit<M>,
) -> Step {
    // SAFETY: by the caller.
    unsafe { hand_over(cell, node, message, None, None::<fn() -> Reply<M::Reply>>) }
}

/// Hands a message to the gateway, with the right to answer.
///
/// # Safety
///
/// As for [`forward_told`]; `make` gives the one handle of the node, which may be used after the message has
/// been moved out. If it was called, the answer is `Step::Forwarded`.
pub(super) unsafe fn forward<M: Message>(
    cell: NonNull<()>,
    node: NonNull<Node>,
    message: &mut MaybeUninit<M>,
    asker: Option<ActorId>,
    make: impl FnOnce() -> Reply<M::Reply>,
) -> Step {
    // SAFETY: by the caller.
    unsafe { hand_over(cell, node, message, asker, Some(make)) }
}

unsafe fn hand_over<M: Message, F: FnOnce() -> Reply<M::Reply>>(
    cell: NonNull<()>,
    node: NonNull<Node>,
    message: &mut MaybeUninit<M>,
    asker: Option<ActorId>,
    mut make: Option<F>,
) -> Step {
    // SAFETY: by the callers.
    let (cell, context) = unsafe { (CellRef::from_raw(cell.cast()), context_of(node)) };
    if !context.is_empty() {
        // SAFETY: by the callers we own the cell, in which a `Proxy` lives.
        let now = unsafe { (*cell.state().cast::<Proxy>()).clock.now() };
        if let Some(fate) = context.refusal_at(now) {
            return Step::Skipped(fate);
        }
    }
    let Some(export) = M::EXPORT else {
        return Step::Skipped(Fate::NotExported);
    };
    // SAFETY: by the callers the message is there; it is put back below if it stays in the node.
    let moved = ManuallyDrop::new(unsafe { message.assume_init_read() });
    let is_ask = make.is_some();
    let forwarded = {
        // SAFETY: by the callers: the node's context lives as long as the node, which is not given up here.
        let _in_force = unsafe { InForce::enter_raw(node.as_ref().context) };
        let mut outbound = Outbound {
            name: export.name,
            schema: export.schema,
            encode: &|bytes| (export.encode)(&moved, bytes),
            context: &context,
            is_ask,
            asker,
            reply: &mut || make.take().map(|make| RemoteReply::new::<M>(make())),
        };
        // SAFETY: by the callers we own the cell, in which a `Proxy` lives.
        let gateway = unsafe { &mut (*cell.state().cast::<Proxy>()).gateway };
        catch_unwind(AssertUnwindSafe(|| gateway.forward(&mut outbound)))
    };
    let is_taken = is_ask && make.is_none();
    let stays = match forwarded {
        Ok(Ok(())) => {
            // An ask that was forwarded without a thought of its reply.
            drop(make.map(|make| make()));
            None
        }
        Ok(Err(why)) => (!is_taken).then_some(Step::Skipped(why.fate())),
        Err(payload) if is_taken => {
            cell.runtime().count(Count::Panics, 1);
            contain(|| drop(payload));
            None
        }
        Err(payload) => Some(Step::GuardPanicked(payload)),
    };
    match stays {
        Some(step) => {
            message.write(ManuallyDrop::into_inner(moved));
            step
        }
        None => {
            contain(|| drop(ManuallyDrop::into_inner(moved)));
            Step::Forwarded
        }
    }
}
