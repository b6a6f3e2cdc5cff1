//! `POST /api/v1/actions/..`.

use serde::{Deserialize, Serialize};

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActionDone {
    pub done: bool,
    pub detail: String,
}

/// Stops an actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StopActor {
    pub actor: String,
    pub mode: String,
}

/// Switches the balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SetBalancing {
    pub on: bool,
}

/// Sets the share of traces that begin here and are recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SetSampling {
    pub share: f64,
}

/// Says whether the program is ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SetReady {
    pub ready: bool,
}

/// Declares a peer down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DeclareDown {
    pub peer: String,
}
