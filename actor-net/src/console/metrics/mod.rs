//! `GET /metrics`: everything for Prometheus, in its text format (0.0.4).
//!
//! Read when it is asked for: from the books of the system and of the cluster, and from a walk over all actors that is at
//! most ten seconds old. `text` writes, `families` says what there is. The number of series is bounded: what could be many
//! (types, peers, actors) is told of the most, and of the rest together.

mod families;
mod text;
mod times;

use std::time::Duration;

use super::Shared;
use super::answer::{Answer, Wrong, typed};

/// A walk that is older is made anew.
const WALK_AGE: Duration = Duration::from_secs(10);

pub(super) async fn answer(shared: &Shared) -> Result<Answer, Wrong> {
    let walk = shared.walks.summary(WALK_AGE).await?;
    Ok(typed(
        "text/plain; version=0.0.4; charset=utf-8",
        families::write(shared, &walk),
    ))
}
