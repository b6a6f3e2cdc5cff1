//! Durations as people write them: a whole number and a unit, `"250ms"`.
//!
//! Whole numbers only: `"1.5s"` would raise the question how exact it is, and `"1500ms"` does not.

use std::time::Duration;

use syn::LitStr;
use syn::parse::ParseStream;

/// Units and their nanoseconds, longest suffix first where one ends in another.
const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

/// Reads `"10s"`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let example = "write a whole number and one of the units ns, us, ms, s, m, h, such as `250ms`";
    if number.is_empty() || unit.is_empty() {
        return Err(format!("`{text}` is not a duration: {example}"));
    }
    let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("`{text}` is not a duration: {example}"));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*nanos))
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("`{text}` is too long: a duration is at most 584 years"))
}

/// The shortest period, as the runtime has it.
const PERIOD_MIN: Duration = Duration::from_millis(1);

/// Reads a period: a duration of a millisecond or more.
pub(super) fn period(input: ParseStream<'_>) -> syn::Result<Duration> {
    let literal = literal(
        input,
        "`period` takes a duration in quotes: `period = \"10s\"`",
    )?;
    let period =
        duration(&literal.value()).map_err(|text| syn::Error::new_spanned(&literal, text))?;
    if period < PERIOD_MIN {
        return Err(syn::Error::new_spanned(
            literal,
            "a period is `1ms` or longer: restarts are counted within it",
        ));
    }
    Ok(period)
}

/// Reads the time that a stop may take: a duration above zero.
pub(super) fn shutdown_time(input: ParseStream<'_>) -> syn::Result<Duration> {
    let literal: LitStr = input.parse()?;
    let time =
        duration(&literal.value()).map_err(|text| syn::Error::new_spanned(&literal, text))?;
    if time.is_zero() {
        return Err(syn::Error::new_spanned(
            literal,
            "a child that may take no time to stop is killed: write `shutdown = kill`",
        ));
    }
    Ok(time)
}

/// Reads a back-off: `"10ms..5s"`, from the first wait to the longest.
pub(super) fn backoff(input: ParseStream<'_>) -> syn::Result<(Duration, Duration)> {
    let shape =
        "`backoff` takes its first and its longest wait in quotes: `backoff = \"10ms..5s\"`";
    let literal = literal(input, shape)?;
    let refuse = |text: String| syn::Error::new_spanned(&literal, text);
    let value = literal.value();
    let Some((min, max)) = value.split_once("..") else {
        return Err(refuse(shape.to_owned()));
    };
    let min_value = duration(min).map_err(refuse)?;
    let max_value = duration(max).map_err(refuse)?;
    let (min, max) = (min.trim(), max.trim());
    if min_value.is_zero() {
        return Err(refuse(
            "a back-off starts above zero, or it would never grow; leave `backoff` out to restart at once"
                .to_owned(),
        ));
    }
    if min_value > max_value {
        return Err(refuse(format!(
            "the first wait `{min}` is longer than the longest, `{max}`; write `{max}..{min}`"
        )));
    }
    Ok((min_value, max_value))
}

/// Reads a string literal, or says `shape` under what stands there.
fn literal(input: ParseStream<'_>, shape: &str) -> syn::Result<LitStr> {
    let token = input.cursor().token_tree().map(|(token, _)| token);
    input
        .parse::<LitStr>()
        .map_err(|_| syn::Error::new_spanned(token, shape))
}

#[cfg(test)]
#[path = "duration_tests.rs"]
mod tests;
