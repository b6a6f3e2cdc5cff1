//! Bytes: what is written is read, and what nobody would write is refused without a panic.

use std::time::{Duration, Instant};

use foca::{Member, State};

use super::super::facts::Fact;
use super::super::identity::Identity;
use super::super::machine::Membership;
use super::super::packet::{self, Known, Packet};
use super::super::profile::{InvalidProfile, PeerNumaNode, Profile};
use super::super::settings::MembershipSettings;
use super::cluster::{Cluster, endpoint, name};
use crate::id::Incarnation;
use crate::simulation::Random;

fn identity(number: usize) -> Identity {
    let peer = name(number);
    let at = endpoint(&peer);
    Identity::new(peer, Incarnation(7), Some(at))
}

fn profile() -> Profile {
    let node = |id| PeerNumaNode {
        id,
        cpus: 8,
        bytes: 1 << 34,
    };
    Profile::new(12)
        .with_endpoint(endpoint(&name(1)))
        .and_then(|p| p.with_role("billing"))
        .and_then(|p| p.with_metadata("zone", "b"))
        .and_then(|p| p.with_numa_node(node(0)))
        .and_then(|p| p.with_numa_node(node(2)))
        .expect("within limits")
}

#[test]
fn packets_read_as_they_were_written() {
    let member = Member::new(identity(1), 3, State::Suspect);
    let many = packet::sync(true, std::iter::once((&member, 9)));
    assert_eq!(many.len(), 1);
    let members = vec![Known { member, version: 9 }];
    let back = true;
    assert_eq!(Packet::decode(&many[0]), Ok(Packet::Sync { back, members }));
    let profile = profile();
    let (peer, life) = (name(1), Incarnation(7));
    let bytes = packet::profiles(std::iter::once((&peer, life, 4, &profile)));
    let Ok(Packet::Profiles(told)) = Packet::decode(&bytes[0]) else {
        panic!("profiles");
    };
    assert_eq!((&told[0].peer, told[0].version), (&peer, 4));
    assert_eq!(told[0].profile, profile);
    let wishes = packet::wishes(std::iter::once((&peer, life)));
    assert_eq!(
        Packet::decode(&wishes),
        Ok(Packet::Wishes(vec![(peer.clone(), life)]))
    );
    assert_eq!(Packet::decode(&packet::left(life)), Ok(Packet::Left(life)));
    for fact in [
        Fact::Leaving {
            peer: peer.clone(),
            incarnation: life,
        },
        Fact::Profile {
            peer: peer.clone(),
            incarnation: life,
            version: 3,
        },
        Fact::Suspects {
            about: peer,
            incarnation: life,
            refuted: 2,
            by: name(2),
        },
    ] {
        assert_eq!(Fact::decode(&fact.encode()), Ok(fact));
    }
}

#[test]
fn a_thousand_members_go_in_datagrams_that_fit_a_frame() {
    let members: Vec<_> = (0..1000)
        .map(|n| Member::new(identity(n), 0, State::Alive))
        .collect();
    let datagrams = packet::sync(true, members.iter().map(|member| (member, 1)));
    assert!(datagrams.iter().all(|bytes| bytes.len() < 60 * 1024));
    let back: usize = datagrams
        .iter()
        .map(|bytes| match Packet::decode(bytes) {
            Ok(Packet::Sync { members, .. }) => members.len(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(back, 1000);
    assert_eq!(datagrams.iter().filter(|bytes| bytes[1] == 1).count(), 1);
}

#[test]
fn a_profile_has_limits_that_its_error_names() {
    let long = "x".repeat(257);
    let error = Profile::new(0).with_metadata("k", &long).unwrap_err();
    assert_eq!(
        error,
        InvalidProfile {
            what: "bytes of a metadata value",
            value: 257,
            max: 256
        }
    );
    let mut full = Profile::new(0);
    for number in 0..16 {
        full = full.with_role(&format!("role-{number}")).expect("room");
    }
    assert!(full.with_role("one more").is_err());
}

#[test]
fn settings_out_of_range_are_refused_with_the_range() {
    assert_eq!(MembershipSettings::default().check(), Ok(()));
    let settings = MembershipSettings {
        probe_timeout: Duration::from_secs(2),
        ..MembershipSettings::default()
    };
    let error = settings.check().unwrap_err();
    assert_eq!(error.setting, "probe_timeout");
    assert!(error.to_string().contains("500ms"), "{error}");
}

fn alone() -> Membership {
    let settings = MembershipSettings::default();
    Membership::new(
        name(0),
        Incarnation(1),
        profile(),
        settings,
        1,
        Instant::now(),
    )
}

/// What a real cluster says, with bytes changed, cut and added, into a machine.
#[test]
fn forged_datagrams_neither_panic_nor_stop_a_peer() {
    let mut real = Vec::new();
    let mut cluster = Cluster::formed(1, 3, MembershipSettings::default());
    for peer in cluster.network.peers() {
        cluster.network.with(&peer, |machine, now| {
            machine.leave(now);
            while let Some(datagram) = machine.poll_transmit() {
                real.push(datagram.bytes);
            }
            for _ in 0..20 {
                machine.handle_timeout(machine.poll_timeout().unwrap_or(now));
                while let Some(datagram) = machine.poll_transmit() {
                    real.push(datagram.bytes);
                }
            }
        });
    }
    assert!(real.len() > 20);
    let mut random = Random::new(5);
    let mut machine = alone();
    let now = Instant::now();
    for round in 0..20_000 {
        let mut bytes = real[random.index(real.len())].clone();
        for _ in 0..1 + random.below(4) {
            match random.below(4) {
                0 => bytes.truncate(random.index(bytes.len() + 1)),
                1 => bytes.push(random.next() as u8),
                _ if !bytes.is_empty() => {
                    let at = random.index(bytes.len());
                    bytes[at] = random.next() as u8;
                }
                _ => {}
            }
        }
        let from = name(1 + round % 2);
        machine.handle_datagram(&from, &bytes, now);
        while machine.poll_transmit().is_some() {}
        while machine.poll_event().is_some() {}
        if machine.is_over() {
            machine = alone();
        }
    }
    assert!(machine.refused() > 0);
}

#[test]
fn more_members_than_allowed_are_not_taken() {
    let mut machine = Membership::new(
        name(0),
        Incarnation(1),
        profile(),
        MembershipSettings {
            members_max: 10,
            ..MembershipSettings::default()
        },
        1,
        Instant::now(),
    );
    let members: Vec<_> = (1..1000)
        .map(|n| Member::new(identity(n), 0, State::Alive))
        .collect();
    for bytes in packet::sync(false, members.iter().map(|member| (member, 1))) {
        machine.handle_datagram(&name(1), &bytes, Instant::now());
    }
    assert_eq!(machine.view().members().len(), 11);
}
