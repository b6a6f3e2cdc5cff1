//! Proxies that are held back because their actors, at the peer, stay full: the words for it, and what they do.
//!
//! A pause ends after [`LEASE`] unless it is said again, and it is said again while it is needed: so neither word has to
//! arrive. Why there are pauses is said in `held`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use super::association::{Association, lock};
use crate::wire::message::Address;

/// How long a pause lasts.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// Whether one proxy is held back by its peer.
#[derive(Default)]
pub(super) struct Pause {
    is_on: AtomicBool,
    state: Mutex<Paused>,
}

#[derive(Default)]
struct Paused {
    until: Option<Instant>,
    waker: Option<Waker>,
}

impl Pause {
    /// Whether the proxy is to take nothing; it is woken when it may.
    pub(super) fn holds(&self, cx: &Context<'_>) -> bool {
        // Acquire: with the Release in `set`, for nothing; the state has a lock.
        if !self.is_on.load(Ordering::Acquire) {
            return false;
        }
        let mut state = lock(&self.state);
        if state.until.is_none() {
            return false;
        }
        state.waker = Some(cx.waker().clone());
        true
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Until then; `None` ends it.
    pub(super) fn set(&self, until: Option<Instant>) {
        let woken = {
            let mut state = lock(&self.state);
            state.until = until;
            self.is_on.store(until.is_some(), Ordering::Release);
            match until {
                Some(_) => None,
                None => state.waker.take(),
            }
        };
        if let Some(waker) = woken {
            waker.wake();
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        lock(&self.state).until.is_none_or(|until| until <= now)
    }
}

/// What is said of a proxy over there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    HoldBack = 1,
    GoOn = 2,
}

/// The first byte of such a datagram; a probe has at least one hop and begins with another.
pub(super) const PAUSES: u8 = 0;

impl Association {
    /// Tells the peer what to do with its proxy of an actor here.
    pub(super) fn say_of(&self, number: u64, word: Word) {
        let bytes = write_word(word, self.own.wire_address_of(number));
        if word == Word::HoldBack {
            self.own.books.pauses_out.one_more();
        }
        if let Some(way) = self.way() {
            way.datagram(&bytes);
        }
    }

    /// The peer has said what to do with a proxy here.
    pub(super) fn told_of(&self, bytes: &[u8]) {
        let Some((word, address)) = read_word(bytes) else {
            tracing::debug!(peer = %self.peer, "a word about a proxy was not read");
            return;
        };
        let Some(pause) = self.pause_of(address) else {
            return;
        };
        match word {
            Word::HoldBack => {
                self.own.books.pauses_in.one_more();
                pause.set(Instant::now().checked_add(LEASE));
                let mut paused = lock(&self.paused);
                if !paused.iter().any(|known| Arc::ptr_eq(known, &pause)) {
                    paused.push(pause);
                }
            }
            Word::GoOn => pause.set(None),
        }
        if self.is_lost() {
            self.end_pauses();
        }
    }

    /// Says pauses again that last, and ends those of the peer that were not.
    pub(super) fn sweep_pauses(&self, now: Instant) {
        for number in self.held.pauses_due(now) {
            self.say_of(number, Word::HoldBack);
        }
        let over: Vec<_> = {
            let mut paused = lock(&self.paused);
            if paused.is_empty() {
                return;
            }
            paused.extract_if(.., |pause| pause.is_over(now)).collect()
        };
        over.iter().for_each(|pause| pause.set(None));
    }

    /// Nobody is held back any more: the peer is lost.
    pub(super) fn end_pauses(&self) {
        let all = std::mem::take(&mut *lock(&self.paused));
        all.iter().for_each(|pause| pause.set(None));
    }
}

pub(super) fn write_word(word: Word, Address { id, key }: Address) -> Vec<u8> {
    let mut bytes = vec![PAUSES, word as u8];
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&key.to_le_bytes());
    bytes
}

/// What comes behind [`PAUSES`].
pub(super) fn read_word(bytes: &[u8]) -> Option<(Word, Address)> {
    let (word, rest) = bytes.split_first()?;
    let (id, key) = rest.split_at_checked(8)?;
    let address = Address {
        id: u64::from_le_bytes(id.try_into().ok()?),
        key: u64::from_le_bytes(key.try_into().ok()?),
    };
    match word {
        1 => Some((Word::HoldBack, address)),
        2 => Some((Word::GoOn, address)),
        _ => None,
    }
}
