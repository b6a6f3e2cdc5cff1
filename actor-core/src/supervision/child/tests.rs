use super::*;

#[test]
fn s09_restart_types_by_kind_of_end() {
    let rows = [
        (Restart::Permanent, true, true),
        (Restart::Permanent, false, true),
        (Restart::Transient, true, false),
        (Restart::Transient, false, true),
        (Restart::Temporary, true, false),
        (Restart::Temporary, false, false),
    ];
    for (restart, normal, expected) in rows {
        assert_eq!(
            restart.applies(normal),
            expected,
            "{restart:?} normal={normal}"
        );
    }
    assert_eq!(Restart::default(), Restart::Transient);
}

#[test]
fn defaults_are_those_in_the_documentation() {
    assert_eq!(Shutdown::default(), Shutdown::After(Duration::from_secs(5)));
    assert_eq!(OnPanic::default(), OnPanic::Restart);
}

#[test]
fn a_shutdown_of_no_time_is_refused_by_name() {
    let error = Shutdown::After(Duration::ZERO).check().unwrap_err();
    assert_eq!(error.field(), "shutdown");
    assert_eq!(
        error.to_string(),
        "shutdown is 0 s: must be longer than 0 s; Shutdown::Kill does not wait at all"
    );
    for fine in [
        Shutdown::After(Duration::from_nanos(1)),
        Shutdown::After(Duration::MAX),
        Shutdown::Kill,
        Shutdown::Infinity,
    ] {
        assert_eq!(fine.check(), Ok(()));
    }
}
