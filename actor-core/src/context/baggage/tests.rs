use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn pairs(baggage: &Baggage) -> Vec<(&str, &str)> {
    baggage.iter().collect()
}

#[test]
fn reads_the_recommendation_s_examples() {
    let one = Baggage::parse(
        "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue",
    )
    .unwrap();
    assert_eq!(
        pairs(&one),
        [("key1", "value1"), ("key2", "value2"), ("key3", "value3")]
    );
    assert_eq!(one.properties("key1"), Some("property1;property2"));
    assert_eq!(one.properties("key2"), None);
    assert_eq!(one.properties("key3"), Some("propertyKey=propertyValue"));
    let two = Baggage::parse("serverNode=DF%2028,userId=Am%C3%A9lie,eq=a=b").unwrap();
    assert_eq!(
        pairs(&two),
        [("serverNode", "DF 28"), ("userId", "Amélie"), ("eq", "a=b")]
    );
    assert_eq!(
        two.to_string(),
        "serverNode=DF%2028,userId=Am%C3%A9lie,eq=a=b"
    );
}

#[test]
fn the_last_of_one_key_wins_and_empty_entries_are_skipped() {
    let baggage = Baggage::parse(" ,a=1;p,,b=2 ,\ta=3,").unwrap();
    assert_eq!(pairs(&baggage), [("a", "3"), ("b", "2")]);
    assert_eq!(baggage.properties("a"), None);
    assert_eq!(Baggage::parse(" , ,"), Ok(Baggage::empty()));
    assert_eq!(Baggage::parse("a=").unwrap().get("a"), Some(""));
}

#[test]
fn broken_utf8_becomes_the_replacement_character() {
    let baggage = Baggage::parse("a=x%FFy").unwrap();
    assert_eq!(baggage.get("a"), Some("x\u{FFFD}y"));
    // It grows when written, and the limit holds for what would be written.
    let header = format!("a={}", "%FF".repeat(1000));
    assert_eq!(
        Baggage::parse(&header),
        Err(BaggageError::TooLong { bytes: 9002 })
    );
}

#[test]
fn errors_name_the_entry() {
    for (entry, word) in [
        ("nothing", "key=value"),
        ("=v", "token"),
        ("a b=v", "token"),
        ("é=v", "token"),
        ("a=b c", "percent-encoded"),
        ("a=\"b\"", "percent-encoded"),
        ("a=é", "percent-encoded"),
        ("a=b\u{7f}", "percent-encoded"),
        ("a=%", "two hex digits"),
        ("a=%4", "two hex digits"),
        ("a=%zz", "two hex digits"),
        ("a=b;", "properties"),
        ("a=b;;p", "properties"),
        ("a=b;p=\\", "properties"),
    ] {
        let error = Baggage::parse(&format!("fine=1,{entry},more=2")).unwrap_err();
        let BaggageError::Malformed { entry: named, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(named, entry);
        assert!(error.to_string().contains(word), "{error}");
    }
    let long = Baggage::parse(&"é".repeat(100)).unwrap_err();
    assert!(long.to_string().len() < 200, "{long}");
}

#[test]
fn limits_are_exact() {
    let entries = |n: usize| {
        (0..n)
            .map(|i| format!("k{i}=v"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let full = Baggage::parse(&entries(64)).unwrap();
    assert_eq!(full.len(), BAGGAGE_ENTRIES_MAX);
    assert_eq!(
        Baggage::parse(&entries(65)),
        Err(BaggageError::TooManyEntries { entries: 65 })
    );
    assert_eq!(
        full.with("k64", "v"),
        Err(BaggageError::TooManyEntries { entries: 65 })
    );
    assert_eq!(full.with("k63", "w").unwrap().get("k63"), Some("w"));

    let largest = Baggage::empty().with("a", &"v".repeat(8190)).unwrap();
    assert_eq!(largest.header_bytes(), BAGGAGE_BYTES_MAX);
    assert_eq!(Baggage::parse(&largest.to_string()), Ok(largest.clone()));
    assert_eq!(
        Baggage::empty().with("a", &"v".repeat(8191)),
        Err(BaggageError::TooLong { bytes: 8193 })
    );
    // Encoding counts.
    assert_eq!(
        Baggage::empty().with("a", &" ".repeat(2731)),
        Err(BaggageError::TooLong { bytes: 8195 })
    );
    assert_eq!(
        Baggage::parse(&"x".repeat(8193)),
        Err(BaggageError::TooLong { bytes: 8193 })
    );
    assert_eq!(
        largest.with("b", ""),
        Err(BaggageError::TooLong { bytes: 8195 })
    );
}

#[test]
fn baggage_never_changes() {
    let one = Baggage::empty().with("a", "1").unwrap();
    let two = one.with("b", "2").unwrap();
    let three = two.with("a", "9").unwrap();
    assert_eq!(pairs(&one), [("a", "1")]);
    assert_eq!(pairs(&two), [("a", "1"), ("b", "2")]);
    assert_eq!(pairs(&three), [("a", "9"), ("b", "2")]);
    assert_eq!(three.without("a").without("b"), Baggage::empty());
    assert!(three.without("a").without("b").is_empty());
    assert_eq!(three.without("none"), three);
    assert!(Baggage::empty().with("", "v").is_err());
    assert_eq!(std::mem::size_of::<Baggage>(), 8);
}

proptest! {
    #[test]
    fn any_values_survive_the_header(
        list in vec(("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,8}", ".{0,20}"), 0..40),
    ) {
        let mut baggage = Baggage::empty();
        for (key, value) in &list {
            baggage = baggage.with(key, value).unwrap();
        }
        let header = baggage.to_string();
        prop_assert_eq!(header.len(), baggage.header_bytes());
        prop_assert!(header.is_ascii());
        prop_assert_eq!(Baggage::parse(&header), Ok(baggage));
    }

    #[test]
    fn garbage_never_panics(header in ".{0,200}", key in ".{0,10}") {
        if let Ok(baggage) = Baggage::parse(&header) {
            prop_assert_eq!(Baggage::parse(&baggage.to_string()), Ok(baggage.clone()));
            let _ = baggage.with(&key, &header);
            let _ = baggage.without(&key);
        }
    }

    #[test]
    fn almost_right_headers_never_panic(header in "[ab=;,% \t2fé]{0,60}") {
        if let Ok(baggage) = Baggage::parse(&header) {
            prop_assert_eq!(Baggage::parse(&baggage.to_string()), Ok(baggage));
        }
    }
}
