//! What an entity is called within its kind.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a key: 255.
pub const KEY_BYTES_MAX: usize = 255;

/// The name of an entity within its kind: 1 to 255 bytes of text without control characters.
///
/// Numbers are written in decimal, so `7u64` and `"7"` are one key. Cheap to clone.
///
/// # Examples
///
/// ```
/// use actor_net::sharding::EntityKey;
///
/// assert_eq!(EntityKey::from(7u64), "7".parse::<EntityKey>()?);
/// assert!(EntityKey::new("").is_err());
/// # Ok::<(), actor_net::sharding::InvalidKey>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey(Arc<str>);

impl EntityKey {
    /// The key, if it is one.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] says what is wrong with it.
    pub fn new(key: &str) -> Result<Self, InvalidKey> {
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(InvalidKey::Length { bytes: key.len() });
        }
        let control = key.char_indices().find(|(_, char)| char.is_control());
        match control {
            Some((at, character)) => Err(InvalidKey::Control { character, at }),
            None => Ok(Self(key.into())),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one key of a singleton.
    pub(crate) fn only() -> Self {
        Self("singleton".into())
    }
}

macro_rules! from_numbers {
    ($($number:ty)*) => {$(
        impl From<$number> for EntityKey {
            fn from(number: $number) -> Self {
                Self(number.to_string().into())
            }
        }
    )*};
}

from_numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

impl std::str::FromStr for EntityKey {
    type Err = InvalidKey;

    fn from_str(key: &str) -> Result<Self, InvalidKey> {
        Self::new(key)
    }
}

impl TryFrom<&str> for EntityKey {
    type Error = InvalidKey;

    fn try_from(key: &str) -> Result<Self, InvalidKey> {
        Self::new(key)
    }
}

impl TryFrom<String> for EntityKey {
    type Error = InvalidKey;

    fn try_from(key: String) -> Result<Self, InvalidKey> {
        Self::new(&key)
    }
}

impl TryFrom<&String> for EntityKey {
    type Error = InvalidKey;

    fn try_from(key: &String) -> Result<Self, InvalidKey> {
        Self::new(key)
    }
}

impl From<&Self> for EntityKey {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

impl Serialize for EntityKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What comes from elsewhere is looked at before it is a key.
impl<'de> Deserialize<'de> for EntityKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&key).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidKey {
    /// It is empty or too long.
    Length {
        /// Its bytes.
        bytes: usize,
    },
    /// It has a control character, which would make trouble in logs.
    Control {
        /// The character.
        character: char,
        /// Where, in bytes.
        at: usize,
    },
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => write!(
                f,
                "a key of {bytes} bytes; it must have 1 to {KEY_BYTES_MAX}, hash or shorten it"
            ),
            Self::Control { character, at } => write!(
                f,
                "a key with the control character {character:?} at byte {at}; encode it as text"
            ),
        }
    }
}

impl std::error::Error for InvalidKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_texts_without_control_characters() {
        assert_eq!(EntityKey::from(-3i64).as_str(), "-3");
        assert_eq!(EntityKey::new("a b/ü").unwrap().to_string(), "a b/ü");
        for (bad, word) in [("", "0 bytes"), (&*"x".repeat(256), "256"), ("a\nb", "\\n")] {
            let error = EntityKey::new(bad).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_key_from_elsewhere_is_checked() {
        let bytes = postcard::to_allocvec("a\nb").unwrap();
        assert!(postcard::from_bytes::<EntityKey>(&bytes).is_err());
        let bytes = postcard::to_allocvec(&EntityKey::from(7u8)).unwrap();
        assert_eq!(postcard::from_bytes::<EntityKey>(&bytes), Ok(7u64.into()));
    }
}
