//! Which changes of a type are seen.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Deserialize;

use super::of;

fn shape<T: serde::de::DeserializeOwned>() -> u64 {
    of::<T, ()>()
}

#[test]
fn the_same_shape_has_the_same_number_whatever_the_type_is_called() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct One {
        cents: i64,
        notes: Vec<String>,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Other {
        cents: i64,
        notes: Vec<String>,
    }
    assert_eq!(shape::<One>(), shape::<Other>());
    assert_eq!(shape::<One>(), shape::<One>(), "whenever it is asked for");
}

#[test]
fn a_change_of_fields_kinds_or_variants_is_seen() {
    macro_rules! shapes {
        ($($body:tt)*) => {{
            #[derive(Deserialize)]
            #[allow(dead_code, reason = "only its shape is looked at")]
            $($body)*
            shape::<T>()
        }};
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    enum Tree {
        Leaf,
        Fork(Box<Self>, Box<Self>),
    }
    let shapes = [
        shapes!(
            struct T {
                a: u32,
                b: u32,
            }
        ),
        shapes!(
            struct T {
                b: u32,
                a: u32,
            }
        ),
        shapes!(
            struct T {
                a: u32,
            }
        ),
        shapes!(
            struct T {
                a: u32,
                b: u64,
            }
        ),
        shapes!(
            struct T {
                a: u32,
                b: Option<u32>,
            }
        ),
        shapes!(
            struct T {
                a: u32,
                b: Vec<u32>,
            }
        ),
        shapes!(
            struct T {
                a: u32,
                b: [u32; 4],
            }
        ),
        shapes!(
            struct T {
                a: u32,
                b: BTreeMap<u32, u32>,
            }
        ),
        shapes!(
            struct T(u32, u32);
        ),
        shapes!(
            struct T(NonZeroU32, String);
        ),
        shapes!(
            enum T {
                A,
                B(u32),
                C { x: u8 },
            }
        ),
        shapes!(
            enum T {
                A,
                B(u64),
                C { x: u8 },
            }
        ),
        shapes!(
            enum T {
                A,
                B(u32),
                C { x: i8 },
            }
        ),
        shapes!(
            enum T {
                A,
                C { x: u8 },
                B(u32),
            }
        ),
        shapes!(
            struct T {
                tree: Tree,
                last: u8,
            }
        ),
        shapes!(
            struct T {
                tree: Tree,
                last: u16,
            }
        ),
        of::<u32, u32>(),
        of::<u32, u64>(),
    ];
    let mut distinct = shapes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), shapes.len(), "{shapes:x?}");
}

#[test]
fn a_type_that_panics_or_never_ends_has_a_number_as_well() {
    #[derive(Debug)]
    struct Panics;
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            u8::deserialize(from)?;
            panic!("on purpose");
        }
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Endless {
        next: Box<Endless2>,
        many: Vec<[u64; 32]>,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Endless2 {
        next: Option<Box<Endless>>,
    }
    assert_eq!(shape::<Panics>(), shape::<Panics>());
    assert_ne!(shape::<Panics>(), shape::<Endless>());
}
