//! A log and a copy of it, chunk by chunk, and the bytes in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::copy::{Copy, News, TooMuch};
use super::super::entry::{GroupLimits, JoinError};
use super::super::frames::{CHANGES_BYTES, Delta, Digest, Frame, Position};
use super::super::log::{Joined, Log};
use super::{entry, weighing};
use crate::id::Incarnation;

fn name(number: u64) -> Arc<str> {
    Arc::from(format!("group-{number}"))
}

fn limits(departures: usize) -> GroupLimits {
    GroupLimits {
        departures,
        ..GroupLimits::default()
    }
}

/// Through the bytes.
fn sent(delta: &Delta) -> Delta {
    let bytes = delta.encode(Incarnation(7));
    match Frame::decode(&bytes).unwrap() {
        Frame::Delta { owner, delta: read } => {
            assert_eq!((owner, &read), (Incarnation(7), delta));
            read
        }
        other => panic!("{other:?}"),
    }
}

fn apply(copy: &mut Copy, delta: Delta) -> Vec<News> {
    let mut news = Vec::new();
    let taken = copy.apply(delta, &GroupLimits::default(), &mut news);
    taken.unwrap();
    news
}

/// Tells the copy all there is; how many chunks it took.
fn tell(log: &Log, copy: &mut Copy, chunk: usize) -> usize {
    let mut chunks = 0;
    while log.has_news_for(copy.position()) {
        let delta = sent(&log.chunk(copy.position(), chunk));
        apply(copy, delta);
        chunks += 1;
        assert!(chunks < 10_000, "it comes to an end");
    }
    chunks
}

fn all(log: &Log) -> BTreeSet<(Arc<str>, u64)> {
    let mut copy = Copy::default();
    tell(log, &mut copy, usize::MAX);
    of(&copy)
}

fn of(copy: &Copy) -> BTreeSet<(Arc<str>, u64)> {
    copy.keys().cloned().collect()
}

#[test]
fn a_copy_is_told_what_joined_and_what_left() {
    let (mut log, mut copy) = (Log::new(limits(10)), Copy::default());
    let group = name(1);
    assert_eq!(log.join(&group, entry(1)), Ok(Joined::New));
    assert_eq!(log.join(&group, entry(1)), Ok(Joined::Same));
    assert_eq!(log.join(&group, entry(2)), Ok(Joined::New));
    tell(&log, &mut copy, usize::MAX);
    assert_eq!(of(&copy).len(), 2);
    assert!(log.leave(&group, 1));
    assert!(!log.leave(&group, 1), "it has left");
    assert_eq!(log.join(&group, weighing(2, 5)), Ok(Joined::Changed));
    let delta = sent(&log.chunk(copy.position(), usize::MAX));
    let news = apply(&mut copy, delta);
    let left = News::Left(Arc::clone(&group), 1);
    let changed = News::Changed(Arc::clone(&group), weighing(2, 5));
    assert_eq!(news, [left, changed]);
    assert!(!log.has_news_for(copy.position()));
    assert_eq!(copy.position().known, log.version());
    // Who never heard of it is not told that it left.
    let delta = log.chunk(Position::default(), usize::MAX);
    assert_eq!(delta.changes.len(), 1);
}

#[test]
fn who_was_away_too_long_is_told_all_there_is() {
    for chunk in [1, 200, usize::MAX] {
        let (mut log, mut copy) = (Log::new(limits(3)), Copy::default());
        for number in 0..20 {
            log.join(&name(number % 4), entry(number)).unwrap();
        }
        tell(&log, &mut copy, chunk);
        for number in (0..20).filter(|number| number % 3 == 0) {
            assert!(log.leave(&name(number % 4), number));
        }
        log.join(&name(9), entry(77)).unwrap();
        let next = log.chunk(copy.position(), chunk);
        assert!(next.sweep, "7 left, 3 are remembered");
        let chunks = tell(&log, &mut copy, chunk);
        assert_eq!(of(&copy), all(&log));
        if chunk == 1 {
            assert_eq!(chunks, 14, "one for each of those there are");
        }
    }
}

#[test]
fn what_changes_during_a_sweep_is_not_missed() {
    let (mut log, mut copy) = (Log::new(limits(2)), Copy::default());
    for number in 0..30 {
        log.join(&name(0), entry(number)).unwrap();
    }
    tell(&log, &mut copy, 1);
    for number in 0..10 {
        log.leave(&name(0), number);
    }
    let mut step = 10;
    for _ in 0..300 {
        if !log.has_news_for(copy.position()) {
            break;
        }
        let delta = sent(&log.chunk(copy.position(), 1));
        apply(&mut copy, delta);
        // Departures of what was said already and of what is still to be said, and new members.
        if step < 20 {
            log.leave(&name(0), step);
            log.join(&name(0), entry(100 + step)).unwrap();
            step += 1;
        }
    }
    assert_eq!(step, 20);
    assert!(!log.has_news_for(copy.position()));
    assert_eq!(of(&copy), all(&log));
}

#[test]
fn chunks_that_come_twice_or_late_or_out_of_turn_do_no_harm() {
    let (mut log, mut copy) = (Log::new(limits(100)), Copy::default());
    let mut old = Vec::new();
    for number in 0..20 {
        log.join(&name(0), entry(number)).unwrap();
        if number % 3 == 0 {
            log.leave(&name(0), number);
        }
        old.push(log.chunk(Position::default(), usize::MAX));
        old.push(log.chunk(copy.position(), 1));
        tell(&log, &mut copy, 1);
        for delta in &old {
            apply(&mut copy, delta.clone());
        }
        assert_eq!(of(&copy), all(&log));
    }
    // Nothing is taken of what comes after a gap.
    let mut behind = Copy::default();
    let known = log.version() - 1;
    let late = log.chunk(Position { known, swept: None }, usize::MAX);
    assert_eq!(apply(&mut behind, late), []);
    assert_eq!(behind.position(), Position::default());
}

#[test]
fn there_are_limits() {
    let small = GroupLimits {
        groups: 2,
        entries: 3,
        departures: 1,
    };
    let mut log = Log::new(small.clone());
    log.join(&name(0), entry(1)).unwrap();
    log.join(&name(1), entry(1)).unwrap();
    let refused = log.join(&name(2), entry(1));
    assert_eq!(refused, Err(JoinError::TooManyGroups { max: 2 }));
    log.join(&name(1), entry(2)).unwrap();
    let refused = log.join(&name(1), entry(3));
    assert_eq!(refused, Err(JoinError::TooManyEntries { max: 3 }));
    assert!(log.leave(&name(0), 1));
    log.join(&name(2), entry(1)).unwrap();
    // Twice as much is taken from another, no more.
    let mut large = Log::new(GroupLimits::default());
    for number in 0..7 {
        large.join(&name(0), entry(number)).unwrap();
    }
    let delta = large.chunk(Position::default(), usize::MAX);
    let refused = Copy::default().apply(delta, &small, &mut Vec::new());
    assert_eq!(refused, Err(TooMuch::Entries(3)));
}

#[test]
fn a_chunk_fits_a_datagram() {
    let mut log = Log::new(GroupLimits::default());
    for number in 0..3_000u64 {
        let len = 1 + usize::try_from(number).unwrap() % 255;
        let mut entry = entry(u64::MAX - number);
        entry.actor_type = Arc::from("t".repeat(len));
        log.join(&Arc::from("n".repeat(len)), entry).unwrap();
    }
    let mut copy = Copy::default();
    while log.has_news_for(copy.position()) {
        let delta = log.chunk(copy.position(), CHANGES_BYTES);
        let bytes = delta.encode(Incarnation(u64::MAX)).len();
        assert!(bytes <= 60 << 10, "{bytes}");
        let delta = log.chunk(copy.position(), CHANGES_BYTES);
        apply(&mut copy, sent(&delta));
    }
    assert_eq!(of(&copy).len(), 3_000);
}

#[test]
fn the_datagrams_are_golden() {
    let digest = Digest {
        reader: Incarnation(3),
        owner: Incarnation(300),
        position: Position {
            known: 5,
            swept: Some(2),
        },
        answer_wanted: true,
        position_wanted: false,
    };
    let bytes = digest.encode();
    assert_eq!(bytes, [1, 5, 3, 0xac, 2, 5, 2]);
    assert_eq!(Frame::decode(&bytes), Ok(Frame::Digest(digest)));
    let mut log = Log::new(limits(10));
    log.join(&Arc::from("g"), weighing(9, 258)).unwrap();
    log.join(&Arc::from("h"), entry(8)).unwrap();
    log.leave(&Arc::from("g"), 9);
    let known = Position {
        known: 1,
        swept: None,
    };
    let golden = [
        // Delta, no flags, incarnation 7, at 3, from 1, to 3, two changes
        &b"\x02\0\x07\x03\x01\x03\x02"[..],
        // join, the next version, "h", number 8, its key, NUMA node 0, weight 1, the type
        b"\x01\x01\x01h\x08\xf7\xff\xff\xff\xff\xff\xff\xff\0\x01\0\x0dtests::Worker",
        // leave, the next version, "g", number 9
        b"\x02\x01\x01g\x09",
    ];
    let encoded = log.chunk(known, usize::MAX).encode(Incarnation(7));
    assert_eq!(encoded, golden.concat());
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_datagram_is_borne() {
    let mut log = Log::new(limits(10));
    for number in 0..5 {
        log.join(&name(number), entry(number)).unwrap();
    }
    let whole = log.chunk(Position::default(), usize::MAX);
    let whole = whole.encode(Incarnation(1));
    for end in 0..whole.len() {
        assert!(Frame::decode(&whole[..end]).is_err(), "{end} bytes");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(Frame::decode(&longer).is_err());
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(Frame::Delta { delta, .. }) = Frame::decode(&flipped) {
                apply(&mut Copy::default(), delta);
            }
        }
    }
}
