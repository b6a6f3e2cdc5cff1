use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().unwrap());
    }
    map
}

#[test]
fn what_is_injected_is_extracted_again() {
    let trace = TraceContext::new_root(true)
        .with_tracestate("a=1,b=2")
        .unwrap();
    let baggage = Baggage::empty().with("user", "a b").unwrap();
    let context = Context::empty()
        .with_trace(trace.clone())
        .with_baggage(baggage);
    let mut map = headers(&[
        ("traceparent", "old"),
        ("baggage", "old=1"),
        ("accept", "x"),
    ]);
    inject(&context, &mut map);
    assert_eq!(map.get_all("traceparent").iter().count(), 1);
    assert_eq!(map["accept"], "x");
    let back = extract(&map);
    assert_eq!(back.trace(), Some(&trace));
    assert_eq!(back.baggage().get("user"), Some("a b"));
}

#[test]
fn an_empty_context_takes_old_headers_away() {
    let mut map = headers(&[
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("baggage", "a=1"),
    ]);
    inject(&Context::empty(), &mut map);
    assert!(map.is_empty());
    assert!(extract(&map).is_empty());
}

#[test]
fn what_makes_no_sense_is_left_out() {
    for bad in [
        "",
        "00-0-0-01",
        "garbage",
        &PARENT.to_uppercase(),
        &"0".repeat(10_000),
    ] {
        let context = extract(&headers(&[("traceparent", bad), ("tracestate", "a=1")]));
        assert!(context.trace().is_none(), "{bad:.80}");
    }
    let twice = extract(&headers(&[
        ("traceparent", PARENT),
        ("traceparent", PARENT),
    ]));
    assert!(twice.trace().is_none(), "two parents are none");
    let state = extract(&headers(&[("traceparent", PARENT), ("tracestate", "=;")]));
    assert!(state.trace().unwrap().tracestate().is_none());
    let mut map = headers(&[("traceparent", PARENT)]);
    map.insert("baggage", HeaderValue::from_bytes(&[0xff]).unwrap());
    let context = extract(&map);
    assert!(context.trace().is_some() && context.baggage().is_empty());
}

#[test]
fn limits_hold_over_several_headers_of_a_name() {
    let long = format!("k={}", "x".repeat(BAGGAGE_BYTES_MAX / 2));
    let mut map = HeaderMap::new();
    for _ in 0..10 {
        map.append("baggage", long.parse().unwrap());
        map.append(
            "tracestate",
            format!("a={}", "x".repeat(200)).parse().unwrap(),
        );
    }
    map.insert("traceparent", PARENT.parse().unwrap());
    let context = extract(&map);
    assert!(context.baggage().is_empty());
    assert!(context.trace().unwrap().tracestate().is_none());
}

#[test]
fn several_headers_of_a_name_are_one_list() {
    let map = headers(&[
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("tracestate", "b=2"),
    ]);
    assert_eq!(extract(&map).trace().unwrap().tracestate(), Some("a=1,b=2"));
}
