use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn parse(header: &str) -> Result<TraceContext, TraceParseError> {
    TraceContext::parse_traceparent(header)
}

#[test]
fn reads_and_writes_the_recommendation_s_example() {
    let context = parse(HEADER).unwrap();
    assert_eq!(
        context.trace_id().as_u128(),
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
    );
    assert_eq!(context.span_id().as_u64(), 0x00f0_67aa_0ba9_02b7);
    assert!(context.is_sampled());
    assert!(!context.flags().is_random());
    let written = context.to_traceparent().to_string();
    assert_eq!(written, HEADER);
    assert_eq!(written.len(), TraceParent::LEN);
    assert_eq!(format!("{:?}", context.trace_id()), &HEADER[3..35]);
    assert_eq!(HEADER[3..35].parse(), Ok(context.trace_id()));
    assert_eq!(HEADER[36..52].parse(), Ok(context.span_id()));
}

#[test]
fn refuses_what_version_00_forbids() {
    use TraceParseError::*;
    let with = |at: usize, text: &str| {
        let mut header = HEADER.to_owned();
        header.replace_range(at..at + text.len(), text);
        parse(&header).unwrap_err()
    };
    assert_eq!(with(0, "ff"), ForbiddenVersion);
    assert_eq!(with(0, "0G"), NotHex { found: b'G', at: 1 });
    assert_eq!(with(3, "A"), NotHex { found: b'A', at: 3 });
    assert_eq!(
        with(40, "\n"),
        NotHex {
            found: b'\n',
            at: 40
        }
    );
    assert_eq!(
        with(53, "0F"),
        NotHex {
            found: b'F',
            at: 54
        }
    );
    for at in [2, 35, 52] {
        assert_eq!(with(at, "_"), NotDash { found: b'_', at });
    }
    assert_eq!(with(3, &"0".repeat(32)), ZeroTraceId);
    assert_eq!(with(36, &"0".repeat(16)), ZeroSpanId);
    for header in [
        "",
        "00",
        &HEADER[..54],
        &format!("{HEADER}-"),
        &format!("{HEADER}0"),
    ] {
        assert_eq!(
            parse(header),
            Err(Length {
                what: "traceparent",
                found: header.len(),
                expected: 55
            })
        );
    }
    // Multi-byte characters: the length counts bytes and nothing is sliced apart.
    assert!(matches!(parse(&"é".repeat(28)), Err(NotHex { at: 0, .. })));
    assert!("0".repeat(32).parse::<TraceId>() == Err(ZeroTraceId));
    assert!("1".repeat(17).parse::<SpanId>().is_err());
}

#[test]
fn higher_versions_are_read_as_far_as_version_00() {
    let body = &HEADER[2..53];
    for header in [
        format!("01{body}ff"),
        format!("cc{body}ff-what-the-future-holds"),
    ] {
        let context = parse(&header).unwrap();
        assert_eq!(context.flags(), TraceFlags::SAMPLED);
        assert_eq!(context.to_traceparent().to_string(), HEADER);
    }
    assert_eq!(
        parse(&format!("cc{body}01.what")),
        Err(TraceParseError::NotDash {
            found: b'.',
            at: 55
        })
    );
}

#[test]
fn unknown_flags_are_not_passed_on() {
    let context = parse(&format!("{}ff", &HEADER[..53])).unwrap();
    assert_eq!(context.flags(), TraceFlags::SAMPLED | TraceFlags::RANDOM);
    assert!(context.to_traceparent().to_string().ends_with("-03"));
}

#[test]
fn a_child_keeps_trace_flags_and_state() {
    let parent = parse(HEADER).unwrap().with_tracestate("a=1").unwrap();
    let child = parent.child();
    assert_ne!(child.span_id(), parent.span_id());
    assert_eq!(child.trace_id(), parent.trace_id());
    assert_eq!(child.flags(), parent.flags());
    assert_eq!(child.tracestate(), Some("a=1"));
}

#[test]
fn roots_differ_and_say_that_they_are_random() {
    let mut seen = HashSet::new();
    for sampled in [false, true] {
        for _ in 0..1000 {
            let root = TraceContext::new_root(sampled);
            assert_eq!(root.is_sampled(), sampled);
            assert!(root.flags().is_random());
            assert_eq!(parse(&root.to_traceparent().to_string()), Ok(root.clone()));
            assert!(seen.insert(root.trace_id()));
        }
    }
}

#[test]
fn tracestate_is_tidied() {
    let tidy = |header: &str| {
        let context = parse(HEADER).unwrap().with_tracestate(header).unwrap();
        context.tracestate().map(str::to_owned)
    };
    assert_eq!(tidy("a=1").as_deref(), Some("a=1"));
    assert_eq!(
        tidy(" a=1 ,\t, t@sys= x y ,").as_deref(),
        Some("a=1,t@sys= x y")
    );
    assert_eq!(tidy("0a/*_-=%"), Some("0a/*_-=%".to_owned()));
    assert_eq!(tidy(""), None);
    assert_eq!(tidy(" ,\t,"), None);
}

#[test]
fn tracestate_limits_are_exact() {
    let check = |header: &str| parse(HEADER).unwrap().with_tracestate(header);
    let entries = |n: usize| {
        (0..n)
            .map(|i| format!("k{i}=v"))
            .collect::<Vec<_>>()
            .join(",")
    };
    assert!(check(&entries(32)).is_ok());
    assert_eq!(
        check(&entries(33)),
        Err(TraceStateError::TooManyEntries { entries: 33 })
    );
    let bytes = |n: usize| format!("a={},b={}", "x".repeat(256), "y".repeat(n - 261));
    assert_eq!(bytes(512).len(), 512);
    assert!(check(&bytes(512)).is_ok());
    assert_eq!(
        check(&bytes(513)),
        Err(TraceStateError::TooLong { bytes: 513 })
    );
    assert!(check(&format!("{}=v", "k".repeat(256))).is_ok());
    for (entry, word) in [
        ("a".to_owned(), "key=value"),
        (format!("{}=v", "k".repeat(257)), "256"),
        (format!("k={}", "v".repeat(257)), "256"),
        ("=v".to_owned(), "key"),
        ("A=v".to_owned(), "a-z"),
        ("@a=v".to_owned(), "first"),
        ("a=".to_owned(), "value"),
        ("a=b=c".to_owned(), "'='"),
        ("a=é".to_owned(), "ASCII"),
        ("a=b\tc".to_owned(), "printable"),
    ] {
        let error = check(&format!("ok=1,{entry}")).unwrap_err();
        let TraceStateError::Malformed { entry: named, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*named, entry);
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(
        check("a=1,b=2,a=3"),
        Err(TraceStateError::Duplicate { key: "a".into() })
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(header in ".{0,80}", state in ".{0,600}") {
        let _ = parse(&header);
        let _ = header.parse::<TraceId>();
        let _ = header.parse::<SpanId>();
        if let Ok(context) = parse(HEADER).unwrap().with_tracestate(&state) {
            let again = context.clone().with_tracestate(context.tracestate().unwrap_or(""));
            prop_assert_eq!(Ok(context), again);
        }
    }

    #[test]
    fn almost_right_headers_never_panic(at in 0usize..55, byte in 0u8..128) {
        let mut header = HEADER.to_owned();
        header.replace_range(at..=at, &char::from(byte).to_string());
        if let Ok(context) = parse(&header) {
            let written = context.to_traceparent().to_string();
            prop_assert_eq!(parse(&written), Ok(context));
        }
    }

    #[test]
    fn any_context_survives_the_header(trace in 1u128.., span in 1u64.., bits: u8) {
        let context = TraceContext::new(
            TraceId::new(trace).unwrap(),
            SpanId::new(span).unwrap(),
            TraceFlags::from_bits(bits),
        );
        let header = context.to_traceparent().to_string();
        prop_assert_eq!(header.len(), TraceParent::LEN);
        prop_assert_eq!(parse(&header), Ok(context));
    }
}
