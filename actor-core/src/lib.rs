//! A NUMA-aware actor runtime: pinned workers, memory on the actor's own NUMA node, supervision as in
//! Erlang/OTP, and books that account for every message.
//!
//! An [`ActorSystem`] runs actors. An [`Actor`] is a value with handlers; [`messages`] makes messages and
//! handlers out of its methods. [`spawn`](SystemRef::spawn) gives an [`ActorRef`], to `tell`, `send` and `ask`
//! with; in a handler [`ActorContext`] is the way to everything else. `use actor_core::prelude::*;` has
//! what most files need.
//!
//! # What is where
//!
//! | to | see |
//! |---|---|
//! | write an actor | [`Actor`], [`messages`], [`ActorOptions`]; by hand [`SyncHandler`], [`Handler`] |
//! | spawn it, name it, place it | [`SystemRef::actor`], [`SpawnBuilder`], [`Placement`] |
//! | reach it | [`ActorRef`], [`Recipient`], [`OwnedRef`], [`SystemRef::lookup`] |
//! | bound its mailbox, put messages aside | [`Mailbox`], [`Overflow`]; [`Accept`], [`ActorContext::stash`] |
//! | answer later, or let others answer | [`DeferredHandler`], [`Reply`], [`ReentrantHandler`] |
//! | go on when something is ready | [`ActorContext::ask_then`], [`pipe_to_self`](ActorContext::pipe_to_self), [`attach_stream`](ActorContext::attach_stream) |
//! | do something at a time | [`ActorContext::send_after`], [`send_interval`](ActorContext::send_interval), [`set_timer`](ActorContext::set_timer), [`Fsm`] |
//! | tell many | [`EventBus`] |
//! | block | [`ActorContext::blocking`], [`blocking()`] |
//! | say what happens after a failure | [`Supervision`], [`Restart`], [`Backoff`], [`Shutdown`], [`OnPanic`] |
//! | declare a tree | [`Supervisor`], [`ChildSpec`] |
//! | hear of ends, share them | [`ActorContext::watch`], [`ActorContext::link`], [`ActorRef::terminated`] |
//! | hand on deadlines, cancellation, traces | [`Context`], [`CancelToken`], [`TraceContext`], [`Baggage`] |
//! | look at what runs | [`SystemRef::stats`], [`supervision_tree`](SystemRef::supervision_tree), [`leak_report`](SystemRef::leak_report), [`inspect`](SystemRef::inspect) |
//! | notice handlers that block | [`SystemBuilder::on_stall`], [`StallReport`] |
//! | read, export, add metrics | [`SystemRef::metrics`], [`SystemRef::add_metrics`], [`metrics`] |
//! | see what the workers do | [`SystemRef::record_schedule`], [`ScheduleRecording`] |
//! | shut down | [`ActorSystem::shutdown`], [`ShutdownPhase`], [`ShutdownReport`] |
//! | know the machine | [`topology::Topology`], [`SystemRef::residency`], [`Balancing`] |
//! | test actors | `testkit` (feature `testkit`): `Simulation`, `Probe`, `Fault` |
//!
//! Guides and examples are in the repository's `docs/` and `examples/`.
//!
//! # Features
//!
//! `macros` (default): [`messages`] and the derives. `testkit`: for tests. `hwloc`: the machine through the
//! hwloc library rather than sysfs. `otlp`, `otlp-grpc`: traces and metrics to an OpenTelemetry collector. `http`: traces and
//! deadlines of HTTP requests, for axum and others. `serde`: references inside of messages that travel.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use actor_core::prelude::*;
//!
//! #[derive(Actor)]
//! struct Counter {
//!     count: u64,
//! }
//!
//! #[messages]
//! impl Counter {
//!     #[message]
//!     fn add(&mut self, n: u64) -> u64 {
//!         self.count += n;
//!         self.count
//!     }
//! }
//!
//! let system = ActorSystem::new()?;
//! let counter = system.spawn(|| Counter { count: 0 })?; // a closure can build it again
//! counter.tell(Add { n: 1 })?;
//! assert_eq!(counter.add(2).blocking()?, 3);
//! assert!(system.shutdown_blocking(Duration::from_secs(5)).is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Read on, top to bottom, and you have the architecture: each floor stands on those above it in this
// list and never imports from those below (`tests/floors.rs` keeps it so).

// Floor 0. Ground: what every floor stands on.
pub(crate) mod clock;
pub(crate) mod contain;
pub mod id;
pub(crate) mod probes;
pub(crate) mod random;
#[cfg(not(actor_loom))]
pub(crate) mod stack;
pub(crate) mod sync;

// Floor 1. What the machine looks like.
#[cfg(not(actor_loom))]
pub mod topology;

// Floor 2. Memory with a home: one arena per NUMA node, recycled blocks.
#[cfg(not(actor_loom))]
pub(crate) mod memory;

// Floor 3. Who runs next, and on which CPU.
pub(crate) mod scheduler;

// Floor 4. What travels with a message, and how a message waits.
pub(crate) mod mailbox;

// Floor 5. Which trace a message belongs to, and what is written down of those that are recorded.
#[cfg(not(actor_loom))]
pub mod trace;

// Floor 6. The rules of supervision: pure decisions.
#[cfg(not(actor_loom))]
pub mod supervision;

// Floor 7. Where actors should live: pure decisions from who talks to whom.
#[cfg(not(actor_loom))]
pub(crate) mod locality;

// Floor 8. One actor.
#[cfg(not(actor_loom))]
pub(crate) mod cell;

// Floor 9. What user code sees.
#[cfg(not(actor_loom))]
pub mod context;

// Floor 10. What an operator sees.
#[cfg(not(actor_loom))]
pub mod telemetry;

// Floor 11. The front door.
#[cfg(not(actor_loom))]
pub mod system;

// Floor 12. Beside the front door: requests of another protocol.
#[cfg(all(feature = "http", not(actor_loom)))]
pub mod http;

// Floor 13. What tests hold in their hands.
#[cfg(all(feature = "testkit", not(actor_loom)))]
pub mod testkit;

// Floor 14. What the machine model in benches/ is made of; no part of the interface.
#[cfg(all(feature = "model", not(actor_loom)))]
#[doc(hidden)]
pub mod model;

/// For those who write a network layer: how a message leaves for an actor on another peer, and how one
/// that came from there is handed in. `actor-net` stands on it.
#[cfg(not(actor_loom))]
pub mod remote {
    #[cfg(feature = "serde")]
    pub use crate::context::{Address, Addressing, with_addressing};
    pub use crate::context::{
        Anyone, CodecError, Export, Gateway, Outbound, ProxyHandle, RemoteFailure, RemoteReply,
        Undelivered, ask_for_elsewhere as ask, tell_all,
    };
    pub use crate::system::remote::gather;
}

#[cfg(all(feature = "macros", not(actor_loom)))]
pub use actor_macros::{Actor, Message, messages};
#[cfg(not(actor_loom))]
pub use cell::{
    ActorPhase, ActorSnapshot, Causes, Escalation, SharedFate, StopMode, StopReason, Terminated,
};
#[cfg(not(actor_loom))]
pub use context::{
    Actor, ActorContext, ActorError, ActorOptions, ActorRef, BAGGAGE_BYTES_MAX,
    BAGGAGE_ENTRIES_MAX, Baggage, BaggageError, ByDeclaration, ByFactory, ByValue, Call,
    CancelOnDrop, CancelToken, ChildCounts, ChildError, ChildInfo, ChildKey, ChildPhase, ChildSpec,
    Context, CountChildren, DeleteChild, FindChild, Handler, IntoActor, InvalidName, LookupError,
    Message, MoveError, NAME_BYTES_MAX, OwnedRef, Placement, Recipient, RegisterError,
    RegisteredName, RestartChild, Scoped, SendFuture, SpawnBuilder, SpawnError, SpecError,
    StartChild, Supervisor, SupervisorError, SupervisorPlan, SupervisorSpec, SyncHandler,
    TerminateChild, TerminatedFuture, WhichChildren,
};
// Replies and what runs beside messages.
#[cfg(not(actor_loom))]
pub use context::{
    AttachError, Attached, AttachedGuard, DeferredHandler, EventBus, ForwardError, Fsm, Published,
    Reentrant, ReentrantError, ReentrantHandler, Reply,
};
// Timers and stash.
#[cfg(not(actor_loom))]
pub use cell::{Every, TimerId, TimerKey, TimerRef};
#[cfg(not(actor_loom))]
pub use context::{Accept, StashError};
// Blocking work.
#[cfg(not(actor_loom))]
pub use context::{Blocking, BlockingError, blocking};
#[cfg(not(actor_loom))]
pub use id::{ActorId, CpuId, NotAnActorId, NumaNodeId, WorkerId};
#[cfg(not(actor_loom))]
pub use locality::{Balancing, Edge, LaneStats, Lanes};
#[cfg(not(actor_loom))]
pub use mailbox::node::Fate;
#[cfg(not(actor_loom))]
pub use mailbox::{
    AskError, AskStats, Conservation, DeadLetters, DeadlockPath, Dropped, Mailbox, Overflow,
    Refused, SendError,
};
#[doc(hidden)]
#[cfg(not(actor_loom))]
pub use memory::Movable;
#[cfg(not(actor_loom))]
pub use memory::{
    ClassStats, HugePages, MemoryStats, NotAllocated, NumaAllocError, NumaBox, Residency,
    numa_node_here,
};
#[cfg(not(actor_loom))]
pub use supervision::{
    AutoShutdown, Backoff, InvalidOption, OnPanic, Restart, Shutdown, Strategy, Supervision,
};
#[cfg(not(actor_loom))]
pub use system::{
    Abandoned, ActorSystem, BlockingLeft, CrossNumaStealing, InspectError, IntoPhaseResult,
    LeftBehind, LostPin, NumaListener, OsSignal, PhaseError, PhaseOutcome, PhaseReport, Readiness,
    ScheduleRecorder, ShutdownHandle, ShutdownPhase, ShutdownReport, StartError, SystemBuilder,
    SystemRef, termination,
};
#[cfg(not(actor_loom))]
pub use telemetry::metrics;
#[cfg(all(feature = "otlp", not(actor_loom)))]
pub use telemetry::otlp;
#[cfg(not(actor_loom))]
pub use telemetry::{
    Activity, ActorFailure, ActorGlance, ActorRate, ActorRestarts, ActorStats, AskCircle,
    BalancingStats, BlockingStats, DedicatedStats, DepthHistogram, GrowingActors, IdleActors,
    Latencies, LatencyHistogram, LeakOptions, LeakReport, LostMessage, ManyWatches, Mishaps,
    NumaStats, NumaTable, SpanStats, StackFrame, StallReport, StallStats, Stats, StealsAcross,
    StuckAsk, SupervisionTree, ThreadStack, TimerStats, Trace, TraceList, TraceSummary, TreeNode,
    TreeRequest, TypeLatency, WorkerStats,
};
#[cfg(not(actor_loom))]
pub use telemetry::{
    OutsideWake, RecordError, ScheduleEvent, ScheduleEventKind, ScheduleOptions, ScheduleRecording,
    ScheduleTotals, ThreadRole, ThreadSchedule, WokenBy,
};
#[cfg(not(actor_loom))]
pub use trace::{
    ExportCounts, ExportError, SpanExporter, SpanId, SpanKind, SpanLink, SpanOutcome, SpanRecord,
    TRACESTATE_BYTES_MAX, TRACESTATE_ENTRIES_MAX, TellSpans, TraceContext, TraceFlags, TraceId,
    TraceParent, TraceParseError, TraceStateError, TracingOptions,
};

#[cfg(not(actor_loom))]
/// What most files that deal with actors need: `use actor_core::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Accept, Actor, ActorContext, ActorError, ActorRef, ActorSystem, AskError, AutoShutdown,
        Backoff, Call, CancelToken, ChildSpec, Context, DeferredHandler, EventBus, Handler,
        Mailbox, Message, OnPanic, Overflow, Placement, Recipient, Reentrant, ReentrantHandler,
        Reply, Restart, SendError, Shutdown, StopReason, Supervision, Supervisor, SyncHandler,
        SystemRef, Terminated,
    };

    #[cfg(feature = "macros")]
    pub use crate::messages;
}

/// The samples of the guides are tests. Those of the README and of what is about clusters need `actor-net`, which
/// has them.
#[cfg(all(doctest, feature = "macros"))]
mod guides {
    #[doc = include_str!("../../docs/leaks.md")]
    struct Leaks;
    #[doc = include_str!("../../docs/metrics.md")]
    struct Metrics;
    #[doc = include_str!("../../docs/names-and-links.md")]
    struct NamesAndLinks;
    #[doc = include_str!("../../docs/numa.md")]
    struct Numa;
    #[doc = include_str!("../../docs/shutdown.md")]
    struct Shutdown;
    #[doc = include_str!("../../docs/stalls.md")]
    struct Stalls;
    #[doc = include_str!("../../docs/supervision.md")]
    struct Supervision;
}

/// And what they say of the test kit.
#[cfg(all(doctest, feature = "testkit"))]
#[doc = include_str!("../../docs/testkit.md")]
struct TestkitGuide;
