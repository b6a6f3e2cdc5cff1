//! What counts as a duration and what does not.

use syn::parse::Parser;

use super::*;

fn backoff_of(text: &str) -> Result<(Duration, Duration), String> {
    let literal = proc_macro2::Literal::string(text);
    backoff
        .parse2(quote::quote!(#literal))
        .map_err(|error| error.to_string())
}

fn period_of(text: &str) -> Result<Duration, String> {
    let literal = proc_macro2::Literal::string(text);
    period
        .parse2(quote::quote!(#literal))
        .map_err(|error| error.to_string())
}

#[test]
fn each_unit_is_read() {
    for (text, expected) in [
        ("7ns", Duration::from_nanos(7)),
        ("7us", Duration::from_micros(7)),
        ("7ms", Duration::from_millis(7)),
        ("7s", Duration::from_secs(7)),
        ("7m", Duration::from_secs(7 * 60)),
        ("7h", Duration::from_secs(7 * 3_600)),
        (" 10 ms ", Duration::from_millis(10)),
        ("0s", Duration::ZERO),
    ] {
        assert_eq!(duration(text), Ok(expected), "{text}");
    }
}

#[test]
fn anything_else_is_refused_by_name() {
    for text in [
        "", "10", "ms", "1.5s", "-1s", "10 sec", "10d", "1s2ms", "1_000ms",
    ] {
        let refusal = duration(text).expect_err(text);
        assert!(refusal.contains(&format!("`{text}`")), "{refusal}");
        assert!(refusal.contains("`250ms`"), "{refusal}");
    }
}

#[test]
fn the_longest_duration_is_584_years() {
    assert_eq!(
        duration(&format!("{}ns", u64::MAX)),
        Ok(Duration::from_nanos(u64::MAX))
    );
    for text in ["18446744073709551616ns", "18446744074s", "99999999999999h"] {
        assert!(duration(text).expect_err(text).contains("584 years"));
    }
}

#[test]
fn a_backoff_runs_from_its_first_wait_to_its_longest() {
    let ms = Duration::from_millis;
    assert_eq!(backoff_of("10ms..5s"), Ok((ms(10), ms(5_000))));
    assert_eq!(backoff_of("10ms .. 5s"), Ok((ms(10), ms(5_000))));
    assert_eq!(backoff_of("10ms..10ms"), Ok((ms(10), ms(10))));
    assert!(backoff_of("10ms").expect_err("no end").contains("10ms..5s"));
    assert!(
        backoff_of("5s..10ms")
            .expect_err("reversed")
            .contains("`10ms..5s`")
    );
    assert!(
        backoff_of("0ms..1s")
            .expect_err("zero")
            .contains("above zero")
    );
    assert!(backoff_of("1s..=2s").expect_err("odd").contains("`=2s`"));
}

#[test]
fn a_period_is_a_millisecond_or_longer() {
    assert_eq!(period_of("10s"), Ok(Duration::from_secs(10)));
    assert_eq!(period_of("1ms"), Ok(Duration::from_millis(1)));
    for short in ["0s", "999us"] {
        assert!(
            period_of(short)
                .expect_err(short)
                .contains("`1ms` or longer")
        );
    }
}
