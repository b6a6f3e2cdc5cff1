use super::*;

#[test]
fn a_mark_stays_until_something_is_handled() {
    let quiet = Quiet::<Sound>::vacant();
    assert_eq!(quiet.look(2), None, "nobody lives here");
    quiet.occupy();
    assert_eq!(quiet.look(7), Some(7));
    assert_eq!(quiet.look(8), Some(7), "quiet since the walk before");
    quiet.touch();
    assert_eq!(quiet.look(9), Some(9));
    quiet.vacate();
    assert_eq!(quiet.look(10), None);
}

#[test]
fn zero_bytes_are_vacant() {
    assert_eq!(size_of::<Quiet>(), 1);
    assert_eq!(VACANT, 0, "a cell that was never used has nobody in it");
    assert!(!MARKS.contains(&VACANT) && !MARKS.contains(&FRESH));
}
