use super::*;

const TOKEN: &str = "0123456789abcdef";

fn gate(token: Option<&str>) -> Gate {
    let hosts = ["Console.example.com".to_owned()];
    Gate::new(token.map(str::to_owned), hosts.into_iter()).expect("random numbers")
}

fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (
            hyper::header::HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a value"),
        )
    };
    of.iter().map(pair).collect()
}

#[test]
fn without_a_token_anybody_may() {
    let gate = gate(None);
    assert_eq!(gate.caller(&headers(&[])), Caller::Anybody);
    assert!(!gate.is_token(TOKEN));
    assert!(!gate.is_token(""));
}

#[test]
fn a_token_lets_in_and_nothing_else_does() {
    let gate = gate(Some(TOKEN));
    let caller = |value: &str| gate.caller(&headers(&[("authorization", value)]));
    assert_eq!(gate.caller(&headers(&[])), Caller::Stranger);
    assert_eq!(caller("Bearer 0123456789abcdef"), Caller::Token);
    assert_eq!(caller("bearer 0123456789abcdef"), Caller::Token);
    for wrong in [
        "Bearer 0123456789abcdee",
        "Bearer 0123456789abcde",
        "Bearer 0123456789abcdef0",
        "Bearer ",
        "Bearer",
        "Basic 0123456789abcdef",
        "0123456789abcdef",
    ] {
        assert_eq!(caller(wrong), Caller::Stranger, "{wrong}");
    }
}

#[test]
fn sessions_open_and_close() {
    let gate = gate(Some(TOKEN));
    let cookie = gate.open_session().expect("random numbers");
    let cookie = cookie.to_str().expect("ASCII");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let (pair, _) = cookie.split_once(';').expect("attributes");
    let mine = headers(&[("cookie", &format!("a=b; {pair}"))]);
    assert_eq!(gate.caller(&mine), Caller::Session);
    let other = headers(&[("cookie", "actor_console=00")]);
    assert_eq!(gate.caller(&other), Caller::Stranger);
    gate.close_session(&other);
    assert_eq!(gate.caller(&mine), Caller::Session);
    gate.close_session(&mine);
    assert_eq!(gate.caller(&mine), Caller::Stranger);
}

#[test]
fn the_oldest_session_makes_room() {
    let gate = gate(Some(TOKEN));
    let open = || {
        let cookie = gate.open_session().expect("random numbers");
        let (pair, _) = cookie
            .to_str()
            .expect("ASCII")
            .split_once(';')
            .expect("attributes");
        headers(&[("cookie", pair)])
    };
    let first = open();
    let others: Vec<_> = (0..SESSIONS_MAX).map(|_| open()).collect();
    assert_eq!(gate.caller(&first), Caller::Stranger);
    assert!(others.iter().all(|it| gate.caller(it) == Caller::Session));
}

#[test]
fn hosts_that_are_ours_are_addresses_loopback_and_those_named() {
    let gate = gate(None);
    for ours in [
        "127.0.0.1",
        "127.0.0.1:9600",
        "10.1.2.3:80",
        "[::1]:9600",
        "[::1]",
        "localhost",
        "LOCALHOST:1",
        "shop.localhost:9600",
        "console.example.com:443",
    ] {
        assert!(gate.is_ours(&headers(&[("host", ours)])), "{ours}");
    }
    for other in [
        "evil.example",
        "evil.example:9600",
        "localhost.evil.example",
        "",
        ":9600",
        "127.0.0.1.evil.example",
    ] {
        assert!(!gate.is_ours(&headers(&[("host", other)])), "{other}");
    }
    assert!(gate.is_ours(&headers(&[])));
}

#[test]
fn tokens_are_long_and_visible() {
    assert!(check_token(TOKEN).is_ok());
    assert!(check_token("short").is_err_and(|why| why.contains("has 5 characters; 16 to 512")));
    assert!(check_token(&"x".repeat(513)).is_err());
    assert!(check_token("0123456789 abcdef").is_err());
    assert!(check_token("0123456789äbcdef").is_err());
}
