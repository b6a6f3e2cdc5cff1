//! The end: nobody is let in any more, what was begun is finished, and everybody is told.
//!
//! For each peer: its lanes send what waits, drain (both sides say that they have said all), and close; then
//! the signals are waited for until they are acknowledged, and the control connection says goodbye for good.
//! Nobody waits for a peer that is not there.

use std::sync::Arc;
use std::time::Duration;

use super::error::{Interruption, PeerLost};
use super::hub::Hub;
use super::peer::Peer;
use crate::wire::error::CloseReason;

pub(super) async fn shutdown(hub: &Arc<Hub>, grace: Duration) -> bool {
    hub.closing.cancel();
    hub.dials().clear();
    let began = tokio::time::Instant::now();
    let mut in_order = true;
    // All at once: the tasks run here, and the connections elsewhere.
    let mut farewells: Vec<_> = hub
        .book()
        .all()
        .into_iter()
        .map(|peer| Box::pin(farewell(peer)))
        .collect();
    let all = std::future::poll_fn(|cx| {
        farewells.retain_mut(|farewell| farewell.as_mut().poll(cx).is_pending());
        match farewells.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    });
    in_order &= tokio::time::timeout(grace, all).await.is_ok();
    hub.over.cancel();
    let left = hub.book().all();
    for peer in left {
        hub.lose(&peer, PeerLost::ShutdownHere);
    }
    let rest = grace.saturating_sub(began.elapsed()).max(AT_LEAST);
    hub.transport.shutdown(rest).await && in_order
}

async fn farewell(peer: Arc<Peer>) {
    for at in 0..peer.lanes() {
        let port = peer.lane_port(at);
        let quiet = || {
            // A lane that was closed because nobody used it comes back for what waits.
            port.lock().machine.is_quiet() || !peer.control.is_connected()
        };
        until(quiet).await;
    }
    peer.leave();
    for at in 0..peer.lanes() {
        let port = peer.lane_port(at);
        port.lock().machine.drain();
        port.wake();
    }
    for at in 0..peer.lanes() {
        peer.lane_drained(at).await;
        let port = peer.lane_port(at);
        port.close(None, CloseReason::Shutdown, Interruption::Disconnected);
    }
    let control = &peer.control;
    let acknowledged = || {
        let state = control.lock();
        !state.machine.is_connected() || state.machine.signals().0 == 0
    };
    until(acknowledged).await;
    control.close(None, CloseReason::Shutdown, Interruption::Disconnected);
    until(|| !control.is_connected()).await;
}

/// Until what waits in the lanes has arrived, at all peers that are connected.
pub(super) async fn all_said(hub: &Arc<Hub>) {
    let peers = hub.book().all();
    for peer in peers {
        for at in 0..peer.lanes() {
            let port = peer.lane_port(at);
            let is_said = || port.lock().machine.is_said() || !peer.control.is_connected();
            until(is_said).await;
        }
    }
}

/// Until it holds. It is the end: nobody minds a look every few milliseconds.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(LOOK).await;
    }
}

const LOOK: Duration = Duration::from_millis(2);

/// What the transport gets for its own end.
const AT_LEAST: Duration = Duration::from_millis(100);
