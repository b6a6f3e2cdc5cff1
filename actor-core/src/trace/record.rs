//! One span as plain data: what the store keeps and what exporters get.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::w3c::{SpanId, TraceContext, TraceId};
use crate::id::{ActorId, NumaNodeId, WorkerId};
use crate::mailbox::node::Fate;

/// Something that a message of a sampled trace did, with its times.
///
/// Waiting and work are apart: a handling begins ([`started`](Self::started)) when the handler does, and
/// [`queue_wait`](Self::queue_wait) is the time before it, since the message was sent.
///
/// Times are of the monotonic clock, told as times of day by an anchor that the system takes once: they
/// never run backwards within one process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpanRecord {
    /// Its trace, its own span id, flags, and `tracestate`.
    pub trace: TraceContext,
    /// The span that caused it; `None` at the root of its trace.
    pub parent: Option<SpanId>,
    /// A span that it has to do with besides its parent: of a tell, the one that sent it.
    pub link: Option<SpanLink>,
    /// What it is the span of.
    pub kind: SpanKind,
    /// The actor that handles, or that was asked; of work besides, whose work it is.
    pub actor: Option<ActorId>,
    /// That actor's type; empty if it is not known.
    pub actor_type: &'static str,
    /// That actor's name, if it has one.
    pub actor_name: Option<Arc<str>>,
    /// The type of the message; of a hook or of other work, its name.
    pub message: &'static str,
    /// The actor that sent it; `None` from outside of actors.
    pub sender: Option<ActorId>,
    /// When the work began; the message was sent [`queue_wait`](Self::queue_wait) earlier.
    pub started: SystemTime,
    /// From `started` to the end. Of an async handler over all of its awaits.
    pub duration: Duration,
    /// From sending to `started`: in line for room, in the mailbox, in the stash. Zero where nothing waits.
    pub queue_wait: Duration,
    /// Where it was sent from, if that was a worker.
    pub sender_numa_node: Option<NumaNodeId>,
    /// Where it ran, if that was a worker.
    pub numa_node: Option<NumaNodeId>,
    /// The worker that it began on.
    pub worker: Option<WorkerId>,
    /// Messages behind it in the mailbox when it began, at least: those that the worker had taken over.
    pub mailbox_depth: Option<u32>,
    /// How often the actor had been restarted.
    pub restarts: u64,
    /// The peer that the message goes to or comes from, if it is another one. Of an ask it is known where a trace is
    /// looked at as a whole ([`SystemRef::trace`](crate::SystemRef::trace)); to exporters the span of its way out, its
    /// child, says it.
    pub peer: Option<Arc<str>>,
    /// What else there is to say: of a request its method, route and status. Names as of OpenTelemetry.
    pub attributes: Vec<(&'static str, Arc<str>)>,
    /// How it ended.
    pub outcome: SpanOutcome,
}

impl SpanRecord {
    /// A span of something that this crate does not see, a request of another protocol: all fields that are not
    /// given here are empty, and can be set. To be handed in by
    /// [`SystemRef::record_span`](crate::SystemRef::record_span) when it has ended.
    ///
    /// `trace` has the span's own id: work under it belongs in a [`Context`](crate::Context) with that trace.
    pub const fn new(
        trace: TraceContext,
        kind: SpanKind,
        message: &'static str,
        started: SystemTime,
    ) -> Self {
        Self {
            trace,
            parent: None,
            link: None,
            kind,
            actor: None,
            actor_type: "",
            actor_name: None,
            message,
            sender: None,
            started,
            duration: Duration::ZERO,
            queue_wait: Duration::ZERO,
            sender_numa_node: None,
            numa_node: None,
            worker: None,
            mailbox_depth: None,
            restarts: 0,
            peer: None,
            attributes: Vec::new(),
            outcome: SpanOutcome::Ok,
        }
    }

    /// The trace.
    pub const fn trace_id(&self) -> TraceId {
        self.trace.trace_id()
    }

    /// Its own id.
    pub const fn span_id(&self) -> SpanId {
        self.trace.span_id()
    }

    /// When the message was sent; of what does not wait, when it began.
    pub fn sent(&self) -> SystemTime {
        self.started - self.queue_wait
    }

    /// When it was over.
    pub fn ended(&self) -> SystemTime {
        self.started + self.duration
    }

    /// Whether it ended otherwise than it should.
    pub const fn is_error(&self) -> bool {
        self.outcome.is_error()
    }

    /// Whether the message came from another NUMA node than it was handled on.
    pub fn crossed(&self) -> bool {
        matches!((self.sender_numa_node, self.numa_node), (Some(from), Some(to)) if from != to)
    }
}

/// One line: `handle Shop::Order (0.3.1): waited 12us, 40us, ok`.
impl fmt::Display for SpanRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.message)?;
        if let Some(actor) = self.actor {
            write!(f, " by {} ({actor})", self.actor_type)?;
        }
        write!(
            f,
            ": waited {:.1?}, took {:.1?}, {}",
            self.queue_wait, self.duration, self.outcome
        )
    }
}

/// Another span, of this trace or of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SpanLink {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
}

impl SpanLink {
    /// The span that a context names.
    pub const fn to(trace: &TraceContext) -> Self {
        Self {
            trace_id: trace.trace_id(),
            span_id: trace.span_id(),
        }
    }
}

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanKind {
    /// An ask, from sending to the reply or the failure: the asker's side. The handling is its child.
    Ask,
    /// A message that was told or asked, in its handler; or one that never got there, with the reason.
    Handle,
    /// A timer's message, in its handler. It did not wait.
    Timer,
    /// `Actor::started`, at a spawn or a restart within a trace.
    Started,
    /// `Actor::stopped`, of an actor that a message of the trace has ended.
    Stopped,
    /// A message that a proxy hands to its peer.
    Forward,
    /// Work on a thread that may block.
    Blocking,
    /// An incoming request of another protocol.
    Request,
}

impl fmt::Display for SpanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ask => "ask",
            Self::Handle => "handle",
            Self::Timer => "timer",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Forward => "forward",
            Self::Blocking => "blocking",
            Self::Request => "request",
        })
    }
}

/// How a span ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanOutcome {
    /// As it should.
    Ok,
    /// User code panicked; the text of the panic.
    Panicked(Arc<str>),
    /// The message was not handled, or an ask has no reply, for that reason.
    Failed(Fate),
    /// It was not accepted: a full mailbox, no memory, a circle of asks.
    Refused(&'static str),
    /// User code said so; its words.
    Error(Arc<str>),
    /// Nobody waited for the end: an ask that was dropped.
    Abandoned,
}

impl SpanOutcome {
    /// Whether it is not [`Ok`](Self::Ok).
    pub const fn is_error(&self) -> bool {
        !matches!(self, Self::Ok)
    }
}

impl fmt::Display for SpanOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Failed(fate) => fate.fmt(f),
            Self::Refused(why) => f.write_str(why),
            Self::Error(text) => f.write_str(text),
            Self::Abandoned => f.write_str("the asker gave up"),
        }
    }
}
