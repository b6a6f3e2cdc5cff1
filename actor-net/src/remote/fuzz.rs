//! What the fuzzer calls, and `cargo test` with the corpus: what peers say of asks that wait and of senders that wait.

use super::circles::Probe;
use super::export::{read, write};
use super::pauses::{PAUSES, read_word, write_word};
use crate::wire::fuzz::Target;

/// The decoders by name.
pub(crate) const TARGETS: &[(&str, Target)] = &[("probes", probes)];

/// A probe that decodes says the same when it is encoded again; of a word every byte counts.
fn probes(data: &[u8]) {
    if let Some((&PAUSES, word)) = data.split_first() {
        if let Some((word, address)) = read_word(word) {
            assert_eq!(write_word(word, address), data, "each has one encoding");
        }
        return;
    }
    let Ok(probe) = read::<Probe>(data) else {
        return;
    };
    let mut again = Vec::new();
    write(&probe, &mut again).expect("what was read is written");
    let probe = read::<Probe>(&again).expect("what was written is read");
    let mut once_more = Vec::new();
    write(&probe, &mut once_more).expect("as before");
    assert_eq!(once_more, again);
}
