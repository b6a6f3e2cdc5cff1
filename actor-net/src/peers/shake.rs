//! The handshake of the wire over a connection that the transport has authenticated.
//!
//! What the transport has proven is checked against what the greeting says: in a mode that knows names, the
//! peer's id must be one of them. A shared key needs no second proof in here: the transport's is bound to the
//! TLS session that carries these bytes, and so are they.

use std::sync::Arc;

use super::error::ConnectError;
use super::hub::Hub;
use super::port::now;
use crate::transport::{self, HandshakeFailure};
use crate::wire::handshake::{Dial, Handshake, HandshakeEvent, SessionAuth};
use crate::wire::hello::{Introduction, Refusal};

/// A connection on which a handshake runs.
pub(super) struct Shake {
    session: transport::Established,
    pub(super) handshake: Handshake,
    buffer: Box<[u8]>,
    /// What came and the handshake has not taken.
    rest: Vec<u8>,
    /// Something came.
    pub(super) heard: bool,
}

/// A connection that both sides agree on.
pub(super) struct Shaken {
    pub(super) session: transport::Established,
    pub(super) wire: Box<crate::wire::handshake::Established>,
    /// What came behind the handshake and was not taken by its decoder.
    pub(super) rest: Vec<u8>,
}

impl Shake {
    pub(super) fn dial(hub: &Arc<Hub>, session: transport::Established, dial: Dial) -> Self {
        let handshake = Handshake::dial(hub.own(), auth(&session), dial, now());
        Self::new(session, handshake)
    }

    pub(super) fn accept(hub: &Arc<Hub>, session: transport::Established) -> Self {
        let handshake = Handshake::accept(hub.own(), auth(&session), now());
        Self::new(session, handshake)
    }

    fn new(session: transport::Established, handshake: Handshake) -> Self {
        Self {
            session,
            handshake,
            buffer: vec![0; BUFFER].into(),
            rest: Vec::new(),
            heard: false,
        }
    }

    /// Until it has something to say.
    pub(super) async fn next(&mut self) -> Result<HandshakeEvent, ConnectError> {
        loop {
            self.flush().await?;
            if let Some(event) = self.handshake.poll_event() {
                return Ok(event);
            }
            if !self.rest.is_empty() {
                let taken = self.handshake.receive(&self.rest);
                self.rest.drain(..taken);
                if taken > 0 {
                    continue;
                }
            }
            let deadline = self.handshake.poll_timeout().unwrap_or_else(now);
            let reading = self.session.read(&mut self.buffer);
            match tokio::time::timeout_at(deadline.into(), reading).await {
                Ok(Ok(0)) => return Err(ConnectError::Broken(HandshakeFailure::Closed)),
                Ok(Ok(bytes)) => {
                    self.heard = true;
                    self.rest.extend_from_slice(&self.buffer[..bytes]);
                    let taken = self.handshake.receive(&self.rest);
                    self.rest.drain(..taken);
                }
                Ok(Err(error)) => return Err(ConnectError::Broken(error)),
                Err(_) => self.handshake.tick(now()),
            }
            // A dialler's confirmation must not go out before it is decided.
            if let Some(event) = self.handshake.poll_event() {
                return Ok(event);
            }
        }
    }

    /// Sends what the handshake has to say.
    pub(super) async fn flush(&mut self) -> Result<(), ConnectError> {
        let mut out = Vec::new();
        self.handshake.transmit(&mut out);
        if out.is_empty() {
            return Ok(());
        }
        let deadline = self.handshake.poll_timeout().unwrap_or_else(|| {
            // It is over; its last word is short.
            now() + LAST_WORD
        });
        match tokio::time::timeout_at(deadline.into(), self.session.write_all(&out)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ConnectError::Broken(error)),
            Err(_) => Err(ConnectError::Broken(HandshakeFailure::TimedOut {
                after: LAST_WORD,
            })),
        }
    }

    /// Both sides agree.
    pub(super) fn shaken(self, wire: Box<crate::wire::handshake::Established>) -> Shaken {
        Shaken {
            session: self.session,
            wire,
            rest: self.rest,
        }
    }

    /// Lets the other side hear the last word.
    pub(super) async fn finish(mut self) {
        if self.flush().await.is_ok() {
            self.session.linger().await;
        }
    }

    /// What is wrong with a greeting, by what the transport knows.
    pub(super) fn check_name(&self, who: &Introduction) -> Result<(), Refusal> {
        let identity = &self.session.peer().identity;
        if identity.vouches_for(who.peer.as_str()) {
            return Ok(());
        }
        Err(Refusal::Identity {
            authenticated: identity.names().join(", "),
        })
    }
}

fn auth(session: &transport::Established) -> SessionAuth {
    SessionAuth {
        exporter: session
            .peer()
            .binding
            .map(|bytes| bytes.to_vec())
            .unwrap_or_default(),
        ..SessionAuth::default()
    }
}

/// A greeting has at most 4 KiB.
const BUFFER: usize = 4 << 10;

/// How long the end of a handshake may take to be sent.
const LAST_WORD: std::time::Duration = std::time::Duration::from_secs(1);
