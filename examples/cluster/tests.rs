//! What the guide says can be said on the command line, can be; and the law is broken by broken books.

use std::time::Duration;

use clap::Parser;

use crate::Options;
use crate::books::{self, Account};
use crate::talk::{Books, Ended, Tally, Wire};

/// Arguments in the manifest for Kubernetes: list items in quotes that begin with two hyphens.
#[test]
fn the_manifest_in_the_guide_has_arguments_that_there_are() {
    let guide = include_str!("../../docs/cluster.md");
    let arguments: Vec<String> = guide
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- \"--"))
        .filter_map(|rest| rest.split('"').next())
        .map(|argument| format!("--{argument}"))
        .map(|argument| {
            argument
                .replace("$(POD_NAME)", "orders-0")
                .replace("$(POD_IP)", "10.0.0.7")
        })
        .collect();
    assert_eq!(arguments.len(), 7, "{arguments:?}");
    let all = std::iter::once("cluster".to_owned()).chain(arguments);
    let options = Options::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(options.name.as_deref(), Some("orders-0"));
    assert_eq!(options.peers, Some(3));
    assert_eq!(options.advertise.unwrap().to_string(), "10.0.0.7:4710");
}

#[test]
fn what_belongs_to_a_peer_is_refused_without_one() {
    for wrong in [
        "--name one",
        "--load",
        "--key-file x",
        "--ca a --cert b",
        "--join 127.0.0.1:1",
        "--peers 0",
    ] {
        let arguments = std::iter::once("cluster").chain(wrong.split(' '));
        assert!(Options::try_parse_from(arguments).is_err(), "{wrong}");
    }
    let half = "cluster --listen 127.0.0.1:0 --ca a --cert b".split(' ');
    assert!(Options::try_parse_from(half).is_err());
}

/// Peer `one` asked twice; `two` answered once, and `three` was killed.
fn verdict(change: impl FnOnce(&mut Tally, &mut Books, &mut Ended)) -> books::Verdict {
    let mut asked = Tally {
        offered: 3,
        ..Tally::default()
    };
    asked.answered.insert("two".to_owned(), 1);
    asked.failed.insert("expired".to_owned(), 2);
    let mut owner = Books {
        wire: Wire {
            arrived: 2,
            delivered: 2,
            ..Wire::default()
        },
        ..Books::default()
    };
    owner.handled.insert("one".to_owned(), 2);
    let mut ended = Ended {
        report: String::new(),
        holds: true,
        is_clean: true,
    };
    change(&mut asked, &mut owner, &mut ended);
    let (nothing, none) = (Tally::default(), Books::default);
    let accounts = [
        Account {
            name: "one",
            tally: &asked,
            books: none(),
            ended: Some(&ended),
        },
        Account {
            name: "two",
            tally: &nothing,
            books: owner,
            ended: Some(&ended),
        },
        Account {
            name: "three",
            tally: &nothing,
            books: none(),
            ended: None,
        },
    ];
    books::close(&accounts, 2, Duration::from_millis(10))
}

#[test]
fn the_law_holds_or_it_does_not() {
    let holds = |change: fn(&mut Tally, &mut Books, &mut Ended)| verdict(change).holds;
    assert!(holds(|_, _, _| {}), "{}", verdict(|_, _, _| {}).text);
    assert!(
        !holds(|asked, _, _| asked.offered = 4),
        "an ask without an end"
    );
    assert!(
        !holds(|_, owner, _| *owner.handled.get_mut("one").unwrap() = 0),
        "an answer from nowhere"
    );
    assert!(
        !holds(|_, owner, _| *owner.handled.get_mut("one").unwrap() = 9),
        "handled too often"
    );
    assert!(
        !holds(|_, owner, _| owner.wire.arrived = 3),
        "arrived and gone"
    );
    assert!(
        !holds(|_, _, ended| ended.holds = false),
        "inside a process"
    );
}

#[test]
fn numbers_are_grouped() {
    let grouped = [0, 999, 1_000, 1_234_567].map(books::grouped);
    assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
}
