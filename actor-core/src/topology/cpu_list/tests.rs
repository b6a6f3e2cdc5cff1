use proptest::collection::btree_set;
use proptest::prelude::*;

use super::{CPUS_MAX, format, parse};

#[test]
fn reads_what_kernels_print() {
    for (text, numbers) in [
        ("0\n", vec![0]),
        ("0-3\n", vec![0, 1, 2, 3]),
        ("0-2,5-6,10\n", vec![0, 1, 2, 5, 6, 10]),
        ("\n", vec![]),
        ("", vec![]),
        ("(null)\n", vec![]),
        ("3,1,1-2", vec![1, 2, 3]),
        ("0-5,2-3,4-7,7", (0..8).collect()),
    ] {
        assert_eq!(parse(text, CPUS_MAX), Ok(numbers), "{text:?}");
    }
}

#[test]
fn refuses_with_the_item_and_the_range() {
    for (text, message) in [
        (
            "0-4294967295",
            "`0-4294967295` is out of range, numbers are 0 to 8191",
        ),
        ("8192", "`8192` is out of range, numbers are 0 to 8191"),
        (
            "99999999999999999999",
            "`99999999999999999999` is out of range, numbers are 0 to 8191",
        ),
        ("5-2", "range `5-2` runs backwards"),
        ("1,,2", "`` is neither a number nor a range"),
        ("1-2-3", "`1-2-3` is neither a number nor a range"),
        ("+1", "`+1` is neither a number nor a range"),
        ("-1", "`-1` is neither a number nor a range"),
        ("0-31:2/4", "`0-31:2/4` is neither a number nor a range"),
        ("a", "`a` is neither a number nor a range"),
    ] {
        assert_eq!(parse(text, CPUS_MAX).unwrap_err().to_string(), message);
    }
}

#[test]
fn repeated_ranges_do_not_pile_up() {
    let text = vec!["0-8191"; 200_000].join(",");
    assert_eq!(parse(&text, CPUS_MAX).unwrap().len(), CPUS_MAX as usize);
}

#[test]
fn an_error_does_not_carry_a_whole_file() {
    let error = parse(&"x".repeat(1 << 20), CPUS_MAX).unwrap_err();
    assert!(error.to_string().len() < 100);
}

proptest! {
    #[test]
    fn what_is_formatted_parses_back(numbers in btree_set(0..CPUS_MAX, 0..200)) {
        let numbers: Vec<u32> = numbers.into_iter().collect();
        prop_assert_eq!(parse(&format(numbers.iter().copied()), CPUS_MAX), Ok(numbers));
    }

    #[test]
    fn garbage_never_panics(text in "[-0-9,:a-c() \n+]{0,60}", limit in 0_u32..10_000) {
        if let Ok(numbers) = parse(&text, limit) {
            prop_assert!(numbers.iter().all(|n| *n < limit));
            prop_assert!(numbers.is_sorted());
        }
    }

    #[test]
    fn any_text_never_panics(text in any::<String>()) {
        let _ = parse(&text, CPUS_MAX);
    }
}
