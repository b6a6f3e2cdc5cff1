//! How peers come together: the listener's tasks, and the dialler's.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::book::Taken;
use super::error::ConnectError;
use super::events::Contact;
use super::hub::Hub;
use super::lanes::{Dialled, ask_for_lane, keep_lane};
use super::peer::Peer;
use super::shake::{Shake, Shaken};
use crate::id::PeerId;
use crate::transport::{Endpoint, Established, HandshakeFailure, Listener, Redial};
use crate::wire::handshake::{Admission, Dial, HandshakeError, HandshakeEvent};
use crate::wire::hello::{ConnectionKind, Hello, Refusal};

/// Lets peers in as long as there are any to come.
pub(super) async fn accept(hub: Arc<Hub>, mut listener: Listener) {
    while let Some(Some(session)) = hub.over.run_until_cancelled(listener.accept()).await {
        hub.spawn(meet(hub.clone(), session));
    }
}

/// What a greeting was let in as.
enum Admitted {
    Control,
    Lane { life: Arc<Peer>, at: usize },
}

/// One that came.
async fn meet(hub: Arc<Hub>, session: Established) {
    let from = session.peer().addr;
    let mut shake = Shake::accept(&hub, session);
    let mut reserved = None;
    let error = match let_in(&hub, &mut shake, &mut reserved).await {
        Ok((Admitted::Control, wire)) => {
            let (who, session, epoch) = (wire.peer.clone(), wire.session, wire.epoch);
            let taken = hub.book().take(&who, session, epoch, || hub.new_life(&who));
            match taken {
                Ok(taken) => return attached(&hub, from, taken, shake.shaken(wire)),
                // Nobody reads a refusal any more: what the dialler sees is a connection that ends.
                Err(refusal) => refused(refusal),
            }
        }
        Ok((Admitted::Lane { life, at }, wire)) => {
            // Nothing is heard of a life before `up`.
            if life.is_up(wire.session).await
                && let Err(error) = hub.attach_lane(&life, at, shake.shaken(wire))
            {
                hub.refused(&Contact::Came(from), &error);
            }
            return;
        }
        Err(error) => error,
    };
    if let Some((peer, session)) = reserved {
        hub.book().release(&peer, session);
    }
    let silent = !shake.heard && error == ConnectError::Broken(HandshakeFailure::Closed);
    if silent {
        tracing::debug!(%from, "a peer connected and said nothing");
    } else {
        hub.refused(&Contact::Came(from), &error);
    }
    shake.finish().await;
}

fn attached(hub: &Arc<Hub>, from: SocketAddr, taken: Taken<Peer>, shaken: Shaken) {
    let session = shaken.wire.session;
    match hub.attach_control(taken, shaken) {
        Ok(life) => {
            for at in 0..life.lanes() {
                hub.spawn(ask_for_lane(life.clone(), at, session));
            }
        }
        Err(error) => hub.refused(&Contact::Came(from), &error),
    }
}

async fn let_in(
    hub: &Arc<Hub>,
    shake: &mut Shake,
    reserved: &mut Option<(PeerId, u128)>,
) -> Result<(Admitted, Box<crate::wire::handshake::Established>), ConnectError> {
    let mut admitted = Admitted::Control;
    loop {
        match shake.next().await? {
            HandshakeEvent::Greeted(hello) => match judge(hub, shake, &hello) {
                Ok((admission, what)) => {
                    if let Admitted::Control = what {
                        *reserved = Some((hello.who.peer.clone(), admission.session));
                    }
                    admitted = what;
                    shake.handshake.admit(admission);
                }
                Err(refusal) => shake.handshake.refuse(refusal),
            },
            HandshakeEvent::Established(wire) => return Ok((admitted, wire)),
            HandshakeEvent::Failed(error) => return Err(ConnectError::Handshake(error)),
        }
    }
}

fn judge(hub: &Arc<Hub>, shake: &Shake, hello: &Hello) -> Result<(Admission, Admitted), Refusal> {
    let is_lane = matches!(hello.kind, ConnectionKind::Lane { .. });
    // What waits for a lane may still go out.
    if hub.over.is_cancelled() || !is_lane && hub.closing.is_cancelled() {
        return Err(Refusal::ShuttingDown);
    }
    shake.check_name(&hello.who)?;
    if let ConnectionKind::Lane { index, session } = hello.kind {
        let at = usize::from(index);
        let (life, accepted) = hub.book().lane(hello, |life| {
            (life.lanes(), life.lane_port(at).lock().epoch)
        })?;
        if life.is_leaving() {
            return Err(Refusal::ShuttingDown);
        }
        let admission = Admission {
            session,
            epoch: accepted.epoch,
            received_through: 0,
        };
        return Ok((admission, Admitted::Lane { life, at }));
    }
    let Some(session) = hub.random().map(u128::from_le_bytes) else {
        let detail = "the system gives no random numbers".to_owned();
        return Err(Refusal::Other { code: 0x7f, detail });
    };
    let accepted = hub.book().reserve(hello, session)?;
    // A new life of the peer has sent nothing yet; the wire drops what it says of an earlier one.
    let life = hub.book().get(&hello.who.peer);
    let received_through = life
        .filter(|life| life.incarnation() == hello.who.incarnation)
        .map_or(0, |life| life.control.lock().machine.received_through());
    let admission = Admission {
        session,
        epoch: accepted.epoch,
        received_through,
    };
    Ok((admission, Admitted::Control))
}

/// Dials an endpoint whenever there is no connection, until it is told to stop.
pub(super) async fn keep_dialling(hub: Arc<Hub>, endpoint: Endpoint, cancel: CancellationToken) {
    let dialling = dial_on(&hub, &endpoint);
    let both = hub.closing.run_until_cancelled(dialling);
    cancel.run_until_cancelled(both).await;
}

async fn dial_on(hub: &Arc<Hub>, endpoint: &Endpoint) {
    let wanted = hub
        .dials()
        .get(endpoint)
        .and_then(|dialled| dialled.peer.clone());
    let contact = Contact::Dialled(endpoint.clone());
    let mut redial =
        Redial::with_backoff(hub.transport.clone(), endpoint.clone(), hub.config.redial);
    // Who was found there, if nobody was asked for by name.
    let mut found = wanted.clone();
    loop {
        if let Some(peer) = &found {
            until_disconnected(hub, peer).await;
        }
        let session = redial
            .connect(|error, _| hub.refused(&contact, &ConnectError::Dial(error.clone())))
            .await;
        if found
            .as_ref()
            .is_some_and(|peer| hub.book().is_connected(peer))
        {
            continue;
        }
        match dial_control(hub, session, endpoint, found.as_ref()).await {
            Ok(life) => {
                found = Some(life.id().clone());
                if let Some(dialled) = hub.dials().get_mut(endpoint) {
                    dialled.peer.clone_from(&found);
                }
            }
            Err(error) => {
                hub.refused(&contact, &error);
                if error.is_about(&Refusal::Myself) {
                    // It will not be somebody else.
                    hub.dials().remove(endpoint);
                    return;
                }
                if wanted.is_none() {
                    found = found.filter(|_| !error.is_wrong_peer());
                }
            }
        }
    }
}

async fn until_disconnected(hub: &Arc<Hub>, peer: &PeerId) {
    loop {
        let life = hub.book().get(peer);
        let Some(life) = life.filter(|_| hub.book().is_connected(peer)) else {
            return;
        };
        let session = life.watch().borrow().id;
        life.session_ended(session).await;
        // Its last word may be told a moment later than it is seen here.
        tokio::task::yield_now().await;
    }
}

/// A greeting that is out.
struct Greeting<'a> {
    hub: &'a Hub,
    peer: Option<PeerId>,
}

impl Drop for Greeting<'_> {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            self.hub.book().dialled(peer);
        }
    }
}

async fn dial_control(
    hub: &Arc<Hub>,
    session: Established,
    endpoint: &Endpoint,
    wanted: Option<&PeerId>,
) -> Result<Arc<Peer>, ConnectError> {
    let addr = session.peer().addr;
    let memory = wanted.map(|peer| hub.book().memory(peer));
    let said = memory.as_ref().map_or(0, |memory| memory.epoch);
    let dial = Dial {
        kind: ConnectionKind::Control,
        wanted: wanted.cloned(),
        known: memory.as_ref().and_then(|memory| memory.incarnation),
        last_epoch: said,
        received_through: memory
            .and_then(|memory| memory.life)
            .map_or(0, |life| life.control.lock().machine.received_through()),
    };
    let greeting = Greeting {
        hub,
        peer: wanted.cloned(),
    };
    if let Some(peer) = wanted {
        hub.book().dialling(peer);
    }
    let mut shake = Shake::dial(hub, session, dial);
    let result = answered(&mut shake).await.and_then(|wire| {
        shake.check_name(&wire.peer).map_err(refused)?;
        let id = (wire.session, wire.epoch, said);
        let taken = hub
            .book()
            .claim(&wire.peer, id, || hub.new_life(&wire.peer))
            .map_err(refused)?;
        Ok((taken, wire))
    });
    drop(greeting);
    let (taken, wire) = match result {
        Ok(both) => both,
        Err(error) => {
            if let ConnectError::Handshake(HandshakeError::Refused(refusal)) = &error {
                shake.handshake.withdraw(refusal);
            }
            hub.spawn(shake.finish());
            return Err(error);
        }
    };
    if let Err(error) = shake.flush().await {
        hub.book().disconnected(&wire.peer.peer, wire.session);
        return Err(error);
    }
    let dialled = Dialled {
        session: wire.session,
        features: wire.features,
        endpoint: endpoint.clone(),
        addr,
    };
    let life = hub.attach_control(taken, shake.shaken(wire))?;
    for at in 0..life.lanes() {
        hub.spawn(keep_lane(hub.clone(), life.clone(), at, dialled.clone()));
    }
    Ok(life)
}

pub(super) fn refused(refusal: Refusal) -> ConnectError {
    ConnectError::Handshake(HandshakeError::Refused(refusal))
}

/// A dialler's half of a handshake; its confirmation is not out yet.
pub(super) async fn answered(
    shake: &mut Shake,
) -> Result<Box<crate::wire::handshake::Established>, ConnectError> {
    match shake.next().await? {
        HandshakeEvent::Established(wire) => Ok(wire),
        HandshakeEvent::Failed(error) => Err(ConnectError::Handshake(error)),
        HandshakeEvent::Greeted(_) => Err(ConnectError::Broken(HandshakeFailure::NotActorNet)),
    }
}
