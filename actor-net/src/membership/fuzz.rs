//! What the fuzzer calls, and `cargo test` with the corpus: a machine that takes datagrams of a peer.

use std::time::{Duration, Instant};

use super::machine::Membership;
use super::profile::Profile;
use super::settings::MembershipSettings;
use crate::id::{Incarnation, PeerId};
use crate::wire::fuzz::Target;

/// The machines by name.
pub(crate) const TARGETS: &[(&str, Target)] = &[("membership", membership)];

/// A peer that says anything: each two bytes are the length of a datagram. What the machine answers is bounded by what
/// it was told.
fn membership(data: &[u8]) {
    let name = |name: &str| PeerId::new(name).expect("a name");
    let mut now = Instant::now();
    let settings = MembershipSettings::default();
    let profile = Profile::new(1);
    let mut machine = Membership::new(name("own"), Incarnation(1), profile, settings, 7, now);
    let other = name("other");
    machine.handle_connected(&other, Incarnation(7), now);
    let mut rest = data;
    while let Some((len, more)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_le_bytes(*len)).min(more.len());
        let (datagram, more) = more.split_at(len);
        rest = more;
        machine.handle_datagram(&other, datagram, now);
        while machine.poll_transmit().is_some() {}
        while machine.poll_event().is_some() {}
        now += Duration::from_millis(700);
        machine.handle_timeout(now);
    }
    machine.handle_disconnected(&other, now);
    machine.handle_timeout(now + Duration::from_secs(60));
    while machine.poll_transmit().is_some() {}
    let _view = machine.view();
}
