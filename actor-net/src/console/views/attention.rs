//! What somebody should look at: on the overview, the worst first.

use std::time::{Duration, SystemTime};

use actor_core::Stats;

use super::{id, ms};
use crate::cluster::Status;
use crate::console::Shared;
use crate::console::api::{Attention, NotReady};
use crate::membership::MemberState;

/// How many are told.
const ATTENTION: usize = 32;
/// A walk that is older is made anew, for circles of asks.
const WALK_AGE: Duration = Duration::from_secs(10);
/// How long a refused circle of asks is told.
const CIRCLE_AGE: Duration = Duration::from_secs(60);
/// Restarts in a second that are worth a line.
const RESTARTS: f64 = 1.0;

pub(super) async fn attention(shared: &Shared, stats: &Stats, why: &[NotReady]) -> Vec<Attention> {
    let mut found = Vec::new();
    for reason in why {
        let kind = match reason.reason.as_str() {
            "overloaded" => "overload",
            _ => "not_ready",
        };
        found.push(item(kind, "warn", "not ready", &reason.text, None, "#/"));
    }
    stalls(shared, &mut found);
    if let Ok(walk) = shared.walks.summary(WALK_AGE).await {
        for circle in walk.circles() {
            let ids: Vec<String> = circle.iter().copied().map(id).collect();
            let title = format!("{} actors wait for each other", ids.len());
            let detail = format!("asks go in a circle: {} and back", ids.join(", "));
            found.push(item("ask_cycle", "bad", &title, &detail, None, "#/asks"));
        }
    }
    refused_circles(shared, &mut found);
    peers(shared, &mut found);
    for lost in shared.system.lost_pins() {
        let detail = lost.to_string();
        let title = format!("{} has lost its CPU", lost.worker);
        found.push(item(
            "pin_lost",
            "warn",
            &title,
            &detail,
            ago(lost.since),
            "#/machine",
        ));
    }
    if let Some(pair) = shared.recent.pair() {
        let dead = pair.rate(|it| it.messages.dead_letters.total());
        if let Some(dead) = dead.filter(|rate| *rate > 0.0) {
            let title = format!("{dead:.0} dead letters per second");
            let detail = "messages go to actors that have stopped, or cannot be reached";
            found.push(item(
                "dead_letters",
                "warn",
                &title,
                detail,
                None,
                "#/dead-letters",
            ));
        }
        let restarts = pair.rate(|it| it.actors.restarts);
        if let Some(restarts) = restarts.filter(|rate| *rate >= RESTARTS) {
            let plural = if restarts < 1.5 { "" } else { "s" };
            let title = format!("{restarts:.0} restart{plural} per second");
            let detail = "actors fail; each is listed with what it failed on";
            found.push(item("restarts", "warn", &title, detail, None, "#/failures"));
        }
        let lost = pair.rate(|it| it.spans.dropped);
        if lost.is_some_and(|rate| rate > 0.0) {
            let title = "spans are dropped";
            let detail = format!(
                "{} so far: sample less, or give the queue more room",
                stats.spans.dropped
            );
            found.push(item(
                "spans_dropped",
                "warn",
                title,
                &detail,
                None,
                "#/traces",
            ));
        }
    }
    // Stable: within a severity as they were found.
    found.sort_by_key(|it| it.severity != "bad");
    found.truncate(ATTENTION);
    found
}

/// Asks that were refused of late: nobody waits, and yet somebody's program is wrong.
fn refused_circles(shared: &Shared, found: &mut Vec<Attention>) {
    let circles = shared.system.ask_circles(1).latest;
    let fresh = |at: SystemTime| at.elapsed().is_ok_and(|age| age < CIRCLE_AGE);
    if let Some(circle) = circles.first().filter(|circle| fresh(circle.at)) {
        let title = format!("{} actors ask each other in a circle", circle.actors.len());
        let detail = format!("an ask was refused with Deadlock: {circle}");
        found.push(item(
            "ask_cycle",
            "warn",
            &title,
            &detail,
            Some(ms(circle.at)),
            "#/asks",
        ));
    }
}

fn stalls(shared: &Shared, found: &mut Vec<Attention>) {
    let (now, _) = shared.recent.stalls();
    for (began, stall) in now {
        let title = format!("a handler holds {}", stall.worker);
        found.push(item(
            "stall",
            "bad",
            &title,
            &stall.to_string(),
            Some(ms(began)),
            "#/stalls",
        ));
    }
}

fn peers(shared: &Shared, found: &mut Vec<Attention>) {
    let Some(cluster) = &shared.cluster else {
        return;
    };
    if matches!(cluster.status(), Status::Running { .. }) && cluster.leader().is_none() {
        let title = "nobody leads the cluster";
        let detail = "who is a member and who has which shard or unique name is not decided until somebody does; this is \
                      usual for a moment after the start and when a leader ends";
        found.push(item("no_leader", "bad", title, detail, None, "#/cluster"));
    }
    for member in cluster.view().members() {
        if member.state() == MemberState::Unreachable {
            let title = format!("{} does not answer", member.peer());
            let detail = "it may come back; nothing was taken from it yet";
            let since = ago(member.since());
            found.push(item(
                "peer_unreachable",
                "bad",
                &title,
                detail,
                since,
                "#/cluster",
            ));
        }
    }
}

fn ago(since: std::time::Instant) -> Option<u64> {
    SystemTime::now().checked_sub(since.elapsed()).map(ms)
}

fn item(
    kind: &str,
    severity: &str,
    title: &str,
    detail: &str,
    since_ms: Option<u64>,
    link: &str,
) -> Attention {
    Attention {
        kind: kind.to_owned(),
        severity: severity.to_owned(),
        title: title.to_owned(),
        detail: detail.to_owned(),
        since_ms,
        link: link.to_owned(),
    }
}
