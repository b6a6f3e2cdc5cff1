//! Who is who between processes: names of clusters and peers, and the number of a peer's life.
//!
//! A *peer* is a process of a cluster. Its name ([`PeerId`]) is kept over restarts, its
//! [`Incarnation`] is not: what was addressed to an earlier life never reaches a later one. Both names
//! are short texts of few characters, so that they fit a certificate's name, a log line and a file name,
//! and so that no peer can smuggle control characters into somebody's terminal.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a peer's or a cluster's name: 64.
pub const NAME_BYTES_MAX: usize = 64;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, if it is one: 1 to 64 of the characters `a-z A-Z 0-9 - _ .`, the first a
            /// letter or a digit.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] says what is wrong with it.
            pub fn new(name: &str) -> Result<Self, InvalidId> {
                check($what, name).map(|()| Self(Arc::from(name)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        /// What comes from elsewhere is looked at before it is a name.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&name).map_err(serde::de::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(name: &str) -> Result<Self, InvalidId> {
                Self::new(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The name of a peer (a process of a cluster), unique within its cluster and kept over restarts.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_net::id::PeerId;
    ///
    /// let peer: PeerId = "orders-0".parse()?;
    /// assert_eq!(peer.as_str(), "orders-0");
    /// assert!(PeerId::new("orders 0").is_err());
    /// # Ok::<(), actor_net::id::InvalidId>(())
    /// ```
    PeerId, "peer"
}

name! {
    /// The name of a cluster. Peers of different clusters refuse each other, so that two that share a
    /// network cannot merge by mistake.
    ClusterId, "cluster"
}

/// One life of a peer: a process that restarts on the same address is another one.
///
/// A later life has a greater number. What one life said or was told never counts for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "incarnation {}", self.0)
    }
}

/// A peer in one of its lives: what is owned, owed or answered for by it, and by no later life of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) peer: PeerId,
    pub(crate) incarnation: Incarnation,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.peer, self.incarnation)
    }
}

/// A text that is no name of a peer or a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidId {
    /// It has no characters.
    Empty {
        /// Whose name it was to be: `peer` or `cluster`.
        what: &'static str,
    },
    /// It is longer than 64 bytes.
    TooLong {
        /// Whose name it was to be: `peer` or `cluster`.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
    },
    /// It has a character that names do not have, or not at their beginning.
    Character {
        /// Whose name it was to be: `peer` or `cluster`.
        what: &'static str,
        /// The character.
        character: char,
        /// Where, in bytes.
        at: usize,
    },
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => {
                write!(
                    f,
                    "a {what} id of no characters; give it 1 to {NAME_BYTES_MAX}"
                )
            }
            Self::TooLong { what, bytes } => write!(
                f,
                "a {what} id of {bytes} bytes; at most {NAME_BYTES_MAX} are allowed, choose a shorter one"
            ),
            Self::Character {
                what,
                character,
                at,
            } => write!(
                f,
                "a {what} id with {character:?} at byte {at}; allowed are a-z A-Z 0-9 - _ . and a letter \
                 or digit first"
            ),
        }
    }
}

impl std::error::Error for InvalidId {}

fn check(what: &'static str, name: &str) -> Result<(), InvalidId> {
    if name.is_empty() {
        return Err(InvalidId::Empty { what });
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(InvalidId::TooLong {
            what,
            bytes: name.len(),
        });
    }
    let wrong = name.char_indices().find(|(at, character)| {
        !(character.is_ascii_alphanumeric() || *at > 0 && matches!(character, '-' | '_' | '.'))
    });
    match wrong {
        Some((at, character)) => Err(InvalidId::Character {
            what,
            character,
            at,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "A-1", "orders-0.svc_x", "0", &"x".repeat(64)] {
            assert_eq!(PeerId::new(good).unwrap().as_str(), good);
            assert_eq!(ClusterId::new(good).unwrap().to_string(), good);
        }
        assert_eq!(PeerId::new(""), Err(InvalidId::Empty { what: "peer" }));
        assert_eq!(
            ClusterId::new(&"x".repeat(65)),
            Err(InvalidId::TooLong {
                what: "cluster",
                bytes: 65
            })
        );
        for (bad, character, at) in [
            ("a b", ' ', 1),
            ("-a", '-', 0),
            ("ä", 'ä', 0),
            ("a\n", '\n', 1),
        ] {
            let error = PeerId::new(bad).unwrap_err();
            assert_eq!(
                error,
                InvalidId::Character {
                    what: "peer",
                    character,
                    at
                }
            );
            assert!(error.to_string().contains("allowed are"), "{error}");
        }
    }
}
