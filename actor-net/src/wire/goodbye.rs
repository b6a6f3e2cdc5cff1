//! The last frame of a connection: why it ends.

use super::codec::{Reader, cut, put_text};
use super::error::{CloseReason, Fault, WireError};
use super::frame::{FrameKind, put_frame};

/// Bytes of its text.
const TEXT_MAX: usize = 400;

/// Codes from here on are the numbers of faults.
const FAULTS: u8 = 0x40;

impl CloseReason {
    /// What a peer is told of a fault in what it sent.
    pub(crate) fn of(error: &WireError) -> Self {
        Self::Fault {
            code: error.fault.code(),
            detail: error.to_string(),
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let (code, detail) = match self {
            Self::Shutdown => (1, ""),
            Self::Replaced => (2, ""),
            Self::Idle => (3, ""),
            Self::Fault { code, detail } => (FAULTS.saturating_add(*code), detail.as_str()),
            Self::Other { code, detail } => (*code, detail.as_str()),
        };
        put_frame(out, FrameKind::Goodbye, 0, |out| {
            out.push(code);
            put_text(out, cut(detail, TEXT_MAX));
        });
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let read = |reader: &mut Reader<'_>| {
            let code = reader.u8("reason")?;
            let detail = reader.text("detail", TEXT_MAX)?.to_owned();
            reader.finish()?;
            Ok((code, detail))
        };
        let (code, detail) = read(&mut reader).map_err(Fault::Malformed)?;
        Ok(match code {
            1 => Self::Shutdown,
            2 => Self::Replaced,
            3 => Self::Idle,
            FAULTS.. => Self::Fault {
                code: code.saturating_sub(FAULTS),
                detail,
            },
            _ => Self::Other { code, detail },
        })
    }
}
