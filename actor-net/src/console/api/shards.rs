//! `GET /api/v1/shards`.

use serde::{Deserialize, Serialize};

/// Which peer has which shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shards {
    pub enabled: bool,
    pub own: Option<String>,
    pub kinds: Vec<ShardsOfKind>,
}

/// The shards of one kind of entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShardsOfKind {
    pub name: String,
    pub singleton: bool,
    pub shards: u64,
    pub owners: Option<Vec<Option<String>>>,
    pub epochs: Option<Vec<Option<u64>>>,
    pub moving: Option<Vec<Option<String>>>,
    pub here: Option<KindHere>,
}

/// How a kind of entity is doing on this peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KindHere {
    pub shards: u64,
    pub entities: u64,
    pub offered_total: u64,
    pub delivered_total: u64,
    pub forwarded_total: u64,
    pub waiting: u64,
    pub refused_total: u64,
    pub barriers_cut_short_total: u64,
    pub gone: bool,
    pub has_other_shards: bool,
}
