//! Newtypes for the numbers the runtime hands around. No logic.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number! {
    /// A CPU by the operating system's number.
    CpuId(u32), "cpu"
}
number! {
    /// A NUMA node (a memory domain) by the operating system's number; 0 to 255.
    NumaNodeId(u8), "numa"
}
number! {
    /// A worker (a pinned thread of the runtime), numbered from 0 within its system.
    WorkerId(u16), "worker"
}

/// The identity of one actor: where its cell lies and which generation lives in it.
///
/// Unique for the life of the process and never reused. Prints as
/// `actor:<numa>.<index>.<generation>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(pub(crate) u64);

impl ActorId {
    /// The identity as one number, for logs and maps.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The identity whose [`as_u64`](Self::as_u64) is `number`: to print what came from another peer. `None` for 0, which is
    /// nobody's.
    pub const fn from_number(number: u64) -> Option<Self> {
        Self::from_u64(number)
    }

    /// The NUMA node that the actor was spawned on: its home, unless it was moved.
    pub const fn numa_node(self) -> NumaNodeId {
        NumaNodeId((self.0 >> Self::INDEX_BITS) as u8)
    }

    pub(crate) const INDEX_BITS: u32 = 30;
    pub(crate) const NUMA_BITS: u32 = 8;
    pub(crate) const GENERATION_BITS: u32 = 26;

    pub(crate) const fn new(numa: u8, index: u32, generation: u32) -> Self {
        Self(
            (generation as u64) << (Self::INDEX_BITS + Self::NUMA_BITS)
                | (numa as u64) << Self::INDEX_BITS
                | index as u64,
        )
    }

    /// The id whose `as_u64` is `number`, which must have come from there; 0 is none.
    pub(crate) const fn from_u64(number: u64) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    pub(crate) const fn index(self) -> u32 {
        (self.0 & ((1 << Self::INDEX_BITS) - 1)) as u32
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> (Self::INDEX_BITS + Self::NUMA_BITS)) as u32
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "actor:{}.{}.{}",
            self.numa_node().0,
            self.index(),
            self.generation()
        )
    }
}

/// Reads what [`ActorId`] prints, with `actor:` in front or without. Whether there is such an actor is another question
/// ([`SystemRef::find_actor`](crate::SystemRef::find_actor)).
impl std::str::FromStr for ActorId {
    type Err = NotAnActorId;

    fn from_str(text: &str) -> Result<Self, NotAnActorId> {
        let read = || {
            let numbers = text.strip_prefix("actor:").unwrap_or(text);
            let mut parts = numbers.split('.');
            let numa: u8 = parts.next()?.parse().ok()?;
            let index: u32 = parts.next()?.parse().ok()?;
            let generation: u32 = parts.next()?.parse().ok()?;
            let fits = index < 1 << Self::INDEX_BITS && generation < 1 << Self::GENERATION_BITS;
            (fits && parts.next().is_none()).then(|| Self::new(numa, index, generation))
        };
        read().ok_or_else(|| NotAnActorId(text.chars().take(64).collect()))
    }
}

/// A text that no [`ActorId`] prints as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAnActorId(String);

impl fmt::Display for NotAnActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no actor's id: three numbers, as actor:0.2.1, for NUMA node, cell and generation",
            self.0
        )
    }
}

impl std::error::Error for NotAnActorId {}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
