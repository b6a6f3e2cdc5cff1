//! What travels with a message: deadline, cancellation, trace, baggage.
//!
//! One pointer in the envelope, null when unused: the price of not using it is that null check. The
//! block behind it is counted, from the slab, and immutable while more than one has it, so that using it allocates nothing from the
//! global allocator either.

use std::alloc::Layout;
use std::fmt;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::baggage::Baggage;
use super::cancel::CancelToken;
use super::spanning::{self, Hop, Open, Sent};
use crate::cell::{ContextHead, Local, context_now, publish_trace, swap_context};
use crate::clock::Tick;
use crate::mailbox::node::Fate;
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::trace::TraceContext;

/// The context of a piece of work, inherited by every message sent while it is in force.
///
/// A handler runs in the context of its message, so what it sends carries the same deadline (which can
/// only shrink), is cancelled together with it, and belongs to the same trace. Empty by default, and
/// then free.
///
/// Cheap to clone (a counter). Not tied to a thread: keep it, hand it to `tokio::spawn` with
/// [`Context::scope`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::{Context, TraceContext};
///
/// let cx = Context::empty()
///     .with_timeout(Duration::from_millis(50))
///     .with_trace(TraceContext::new_root(true));
/// assert!(cx.remaining().unwrap() <= Duration::from_millis(50));
///
/// // A longer deadline does not stretch a shorter one.
/// let later = cx.with_timeout(Duration::from_secs(10));
/// assert_eq!(later.deadline(), cx.deadline());
/// ```
pub struct Context(Option<NonNull<Block>>);

#[repr(C)]
struct Block {
    head: ContextHead,
    fields: Fields,
}

/// The block of one message, or of one handling, of a recorded trace: begins as any other, and has its hop behind.
#[repr(C)]
struct HopBlock {
    block: Block,
    hop: Hop,
}

/// What may be changed in a block that nobody else has.
pub(super) struct Alone<'a> {
    pub(super) trace: &'a mut Option<TraceContext>,
    pub(super) hop: &'a mut Hop,
}

#[derive(Default)]
struct Fields {
    deadline: Option<Tick>,
    cancel: Option<CancelToken>,
    trace: Option<TraceContext>,
    /// What OpenTelemetry has in force for that trace.
    #[cfg(feature = "otlp")]
    joined: super::joined::Joined,
    baggage: Baggage,
}

impl Fields {
    fn copied(&self) -> Self {
        Self {
            deadline: self.deadline,
            cancel: self.cancel.clone(),
            trace: self.trace.clone(),
            #[cfg(feature = "otlp")]
            joined: self.joined.clone(),
            baggage: self.baggage.clone(),
        }
    }

    fn set_trace(&mut self, trace: TraceContext) {
        self.trace = Some(trace);
        #[cfg(feature = "otlp")]
        {
            self.joined = super::joined::Joined::default();
        }
    }
}

// SAFETY: the block is immutable but for its atomics while it is shared, and its fields are Send and Sync.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// Half the range, as `Arc`: no number of threads gets from here to the end before one aborts.
const COUNT_MAX: u32 = u32::MAX / 2;

const LAYOUT: Layout = Layout::new::<Block>();
const CLASS: Class = class_for(LAYOUT);
const HOP_LAYOUT: Layout = Layout::new::<HopBlock>();
const HOP_CLASS: Class = class_for(HOP_LAYOUT);

impl Context {
    /// A context that says nothing: no deadline, no trace.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// The context in force here: the message's in a handler, the scope's inside [`Context::scope`],
    /// otherwise empty. Not seen by tasks and threads started from here; hand it on with `scope`.
    pub fn current() -> Self {
        Self::clone(&Self::in_force())
    }

    /// The same, to look at for a moment, without a count.
    fn in_force() -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self(NonNull::new(context_now().cast())))
    }

    /// What is in force here, without deadline and cancellation: for work that begins later and is not
    /// part of the present one (a timer).
    pub(super) fn lasting() -> Self {
        let current = Self::in_force();
        match current.fields() {
            None => Self::empty(),
            Some(fields) if fields.deadline.is_none() && fields.cancel.is_none() => {
                Self::clone(&current)
            }
            Some(fields) if fields.trace.is_none() && fields.baggage.is_empty() => Self::empty(),
            Some(_) => current.change(|fields| (fields.deadline, fields.cancel) = (None, None)),
        }
    }

    /// One with all of that at once: the network layer makes one for each message, and each step by itself
    /// would make a block.
    pub fn of_parts(
        deadline: Option<Instant>,
        cancel: Option<CancelToken>,
        trace: Option<TraceContext>,
        baggage: Baggage,
    ) -> Self {
        if deadline.is_none() && cancel.is_none() && trace.is_none() && baggage.is_empty() {
            return Self::empty();
        }
        Self::empty().change(|fields| {
            *fields = Fields {
                deadline: deadline.map(Tick::from_instant),
                cancel,
                trace,
                #[cfg(feature = "otlp")]
                joined: super::joined::Joined::default(),
                baggage,
            };
        })
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is a clone of `other`, or of the same, or both are empty: says the very same, for sure. What was
    /// made apart may say the same, too, and is another.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// The same with a deadline; the earlier one counts if there is one already.
    #[must_use]
    pub fn with_deadline(&self, at: Instant) -> Self {
        self.with_tick(Tick::from_instant(at))
    }

    /// The same with a deadline that long from now.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        self.with_tick(Tick::now().after(timeout))
    }

    pub(super) fn with_tick(&self, at: Tick) -> Self {
        self.change(|fields| fields.deadline = Some(fields.deadline.map_or(at, |now| now.min(at))))
    }

    /// The same, cancelled by `token`. To keep being cancelled by the present one too, pass a child of it.
    #[must_use]
    pub fn with_cancel(&self, token: CancelToken) -> Self {
        self.change(|fields| fields.cancel = Some(token))
    }

    /// The same as part of a trace.
    #[must_use]
    pub fn with_trace(&self, trace: TraceContext) -> Self {
        self.change(|fields| fields.set_trace(trace))
    }

    /// The same with other baggage.
    #[must_use]
    pub fn with_baggage(&self, baggage: Baggage) -> Self {
        self.change(|fields| fields.baggage = baggage)
    }

    /// When the work must be done.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline_tick().map(Tick::to_instant)
    }

    /// Time left; zero when the deadline has passed, `None` without one.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline_tick().map(|at| Tick::now().until(at))
    }

    /// Whether the deadline has passed.
    pub fn is_expired(&self) -> bool {
        self.deadline_tick().is_some_and(|at| Tick::now() >= at)
    }

    /// Whether the work was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancel_token().is_some_and(CancelToken::is_cancelled)
    }

    /// What cancels the work.
    pub fn cancel_token(&self) -> Option<&CancelToken> {
        self.fields()?.cancel.as_ref()
    }

    /// The trace it belongs to, and the span that what is sent from here has for its parent: in a handler of a
    /// trace that is recorded that is the handler's own.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.fields()?.trace.as_ref()
    }

    /// Of what is in force here: the trace, and where OpenTelemetry's context for it is kept.
    #[cfg(feature = "otlp")]
    pub(super) fn with_trace_in_force<R>(
        look: impl FnOnce(&TraceContext, &super::joined::Joined) -> R,
    ) -> Option<R> {
        let current = Self::in_force();
        let fields = current.fields()?;
        Some(look(fields.trace.as_ref()?, &fields.joined))
    }

    /// The baggage; empty if there is none.
    pub fn baggage(&self) -> Baggage {
        self.fields()
            .map_or_else(Baggage::empty, |fields| fields.baggage.clone())
    }

    /// Runs `f` with this context in force.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _in_force = InForce::enter(self);
        f()
    }

    /// A future that has this context in force whenever it is polled: for `tokio::spawn` from a handler,
    /// and for code outside of actors.
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scoped {
            context: self,
            future,
        }
    }

    pub(super) fn deadline_tick(&self) -> Option<Tick> {
        self.fields()?.deadline
    }

    /// Why a message with this context is not to be handled any more.
    #[inline(always)]
    pub(super) fn refusal(&self) -> Option<Fate> {
        self.0?;
        self.refusal_of_some()
    }

    /// As `refusal`, by a clock that was read a moment ago.
    #[inline(always)]
    pub(super) fn refusal_at(&self, now: Tick) -> Option<Fate> {
        self.0?;
        if self.is_cancelled() {
            Some(Fate::Cancelled)
        } else if self.deadline_tick().is_some_and(|at| now >= at) {
            Some(Fate::Expired)
        } else {
            None
        }
    }

    #[cold]
    fn refusal_of_some(&self) -> Option<Fate> {
        if self.is_cancelled() {
            Some(Fate::Cancelled)
        } else if self.is_expired() {
            Some(Fate::Expired)
        } else {
            None
        }
    }

    /// The same without deadline and cancellation: for what the asker does not wait for.
    pub(super) fn without_deadline(&self) -> Self {
        match self.fields() {
            Some(fields) if fields.deadline.is_some() || fields.cancel.is_some() => {
                self.change(|fields| (fields.deadline, fields.cancel) = (None, None))
            }
            _ => self.clone(),
        }
    }

    /// The block, for those who borrow it.
    pub(super) fn as_raw(&self) -> *mut () {
        self.0
            .map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
    }

    /// Hands the count to an envelope.
    #[inline(always)]
    pub(super) fn into_raw(self) -> *mut () {
        ManuallyDrop::new(self)
            .0
            .map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
    }

    /// Takes the count back.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw` and is given up.
    #[inline(always)]
    pub(super) unsafe fn from_raw(raw: *mut ()) -> Self {
        Self(NonNull::new(raw.cast()))
    }

    /// A look at a context that an envelope keeps.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw` and stays valid for `'a`.
    #[inline(always)]
    pub(super) unsafe fn borrow_raw(raw: *mut ()) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self(NonNull::new(raw.cast())))
    }

    /// What is known of the way of this message, or of this handling.
    pub(super) fn hop(&self) -> Option<&Hop> {
        let block = self.0?;
        // SAFETY: as in `fields`; the head says what block it is.
        unsafe {
            let has_hop = (*block.as_ptr()).head.has_hop;
            has_hop.then(|| &(*block.cast::<HopBlock>().as_ptr()).hop)
        }
    }

    /// The same for one message or one handling of a sampled trace, whose context nobody changes.
    #[inline(always)]
    pub(super) fn with_hop(
        &self,
        trace: TraceContext,
        peer: Option<Arc<str>>,
        sent: Option<Sent>,
        open: Option<Open>,
    ) -> Self {
        let mut fields = self.fields().map(Fields::copied).unwrap_or_default();
        fields.set_trace(trace);
        let (block, head) = block_for::<HopBlock>(HOP_CLASS, HOP_LAYOUT);
        let head = ContextHead {
            hooks: Some(&spanning::HOOKS),
            has_hop: true,
            ..head
        };
        // SAFETY: a fresh block of that layout. Part by part: a message on its way has a hop of which most is
        // empty, and need not be copied.
        unsafe {
            let at = block.as_ptr();
            (&raw mut (*at).block).write(Block { head, fields });
            (&raw mut (*at).hop.peer).write(peer);
            (&raw mut (*at).hop.sent).write(sent);
            (&raw mut (*at).hop.open).write(open);
        }
        Self(Some(block.cast()))
    }

    /// What may be changed of it, if it has a hop and nobody else has a count.
    ///
    /// # Safety
    ///
    /// The caller owns the one count that it knows of, for `'a`, and nothing of the context is borrowed.
    pub(super) unsafe fn alone<'a>(&self) -> Option<Alone<'a>> {
        let block = self.0?.as_ptr();
        // SAFETY: a count is held. With one count alone, which is the caller's, nobody else comes to the
        // fields: a new count comes from an existing one, and references from a count.
        // Acquire: with the Release of those who gave theirs back, as in `release`.
        unsafe {
            if !(*block).head.has_hop || (*block).head.count.load(Ordering::Acquire) != 1 {
                return None;
            }
            let block = block.cast::<HopBlock>();
            Some(Alone {
                trace: &mut (*block).block.fields.trace,
                hop: &mut (*block).hop,
            })
        }
    }

    fn fields(&self) -> Option<&Fields> {
        // SAFETY: the block lives while a count does, and `self` holds one (or borrows one).
        self.0.map(|block| unsafe { &(*block.as_ptr()).fields })
    }

    /// One that says something else: what belongs to one message stays with it.
    fn change(&self, change: impl FnOnce(&mut Fields)) -> Self {
        let mut fields = self.fields().map(Fields::copied).unwrap_or_default();
        change(&mut fields);
        let is_sampled = fields.trace.as_ref().is_some_and(TraceContext::is_sampled);
        let (block, head) = block_for::<Block>(CLASS, LAYOUT);
        let head = ContextHead {
            hooks: is_sampled.then_some(&spanning::HOOKS),
            ..head
        };
        // SAFETY: a fresh block of that layout.
        unsafe { block.write(Block { head, fields }) };
        Self(Some(block))
    }
}

/// A new block, to be written, and how its head begins: with one count.
#[inline(always)]
fn block_for<T>(class: Class, layout: Layout) -> (NonNull<T>, ContextHead) {
    let arena = Local::current().map_or(0, Local::arena);
    let block = memory::alloc(arena, class, layout, Purpose::Runtime)
        .expect("the runtime's own blocks are not refused");
    debug_assert_eq!(Layout::new::<T>(), layout, "the block is of its layout");
    let head = ContextHead {
        count: AtomicU32::new(1),
        arena,
        has_hop: false,
        hooks: None,
    };
    (block.cast(), head)
}

impl Clone for Context {
    #[inline(always)]
    fn clone(&self) -> Self {
        if let Some(block) = self.0 {
            // SAFETY: as in `fields`.
            // Relaxed: a new count comes from an existing one; nothing is published by it (as `Arc`).
            let before = unsafe { &(*block.as_ptr()).head.count }.fetch_add(1, Ordering::Relaxed);
            if before > COUNT_MAX {
                // Clones leaked by the billion: the next ones would free the block under them.
                std::process::abort();
            }
        }
        Self(self.0)
    }
}

/// So many clones of one context, counted at once: a count is a line that goes from the thread that makes clones to
/// the one that drops them.
pub(super) struct Shares {
    context: Context,
    left: u32,
}

impl Context {
    /// `n` clones, and as many more as are asked for.
    pub(super) fn shares(&self, n: usize) -> Shares {
        let left = u32::try_from(n).unwrap_or(0);
        let context = self.clone();
        if let Some(block) = context.0 {
            // SAFETY: as in `fields`.
            // Relaxed: as in `clone`, whose look at the bound was a moment ago.
            unsafe { &(*block.as_ptr()).head.count }.fetch_add(left, Ordering::Relaxed);
        }
        Shares { context, left }
    }
}

impl Shares {
    #[inline(always)]
    pub(super) fn take(&mut self) -> Context {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                // One of the counts that were made for this.
                Context(self.context.0)
            }
            None => self.context.clone(),
        }
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        if let Some(block) = self.context.0 {
            // SAFETY: as in `fields`; the context's own count is still there, so none of these is the last.
            // Release: as in `release`.
            unsafe { &(*block.as_ptr()).head.count }.fetch_sub(self.left, Ordering::Release);
        }
    }
}

impl Drop for Context {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(block) = self.0 {
            release(block);
        }
    }
}

fn release(block: NonNull<Block>) {
    // SAFETY: we hold a count.
    // Release: our last use, before whoever frees; pairs with the Acquire fence below.
    if unsafe { &(*block.as_ptr()).head.count }.fetch_sub(1, Ordering::Release) != 1 {
        return;
    }
    if cfg!(actor_tsan) {
        // ThreadSanitizer does not know fences: the same edge by a load.
        // SAFETY: we took the last count, so nobody frees it before us.
        unsafe { &(*block.as_ptr()).head.count }.load(Ordering::Acquire);
    } else {
        fence(Ordering::Acquire);
    }
    // SAFETY: the last count is gone, so the block is ours; it came from `change` or `with_hop`, as its head says.
    unsafe {
        let ContextHead { arena, has_hop, .. } = (*block.as_ptr()).head;
        if has_hop {
            block.cast::<HopBlock>().drop_in_place();
            memory::free(block.cast(), arena, HOP_CLASS, HOP_LAYOUT);
        } else {
            block.drop_in_place();
            memory::free(block.cast(), arena, CLASS, LAYOUT);
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(fields) = self.fields() else {
            return f.write_str("Context(empty)");
        };
        f.debug_struct("Context")
            .field("remaining", &self.remaining())
            .field(
                "cancelled",
                &fields.cancel.as_ref().map(CancelToken::is_cancelled),
            )
            .field("trace", &fields.trace)
            .field("baggage", &fields.baggage)
            .finish()
    }
}

/// Keeps a context in force on this thread until it is dropped.
pub(super) struct InForce {
    before: *mut (),
}

impl InForce {
    #[inline(always)]
    pub(super) fn enter(context: &Context) -> Self {
        Self::enter_raw(
            context
                .0
                .map_or(std::ptr::null_mut(), |block| block.as_ptr().cast()),
        )
    }

    /// The context behind `raw` must outlive the guard: callers keep it alive.
    #[inline(always)]
    pub(super) fn enter_raw(raw: *mut ()) -> Self {
        let before = swap_context(raw);
        if !raw.is_null() {
            publish(raw);
        }
        Self { before }
    }
}

/// Shows the context's trace to the watchdog (`cell::running`).
#[cold]
fn publish(raw: *mut ()) {
    // SAFETY: by the callers it is null or in force, and so alive.
    let context = unsafe { Context::borrow_raw(raw) };
    publish_trace(
        context
            .trace()
            .map_or(0, |trace| trace.trace_id().as_u128()),
    );
}

impl Drop for InForce {
    #[inline(always)]
    fn drop(&mut self) {
        // Of two messages without a context neither pays for the other.
        if !swap_context(self.before).is_null() {
            publish(self.before);
        }
    }
}

/// A future with a context in force; made by [`Context::scope`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited or spawned"]
pub struct Scoped<F> {
    context: Context,
    future: F,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self` and not moved; `context` is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let _in_force = InForce::enter(&this.context);
        // SAFETY: as above.
        unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx)
    }
}
