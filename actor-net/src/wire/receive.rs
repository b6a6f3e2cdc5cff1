//! From bytes to frames to what a machine makes of them: the same for both kinds of connection.

use std::time::Instant;

use super::error::{Fault, WireError};
use super::frame::{Frame, FrameDecoder};

/// A machine that takes frames.
pub(super) trait TakeFrames {
    /// Of the present connection, if there is one.
    fn decoder(&mut self) -> Option<&mut FrameDecoder>;

    /// Whether nothing that still comes is of interest.
    fn is_over(&self) -> bool;

    /// Does what a frame says.
    fn take(&mut self, frame: Frame, now: Instant) -> Result<(), Fault>;

    /// Ends the connection, and tells the other side why.
    fn fail(&mut self, error: WireError) -> Result<(), WireError>;
}

/// Takes what came. After an error the connection is of no use.
pub(super) fn receive(
    machine: &mut impl TakeFrames,
    mut bytes: &[u8],
    now: Instant,
) -> Result<(), WireError> {
    while !machine.is_over() {
        let Some(decoder) = machine.decoder() else {
            return Ok(());
        };
        let fed = decoder.feed(bytes);
        bytes = bytes.get(fed..).unwrap_or_default();
        // A frame may end the connection.
        while let Some(decoder) = machine.decoder() {
            let frame = match decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return machine.fail(error),
            };
            let (at, kind) = (frame.at, frame.kind);
            if let Err(fault) = machine.take(frame, now) {
                let frame = Some(kind);
                return machine.fail(WireError { at, frame, fault });
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    Ok(())
}
