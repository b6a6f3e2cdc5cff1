//! What user code sees.
//!
//! - `actor`: the traits; `options`: what can be said about an actor; `spawn`: how it comes to life;
//! - `actor_ref`, `recipient`, `owned_ref`: how it is reached; `call`, `send`: how it is asked and told;
//! - `reply`, `forward`, `reentrant`: answers that are given later, by others, or beside other messages;
//! - `event_bus`: one message for many; `fsm`: a state and its time-out;
//! - `attached`, `stream`: futures and streams that belong to an actor;
//! - `actor_context`: what a handler gets; `message_context` with `baggage`, `cancel` (and the floor `trace`): what
//!   travels with a message; `spanning`: the spans of messages whose trace is recorded;
//! - `timers` with `timer_node`: messages to oneself, later; `stash`: messages put aside;
//! - `supervisor`: a ready actor that runs a declared tree;
//! - `envelope`, `harness`: the typed side of nodes and cells, the only bridge to the untyped floors.

mod actor;
mod actor_context;
mod actor_ref;
#[cfg(feature = "serde")]
mod address;
mod alloc;
mod attached;
mod baggage;
mod blocking;
mod blocking_work;
mod call;
mod cancel;
mod children;
mod circles;
mod envelope;
mod event_bus;
mod export;
mod forward;
mod fsm;
mod harness;
mod hook_spans;
mod inbound;
#[cfg(feature = "otlp")]
mod joined;
mod lent;
mod message_context;
mod moving;
mod naming;
mod options;
mod outgoing;
mod owned_ref;
mod placement;
mod proxy;
mod recipient;
mod reentrant;
mod reply;
mod send;
mod span;
mod spanning;
mod spawn;
mod stash;
mod stream;
mod supervisor;
mod timer_node;
mod timers;
mod watching;

pub use crate::locality::Placement;
pub use crate::trace::{
    SpanId, TRACESTATE_BYTES_MAX, TRACESTATE_ENTRIES_MAX, TraceContext, TraceFlags, TraceId,
    TraceParent, TraceParseError, TraceStateError,
};
pub use actor::{Actor, ActorError, Handler, Message, SyncHandler};
pub use actor_context::ActorContext;
pub use actor_ref::ActorRef;
#[cfg(feature = "serde")]
pub use address::{Address, Addressing, with_addressing};
pub use attached::{AttachError, Attached, AttachedGuard};
pub use baggage::{BAGGAGE_BYTES_MAX, BAGGAGE_ENTRIES_MAX, Baggage, BaggageError};
pub use blocking_work::{Blocking, BlockingError, blocking};
pub use call::Call;
pub use cancel::{CancelOnDrop, CancelToken};
pub use children::{ChildCounts, ChildError, ChildInfo, ChildKey, ChildPhase};
pub use event_bus::{EventBus, Published};
pub use export::{CodecError, Export};
pub use forward::ForwardError;
pub use fsm::Fsm;
pub use inbound::{Anyone, ask as ask_for_elsewhere, tell_all};
#[cfg(feature = "otlp")]
pub(crate) use joined::otel_span_context;
pub use message_context::{Context, Scoped};
pub use moving::MoveError;
pub use naming::{InvalidName, LookupError, NAME_BYTES_MAX, RegisterError, RegisteredName};
pub use options::{ActorOptions, SpawnError};
pub use owned_ref::OwnedRef;
#[cfg(feature = "model")]
pub(crate) use placement::{Load, by_key, lightest};
pub use proxy::{Gateway, Outbound, ProxyHandle, RemoteFailure, RemoteReply, Undelivered};
pub use recipient::Recipient;
pub use reentrant::{Reentrant, ReentrantError, ReentrantHandler};
pub use reply::{DeferredHandler, Reply};
pub use send::Send as SendFuture;
pub use spawn::{ByFactory, ByValue, IntoActor, SpawnBuilder};
pub use stash::{Accept, StashError};
pub use supervisor::{
    ByDeclaration, ChildSpec, CountChildren, DeleteChild, FindChild, RestartChild, SpecError,
    StartChild, Supervisor, SupervisorError, SupervisorPlan, SupervisorSpec, TerminateChild,
    WhichChildren,
};

pub use watching::TerminatedFuture;

pub(crate) use blocking_work::{blocking_in, serve_here};
pub(crate) use inbound::{resolve, resolve_anyone, resolve_kind, resolve_or_gone, waits_for};
pub(crate) use naming::{lookup, register, registered, unregister};
pub(crate) use proxy::spawn_proxy;
pub(crate) use spawn::{Parent, builder};
