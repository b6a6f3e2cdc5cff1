//! What the fuzzer calls, and `cargo test` with the corpus: messages between those who agree, the parts they come in,
//! and the files of the log.

use super::frames;
use super::message::{Message, Reassembly, decode, encode};
use crate::wire::fuzz::Target;

/// The decoders by name.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("consensus", messages),
    ("consensus_parts", parts),
    ("log_file", log_file),
];

/// What decodes says the same when it is encoded again.
fn messages(data: &[u8]) {
    let Ok(message) = decode::<Message>(data) else {
        return;
    };
    let again = encode(&message).expect("what was read is written");
    let read: Message = decode(&again).expect("what was written is read");
    assert_eq!(encode(&read).expect("as before"), again);
}

/// Each two bytes are the length of a datagram; no message is longer than what came.
fn parts(data: &[u8]) {
    let mut reassembly = Reassembly::default();
    let mut rest = data;
    while let Some((len, more)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_le_bytes(*len)).min(more.len());
        let (datagram, more) = more.split_at(len);
        rest = more;
        if let Ok(Some(message)) = reassembly.take(datagram) {
            assert!(message.len() <= data.len(), "nothing comes of itself");
        }
    }
}

/// The records of a file make the same file again, as far as it is whole.
fn log_file(data: &[u8]) {
    let Ok(found) = frames::read(data) else {
        return;
    };
    let mut again = Vec::new();
    for (_, payload) in &found.payloads {
        again.extend(frames::frame(payload).expect("a short one"));
    }
    let whole = usize::try_from(found.whole).expect("within the file");
    assert_eq!(data.get(..whole), Some(&again[..]));
}
