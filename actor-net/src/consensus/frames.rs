//! How records lie in a file: each with its length and a digest, so that a reader knows what it can trust.
//!
//! ```text
//! "ANL1"  length: u32, little endian  digest: 16 bytes of SHA-256 over the payload  payload
//! ```
//!
//! A writer syncs each record before it writes the next. So after a crash at most the last record is not whole, and
//! nobody was told that it is there: it is cut off. A record that is not whole *before* one that is whole is
//! something else, a damaged disk or a stray hand, and then nothing that follows can be trusted: a voter that
//! forgets in the middle may break promises. That is an error with the place, for a person to look at.

use ring::digest;

const MARK: &[u8; 4] = b"ANL1";
const DIGEST_BYTES: usize = 16;
const HEAD_BYTES: usize = MARK.len() + 4 + DIGEST_BYTES;

/// A record, ready to be written; `None` if the payload is 4 GiB or more.
pub(crate) fn frame(payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok()?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&digest_of(payload));
    bytes.extend_from_slice(payload);
    Some(bytes)
}

/// What a file holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Frames<'a> {
    /// The payloads, in order, each with the place it begins at.
    pub(crate) payloads: Vec<(u64, &'a [u8])>,
    /// Where the last whole record ends.
    pub(crate) whole: u64,
}

/// Reads a file.
///
/// # Errors
///
/// The place of a record that is not whole although a whole one follows.
pub(crate) fn read(bytes: &[u8]) -> Result<Frames<'_>, u64> {
    let mut payloads = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(payload) = first(rest) else {
            let follows = (1..rest.len())
                .filter_map(|skip| rest.get(skip..))
                .any(|rest| rest.starts_with(MARK) && first(rest).is_some());
            if follows {
                return Err(at as u64);
            }
            break;
        };
        payloads.push(((at + HEAD_BYTES) as u64, payload));
        at += HEAD_BYTES + payload.len();
    }
    Ok(Frames {
        payloads,
        whole: at as u64,
    })
}

/// The payload of the record at the beginning, if it is whole.
fn first(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(MARK)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (digest, rest) = rest.split_first_chunk::<DIGEST_BYTES>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    (digest_of(payload) == *digest).then_some(payload)
}

fn digest_of(payload: &[u8]) -> [u8; DIGEST_BYTES] {
    let whole = digest::digest(&digest::SHA256, payload);
    let mut digest = [0; DIGEST_BYTES];
    for (to, from) in digest.iter_mut().zip(whole.as_ref()) {
        *to = *from;
    }
    digest
}
