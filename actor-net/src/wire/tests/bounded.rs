use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::bounded;

fn write<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("writable")
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    let mut format = postcard::Deserializer::from_bytes(bytes);
    bounded::read(&mut format, bytes.len())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Dot(u8),
    Line(u64, i64),
    Box { sides: [f32; 3], name: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct All {
    shapes: Vec<Shape>,
    by_name: BTreeMap<String, (char, bool, i128)>,
    some: Option<Box<Self>>,
    bytes: Vec<u8>,
    unit: Unit,
    nothings: Vec<()>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Self>),
}

#[test]
fn what_is_within_bounds_reads_as_it_was_written() {
    let inner = All {
        shapes: vec![
            Shape::Nothing,
            Shape::Dot(1),
            Shape::Line(u64::MAX, i64::MIN),
            Shape::Box {
                sides: [1.0, 2.0, 3.0],
                name: "grün".to_owned(),
            },
        ],
        by_name: [("a".to_owned(), ('ä', true, i128::MIN))].into(),
        some: None,
        bytes: vec![7; 100_000],
        unit: Unit,
        nothings: vec![(); 500],
    };
    let all = All {
        some: Some(Box::new(inner.clone())),
        ..inner
    };
    assert_eq!(read(&write(&all)), Ok(all));
}

#[test]
fn c11_nesting_ends_before_the_stack_does() {
    let nested = |depth: usize| {
        let mut bytes = vec![1; depth];
        bytes.push(0);
        bytes
    };
    assert!(read::<Tree>(&nested(20)).is_ok());
    for depth in [65, 1000, 1_000_000] {
        assert!(read::<Tree>(&nested(depth)).is_err(), "{depth}");
    }
}

#[test]
fn c11_a_list_of_nothings_is_not_read_for_ever() {
    // 2^63 elements in ten bytes.
    let endless = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    assert!(read::<Vec<()>>(&endless).is_err());
    assert!(read::<Vec<Unit>>(&endless).is_err());
    assert!(read::<BTreeMap<(), ()>>(&endless).is_err());
    assert_eq!(read::<Vec<()>>(&write(&vec![(); 1000])), Ok(vec![(); 1000]));
}
