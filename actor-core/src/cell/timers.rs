//! The timers of one actor: which there are, and which of them still count.
//!
//! ```text
//!   handler ── set ──► table (here, the owner's) ──► wheel: an alarm that holds the timer's node
//!                        ▲                               │ its time comes, on the timer's thread
//!                        │ "is it still in the table?"   ▼
//!   handler ◄── run ── owner ◄──────────────────────── mailbox: the node, as one of our own
//! ```
//!
//! The table is the truth. Only the owner touches it, and it looks there when it comes to the node: a
//! timer that was cancelled or replaced meanwhile, or whose life is over, is not found and its node is
//! void, however far it had come. So "cancelled" needs no race with the timer's thread to be won.
//!
//! A timer is found by its slot and its serial number. Serial numbers go on counting over restarts, so a
//! node of an earlier life fits nothing in the table of a later one.
//!
//! The table lies in [`Extra`](super::extra::Extra) and is made with the first timer. Its slots are 40
//! bytes; a key or the maker of an interval's messages is boxed beside.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::extra::Factory;
use super::header::{CellRef, Flags};
use super::{contain, timers};
use crate::clock::Tick;
use crate::id::ActorId;
use crate::mailbox::inbox::Pushed;
use crate::mailbox::node::Node;
use crate::scheduler::Hint;
use crate::scheduler::timer::{Alarm, TimerKey as WheelKey};

/// Names one timer that an actor has set, to cancel it or to ask how long it has to go.
///
/// Means something to that actor only, and in that life: a timer that has fired, was cancelled or ended
/// with its life leaves an id that fits nothing. Dropping it cancels nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    actor: ActorId,
    slot: u32,
    serial: u64,
}

/// The name of a timer of which an actor has one at most: a text, a number, or both.
///
/// # Examples
///
/// ```
/// use actor_core::TimerKey;
///
/// assert_eq!(TimerKey::from("retry"), TimerKey::from(String::from("retry")));
/// assert_ne!(TimerKey::from(("retry", 7)), TimerKey::from(("retry", 8)));
/// ```
#[derive(Clone)]
pub struct TimerKey {
    text: Option<Text>,
    number: Option<u64>,
}

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

/// One timer of an actor, by its id or by its key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TimerRef {
    /// By what setting it returned.
    Id(TimerId),
    /// By the key it was set under.
    Key(TimerKey),
}

/// How often an interval ticks, and what happens after a stall.
///
/// At a **fixed rate** (which a plain [`Duration`] means) the ticks lie on a grid: the first is due after
/// one period, the n-th after n. When the actor comes to a tick late, those that have been missed
/// meanwhile are skipped and counted: one tick, then the grid goes on; there is never a burst. At a **fixed
/// delay** the next tick is due one period after the actor came to the last one.
///
/// Either way at most one tick of an interval waits in the mailbox. Periods below 1 ms are 1 ms, the
/// resolution of the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an Every is passed to send_interval or set_interval"]
pub struct Every {
    period: Duration,
    first: Option<Duration>,
    pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Rate,
    Delay,
}

/// The shortest period: one tick of the wheel.
const PERIOD_MIN: Duration = Duration::from_millis(1);

impl Every {
    /// On a grid; missed ticks are skipped.
    pub const fn fixed_rate(period: Duration) -> Self {
        Self {
            period,
            first: None,
            pace: Pace::Rate,
        }
    }

    /// One period after the actor came to the last tick.
    pub const fn fixed_delay(period: Duration) -> Self {
        Self {
            period,
            first: None,
            pace: Pace::Delay,
        }
    }

    /// The first tick after this long, instead of one period. At a fixed rate the grid begins there.
    pub const fn first_after(mut self, delay: Duration) -> Self {
        self.first = Some(delay);
        self
    }

    pub(crate) fn first(&self) -> Duration {
        self.first.unwrap_or(self.period)
    }
}

impl From<Duration> for Every {
    fn from(period: Duration) -> Self {
        Self::fixed_rate(period)
    }
}

/// All timers of one actor.
#[derive(Default)]
pub(super) struct TimerTable {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    keys: HashMap<TimerKey, u32>,
    /// The serial number given last; 0 marks a vacant slot.
    serial: u64,
}

struct Slot {
    serial: u64,
    wheel: WheelKey,
    due: Tick,
    more: Option<Box<More>>,
}

/// What few timers have.
#[derive(Default)]
struct More {
    key: Option<TimerKey>,
    every: Option<Every>,
    make: Option<Factory>,
    missed: u64,
}

/// What an interval's owner has to do when it comes to a tick.
pub(crate) struct Tock {
    /// When the next tick is due.
    pub(crate) next: Tick,
    /// Writes the message. To be given back by [`CellRef::return_maker`].
    pub(crate) make: Factory,
}

impl TimerTable {
    fn insert(&mut self, due: Tick, more: Option<Box<More>>) -> (u32, u64) {
        self.serial += 1;
        let key = more.as_ref().and_then(|more| more.key.clone());
        let slot = Slot {
            serial: self.serial,
            wheel: WheelKey::FITS_NOTHING,
            due,
            more,
        };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        if let Some(key) = key {
            self.keys.insert(key, index);
        }
        (index, self.serial)
    }

    fn get(&mut self, index: u32, serial: u64) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(index as usize)?;
        (slot.serial == serial).then_some(slot)
    }

    fn remove(&mut self, index: u32, serial: u64) -> Option<Slot> {
        let slot = self.get(index, serial)?;
        let vacant = Slot {
            serial: 0,
            wheel: WheelKey::FITS_NOTHING,
            due: Tick(0),
            more: None,
        };
        let slot = std::mem::replace(slot, vacant);
        if let Some(key) = slot.more.as_ref().and_then(|more| more.key.as_ref()) {
            self.keys.remove(key);
        }
        self.vacant.push(index);
        if self.vacant.len() == self.slots.len() && self.slots.capacity() > KEPT {
            // The last one of many: the memory goes, the count of serials stays.
            (self.slots, self.vacant) = (Vec::new(), Vec::new());
        }
        Some(slot)
    }

    fn find(&self, actor: ActorId, timer: &TimerRef) -> Option<(u32, u64)> {
        match timer {
            TimerRef::Id(id) => (id.actor == actor).then_some((id.slot, id.serial)),
            TimerRef::Key(key) => {
                let index = *self.keys.get(key)?;
                Some((index, self.slots[index as usize].serial))
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }
}

/// Slots that an actor keeps when it has no timers.
const KEPT: usize = 64;

/// Timers of the actor in this cell. For all of them: the caller owns the cell, or its owner waits for the
/// caller (a handler).
impl CellRef {
    /// Notes a timer; another under the same key ends. It is armed next, by [`arm_timer`](Self::arm_timer).
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn note_timer(
        self,
        key: Option<TimerKey>,
        due: Tick,
        interval: Option<(Every, Factory)>,
    ) -> TimerId {
        // SAFETY: H2, by the caller.
        unsafe {
            if let Some(key) = &key {
                self.end_timer(&TimerRef::Key(key.clone()));
            }
            let more = (key.is_some() || interval.is_some()).then(|| {
                let (every, make) = interval.unzip();
                Box::new(More {
                    key,
                    every,
                    make,
                    missed: 0,
                })
            });
            let table = self.extra().timers.get_or_insert_default();
            let (slot, serial) = table.insert(due, more);
            TimerId {
                actor: self.id(),
                slot,
                serial,
            }
        }
    }

    /// Puts the node of a timer, behind `alarm`, into the wheel.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn arm_timer(self, timer: TimerId, at: Tick, alarm: Alarm) {
        let wheel = self
            .runtime()
            .timers()
            .ring_at(self.numa_index(), at, alarm);
        // SAFETY: H2, by the caller.
        let table = unsafe { self.extra() }.timers.as_mut();
        if let Some(slot) = table.and_then(|table| table.get(timer.slot, timer.serial)) {
            (slot.wheel, slot.due) = (wheel, at);
        }
    }

    /// Whether the timer whose node has come still counts. It is over then: it had one message.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn take_timer(self, timer: TimerId) -> bool {
        // SAFETY: H2, by the caller.
        unsafe { self.extra_if_any() }
            .and_then(|extra| extra.timers.as_mut())
            .and_then(|table| table.remove(timer.slot, timer.serial))
            .is_some()
    }

    /// As [`take_timer`](Self::take_timer) for a tick of an interval, which goes on; but not in an actor
    /// that is being drained: its mailbox would never be empty if a tick takes longer than the period.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn tick_timer(self, timer: TimerId, now: Tick) -> Option<Tock> {
        // SAFETY: H2, by the caller.
        let table = unsafe { self.extra_if_any() }?.timers.as_mut()?;
        // SAFETY: as above.
        if unsafe { (*self.owned()).flags }.has(Flags::DRAIN) {
            let ended = table.remove(timer.slot, timer.serial);
            contain(move || drop(ended));
            return None;
        }
        let slot = table.get(timer.slot, timer.serial)?;
        let more = slot.more.as_mut()?;
        let (next, missed) = more.every?.next(slot.due, now);
        more.missed += missed;
        let make = more.make.take()?;
        Some(Tock { next, make })
    }

    /// Gives the maker of an interval's messages back; it is dropped if the interval has ended.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn return_maker(self, timer: TimerId, make: Factory) {
        let mut make = Some(make);
        // SAFETY: H2, by the caller.
        if let Some(extra) = unsafe { self.extra_if_any() }
            && let Some(table) = extra.timers.as_mut()
            && let Some(slot) = table.get(timer.slot, timer.serial)
            && let Some(more) = slot.more.as_mut()
        {
            more.make = make.take();
        }
        contain(move || drop(make));
    }

    /// Ends a timer: its message will not be delivered, wherever it is. Whether there was one.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn end_timer(self, timer: &TimerRef) -> bool {
        let id = self.id();
        // SAFETY: H2, by the caller.
        let ended = unsafe { self.extra_if_any() }
            .and_then(|extra| extra.timers.as_mut())
            .and_then(|table| {
                let (slot, serial) = table.find(id, timer)?;
                table.remove(slot, serial)
            });
        let Some(slot) = ended else {
            return false;
        };
        self.discard(slot);
        true
    }

    /// Ends all timers of this life. How many there were.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn end_timers(self) -> usize {
        // SAFETY: H2, by the caller.
        let Some(extra) = (unsafe { self.extra_if_any() }) else {
            return 0;
        };
        let Some(table) = extra.timers.as_mut() else {
            return 0;
        };
        let ended = table.len();
        let slots = std::mem::take(&mut table.slots);
        (table.vacant, table.keys) = (Vec::new(), HashMap::new());
        for slot in slots.into_iter().filter(|slot| slot.serial != 0) {
            self.discard(slot);
        }
        ended
    }

    /// When a timer is due, and how many ticks it has skipped so far.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn look_at_timer(self, timer: &TimerRef) -> Option<(Tick, u64)> {
        let id = self.id();
        // SAFETY: H2, by the caller; a shared borrow, so that a handler may look from two threads.
        let table = unsafe { (*self.owned()).extra.as_ref() }?.timers.as_ref()?;
        let (slot, serial) = table.find(id, timer)?;
        let slot = table.slots.get(slot as usize)?;
        if slot.serial != serial {
            return None;
        }
        Some((slot.due, slot.more.as_ref().map_or(0, |more| more.missed)))
    }

    /// How many timers the actor has set that have not fired.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn timer_count(self) -> usize {
        // SAFETY: H2, by the caller; a shared borrow, as above.
        unsafe { (*self.owned()).extra.as_ref() }
            .and_then(|extra| extra.timers.as_ref())
            .map_or(0, |table| table.len())
    }

    /// Takes an ended timer out of the wheel, and drops what it had of the user's.
    fn discard(self, slot: timers::Slot) {
        // Not there: its node is on the way to the mailbox or in it, and void when it is come to.
        self.runtime().timers().cancel(slot.wheel);
        contain(move || drop(slot.more));
    }

    /// Puts a node of ours into the mailbox: it needs no room, like a notice.
    ///
    /// # Safety
    ///
    /// The node is the caller's, who gives it up, and internal.
    pub(crate) unsafe fn push_internal(self, node: std::ptr::NonNull<Node>) {
        // SAFETY: by the caller; `push_always` never says Full.
        match unsafe { self.inbox().push_always(node) } {
            Pushed::Schedule => self.schedule(Hint::Next),
            Pushed::Queued | Pushed::Crowded => {}
            Pushed::Full => unreachable!("a node of ours needs no room"),
        }
    }
}

impl Every {
    /// When the next tick is due, and how many are skipped for it.
    fn next(self, due: Tick, now: Tick) -> (Tick, u64) {
        let period = self.period.max(PERIOD_MIN);
        match self.pace {
            Pace::Delay => (now.after(period), 0),
            Pace::Rate => {
                let next = due.after(period);
                if next > now {
                    return (next, 0);
                }
                let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
                let missed = (now.0 - next.0) / nanos + 1;
                (
                    Tick(next.0.saturating_add(missed.saturating_mul(nanos))),
                    missed,
                )
            }
        }
    }
}

impl TimerKey {
    fn parts(&self) -> (Option<&str>, Option<u64>) {
        let text = self.text.as_ref().map(|text| match text {
            Text::Static(text) => *text,
            Text::Shared(text) => text,
        });
        (text, self.number)
    }
}

impl PartialEq for TimerKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for TimerKey {}

impl Hash for TimerKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl fmt::Debug for TimerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerKey({self})")
    }
}

impl fmt::Display for TimerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (Some(text), Some(number)) => write!(f, "{text}#{number}"),
            (Some(text), None) => f.write_str(text),
            (None, Some(number)) => write!(f, "#{number}"),
            (None, None) => Ok(()),
        }
    }
}

macro_rules! keys {
    ($($from:ty, |$key:ident| ($text:expr, $number:expr);)*) => {$(
        impl From<$from> for TimerKey {
            fn from($key: $from) -> Self {
                Self { text: $text, number: $number }
            }
        }

        impl From<$from> for TimerRef {
            fn from(key: $from) -> Self {
                Self::Key(key.into())
            }
        }
    )*};
}

keys! {
    &'static str, |key| (Some(Text::Static(key)), None);
    String, |key| (Some(Text::Shared(key.into())), None);
    Arc<str>, |key| (Some(Text::Shared(key)), None);
    u64, |key| (None, Some(key));
    (&'static str, u64), |key| (Some(Text::Static(key.0)), Some(key.1));
}

impl From<TimerId> for TimerRef {
    fn from(id: TimerId) -> Self {
        Self::Id(id)
    }
}

impl From<TimerKey> for TimerRef {
    fn from(key: TimerKey) -> Self {
        Self::Key(key)
    }
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
