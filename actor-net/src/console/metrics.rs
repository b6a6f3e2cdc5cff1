//! `GET /metrics`: everything for Prometheus, in its text format (0.0.4).
//!
//! What there is, and its bounds, is the core's (`actor_core::metrics`), with what the cluster and the program have added:
//! the same as OTLP exports. It is read when it is asked for, on a thread for blocking work.

use super::Shared;
use super::answer::{Answer, Wrong, typed};

pub(super) async fn answer(shared: &Shared) -> Result<Answer, Wrong> {
    let system = shared.system;
    let text = tokio::task::spawn_blocking(move || system.metrics().prometheus())
        .await
        .map_err(|error| {
            Wrong::unavailable(error.to_string(), "the system may be shutting down")
        })?;
    Ok(typed("text/plain; version=0.0.4; charset=utf-8", text))
}
