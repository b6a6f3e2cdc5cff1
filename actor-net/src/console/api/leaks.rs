//! `GET /api/v1/leaks`.

use serde::{Deserialize, Serialize};

/// What looks forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Leaks {
    pub at_ms: u64,
    pub actors: u64,
    pub observed_for_ns: u64,
    pub took_ns: u64,
    pub clean: bool,
    pub idle: Vec<Idle>,
    pub asks: Vec<LeakingAsk>,
    pub growing: Vec<Growing>,
    pub watches: Vec<Watches>,
    pub unanswered: Vec<String>,
    pub not_asked: u64,
    pub text: String,
}

/// Actors that do nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Idle {
    #[serde(rename = "type")]
    pub actor_type: String,
    pub parent: Option<String>,
    pub parent_type: Option<String>,
    pub alive: u64,
    pub idle: u64,
    pub asked: u64,
    pub unneeded: u64,
    pub longest_ns: u64,
    pub examples: Vec<String>,
}

/// A handler that has run for long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeakingAsk {
    pub actor: String,
    #[serde(rename = "type")]
    pub actor_type: String,
    pub name: Option<String>,
    pub message: Option<String>,
    pub asker_gone: bool,
    pub waits_for: Option<String>,
    pub queued: u64,
    pub running_ns: u64,
}

/// A type that only grows in number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Growing {
    #[serde(rename = "type")]
    pub actor_type: String,
    pub parent: Option<String>,
    pub parent_type: Option<String>,
    pub counts: Vec<GrowingCount>,
}

/// How many there were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GrowingCount {
    pub ago_ns: u64,
    pub alive: u64,
}

/// An actor with very many watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Watches {
    pub actor: String,
    #[serde(rename = "type")]
    pub actor_type: String,
    pub name: Option<String>,
    pub watchers: u64,
    pub watching: u64,
    pub monitors: u64,
}
