//! `GET /debug/schedule`: what the workers do, for a while, as a trace for Perfetto or Chrome.

use std::time::Duration;

use actor_core::telemetry::{RecordError, ScheduleOptions};
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};

use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, typed};
use crate::console::query::Query;

/// Events that are kept: about 200 bytes of the answer each.
const EVENTS: usize = 200_000;

pub(in crate::console) async fn schedule(shared: &Shared, query: &Query) -> Result<Answer, Wrong> {
    let seconds = query.number("seconds", 2.0, 0.01, 8.0)?;
    let options = ScheduleOptions::new(Duration::from_secs_f64(seconds)).events(EVENTS);
    let recording = shared
        .system
        .record_schedule(options)
        .await
        .map_err(|error| {
            let status = match error {
                RecordError::AlreadyRunning => StatusCode::CONFLICT,
                RecordError::Setting { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            Wrong::new(status, error.to_string(), "ask again later, or for less")
        })?;
    let written = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        recording.write_chrome_trace(&mut text).map(|()| text)
    });
    let failed = |error: String| Wrong::unavailable(error, "ask again");
    let text = written
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    let mut answer = typed("application/json", text);
    let name = HeaderValue::from_static("attachment; filename=\"schedule.json\"");
    answer.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(answer)
}
