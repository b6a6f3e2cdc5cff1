//! Ends and failures as numbers on the wire, and back.

use actor_core::remote::{RemoteFailure, Undelivered};
use actor_core::{StopMode, StopReason};

use crate::wire::message::FailCode;
use crate::wire::signal::{End, STOP_MARKED};

/// Why an ask has no answer, for the asker's peer.
pub(super) const fn code_of(failure: RemoteFailure) -> FailCode {
    match failure {
        RemoteFailure::Dead => FailCode::Dead,
        RemoteFailure::Panicked => FailCode::Panicked,
        RemoteFailure::Expired => FailCode::Expired,
        RemoteFailure::Cancelled => FailCode::Cancelled,
        // No room is no room: for one actor, or for all.
        RemoteFailure::Full | RemoteFailure::Overloaded => FailCode::Full,
        _ => FailCode::NoReply,
    }
}

/// The same, for the asker here.
pub(super) const fn failure_of(code: FailCode) -> RemoteFailure {
    match code {
        FailCode::Dead | FailCode::Stopped => RemoteFailure::Dead,
        FailCode::NotExported | FailCode::SchemaDiffers | FailCode::Malformed => {
            RemoteFailure::Undelivered(Undelivered::NotExported)
        }
        FailCode::Full => RemoteFailure::Full,
        FailCode::Expired => RemoteFailure::Expired,
        FailCode::Cancelled => RemoteFailure::Cancelled,
        FailCode::Panicked => RemoteFailure::Panicked,
        FailCode::TooLarge => RemoteFailure::Undelivered(Undelivered::TooLarge),
        FailCode::Lost => RemoteFailure::Undelivered(Undelivered::Unreachable),
        FailCode::NoReply | FailCode::Deadlock | FailCode::Other(_) => RemoteFailure::NoReply,
    }
}

/// How an actor ended, for those elsewhere. What led to a shared end has identities in it that mean nothing
/// there, so it goes as text.
pub(super) fn end_of(reason: &StopReason, marked: bool) -> End {
    let (number, detail) = match reason {
        StopReason::Normal => (0, String::new()),
        StopReason::Shutdown => (1, String::new()),
        StopReason::Killed => (2, String::new()),
        StopReason::AutoShutdown => (3, String::new()),
        StopReason::Panicked(text) => (4, text.to_string()),
        StopReason::Failed(text) => (5, text.to_string()),
        StopReason::StartFailed(text) => (6, text.to_string()),
        StopReason::PeerGone(text) => (11, text.to_string()),
        StopReason::NotFound => (12, String::new()),
        other => (5, other.to_string()),
    };
    End {
        reason: number,
        detail,
        marked,
    }
}

/// The same, here.
pub(super) fn reason_of(end: &End) -> StopReason {
    let text = || end.detail.as_str().into();
    match end.reason {
        0 => StopReason::Normal,
        1 => StopReason::Shutdown,
        2 => StopReason::Killed,
        3 => StopReason::AutoShutdown,
        4 => StopReason::Panicked(text()),
        6 => StopReason::StartFailed(text()),
        11 => StopReason::PeerGone(text()),
        12 => StopReason::NotFound,
        _ => StopReason::Failed(text()),
    }
}

pub(super) const fn number_of_mode(mode: StopMode) -> u8 {
    match mode {
        StopMode::Drain => 0,
        StopMode::Now => 1,
        StopMode::Kill => 2,
    }
}

pub(super) const fn mode_of(number: u8) -> Option<StopMode> {
    match number & !STOP_MARKED {
        0 => Some(StopMode::Drain),
        1 => Some(StopMode::Now),
        2 => Some(StopMode::Kill),
        _ => None,
    }
}
