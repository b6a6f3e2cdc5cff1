//! The data lanes of a session: dialled, closed when nobody uses them, dialled again when somebody does.
//!
//! Who dialled the control connection dials the lanes, and closes them: when a lane has been at rest for `lane_idle` both
//! sides say that they have said all (`Drain`), and the connection goes. What is pushed from then on waits in the lane,
//! as for any connection that is not there, and wakes whoever can have one:
//!
//! ```text
//!  who dialled:   push ──> news ──> dial ──────────────────────────┐
//!  the other one: push ──> news ──> datagram (channel Lanes) ──> news here ──> dial
//! ```
//!
//! The datagram is repeated until the lane is there; if it is lost with the control connection there is a new session
//! anyway, whose lanes are dialled at its beginning. Lanes are closed only where both sides can do that (feature 1).

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::error::{ConnectError, Interruption};
use super::events::Contact;
use super::hub::Hub;
use super::meet::{answered, refused};
use super::peer::Peer;
use super::port::now;
use super::shake::Shake;
use crate::datagram::Channel;
use crate::transport::Endpoint;
use crate::wire::error::CloseReason;
use crate::wire::handshake::{Dial, HandshakeError, LANES_SLEEP};
use crate::wire::hello::{ConnectionKind, Refusal};

/// A session as the lanes need to know it.
#[derive(Clone)]
pub(super) struct Dialled {
    pub(super) session: u128,
    /// What both sides can.
    pub(super) features: u64,
    pub(super) endpoint: Endpoint,
    pub(super) addr: SocketAddr,
}

/// Dials a lane whenever it has no connection and should have one, as long as the session lasts.
pub(super) async fn keep_lane(hub: Arc<Hub>, life: Arc<Peer>, at: usize, dialled: Dialled) {
    if !life.is_up(dialled.session).await {
        return;
    }
    let ended = life.session_ended(dialled.session);
    let dialling = hub
        .over
        .run_until_cancelled(dial_on(&hub, &life, at, &dialled));
    first_of(ended, dialling).await;
}

async fn dial_on(hub: &Arc<Hub>, life: &Arc<Peer>, at: usize, dialled: &Dialled) {
    let contact = Contact::Dialled(dialled.endpoint.clone());
    let seed = RandomState::new().hash_one(at);
    let may_sleep = dialled.features & LANES_SLEEP != 0;
    let mut failures = 0_u32;
    loop {
        if life.is_leaving() {
            // What was to be said is said.
            return;
        }
        let began = now();
        match dial_lane(hub, life, at, dialled).await {
            Ok(()) => {
                life.lane_is_there(at);
                if may_sleep && until_idle(life, at, hub.config.limits.lane_idle).await {
                    close(life, at, dialled.session).await;
                    life.lane_wanted(at).await;
                    failures = 0;
                    continue;
                }
                life.lane_ended(at).await;
            }
            Err(error) => hub.refused(&contact, &error),
        }
        let lasted = now().saturating_duration_since(began);
        if lasted >= hub.config.redial.quiet() {
            failures = 0;
        }
        let random = seed.rotate_left(failures);
        let pause = hub.config.redial.delay(failures, random);
        failures = failures.saturating_add(1);
        tokio::time::sleep(pause).await;
    }
}

/// Until a lane has not been used for so long, and could be closed; `false`: its connection is gone before.
async fn until_idle(life: &Peer, at: usize, idle: Duration) -> bool {
    // Looked at now and then: a clock at each message would cost more than all of this is worth.
    let look = (idle / LOOKS).max(LOOK_MIN);
    let ended = life.lane_ended(at);
    let idle = async {
        let (mut used, mut since) = (None, now());
        loop {
            tokio::time::sleep(look).await;
            let (count, at_rest) = {
                let port = life.lane_port(at).lock();
                (port.machine.used(), port.machine.is_at_rest())
            };
            if used != Some(count) || !at_rest {
                (used, since) = (Some(count), now());
            } else if now().saturating_duration_since(since) >= idle {
                return;
            }
        }
    };
    let mut closing = pin!(idle);
    let mut ended = pin!(ended);
    std::future::poll_fn(|cx| {
        if ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        closing.as_mut().poll(cx).map(|()| true)
    })
    .await
}

/// Closes a lane without loss: both sides have said all, or the other one takes too long to say so.
async fn close(life: &Peer, at: usize, session: u128) {
    let port = life.lane_port(at);
    port.lock().machine.drain();
    port.wake();
    if tokio::time::timeout(DRAINED_WITHIN, life.lane_drained(at))
        .await
        .is_err()
    {
        tracing::debug!(peer = %life.id(), lane = at, "an idle lane was not drained in time");
    }
    port.close(Some(session), CloseReason::Idle, Interruption::Idle);
    life.lane_ended(at).await;
}

/// The other side's part: asks for a lane that is not there while something waits for it, as long as the session lasts.
pub(super) async fn ask_for_lane(life: Arc<Peer>, at: usize, session: u128) {
    if !life.is_up(session).await {
        return;
    }
    let ended = life.session_ended(session);
    let asking = async {
        let Ok(number) = u8::try_from(at) else { return };
        loop {
            life.lane_wanted(at).await;
            if life.is_leaving() {
                return;
            }
            if let Err(error) = life.datagram(Channel::Lanes, &[number]) {
                tracing::trace!(peer = %life.id(), ?error, "a lane could not be asked for; again");
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    first_of(ended, asking).await;
}

/// Until one of them is done.
async fn first_of<T>(one: impl Future<Output = ()>, other: impl Future<Output = T>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    std::future::poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        other.as_mut().poll(cx).map(drop)
    })
    .await;
}

async fn dial_lane(
    hub: &Arc<Hub>,
    life: &Arc<Peer>,
    at: usize,
    dialled: &Dialled,
) -> Result<(), ConnectError> {
    let Dialled {
        session,
        endpoint,
        addr,
        ..
    } = dialled;
    let established = hub.transport.dial_at(endpoint, *addr).await;
    let established = established.map_err(ConnectError::Dial)?;
    let dial = Dial {
        kind: ConnectionKind::Lane {
            index: u8::try_from(at).unwrap_or(u8::MAX),
            session: *session,
        },
        wanted: Some(life.id().clone()),
        known: Some(life.incarnation()),
        last_epoch: life.lane_port(at).lock().epoch,
        received_through: 0,
    };
    let mut shake = Shake::dial(hub, established, dial);
    let result = answered(&mut shake).await.and_then(|wire| {
        shake.check_name(&wire.peer).map_err(refused)?;
        if wire.peer.incarnation != life.incarnation() {
            return Err(refused(Refusal::UnknownSession));
        }
        Ok(wire)
    });
    match result {
        Ok(wire) => {
            shake.flush().await?;
            hub.attach_lane(life, at, shake.shaken(wire))
        }
        Err(error) => {
            if let ConnectError::Handshake(HandshakeError::Refused(refusal)) = &error {
                shake.handshake.withdraw(refusal);
            }
            hub.spawn(shake.finish());
            Err(error)
        }
    }
}

/// How many looks at a lane fall into the time after which it is idle, and how often it is looked at most.
const LOOKS: u32 = 4;
const LOOK_MIN: Duration = Duration::from_millis(1);

/// How long the other side may take to say that it has said all.
const DRAINED_WITHIN: Duration = Duration::from_secs(5);

/// How often a lane is asked for that does not come: a dial takes less, as a rule.
const ASK_AGAIN: Duration = Duration::from_millis(500);
