//! Which of several connections between two peers counts. Pure: what is known and what is said, in; a verdict
//! out.
//!
//! Two peers may dial each other at once, one may have lost a connection that the other still believes in,
//! one may be a later life of itself. The rules, in their order:
//!
//! 1. A life that was declared dead, or is older than one known, is refused.
//! 2. *Both dial at once*: the dial of the peer with the smaller id counts. The other refuses nothing and
//!    gives its own dial up; the smaller refuses what comes in while its dial is under way.
//! 3. *There is a connection*: every connection has a number (its epoch), and a greeting says the last one
//!    its sender knew. One who knew the present one and dials again has lost it: the new one takes its place.
//!    One who did not know it dialled before it came about: refused, it will find the present one.

use super::hello::{ConnectionKind, Hello, Refusal};
use crate::id::{Incarnation, PeerId};

/// What is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) incarnation: Incarnation,
    /// This life was declared dead.
    pub(crate) dead: bool,
    /// The last control connection's number; 0 before the first.
    pub(crate) epoch: u32,
    pub(crate) connected: bool,
    /// A dial of ours is under way.
    pub(crate) dialling: bool,
    /// The session of the present or last control connection.
    pub(crate) session: u128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept(Accepted),
    Refuse(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) epoch: u32,
    pub(crate) replaces: Replaces,
    /// Our own dial is to be given up.
    pub(crate) abandon_dial: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaces {
    Nothing,
    /// The peer has lost the present connection; its association goes on.
    Connection,
    /// The peer is a new life: everything of the old one has ended.
    Incarnation,
}

/// Judges the greeting of a control connection.
pub(crate) fn judge(own: &PeerId, known: Option<&Known>, hello: &Hello) -> Verdict {
    if hello.who.peer == *own {
        return Verdict::Refuse(Refusal::Myself);
    }
    let Some(known) = known else {
        return accept(hello.last_epoch, 0, Replaces::Nothing, false);
    };
    if hello.who.incarnation < known.incarnation {
        let known = known.incarnation.0;
        return Verdict::Refuse(Refusal::StaleIncarnation { known });
    }
    let same_life = hello.who.incarnation == known.incarnation;
    if same_life && known.dead {
        return Verdict::Refuse(Refusal::DeclaredDead);
    }
    if known.dialling && *own < hello.who.peer {
        return Verdict::Refuse(Refusal::SimultaneousConnect);
    }
    if same_life && known.connected && hello.last_epoch != known.epoch {
        return Verdict::Refuse(Refusal::AlreadyConnected);
    }
    let replaces = match (same_life, known.connected) {
        (false, _) => Replaces::Incarnation,
        (true, true) => Replaces::Connection,
        (true, false) => Replaces::Nothing,
    };
    accept(hello.last_epoch, known.epoch, replaces, known.dialling)
}

fn accept(theirs: u32, ours: u32, replaces: Replaces, abandon_dial: bool) -> Verdict {
    Verdict::Accept(Accepted {
        epoch: theirs.max(ours).saturating_add(1),
        replaces,
        abandon_dial,
    })
}

/// Judges the greeting of a data lane. Lanes are dialled by the side that dialled the control connection, so
/// two never meet; a new connection of a lane takes the place of the one before. `epoch` is the number of the
/// lane's last connection.
pub(crate) fn judge_lane(
    known: Option<&Known>,
    lanes: usize,
    epoch: u32,
    hello: &Hello,
) -> Verdict {
    let ConnectionKind::Lane { index, session } = hello.kind else {
        return Verdict::Refuse(Refusal::UnknownSession);
    };
    let in_session = known.is_some_and(|known| {
        known.connected
            && !known.dead
            && known.session == session
            && known.incarnation == hello.who.incarnation
    });
    if !in_session {
        return Verdict::Refuse(Refusal::UnknownSession);
    }
    if usize::from(index) >= lanes {
        let lanes = u64::try_from(lanes).unwrap_or(u64::MAX);
        return Verdict::Refuse(Refusal::NoSuchLane { lanes });
    }
    accept(hello.last_epoch, epoch, Replaces::Connection, false)
}
