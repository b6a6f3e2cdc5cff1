//! Reading a peer's payload with serde, within bounds.
//!
//! The formats we use say how many elements come before they come, and nest as deep as the type allows. A type
//! that contains itself (a tree, a JSON value) would let a few hundred bytes overflow the stack, which ends the
//! process; a list of nothings (`Vec<()>`) of 2^60 elements would be read for ever from nine bytes; and serde
//! itself makes room for up to 1 MiB of elements that were only announced. [`Bounded`] stands between a format
//! and a type and counts: values within values up to a depth, elements up to a number that the payload's length
//! gives, and no announcement is passed on that the bytes could not keep.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// Values within values: 64.
pub(crate) const DEPTH_MAX: usize = 64;

/// Elements that may take no bytes at all, beside one for each byte of the payload.
const EMPTY_ELEMENTS: usize = 1024;

/// What is left to a payload.
#[derive(Debug)]
pub(crate) struct Budget {
    elements: Cell<usize>,
}

impl Budget {
    /// For a payload of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            elements: Cell::new(bytes.saturating_add(EMPTY_ELEMENTS)),
        }
    }

    #[inline]
    fn element<E: Error>(&self) -> Result<(), E> {
        match self.elements.get().checked_sub(1) {
            Some(left) => {
                self.elements.set(left);
                Ok(())
            }
            None => Err(E::custom(
                "more elements than a payload of this length may have",
            )),
        }
    }
}

/// Reads a `T` from `format`, which reads a payload of so many bytes.
pub(crate) fn read<'de, T, D>(format: D, bytes: usize) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let budget = Budget::new(bytes);
    T::deserialize(Bounded {
        inner: format,
        budget: &budget,
        depth: DEPTH_MAX,
    })
}

/// Anything of serde's, with what is left to it.
struct Bounded<'b, T> {
    inner: T,
    budget: &'b Budget,
    depth: usize,
}

impl<'b, T> Bounded<'b, T> {
    #[inline]
    fn with<U>(&self, inner: U) -> Bounded<'b, U> {
        Bounded {
            inner,
            budget: self.budget,
            depth: self.depth,
        }
    }

    /// One value further in.
    #[inline]
    fn deeper<U, E: Error>(&self, inner: U) -> Result<Bounded<'b, U>, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Bounded {
                inner,
                budget: self.budget,
                depth,
            }),
            None => Err(E::custom(format_args!(
                "values within values, more than {DEPTH_MAX} deep"
            ))),
        }
    }
}

/// Passes a call on with the visitor counted.
macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(#[inline] fn $name<V: Visitor<'de>>(
            self,
            $($argument: $type,)*
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            let visitor = self.deeper(visitor)?;
            self.inner.$name($($argument,)* visitor)
        })*
    };
}

/// The same for what has nothing within.
macro_rules! forward_plain {
    ($($name:ident)*) => {
        $(#[inline] fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.inner.$name(visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    forward_plain! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_identifier
    }

    forward! {
        deserialize_any();
        deserialize_ignored_any();
        deserialize_option();
        deserialize_seq();
        deserialize_map();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Passes values without anything within on.
macro_rules! visit_plain {
    ($($name:ident($type:ty);)*) => {
        $(#[inline] fn $name<E: Error>(self, value: $type) -> Result<Self::Value, E> {
            self.inner.$name(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Bounded<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit_plain! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, format: D) -> Result<Self::Value, D::Error> {
        let format = self.with(format);
        self.inner.visit_some(format)
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        format: D,
    ) -> Result<Self::Value, D::Error> {
        let format = self.with(format);
        self.inner.visit_newtype_struct(format)
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        let access = self.with(access);
        self.inner.visit_seq(access)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        let access = self.with(access);
        self.inner.visit_map(access)
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        let access = self.with(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, format: D) -> Result<Self::Value, D::Error> {
        let format = self.with(format);
        self.inner.deserialize(format)
    }
}

/// An announcement is passed on no further than this: what comes makes its own room.
const HINT_MAX: usize = 64;

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.budget.element()?;
        let seed = self.with(seed);
        self.inner.next_element_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().map(|hint| hint.min(HINT_MAX))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.budget.element()?;
        let seed = self.with(seed);
        self.inner.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.next_value_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().map(|hint| hint.min(HINT_MAX))
    }
}

impl<'b, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<'b, A> {
    type Error = A::Error;
    type Variant = Bounded<'b, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let seed = self.with(seed);
        let (budget, depth) = (self.budget, self.depth);
        let (value, inner) = self.inner.variant_seed(seed)?;
        let variant = Bounded {
            inner,
            budget,
            depth,
        };
        Ok((value, variant))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.newtype_variant_seed(seed)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}
