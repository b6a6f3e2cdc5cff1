use std::time::{Duration, Instant};

use super::super::error::Fault;
use super::super::heartbeat::Heartbeat;
use super::super::limits::Limits;

const SECOND: Duration = Duration::from_secs(1);

fn pinged(heartbeat: &mut Heartbeat, now: Instant) -> Option<u64> {
    let mut out = Vec::new();
    heartbeat.put(now, &mut out);
    let body: [u8; 8] = out.get(6..14)?.try_into().ok()?;
    Some(u64::from_le_bytes(body))
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up_within_the_time_out() {
    let start = Instant::now();
    let mut heartbeat = Heartbeat::new(&Limits::default(), start);
    let mut pings = 0;
    let (gone, now) = loop {
        let now = heartbeat.timeout().unwrap();
        match heartbeat.tick(now) {
            Ok(()) => pings += usize::from(pinged(&mut heartbeat, now).is_some()),
            Err(fault) => break (fault, now),
        }
    };
    assert_eq!(gone, Fault::Silent { after: 5 * SECOND });
    assert_eq!(now - start, 5 * SECOND);
    assert_eq!(pings, 4);
}

#[test]
fn any_bytes_are_a_sign_of_life() {
    let start = Instant::now();
    let mut heartbeat = Heartbeat::new(&Limits::default(), start);
    let mut pings = Vec::new();
    for half in 1..100u32 {
        let now = start + half * SECOND / 2;
        heartbeat.heard(now);
        heartbeat.tick(now).unwrap();
        if let Some(number) = pinged(&mut heartbeat, now) {
            heartbeat.pong(&number.to_le_bytes(), now).unwrap();
            pings.push(half / 2);
        }
    }
    // For the round trip alone.
    assert_eq!(pings, [1, 11, 21, 31, 41]);
}

#[test]
fn g04_who_was_stopped_himself_does_not_blame_the_other() {
    let start = Instant::now();
    let mut heartbeat = Heartbeat::new(&Limits::default(), start);
    heartbeat.tick(start + SECOND / 2).unwrap();
    // Ten seconds of nothing at all, then the time is looked at before the socket is.
    let awake = start + 10 * SECOND;
    heartbeat.tick(awake).unwrap();
    assert!(pinged(&mut heartbeat, awake).is_some());
    heartbeat.tick(awake + SECOND).unwrap();
    // If nothing comes then, the peer is gone.
    assert!(heartbeat.tick(awake + 2 * SECOND).is_err());
}

#[test]
fn one_answer_is_due_however_many_pings_came() {
    let now = Instant::now();
    let mut heartbeat = Heartbeat::new(&Limits::default(), now);
    for number in 0..1000u64 {
        heartbeat.ping(&number.to_le_bytes()).unwrap();
    }
    let mut out = Vec::new();
    heartbeat.put(now, &mut out);
    assert_eq!(out.len(), 14);
    assert_eq!(out[6..14], 999u64.to_le_bytes());
}

#[test]
fn the_round_trip_is_measured() {
    let now = Instant::now();
    let mut heartbeat = Heartbeat::new(&Limits::default(), now);
    heartbeat.tick(now + SECOND).unwrap();
    let number = pinged(&mut heartbeat, now + SECOND).unwrap();
    let answered = now + SECOND + Duration::from_millis(8);
    heartbeat.pong(&number.to_le_bytes(), answered).unwrap();
    assert_eq!(heartbeat.round_trip(), Some(Duration::from_millis(8)));
    // An answer to nothing says nothing.
    heartbeat
        .pong(&77u64.to_le_bytes(), answered + SECOND)
        .unwrap();
    assert_eq!(heartbeat.round_trip(), Some(Duration::from_millis(8)));
}
