//! What the console may change, where it may. Each action is logged.

use actor_core::StopMode;

use super::Shared;
use super::answer::Wrong;
use super::api::{ActionDone, DeclareDown, SetBalancing, SetReady, SetSampling, StopActor};
use super::route::parse;
use crate::id::PeerId;

pub(super) async fn act(shared: &Shared, action: &str, body: &[u8]) -> Result<ActionDone, Wrong> {
    let done = match action {
        "stop-actor" => stop(shared, &parse(body)?)?,
        "balancing" => balancing(shared, &parse(body)?),
        "ready" => ready(shared, &parse(body)?),
        "sampling" => sampling(shared, &parse(body)?)?,
        "sample-leaks" => {
            let _: Nothing = parse(body)?;
            sample_leaks(shared).await?
        }
        "declare-down" => declare_down(shared, &parse(body)?).await?,
        _ => {
            return Err(Wrong::missing(
                format!("there is no action {action:?}"),
                "stop-actor, balancing, ready, sampling, sample-leaks, declare-down",
            ));
        }
    };
    tracing::warn!(
        action,
        done = done.done,
        detail = done.detail,
        "the console was used to act"
    );
    Ok(done)
}

/// A body without fields.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn told(done: bool, detail: impl Into<String>) -> ActionDone {
    ActionDone {
        done,
        detail: detail.into(),
    }
}

fn stop(shared: &Shared, wish: &StopActor) -> Result<ActionDone, Wrong> {
    let mode = match wish.mode.as_str() {
        "now" => StopMode::Now,
        "drain" => StopMode::Drain,
        "kill" => StopMode::Kill,
        other => {
            return Err(Wrong::bad(
                format!("mode is {other:?}"),
                "it is one of now, drain, kill",
            ));
        }
    };
    let system = shared.system;
    if let Err(error) = wish.actor.parse::<actor_core::ActorId>() {
        return Err(Wrong::bad(
            error.to_string(),
            "look for it with /api/v1/actors?q=..",
        ));
    }
    let found = system.find_actor(&wish.actor);
    // A stand-in for an actor elsewhere is its peer's to stop.
    let actor = found.and_then(|id| system.resolve_anyone(id.as_u64()));
    Ok(match actor {
        Some(actor) => {
            actor.stop_for_elsewhere(mode);
            told(true, format!("{} is told to stop", wish.actor))
        }
        None => told(false, format!("there is no actor {} here", wish.actor)),
    })
}

fn balancing(shared: &Shared, wish: &SetBalancing) -> ActionDone {
    let done = shared.system.set_balancing(wish.on);
    match (done, wish.on) {
        (true, true) => told(true, "the balancer is on"),
        (true, false) => told(true, "the balancer is off"),
        (false, _) => told(false, "the system was built without a balancer"),
    }
}

fn ready(shared: &Shared, wish: &SetReady) -> ActionDone {
    if shared.system.is_shutting_down() {
        return told(false, "the system is shutting down");
    }
    shared.system.set_ready(wish.ready);
    told(true, if wish.ready { "ready" } else { "not ready" })
}

fn sampling(shared: &Shared, wish: &SetSampling) -> Result<ActionDone, Wrong> {
    if !shared.system.stats().spans.is_on {
        return Ok(told(
            false,
            "the program was built with TracingOptions::off(): nothing is recorded",
        ));
    }
    let set = shared.system.set_sampling(wish.share);
    set.map_err(|error| Wrong::bad(error.to_string(), "0 records none, 0.01 one in a hundred"))?;
    Ok(told(
        true,
        match wish.share {
            0.0 => "only traces that come in as sampled are recorded".to_owned(),
            share => format!(
                "{} % of the traces that begin here are recorded",
                share * 100.0
            ),
        },
    ))
}

async fn sample_leaks(shared: &Shared) -> Result<ActionDone, Wrong> {
    let system = shared.system;
    let sampled = tokio::task::spawn_blocking(move || system.sample_leaks()).await;
    sampled.map_err(|error| {
        Wrong::unavailable(error.to_string(), "the system may be shutting down")
    })?;
    Ok(told(true, "sampled"))
}

async fn declare_down(shared: &Shared, wish: &DeclareDown) -> Result<ActionDone, Wrong> {
    let Some(cluster) = &shared.cluster else {
        return Err(Wrong::missing(
            "there is no cluster",
            "the console was started without one",
        ));
    };
    let peer = PeerId::new(&wish.peer)
        .map_err(|error| Wrong::bad(error.to_string(), "see /api/v1/cluster for the peers"))?;
    Ok(if cluster.declare_down(&peer).await {
        told(true, format!("{peer} is declared down"))
    } else {
        told(
            false,
            format!("{peer} is no member that could be declared down"),
        )
    })
}
