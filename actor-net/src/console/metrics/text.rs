//! The text format of Prometheus: families with HELP and TYPE, and a line per series.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>. Names and kinds are ours; values of labels may be anything
//! and are escaped.

use std::fmt::Write;

/// What kind of number a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It stands as it is.
    Gauge,
    /// Cumulative counts by upper bounds.
    Histogram,
}

/// A text that grows family by family.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// The families' lines.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Text {
    /// Begins a family; its series follow.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        debug_assert_eq!(
            name.ends_with("_total"),
            kind == Kind::Counter,
            "{name}: counters end so, and nothing else does"
        );
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let text = &mut self.0;
        // Writing into a text does not fail.
        let _ = writeln!(
            text,
            "# HELP {name} {}",
            help.replace('\\', "\\\\").replace('\n', "\\n")
        );
        let _ = writeln!(text, "# TYPE {name} {kind}");
        Family { text, name }
    }

    /// A family of one series without labels.
    pub(super) fn one(&mut self, kind: Kind, name: &'static str, help: &str, value: f64) {
        self.family(kind, name, help).series(&[], value);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    pub(super) fn series(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.line("", labels, value)
    }

    /// A histogram: counts at or below each bound, all of them, and their sum.
    pub(super) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        buckets: &[(f64, u64)],
        count: u64,
        sum: f64,
    ) -> &mut Self {
        for (bound, below) in buckets {
            let bound = number(*bound);
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.line("_bucket", &labels, *below as f64);
        }
        let mut all = labels.to_vec();
        all.push(("le", "+Inf"));
        self.line("_bucket", &all, count as f64);
        self.line("_sum", labels, sum);
        self.line("_count", labels, count as f64)
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for char in value.chars() {
                match char {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    char => self.text.push(char),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.text.push(' ');
        self.text.push_str(&number(value));
        self.text.push('\n');
        self
    }
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

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.one(Kind::Gauge, "a", "What\nit \\ is.", 1.5);
        text.family(Kind::Counter, "b_total", "Things.")
            .series(&[("type", "x<\"y\\z\n>")], 3.0)
            .series(&[("type", "o"), ("numa_node", "0")], 1e18);
        text.family(Kind::Histogram, "c_seconds", "Times.")
            .histogram(&[("type", "t")], &[(0.001, 2), (0.1, 5)], 7, 0.25);
        assert_eq!(
            text.finish(),
            "# HELP a What\\nit \\\\ is.\n# TYPE a gauge\na 1.5\n\
             # HELP b_total Things.\n# TYPE b_total counter\n\
             b_total{type=\"x<\\\"y\\\\z\\n>\"} 3\nb_total{type=\"o\",numa_node=\"0\"} 1000000000000000000\n\
             # HELP c_seconds Times.\n# TYPE c_seconds histogram\n\
             c_seconds_bucket{type=\"t\",le=\"0.001\"} 2\nc_seconds_bucket{type=\"t\",le=\"0.1\"} 5\n\
             c_seconds_bucket{type=\"t\",le=\"+Inf\"} 7\nc_seconds_sum{type=\"t\"} 0.25\n\
             c_seconds_count{type=\"t\"} 7\n"
        );
    }

    #[test]
    fn numbers_that_are_none_are_written_too() {
        assert_eq!(number(f64::NAN), "NaN");
        assert_eq!(number(f64::INFINITY), "+Inf");
        assert_eq!(number(f64::NEG_INFINITY), "-Inf");
        assert_eq!(number(-0.5), "-0.5");
    }
}
