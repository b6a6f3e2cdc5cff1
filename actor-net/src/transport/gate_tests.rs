//! The gate, by counts and a clock that is moved by hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::{Gate, GateLimits, SOURCES_MAX, TurnedAway};

fn gate(open_max: usize, open_per_source: usize, arrivals_per_second: u32) -> Gate {
    Gate::new(GateLimits {
        open_max,
        open_per_source,
        arrivals_per_second,
    })
}

fn v4(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))
}

#[test]
fn each_limit_turns_away_and_recovers() {
    let now = Instant::now();
    let mut gate = gate(3, 2, 100);
    let a = gate.arrive(v4(1), now).unwrap();
    let _b = gate.arrive(v4(1), now).unwrap();
    assert_eq!(
        gate.arrive(v4(1), now).unwrap_err(),
        TurnedAway::TooManyFromSource
    );
    let _c = gate.arrive(v4(2), now).unwrap();
    assert_eq!(
        gate.arrive(v4(3), now).unwrap_err(),
        TurnedAway::TooManyUnauthenticated
    );
    assert_eq!(gate.open(), 3);
    gate.leave(a);
    assert!(gate.arrive(v4(1), now).is_ok());
}

#[test]
fn a_source_has_a_rate_and_a_burst_of_two_seconds() {
    let mut now = Instant::now();
    let mut gate = gate(1000, 1000, 10);
    for _ in 0..20 {
        gate.arrive(v4(1), now).unwrap();
    }
    assert_eq!(gate.arrive(v4(1), now).unwrap_err(), TurnedAway::TooFast);
    assert!(gate.arrive(v4(2), now).is_ok(), "others are not affected");
    now += Duration::from_millis(100);
    assert!(gate.arrive(v4(1), now).is_ok());
    assert_eq!(gate.arrive(v4(1), now).unwrap_err(), TurnedAway::TooFast);
}

#[test]
fn a_v6_network_and_a_mapped_address_are_one_source() {
    let now = Instant::now();
    let mut gate = gate(100, 1, 100);
    let net = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
    gate.arrive(net(1), now).unwrap();
    assert!(gate.arrive(net(2), now).is_err());
    gate.arrive(v4(1), now).unwrap();
    let mapped = IpAddr::V6(Ipv4Addr::from(0x0a00_0001).to_ipv6_mapped());
    assert!(gate.arrive(mapped, now).is_err());
}

#[test]
fn the_table_is_bounded_and_forgets_the_quiet() {
    let mut now = Instant::now();
    let mut gate = gate(usize::MAX, 2, 10);
    for n in 0..SOURCES_MAX as u32 {
        let place = gate.arrive(v4(n), now).unwrap();
        gate.leave(place);
    }
    assert_eq!(gate.remembered(), SOURCES_MAX);
    // All were seen just now: strangers share one entry, and its limits.
    let mut shared = 0;
    for n in 0..1000 {
        if gate.arrive(v4(1_000_000 + n), now).is_ok() {
            shared += 1;
        }
    }
    assert_eq!(shared, 2);
    assert_eq!(gate.remembered(), SOURCES_MAX);
    // Later their buckets are full again and nothing is to be remembered.
    now += Duration::from_secs(10);
    gate.arrive(v4(2_000_000), now).unwrap();
    assert_eq!(gate.remembered(), 1);
}
