//! The first bytes after TLS, or the very first without it: who dials says what it speaks, who listens says
//! yes or no. Pure: bytes in, values out.
//!
//! ```text
//! dialler -> listener   0..8 "actornet"   8 version (1)   9 mode     10..16 zero   [16..48 proof]
//! listener -> dialler   0..8 "actornet"   8 version (1)   9 answer   10..16 zero   [16..48 proof]
//! ```
//!
//! The proofs are there with a shared key only, the listener's only with the answer "yes". In TLS 1.3 a
//! dialler is done before the listener has looked at its certificate; this answer is how it learns that it
//! is in, or why not. Six bytes are left for later versions and must be ignored by this one.

use super::security::{HandshakeFailure, Mode, Verdict};

/// The length of both, without the proof.
pub(crate) const ADMISSION_BYTES: usize = 16;

/// The version of the admission that this crate speaks.
pub(crate) const VERSION: u8 = 1;

/// The first byte of everything here; a TLS record begins with 20 to 24.
pub(crate) const FIRST_BYTE: u8 = MAGIC[0];

const MAGIC: &[u8; 8] = b"actornet";

/// What a listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Admitted,
    NotAuthenticated,
    Version,
    OtherMode,
    TooManyLinks,
    ShuttingDown,
    /// For who speaks plainly to a listener with TLS.
    NeedsTls,
}

pub(crate) fn hello(mode: Mode) -> [u8; ADMISSION_BYTES] {
    layout(mode.number())
}

pub(crate) fn answer(answer: Answer) -> [u8; ADMISSION_BYTES] {
    layout(match answer {
        Answer::Admitted => 0,
        Answer::NotAuthenticated => 1,
        Answer::Version => 2,
        Answer::OtherMode => 3,
        Answer::TooManyLinks => 4,
        Answer::ShuttingDown => 5,
        Answer::NeedsTls => 6,
    })
}

/// Whether a dialler speaks what this side does.
pub(crate) fn check_hello(
    bytes: &[u8; ADMISSION_BYTES],
    ours: Mode,
) -> Result<(), HandshakeFailure> {
    let (version, mode) = parse(bytes)?;
    if version != VERSION {
        return Err(HandshakeFailure::Version {
            ours: VERSION,
            theirs: version,
        });
    }
    if mode != ours.number() {
        return Err(HandshakeFailure::OtherMode { ours });
    }
    Ok(())
}

/// What a refused dialler is told; `None`: nothing, since what it says is nothing of ours.
pub(crate) fn answer_to(failure: &HandshakeFailure) -> Option<Answer> {
    match failure {
        HandshakeFailure::Version { .. } => Some(Answer::Version),
        HandshakeFailure::OtherMode { .. } => Some(Answer::OtherMode),
        HandshakeFailure::Refused(Verdict::TooManyLinks) => Some(Answer::TooManyLinks),
        HandshakeFailure::Refused(Verdict::ShuttingDown) => Some(Answer::ShuttingDown),
        HandshakeFailure::SpokePlain => Some(Answer::NeedsTls),
        HandshakeFailure::WrongSharedKey
        | HandshakeFailure::KeyNotPinned { .. }
        | HandshakeFailure::NoName
        | HandshakeFailure::WrongName { .. }
        | HandshakeFailure::NoCertificate
        | HandshakeFailure::BadCertificate(_) => Some(Answer::NotAuthenticated),
        _ => None,
    }
}

/// Whether a listener lets this side in.
pub(crate) fn check_answer(bytes: &[u8; ADMISSION_BYTES]) -> Result<(), HandshakeFailure> {
    let (version, answer) = parse(bytes)?;
    Err(HandshakeFailure::Refused(match answer {
        0 if version == VERSION => return Ok(()),
        6 => return Err(HandshakeFailure::SpokeTls),
        0 | 2 => {
            return Err(HandshakeFailure::Version {
                ours: VERSION,
                theirs: version,
            });
        }
        1 => Verdict::NotAuthenticated,
        3 => Verdict::OtherMode,
        4 => Verdict::TooManyLinks,
        5 => Verdict::ShuttingDown,
        other => Verdict::Other(format!("answer {other}, which this version does not know")),
    }))
}

fn layout(what: u8) -> [u8; ADMISSION_BYTES] {
    let mut bytes = [0; ADMISSION_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = VERSION;
    bytes[9] = what;
    bytes
}

fn parse(bytes: &[u8; ADMISSION_BYTES]) -> Result<(u8, u8), HandshakeFailure> {
    let [magic @ .., version, what, _, _, _, _, _, _] = bytes;
    if magic == MAGIC {
        return Ok((*version, *what));
    }
    // An alert or a handshake record: TLS.
    if matches!(bytes[0], 0x15 | 0x16) && bytes[1] == 3 {
        return Err(HandshakeFailure::SpokeTls);
    }
    Err(HandshakeFailure::NotActorNet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(&hello(Mode::SharedKey), b"actornet\x01\x03\0\0\0\0\0\0");
        assert_eq!(
            &answer(Answer::TooManyLinks),
            b"actornet\x01\x04\0\0\0\0\0\0"
        );
    }

    #[test]
    fn every_answer_is_understood() {
        assert_eq!(check_answer(&answer(Answer::Admitted)), Ok(()));
        for refusal in [
            Answer::NotAuthenticated,
            Answer::Version,
            Answer::OtherMode,
            Answer::TooManyLinks,
            Answer::ShuttingDown,
            Answer::NeedsTls,
        ] {
            let told = check_answer(&answer(refusal)).unwrap_err();
            assert!(!told.to_string().contains("answer"), "{told}");
        }
        let mut later = answer(Answer::Version);
        later[8] = 9;
        later[10..].fill(0xff);
        assert_eq!(
            check_answer(&later),
            Err(HandshakeFailure::Version { ours: 1, theirs: 9 })
        );
    }

    #[test]
    fn what_is_not_ours_is_told_apart() {
        let mut alert = [0; ADMISSION_BYTES];
        alert[..7].copy_from_slice(&[0x15, 3, 3, 0, 2, 2, 10]);
        assert_eq!(check_answer(&alert), Err(HandshakeFailure::SpokeTls));
        assert_eq!(
            check_answer(b"HTTP/1.1 400 Bad"),
            Err(HandshakeFailure::NotActorNet)
        );
        assert_eq!(
            check_hello(&hello(Mode::Mtls), Mode::PinnedKeys),
            Err(HandshakeFailure::OtherMode {
                ours: Mode::PinnedKeys
            })
        );
    }
}
