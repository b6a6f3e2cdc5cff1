//! From two connected sockets to two processes that know each other: TLS, then the admission.
//!
//! Both functions leave the session as it is when they fail, so that the caller can let the other side hear
//! why; neither watches the clock, the caller does that too.

use rustls::{ClientConnection, Connection, ServerConnection};

use super::admission::{self, ADMISSION_BYTES, Answer};
use super::security::{
    HandshakeFailure, Loaded, Mode, PROOF_BYTES, PeerIdentity, Prover, Role, Verdict,
};
use super::session::Session;

/// What both sides know after a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) identity: PeerIdentity,
    /// Known to the two ends of this TLS session and to nobody else.
    pub(crate) binding: Option<[u8; 32]>,
}

/// The dialler's part.
pub(crate) async fn dial(
    session: &mut Session,
    keys: &Loaded,
    host: &str,
) -> Result<Proven, HandshakeFailure> {
    let mode = keys.mode();
    if let Some(configs) = keys.tls() {
        let name = configs.wanted_name(host)?;
        let tls = ClientConnection::new(configs.client.clone(), name)
            .map_err(|error| HandshakeFailure::from_tls(error, mode))?;
        session.shake_hands(tls.into()).await?;
    }
    let proven = proven(session, keys)?;
    let proof = keys.prover().map(|prover| Proof::new(prover, session));
    let proof = proof.transpose()?;

    let mut hello = admission::hello(mode).to_vec();
    if let Some(proof) = &proof {
        hello.extend(proof.prover.prove(Role::Dialler, &proof.exporter, None));
    }
    let sent = session.write_all(&hello).await;
    let mut answer = [0; ADMISSION_BYTES];
    match (sent, session.read_exact(&mut answer).await) {
        (Ok(()), read) => read?,
        // Refused before this side was done: what was said is worth more than that nobody listened.
        (Err(_), Err(refused @ HandshakeFailure::Refused(_))) => return Err(refused),
        (Err(broken), _) => return Err(broken),
    }
    admission::check_answer(&answer)?;
    if let Some(proof) = &proof {
        let mut theirs = [0; PROOF_BYTES];
        session.read_exact(&mut theirs).await?;
        proof
            .prover
            .check(Role::Listener, &proof.exporter, &theirs)
            .ok_or(HandshakeFailure::WrongSharedKey)?;
    }
    Ok(proven)
}

/// The listener's part. `admit` has the last word, when it is known who wants in.
pub(crate) async fn accept<Slot>(
    session: &mut Session,
    keys: &Loaded,
    admit: impl FnOnce(&PeerIdentity) -> Result<Slot, Verdict>,
) -> Result<(Proven, Slot), HandshakeFailure> {
    let result = accept_inner(session, keys, admit).await;
    if let Err(failure) = &result
        && let Some(answer) = admission::answer_to(failure)
    {
        // A peer that does not listen any more does not hear it.
        let _ = session.write_all(&admission::answer(answer)).await;
    }
    result
}

async fn accept_inner<Slot>(
    session: &mut Session,
    keys: &Loaded,
    admit: impl FnOnce(&PeerIdentity) -> Result<Slot, Verdict>,
) -> Result<(Proven, Slot), HandshakeFailure> {
    let mode = keys.mode();
    let first = session
        .first_byte()
        .await?
        .ok_or(HandshakeFailure::Closed)?;
    match (keys.tls(), first) {
        (Some(configs), TLS_HANDSHAKE) => {
            let tls = ServerConnection::new(configs.server.clone())
                .map_err(|error| HandshakeFailure::from_tls(error, mode))?;
            session.shake_hands(tls.into()).await?;
        }
        (Some(_), admission::FIRST_BYTE) => return Err(HandshakeFailure::SpokePlain),
        (None, admission::FIRST_BYTE) => {}
        (None, TLS_HANDSHAKE) => {
            // To a TLS client this is no record: it will know that this side speaks plainly.
            let answer = admission::answer(Answer::OtherMode);
            let _ = session.write_all(&answer).await;
            return Err(HandshakeFailure::SpokeTls);
        }
        _ => return Err(HandshakeFailure::NotActorNet),
    }
    let mut hello = [0; ADMISSION_BYTES];
    session.read_exact(&mut hello).await?;
    admission::check_hello(&hello, mode)?;

    let mut reply = admission::answer(Answer::Admitted).to_vec();
    if let Some(prover) = keys.prover() {
        let proof = Proof::new(prover, session)?;
        let mut theirs = [0; PROOF_BYTES];
        session.read_exact(&mut theirs).await?;
        let known = prover
            .check(Role::Dialler, &proof.exporter, &theirs)
            .ok_or(HandshakeFailure::WrongSharedKey)?;
        reply.extend(prover.prove(Role::Listener, &proof.exporter, Some(known)));
    }
    let proven = proven(session, keys)?;
    let slot = admit(&proven.identity).map_err(HandshakeFailure::Refused)?;
    session.write_all(&reply).await?;
    Ok((proven, slot))
}

fn proven(session: &Session, keys: &Loaded) -> Result<Proven, HandshakeFailure> {
    let Some((tls, configs)) = session.tls.as_ref().zip(keys.tls()) else {
        return Ok(Proven {
            identity: PeerIdentity {
                mode: Mode::Insecure,
                names: Vec::new(),
                key: None,
            },
            binding: None,
        });
    };
    Ok(Proven {
        identity: configs.identify(tls.peer_certificates())?,
        binding: Some(export(tls, b"EXPORTER-actor-net-session")?),
    })
}

/// What a shared key is proven with.
struct Proof<'a> {
    prover: &'a Prover,
    exporter: [u8; 32],
}

impl<'a> Proof<'a> {
    fn new(prover: &'a Prover, session: &Session) -> Result<Self, HandshakeFailure> {
        let tls = session
            .tls
            .as_ref()
            .ok_or_else(|| HandshakeFailure::Tls("a shared key without TLS".to_owned()))?;
        Ok(Self {
            prover,
            exporter: export(tls, b"EXPORTER-actor-net-shared-key")?,
        })
    }
}

fn export(tls: &Connection, label: &[u8]) -> Result<[u8; 32], HandshakeFailure> {
    tls.export_keying_material([0; 32], label, None)
        .map_err(|error| HandshakeFailure::Tls(error.to_string()))
}

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
