use super::*;

fn ms(at: u64) -> Tick {
    Tick(at * 1_000_000)
}

#[test]
fn s13_time_to_stop_then_a_quarter_second_to_be_cut_off() {
    let child = Shutdown::After(Duration::from_millis(100));
    assert_eq!(child.due(ms(50), ms(50)), Due::At(ms(150)));
    assert_eq!(child.due(ms(50), ms(149)), Due::At(ms(150)));
    assert_eq!(child.due(ms(50), ms(150)), Due::CutOff(ms(400)));
    assert_eq!(child.due(ms(50), ms(399)), Due::CutOff(ms(400)));
    assert_eq!(child.due(ms(50), ms(400)), Due::Overdue);
}

#[test]
fn s13_kill_does_not_wait_and_infinity_does_nothing_else() {
    assert_eq!(Shutdown::Kill.due(ms(7), ms(7)), Due::CutOff(ms(257)));
    assert_eq!(Shutdown::Kill.due(ms(7), ms(257)), Due::Overdue);
    for endless in [Shutdown::Infinity, Shutdown::After(Duration::MAX)] {
        assert_eq!(endless.due(ms(7), ms(7_000_000)), Due::Never);
    }
}
