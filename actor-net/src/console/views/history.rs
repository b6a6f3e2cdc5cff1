//! `GET /api/v1/history`.

use super::ms;
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::History;
use crate::console::query::Query;
use crate::console::recent::{SAMPLES, STEP};

pub(in crate::console) fn history(shared: &Shared, query: &Query) -> Result<Answer, Wrong> {
    let seconds = query.number("seconds", 300, 1, SAMPLES)?;
    let (from, samples, series) = shared.recent.series(seconds);
    Ok(json(&History {
        step_ms: u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX),
        from_ms: ms(from.unwrap_or_else(std::time::SystemTime::now)),
        samples,
        series,
    }))
}
