//! Numbers as an operator reads them: few digits, and a unit.

/// A number with at most four characters and a unit: `950`, `12.3k`, `4.1M`.
pub(crate) fn count(n: f64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    scaled(n, 1000.0, &UNITS)
}

/// Bytes: `64.0M`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    scaled(n as f64, 1024.0, &UNITS)
}

fn scaled(n: f64, step: f64, units: &[&str]) -> String {
    let mut n = n;
    let mut unit = 0;
    // From where it would be printed as a whole step: 999.6 k is 1.0 M.
    while n.abs() >= step - 0.5 && unit + 1 < units.len() {
        n /= step;
        unit += 1;
    }
    let unit_name = units[unit];
    if unit == 0 || n.abs() >= 100.0 {
        format!("{n:.0}{unit_name}")
    } else {
        format!("{n:.1}{unit_name}")
    }
}

/// A duration: `450ns`, `41.0us`, `1.2ms`, `3.0s`, `5m10s`, `2h03m`, `4d01h`.
pub(crate) fn time(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match ns {
        0..=999 => format!("{ns}ns"),
        1_000..=999_999 => format!("{:.1}us", ns as f64 / 1e3),
        1_000_000..=999_999_999 => format!("{:.1}ms", ns as f64 / 1e6),
        _ if seconds < 60 => format!("{:.1}s", ns as f64 / 1e9),
        _ if seconds < 3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A share of 1.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// What is not known is a dash, not a zero.
pub(crate) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

/// A type's name without its modules: `orders::actors::Order` is `Order`, also inside of `<..>`.
pub(crate) fn short(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    for part in name.split_inclusive(['<', '>', ',', ' ', '(', ')', '&', '[', ']']) {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(count(0.0), "0");
        assert_eq!(count(950.4), "950");
        assert_eq!(count(999_980.0), "1.0M");
        assert_eq!(count(12_345.0), "12.3k");
        assert_eq!(count(310_250.5), "310k");
        assert_eq!(count(4_100_000.0), "4.1M");
        assert_eq!(bytes(67_108_864), "64.0M");
        assert_eq!(time(450), "450ns");
        assert_eq!(time(41_000), "41.0us");
        assert_eq!(time(310_000_000_000), "5m10s");
        assert_eq!(time(7_380_000_000_000), "2h03m");
        assert_eq!(known(None::<u64>, time), "-");
    }

    #[test]
    fn names_lose_their_modules() {
        assert_eq!(short("orders::actors::Order"), "Order");
        assert_eq!(short("a::Pool<b::c::Work, d::E>"), "Pool<Work, E>");
        assert_eq!(short("u64"), "u64");
    }
}
