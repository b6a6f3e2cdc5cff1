//! Which lines are orders, which are reported, and what comes after the last line.

use std::io::Cursor;

use super::*;

fn input(text: &str) -> Input<Cursor<Vec<u8>>> {
    Input::new(Cursor::new(text.as_bytes().to_vec()))
}

fn one(text: &str) -> Line {
    input(text).next().expect("memory can be read")
}

fn why(text: &str) -> String {
    match one(text) {
        Line::Malformed { line: 1, why } => why.to_string(),
        other => panic!("{text:?} gave {other:?}"),
    }
}

fn id(line: Line) -> String {
    match line {
        Line::Order(order) => order.order_id,
        other => panic!("no order but {other:?}"),
    }
}

#[test]
fn quoted_fields_keep_their_commas_and_quotes() {
    let Line::Order(order) = one("A-1,\"Lovelace, Ada\",\"8\"\" disk\", 3 ,1999\r\n") else {
        panic!("not an order");
    };
    assert_eq!(
        order,
        Placed {
            order_id: "A-1".to_owned(),
            customer: "Lovelace, Ada".to_owned(),
            item: "8\" disk".to_owned(),
            quantity: 3,
            price_cents: 1999,
        }
    );
    assert_eq!(order.total_cents(), 5997);
}

#[test]
fn each_malformed_line_says_what_is_wrong() {
    assert!(why("A,b,c,1").contains("4 fields instead of 5"));
    assert!(why("A,b,c,1,2,3").contains("6 fields"));
    assert!(why("A,\"b,c,1,2").contains("quote"));
    assert!(why("A,b,c,many,2").contains("quantity \"many\""));
    assert!(why("A,b,c,1,-5").contains("price_cents \"-5\""));
    assert!(why("A,b,c,0,5").contains("quantity 0"));
    assert!(why("A,b,c,99999999999,5").contains("quantity"));
    assert!(why("A,b,c,1,0").contains("price_cents 0"));
    assert!(why("A/1,b,c,1,5").contains("order_id \"A/1\""));
    assert!(why("A,,c,1,5").contains("customer"));
    assert!(why(&format!("A,b,{},1,5", "x".repeat(257))).contains("item of 257 bytes"));
    assert!(why(&"x".repeat(LINE_BYTES_MAX + 1)).contains("16385 bytes"));
}

#[test]
fn a_line_that_is_not_utf_8_spoils_no_other() {
    let mut input = Input::new(Cursor::new(b"A,\xff,c,1,2\nB,b,c,1,2\n".to_vec()));
    let first = input.next().expect("memory can be read");
    assert!(matches!(
        first,
        Line::Malformed {
            line: 1,
            why: Malformed::NotUtf8
        }
    ));
    assert_eq!(id(input.next().expect("memory can be read")), "B");
}

#[test]
fn an_overlong_line_is_skipped_to_its_end() {
    let mut input = input(&format!("{}\nB,b,c,1,2", "x".repeat(100_000)));
    assert!(matches!(
        input.next().expect("memory can be read"),
        Line::Malformed {
            line: 1,
            why: Malformed::TooLong { bytes: 100_001 }
        }
    ));
    assert_eq!(id(input.next().expect("memory can be read")), "B");
}

#[test]
fn the_input_repeats_with_fresh_ids_and_reports_malformed_lines_once() {
    let text = "\u{feff}order_id,customer,item,quantity,price_cents\nA,b,c,1,2\n\nbad\nB,b,c,1,2";
    let mut input = input(text);
    let mut ids = Vec::new();
    let mut malformed = Vec::new();
    while ids.len() < 6 {
        match input.next().expect("memory can be read") {
            Line::Order(order) => ids.push(order.order_id),
            Line::Malformed { line, .. } => malformed.push(line),
            Line::End => panic!("it ended after {ids:?}"),
        }
    }
    assert_eq!(ids, ["A", "B", "A~2", "B~2", "A~3", "B~3"]);
    assert_eq!(malformed, [4]);
    assert_eq!(input.passes(), 2);
}

#[test]
fn without_an_order_it_ends() {
    for text in ["", "\n\n", "order_id,customer,item,quantity,price_cents\n"] {
        assert!(matches!(one(text), Line::End), "{text:?}");
    }
    let mut input = input("bad\n");
    assert!(matches!(
        input.next().expect("memory can be read"),
        Line::Malformed { .. }
    ));
    assert!(matches!(
        input.next().expect("memory can be read"),
        Line::End
    ));
}

#[test]
fn the_sample_has_10_000_orders_and_no_mistake() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/orders.csv");
    let mut input = Input::open(&path).expect("the sample is in the repository");
    let mut orders = 0;
    loop {
        match input.next().expect("the sample can be read") {
            Line::Order(_) if input.passes() == 1 => break,
            Line::Order(_) => orders += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(orders, 10_000);
}
