//! `GET /api/v1/failures`.

use super::{id, ms};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{FailedLife, Failures};
use crate::console::query::Query;

/// Failures that are looked through: all that the system keeps.
const LOOKED_AT: usize = 256;

pub(in crate::console) fn failures(shared: &Shared, query: &Query) -> Result<Answer, Wrong> {
    let limit = query.number("limit", 50, 1, 200)?;
    let text = query.text("q").map(str::to_lowercase);
    let kept = shared.system.failures(LOOKED_AT);
    let mut items: Vec<FailedLife> = kept
        .latest
        .into_iter()
        .map(|it| FailedLife {
            at_ms: ms(it.at),
            actor: id(it.actor),
            actor_type: it.actor_type.to_owned(),
            name: it.name.as_deref().map(str::to_owned),
            path: it.path.to_string(),
            message: it.message.map(str::to_owned),
            error: it.reason.to_string(),
            trace_id: it.trace_id.map(|trace| trace.to_string()),
            will_restart: it.will_restart,
        })
        .filter(|it| text.as_deref().is_none_or(|text| it.has(text)))
        .collect();
    let total = items.len();
    items.truncate(limit);
    Ok(json(&Failures {
        shown: items.len(),
        truncated: total > items.len(),
        items,
        total: total as u64,
        next: None,
        left_out: kept.left_out,
    }))
}

impl FailedLife {
    /// Whether a text in small letters is in what it is, in what it failed on, or in why.
    fn has(&self, text: &str) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        let message = self.message.as_deref().unwrap_or_default();
        let all = [&self.actor, &self.actor_type, &self.error].map(String::as_str);
        let mut all = all.into_iter().chain([name, message]);
        all.any(|of| of.to_lowercase().contains(text))
    }
}
