//! `/healthz` and `/readyz`: what an orchestrator asks.

use std::time::Duration;

use hyper::StatusCode;

use super::ns;
use crate::cluster::Status;
use crate::console::Shared;
use crate::console::answer::{Answer, json};
use crate::console::api::{Healthz, NotReady, Readyz};
use crate::membership::MemberState;

/// How long a refusal for the memory limit counts.
const OVERLOADED_FOR: Duration = Duration::from_secs(5);

pub(in crate::console) fn healthz(shared: &Shared) -> Answer {
    json(&Healthz {
        live: true,
        uptime_ns: ns(shared.started.elapsed()),
    })
}

pub(in crate::console) fn readyz(shared: &Shared) -> Answer {
    let why = why_not(shared);
    let ready = why.is_empty();
    let mut answer = json(&Readyz { ready, why });
    if !ready {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    answer
}

/// Why no new work is welcome; nothing if it is.
pub(in crate::console) fn why_not(shared: &Shared) -> Vec<NotReady> {
    let mut why = Vec::new();
    let mut add = |reason: &str, text: String| {
        why.push(NotReady {
            reason: reason.to_owned(),
            text,
        });
    };
    let system = shared.system;
    if system.is_shutting_down() {
        add("draining", "the system is shutting down".to_owned());
    } else if !system.is_ready() {
        add(
            "not_ready",
            "the program says that it is not ready".to_owned(),
        );
    }
    if shared.recent.was_overloaded(OVERLOADED_FOR) {
        add(
            "overloaded",
            format!("messages were refused for the memory limit in the last {OVERLOADED_FOR:?}"),
        );
    } else if let Some(max) = shared.overloaded_above {
        let queued = system.stats().messages.queued();
        if queued > max {
            add("overloaded", format!("{queued} messages wait; {max} may"));
        }
    }
    if let Some(cluster) = &shared.cluster {
        match cluster.status() {
            Status::Running { .. } => {
                let view = cluster.view();
                let own = view.get(cluster.peer());
                if own.is_none_or(|own| own.state() != MemberState::Up) {
                    add("no_view", "this peer is not up in its own view".to_owned());
                }
            }
            status @ Status::Isolated { .. } => add("isolated", status.to_string()),
            status => add("no_view", status.to_string()),
        }
    }
    why
}
