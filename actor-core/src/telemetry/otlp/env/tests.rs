use super::*;

fn read_of(variables: &[(&str, &str)]) -> (Settings, Vec<OtlpWarning>) {
    read(&|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn without_variables_the_defaults_of_the_specification_hold() {
    let (settings, warnings) = read_of(&[("OTEL_SERVICE_NAME", "  ")]);
    assert_eq!(warnings, []);
    assert!(settings.is_on && settings.traces_on && settings.metrics_on);
    assert_eq!((settings.queue, settings.batch), (2048, 512));
    assert_eq!(settings.delay, Duration::from_secs(5));
    assert_eq!(settings.timeout, Duration::from_secs(10));
    assert_eq!((settings.sample, settings.service_name), (None, None));
}

#[test]
fn every_variable_is_heeded() {
    let (settings, warnings) = read_of(&[
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1/x"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=1"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "30"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "40"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test,a=b%3Dc",
        ),
        ("OTEL_SERVICE_NAME", "shop"),
    ]);
    assert_eq!(warnings, []);
    assert!(!settings.is_on && !settings.traces_on && !settings.metrics_on);
    assert_eq!(settings.endpoint.as_deref(), Some("http://collector:4318"));
    assert_eq!(settings.traces_url(), "http://traces:1/x");
    assert_eq!(settings.metrics_url(), "http://collector:4318/v1/metrics");
    assert_eq!(settings.timeout, Duration::from_millis(250));
    let header = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        settings.headers,
        [header("api-key", "a b"), header("x", "1")]
    );
    assert_eq!(settings.sample, Some(0.25));
    assert_eq!((settings.queue, settings.batch), (100, 10));
    assert_eq!(settings.delay, Duration::from_millis(20));
    assert_eq!(settings.export_limit, Duration::from_millis(30));
    assert_eq!(settings.metrics_every, Duration::from_millis(40));
    assert_eq!(settings.attributes[1], header("a", "b=c"));
    assert_eq!(settings.service_name.as_deref(), Some("shop"));
}

#[test]
fn a_value_that_makes_no_sense_is_told_once_and_the_default_is_used() {
    for (variable, value, allowed, used) in [
        ("OTEL_SDK_DISABLED", "yes", "true or false", "false"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "1 to 600000", "10000"),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/json",
            "http/protobuf",
            "http/protobuf",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4318",
            "http://",
            "http://localhost:4318",
        ),
        ("OTEL_TRACES_SAMPLER", "sometimes", "always_on", "the share"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "1 to 1000000", "2048"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "1 to 2048", "512"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a=%zz",
            "percent-encoded",
            "the other pairs",
        ),
    ] {
        let (settings, warnings) = read_of(&[(variable, value)]);
        let [warning] = &warnings[..] else {
            panic!("{variable}={value}: {warnings:?}");
        };
        let text = warning.to_string();
        for part in [variable, value, allowed, used] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        assert!(settings.is_on);
    }
    let argument = [
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
    ];
    let (settings, warnings) = read_of(&argument);
    assert_eq!((settings.sample, warnings.len()), (Some(1.0), 1));
}

#[test]
fn a_header_that_makes_no_sense_is_told_without_its_value() {
    let (settings, warnings) = read_of(&[("OTEL_EXPORTER_OTLP_HEADERS", "key=secret%,other=1")]);
    assert_eq!(settings.headers.len(), 1);
    assert!(
        !warnings[0].to_string().contains("secret"),
        "{}",
        warnings[0]
    );
    assert!(warnings[0].to_string().contains("key"));
}

#[test]
fn https_is_taken_where_there_is_tls_and_told_where_there_is_none() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a.example"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
    ];
    let (settings, warnings) = read_of(&variables);
    if cfg!(feature = "otlp-tls") {
        assert_eq!(warnings, []);
        assert_eq!(settings.traces_url(), "https://a.example/v1/traces");
        assert_eq!(settings.certificate, Some("/etc/ca.pem".into()));
    } else {
        let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        for text in texts {
            assert!(text.contains("otlp-tls"), "{text}");
        }
        assert_eq!(settings.traces_url(), "http://localhost:4318/v1/traces");
    }
}
