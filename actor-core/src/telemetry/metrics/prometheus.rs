//! The text format of Prometheus: families with HELP and TYPE, and a line per series.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>; names by
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>. Distributions are real histograms
//! (`_bucket`, `_sum`, `_count`) rather than summaries: buckets of several processes add up, quantiles do not.

use std::fmt::Write;

use super::{Family, Kind, Series, Value};

/// OpenTelemetry's name and unit as Prometheus's name.
pub(super) fn name(name: &str, unit: &str, kind: Kind) -> String {
    let mut told = allowed(name, true);
    let suffix = match unit {
        "s" => "seconds",
        "By" => "bytes",
        // A share; a count of things without a unit is none.
        "1" if kind == Kind::Gauge => "ratio",
        // What is counted is in the name.
        "" | "1" => "",
        unit if unit.starts_with('{') => "",
        unit => unit,
    };
    if !suffix.is_empty() {
        told.push('_');
        told.push_str(&allowed(suffix, true));
    }
    if kind == Kind::Counter {
        told.push_str("_total");
    }
    told
}

/// As a name, of a metric or, without colons, of a label.
fn allowed(name: &str, is_metric: bool) -> String {
    let fits = |char: char| char.is_ascii_alphanumeric() || char == '_' || is_metric && char == ':';
    let mut told: String = name
        .chars()
        .map(|char| if fits(char) { char } else { '_' })
        .collect();
    if told.is_empty() || told.starts_with(|first: char| first.is_ascii_digit()) {
        told.insert(0, '_');
    }
    told
}

pub(super) fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        write(&mut text, family);
    }
    text
}

fn write(text: &mut String, family: &Family) {
    let name = family.prometheus_name();
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::UpDownCounter | Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing into a text does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for series in &family.series {
        match &series.value {
            Value::Count(count) => line(text, &name, "", series, None, *count),
            Value::Number(value) => line(text, &name, "", series, None, number(*value)),
            Value::Histogram(histogram) => {
                let mut below = 0;
                let bounds = histogram.bounds.iter().map(|bound| number(*bound));
                let bounds = bounds.chain(["+Inf".to_owned()]);
                for (bound, count) in bounds.zip(&histogram.counts) {
                    below += count;
                    line(text, &name, "_bucket", series, Some(&bound), below);
                }
                line(text, &name, "_sum", series, None, number(histogram.sum));
                line(text, &name, "_count", series, None, below);
            }
        }
    }
}

fn line(
    text: &mut String,
    name: &str,
    suffix: &str,
    series: &Series,
    bound: Option<&str>,
    value: impl std::fmt::Display,
) {
    text.push_str(name);
    text.push_str(suffix);
    let labels = series.labels.iter();
    let labels = labels.map(|(key, value)| (allowed(key, false), value.as_str()));
    let all = labels.chain(bound.map(|bound| ("le".to_owned(), bound)));
    let mut is_first = true;
    for (key, value) in all {
        text.push(if std::mem::take(&mut is_first) {
            '{'
        } else {
            ','
        });
        text.push_str(&key);
        text.push_str("=\"");
        for char in value.chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                char => text.push(char),
            }
        }
        text.push('"');
    }
    if !is_first {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// As Prometheus reads numbers.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{Histogram, Reading};
    use std::time::SystemTime;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut reading = Reading::new(SystemTime::now());
        reading.gauge("a", "", "What\nit \\ is.").add(&[], 1.5);
        let mut things = reading.counter("b.of", "{thing}", "Things.");
        things.add(&[("type", "x<\"y\\z\n>")], 3_u64);
        things.add(&[("actor.type", "o"), ("numa_node", "0")], u64::MAX);
        let times = Histogram::cumulative([(0.001, 2), (0.1, 5)], 7, 0.25);
        reading
            .histogram("c", "s", "Times.")
            .add(&[("type", "t")], times);
        assert_eq!(
            reading.prometheus(),
            "# HELP a What\\nit \\\\ is.\n# TYPE a gauge\na 1.5\n\
             # HELP b_of_total Things.\n# TYPE b_of_total counter\n\
             b_of_total{type=\"x<\\\"y\\\\z\\n>\"} 3\n\
             b_of_total{actor_type=\"o\",numa_node=\"0\"} 18446744073709551615\n\
             # HELP c_seconds Times.\n# TYPE c_seconds histogram\n\
             c_seconds_bucket{type=\"t\",le=\"0.001\"} 2\nc_seconds_bucket{type=\"t\",le=\"0.1\"} 5\n\
             c_seconds_bucket{type=\"t\",le=\"+Inf\"} 7\nc_seconds_sum{type=\"t\"} 0.25\n\
             c_seconds_count{type=\"t\"} 7\n"
        );
    }

    #[test]
    fn names_follow_opentelemetrys_rule() {
        for (told, of, unit, kind) in [
            ("a_b_total", "a.b", "{message}", Kind::Counter),
            ("a_b_seconds_total", "a.b", "s", Kind::Counter),
            ("a_b_bytes", "a.b", "By", Kind::UpDownCounter),
            ("a_b_ratio", "a.b", "1", Kind::Gauge),
            ("a_b_total", "a.b", "1", Kind::Counter),
            ("a_b", "a.b", "{x}", Kind::Gauge),
            ("_9_b_Cel", "9-b", "Cel", Kind::Gauge),
        ] {
            assert_eq!(name(of, unit, kind), told);
        }
    }

    #[test]
    fn numbers_that_are_none_are_written_too() {
        assert_eq!(number(f64::NAN), "NaN");
        assert_eq!(number(f64::INFINITY), "+Inf");
        assert_eq!(number(f64::NEG_INFINITY), "-Inf");
        assert_eq!(number(-0.5), "-0.5");
    }
}
