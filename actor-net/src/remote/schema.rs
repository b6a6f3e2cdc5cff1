//! The shape of a type of message, as one number: so that two builds that mean different things by one name
//! find out before they read each other's bytes.
//!
//! The bytes have no names in them: a field that was added, left out, moved or changed its type would be read
//! as something else. So the type is asked to read itself from a format that notes what it is asked for and
//! gives it ones and empty texts: kinds of values, the names and the order of fields, the names of variants.
//! An enum is read once for each of its variants. What is not seen: what lies behind a value that is refused
//! by the type's own check (an address that is no address, a reference to an actor: its fields before count),
//! and what a hand-written reader does with what it reads. Such changes deserve another name for the message.
//!
//! Names of types are left out, so that they can be renamed.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::U32Deserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// Values noted in one reading; a large array is not read to its end.
const NOTES_MAX: usize = 4096;
/// Readings for variants not seen before.
const READINGS_MAX: usize = 512;
/// Types that hold themselves are cut off here.
const DEPTH_MAX: usize = 12;

/// The number of a message's and its reply's shapes.
pub(super) fn of<M: DeserializeOwned, R: DeserializeOwned>() -> u64 {
    let mut hash = Hash(0xcbf2_9ce4_8422_2325);
    read::<M>(&mut hash);
    hash.note("->");
    read::<R>(&mut hash);
    hash.0
}

fn read<T: DeserializeOwned>(hash: &mut Hash) {
    let mut seen = BTreeMap::new();
    for _ in 0..READINGS_MAX {
        let mut reader = Reader {
            hash: &mut *hash,
            seen: &mut seen,
            left: NOTES_MAX,
            depth: 0,
            found: false,
        };
        // The user's code: what it does with such values is its own affair.
        let read = catch_unwind(AssertUnwindSafe(|| T::deserialize(&mut reader).map(drop)));
        let found = reader.found;
        match read {
            Ok(Ok(())) => hash.note("."),
            Ok(Err(Stop)) => hash.note("!"),
            Err(payload) => {
                hash.note("!");
                // A payload whose drop panics as well is left where it is.
                if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                    std::mem::forget(worse);
                }
            }
        }
        if !found {
            return;
        }
    }
}

/// FNV-1a.
struct Hash(u64);

impl Hash {
    fn note(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The reading ends here.
#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reading that only looks at the shape ends here")
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

struct Reader<'h> {
    hash: &'h mut Hash,
    /// How many variants of an enum were read, by its variants' names.
    seen: &'h mut BTreeMap<&'static [&'static str], u32>,
    left: usize,
    depth: usize,
    /// Whether there may be more variants to read.
    found: bool,
}

impl Reader<'_> {
    fn note(&mut self, text: &str) -> Result<(), Stop> {
        self.left = self.left.checked_sub(1).ok_or(Stop)?;
        self.hash.note(text);
        Ok(())
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn is_deep(&self) -> bool {
        self.depth >= DEPTH_MAX
    }
}

macro_rules! values {
    ($($method:ident: $name:literal, $visit:ident($($value:expr)?);)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.note($name)?;
            visitor.$visit($($value)?)
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Reader<'_> {
    type Error = Stop;

    // A one, where a nought might be refused.
    values! {
        deserialize_bool: "bool", visit_bool(true);
        deserialize_i8: "i8", visit_i8(1);
        deserialize_i16: "i16", visit_i16(1);
        deserialize_i32: "i32", visit_i32(1);
        deserialize_i64: "i64", visit_i64(1);
        deserialize_i128: "i128", visit_i128(1);
        deserialize_u8: "u8", visit_u8(1);
        deserialize_u16: "u16", visit_u16(1);
        deserialize_u32: "u32", visit_u32(1);
        deserialize_u64: "u64", visit_u64(1);
        deserialize_u128: "u128", visit_u128(1);
        deserialize_f32: "f32", visit_f32(1.0);
        deserialize_f64: "f64", visit_f64(1.0);
        deserialize_char: "char", visit_char('a');
        deserialize_str: "text", visit_str("");
        deserialize_string: "text", visit_string(String::new());
        deserialize_bytes: "bytes", visit_bytes(&[]);
        deserialize_byte_buf: "bytes", visit_byte_buf(Vec::new());
        deserialize_unit: "unit", visit_unit();
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        self.note("any")?;
        Err(Stop)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.note("option")?;
        if self.is_deep() {
            return visitor.visit_none();
        }
        self.deeper(|reader| visitor.visit_some(reader))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deeper(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.note("seq")?;
        let left = usize::from(!self.is_deep());
        self.deeper(|reader| visitor.visit_seq(Parts { reader, left }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.note(&format!("tuple {len}"))?;
        self.deeper(|reader| visitor.visit_seq(Parts { reader, left: len }))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.note("map")?;
        let left = usize::from(!self.is_deep());
        self.deeper(|reader| visitor.visit_map(Parts { reader, left }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.note("struct")?;
        for field in fields {
            self.note(field)?;
        }
        let left = fields.len();
        self.deeper(|reader| visitor.visit_seq(Parts { reader, left }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.note("enum")?;
        for variant in variants {
            self.note(variant)?;
        }
        if self.depth > 2 * DEPTH_MAX {
            return Err(Stop);
        }
        let count = u32::try_from(variants.len()).map_err(|_| Stop)?;
        let seen = self.seen.entry(variants).or_default();
        let variant = if *seen < count { *seen } else { 0 };
        *seen = seen.saturating_add(1).min(count);
        self.found |= *seen < count;
        self.note(&format!("variant {variant}"))?;
        self.deeper(|reader| visitor.visit_enum(Variant { reader, variant }))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of a sequence, a struct or a map.
struct Parts<'r, 'h> {
    reader: &'r mut Reader<'h>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

impl<'de> MapAccess<'de> for Parts<'_, '_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        seed.deserialize(&mut *self.reader)
    }
}

struct Variant<'r, 'h> {
    reader: &'r mut Reader<'h>,
    variant: u32,
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Stop;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Stop> {
        let number: U32Deserializer<Stop> = self.variant.into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        self.reader.note("unit")
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        seed.deserialize(&mut *self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        de::Deserializer::deserialize_tuple(self.reader, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        de::Deserializer::deserialize_struct(self.reader, "", fields, visitor)
    }
}

#[cfg(test)]
mod tests;
