//! A reading as OpenTelemetry's protobuf has it. Pure.
//!
//! The SDK's instruments would be read one by one, and have no way to take in a distribution that somebody else has
//! counted; so a reading becomes protobuf here, as it stands. Everything is cumulative, from the start of the system: an
//! export that is lost costs nothing, the next one has it all.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram as Distribution, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    number_data_point::Value as Number,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::telemetry::metrics::{Family, Kind, Reading, Series, Value};

pub(super) fn request(reading: &Reading, resource: &Resource) -> ExportMetricsServiceRequest {
    let times = (nanos(reading.since()), nanos(reading.taken()));
    let metrics = reading.families().iter();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: "actor-core".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                metrics: metrics.map(|family| metric(family, times)).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

fn metric(family: &Family, times: (u64, u64)) -> Metric {
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = |since| {
        let points = family.series.iter();
        let points = points.filter_map(|series| number(series, (since, times.1)));
        points.collect()
    };
    let data = match family.kind {
        Kind::Counter | Kind::UpDownCounter => Data::Sum(Sum {
            data_points: numbers(times.0),
            aggregation_temporality: cumulative,
            is_monotonic: family.kind == Kind::Counter,
        }),
        // Of a gauge there is no beginning.
        Kind::Gauge => Data::Gauge(Gauge {
            data_points: numbers(0),
        }),
        Kind::Histogram => {
            let points = family.series.iter();
            let points = points.filter_map(|series| distribution(series, times));
            Data::Histogram(Distribution {
                data_points: points.collect(),
                aggregation_temporality: cumulative,
            })
        }
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: family.unit.to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

fn number(series: &Series, (since, taken): (u64, u64)) -> Option<NumberDataPoint> {
    let value = match &series.value {
        Value::Count(count) => Number::AsInt(i64::try_from(*count).unwrap_or(i64::MAX)),
        Value::Number(number) => Number::AsDouble(*number),
        // A reading puts it into families of its kind only.
        Value::Histogram(_) => return None,
    };
    Some(NumberDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: since,
        time_unix_nano: taken,
        exemplars: Vec::new(),
        flags: 0,
        value: Some(value),
    })
}

fn distribution(series: &Series, (since, taken): (u64, u64)) -> Option<HistogramDataPoint> {
    let Value::Histogram(histogram) = &series.value else {
        return None;
    };
    Some(HistogramDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: since,
        time_unix_nano: taken,
        count: histogram.count(),
        sum: Some(histogram.sum),
        bucket_counts: histogram.counts.clone(),
        explicit_bounds: histogram.bounds.clone(),
        exemplars: Vec::new(),
        flags: 0,
        min: histogram.min,
        max: histogram.max,
    })
}

fn attributes(series: &Series) -> Vec<KeyValue> {
    let labels = series.labels.iter();
    labels
        .map(|(key, value)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue {
                value: Some(Any::StringValue(value.clone())),
            }),
            ..KeyValue::default()
        })
        .collect()
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Histogram;

    #[test]
    fn every_kind_of_family_has_its_data() {
        let mut reading = Reading::new(UNIX_EPOCH);
        let labels = [("type", "t")];
        reading.counter("a", "{x}", "A.").add(&labels, u64::MAX);
        reading.up_down_counter("b", "By", "B.").add(&[], 7_u64);
        reading.gauge("c", "1", "C.").add(&[], 0.5);
        let spread = Histogram::cumulative([(1.0, 2), (2.0, 5)], 7, 10.0);
        reading.histogram("d", "s", "D.").add(&labels, spread);
        let request = request(&reading, &Resource::default());
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        let told: Vec<_> = metrics
            .iter()
            .map(|it| (it.name.as_str(), it.unit.as_str()))
            .collect();
        assert_eq!(told, [("a", "{x}"), ("b", "By"), ("c", "1"), ("d", "s")]);
        let data = |at: usize| metrics[at].data.clone().expect("data");
        let (Data::Sum(grows), Data::Sum(moves)) = (data(0), data(1)) else {
            panic!("{metrics:?}");
        };
        assert!(grows.is_monotonic && !moves.is_monotonic);
        assert_eq!(grows.aggregation_temporality, 2, "cumulative");
        let point = &grows.data_points[0];
        assert_eq!(point.value, Some(Number::AsInt(i64::MAX)));
        assert_eq!(point.attributes[0].key, "type");
        assert!(point.start_time_unix_nano < point.time_unix_nano);
        let Data::Gauge(gauge) = data(2) else {
            panic!("{metrics:?}");
        };
        assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(0.5)));
        let Data::Histogram(spread) = data(3) else {
            panic!("{metrics:?}");
        };
        let point = &spread.data_points[0];
        assert_eq!((point.count, point.sum), (7, Some(10.0)));
        assert_eq!(point.bucket_counts, [2, 3, 2]);
        assert_eq!(point.explicit_bounds, [1.0, 2.0]);
    }
}
