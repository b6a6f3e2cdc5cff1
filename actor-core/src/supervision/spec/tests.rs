use super::*;

#[test]
fn defaults_are_those_in_the_documentation() {
    const SPEC: Supervision = Supervision::one_for_one();
    assert_eq!(SPEC, Supervision::default());
    assert_eq!(SPEC.strategy, Strategy::OneForOne);
    assert_eq!((SPEC.intensity, SPEC.period), (3, Duration::from_secs(5)));
    assert_eq!(SPEC.check(), Ok(()));
}

#[test]
fn check_names_the_option_its_value_and_the_range() {
    let spec = Supervision::one_for_one();
    let error = spec.period(Duration::ZERO).check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "supervision period is 0 s: must be 1 ms or longer; it is the window in which restarts are counted"
    );
    assert_eq!(error.field(), "supervision period");
    assert_eq!(
        spec.period(Duration::from_micros(999))
            .check()
            .unwrap_err()
            .value(),
        "0.000999 s"
    );
    assert_eq!(spec.period(Duration::from_millis(1)).check(), Ok(()));
    assert_eq!(spec.period(Duration::MAX).check(), Ok(()));
    assert_eq!(spec.intensity(0).check(), Ok(()));
    assert_eq!(spec.intensity(10_000).check(), Ok(()));
    let error = spec.intensity(10_001).check().unwrap_err();
    assert_eq!(error.value(), "10001");
    assert!(error.allowed().starts_with("0 to 10000"));
}

#[test]
fn s24_auto_shutdown_with_the_first_or_the_last() {
    let rows = [
        (AutoShutdown::Never, false, false),
        (AutoShutdown::Any, true, true),
        (AutoShutdown::All, false, true),
    ];
    for (when, with_others, alone) in rows {
        assert_eq!((when.applies(3), when.applies(0)), (with_others, alone));
    }
}
