//! What the console answers, as types: for the server that writes them and for programs that read them.
//!
//! Each type is one shape of docs/console-api.md, which says what the fields mean; `tests.rs` keeps the two together.
//! Conventions are there as well: durations are `.._ns`, moments `.._ms` since 1970, counters `.._total`, rates `.._per_s`, and
//! what is not known is `None` (`null`), never left out.

#![allow(
    missing_docs,
    reason = "docs/console-api.md tells what each field means, once for all readers"
)]

mod actions;
mod actors;
mod asks;
mod cluster;
mod dead_letters;
mod failures;
mod history;
mod leaks;
mod machine;
mod overview;
mod shards;
mod stalls;
mod traces;
mod types;

use serde::{Deserialize, Serialize};

pub use actions::{ActionDone, DeclareDown, SetBalancing, SetReady, SetSampling, StopActor};
pub use actors::{ActorPage, ActorRow, Actors, AskWait, Failure, Handled};
pub use asks::{AskEdge, Asks, RefusedCycle};
pub use cluster::{
    ClusterAnswer, ClusterInfo, Group, Groups, Link, Member, MemberEvent, MetadataEntry, Name,
    Named, Names, NumaCpus, RemoteCounts,
};
pub use dead_letters::{DeadLetter, DeadLettersPage, ReasonCount};
pub use failures::{FailedLife, Failures};
pub use history::{History, Series};
pub use leaks::{Growing, GrowingCount, Idle, LeakingAsk, Leaks, Watches};
pub use machine::{
    Arena, Balancing, Blocking, Dedicated, Edge, Lane, Machine, NumaNode, PagesOn, Residency,
    StalledBy, StealsAcross, Timers, Worker,
};
pub use overview::{
    ActorCounts, AskCounts, Attention, DeadLetterReasons, DroppedReasons, Features, Health,
    MemoryBytes, MessageCounts, OutcomeCount, Overview, PeerCounts, Rates, RefusedReasons,
    StallCounts, SystemInfo, TracingInfo, WorkerCounts,
};
pub use shards::{KindHere, Shards, ShardsOfKind};
pub use stalls::{Stall, StallTotals, Stalls};
pub use traces::{Span, SpanAttribute, SpanLink, Trace, TraceRoot, TraceRow, Traces};
pub use types::{TypeRow, Types};

/// Why a question has no answer, with what to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    pub error: String,
    pub hint: String,
}

/// Who may: what a reader needs to know before it asks for more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    pub token_required: bool,
    pub authenticated: bool,
    pub actions_allowed: bool,
}

/// An actor, named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActorName {
    pub id: String,
    #[serde(rename = "type")]
    pub actor_type: Option<String>,
    pub name: Option<String>,
}

/// How a duration is spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spread {
    pub samples: u64,
    pub mean_ns: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}

/// The time that messages waited, and that their handlers took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Latency {
    pub wait: Option<Spread>,
    pub handle: Option<Spread>,
}

/// Whether the process lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Healthz {
    pub live: bool,
    pub uptime_ns: u64,
}

/// Whether it wants work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Readyz {
    pub ready: bool,
    pub why: Vec<NotReady>,
}

/// Why it does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NotReady {
    pub reason: String,
    pub text: String,
}

#[cfg(test)]
mod tests;
