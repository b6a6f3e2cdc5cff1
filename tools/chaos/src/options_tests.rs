use super::*;

fn parse(line: &str) -> Result<Option<Options>, String> {
    Options::parse(line.split_whitespace().map(str::to_owned))
}

#[test]
fn the_program_keeps_its_own_options() {
    let options = parse("--runs 3 --hold 2-20 prog --runs 7")
        .unwrap()
        .unwrap();
    assert_eq!(options.runs, 3);
    assert_eq!(options.hold_min, Duration::from_millis(2));
    assert_eq!(options.hold_max, Duration::from_millis(20));
    assert_eq!(options.program, ["prog", "--runs", "7"]);
    let options = parse("-- --odd").unwrap().unwrap();
    assert_eq!(options.program, ["--odd"]);
}

#[test]
fn what_makes_no_sense_is_named() {
    for (line, word) in [
        ("", "no program"),
        ("--runs", "needs a number"),
        ("--runs 0 p", "from 1 on"),
        ("--hold 5 p", "MIN-MAX"),
        ("--hold 20-2 p", "MIN-MAX"),
        ("--every -3 p", "from 1 on"),
        ("--odd p", "no option"),
    ] {
        let wrong = parse(line).unwrap_err();
        assert!(wrong.contains(word), "{line:?}: {wrong}");
    }
    assert!(parse("--help").unwrap().is_none());
}
