//! The law of conservation over all peers: pure, figures in and words out.
//!
//! | | |
//! |---|---|
//! | at each asker | offered = answered + failed, by kind |
//! | between asker and owner | answered <= handled <= answered + failed asks that may have been handled |
//! | on the wire | arrived = delivered + held + refused |
//! | inside each process | offered = accepted + refused; accepted = handled + dead letters + dropped + queued |
//!
//! The killed peer told its figures some times a second. What it did after its last word is in no book of its own;
//! what others know of it is.

use std::fmt::Write;
use std::time::Duration;

use crate::drive::is_open;
use crate::talk::{Books, Ended, Tally, Wire};

/// What one peer has told.
pub(crate) struct Account<'a> {
    pub(crate) name: &'a str,
    pub(crate) tally: &'a Tally,
    pub(crate) books: Books,
    /// None of the one that was killed.
    pub(crate) ended: Option<&'a Ended>,
}

/// What the books say.
pub(crate) struct Verdict {
    pub(crate) text: String,
    pub(crate) holds: bool,
}

/// Closes the books.
pub(crate) fn close(accounts: &[Account<'_>], killed: usize, silent_for: Duration) -> Verdict {
    let mut pages = Pages {
        text: String::new(),
        holds: true,
    };
    pages.asks(accounts, killed);
    pages.handled(accounts, killed);
    pages.wire(accounts, killed);
    pages.inside(accounts, killed);
    pages.taken(accounts, killed, silent_for);
    let Pages { mut text, holds } = pages;
    text += if holds {
        "\nlaw holds: yes"
    } else {
        "\nlaw holds: no"
    };
    Verdict { text, holds }
}

struct Pages {
    text: String,
    holds: bool,
}

impl Pages {
    fn line(&mut self, line: &str) {
        // A string takes everything.
        _ = writeln!(self.text, "{}", line.trim_end());
    }

    /// A law, and whether it holds.
    fn law(&mut self, law: &str, broken: &[String]) {
        if broken.is_empty() {
            self.line(&format!("  {law}: yes"));
        } else {
            self.holds = false;
            self.line(&format!("  {law}: NO, {}", broken.join("; ")));
        }
    }

    fn asks(&mut self, accounts: &[Account<'_>], killed: usize) {
        self.line("what came of the asks of each peer:");
        for (number, account) in accounts.iter().enumerate() {
            let tally = account.tally;
            let mut line = format!(
                "  {:7}{:>10} offered ={:>10} answered +{:>8} failed",
                mark(account.name, number == killed),
                grouped(tally.offered),
                grouped(tally.answers()),
                grouped(tally.failures())
            );
            if number == killed {
                let open = tally.offered - (tally.answers() + tally.failures()).min(tally.offered);
                line += &format!(" +{:>4} under way", grouped(open));
            } else if tally.failures() > 0 {
                let kinds = tally
                    .failed
                    .iter()
                    .map(|(kind, n)| format!("{} {kind}", grouped(*n)));
                line += &format!(": {}", kinds.collect::<Vec<_>>().join(", "));
            }
            self.line(&line);
        }
        let broken = others(accounts, killed).filter_map(|account| {
            let tally = account.tally;
            let ends = tally.answers() + tally.failures();
            (ends != tally.offered).then(|| {
                format!(
                    "{} offered {} and heard of {ends}",
                    account.name, tally.offered
                )
            })
        });
        let broken: Vec<_> = broken.collect();
        self.law("offered = answered + failed", &broken);
    }

    fn handled(&mut self, accounts: &[Account<'_>], killed: usize) {
        self.line("\nwhat the entities of each peer handled, by who asked:");
        for (number, owner) in accounts.iter().enumerate() {
            let mut line = format!("  {:7}", mark(owner.name, number == killed));
            for asker in accounts {
                let n = owner.books.handled.get(asker.name).copied().unwrap_or(0);
                line += &format!("{:>10} for {:6}", grouped(n), asker.name);
            }
            line += &format!("by {} entities", grouped(owner.books.entities as u64));
            self.line(&line);
        }
        let mut broken = Vec::new();
        for asker in others(accounts, killed) {
            let mut surplus = 0;
            for owner in others(accounts, killed) {
                let handled = owner.books.handled.get(asker.name).copied().unwrap_or(0);
                let answered = asker.tally.answered.get(owner.name).copied().unwrap_or(0);
                if handled < answered {
                    broken.push(format!(
                        "{} handled {handled} for {}, which has {answered} answers",
                        owner.name, asker.name
                    ));
                }
                surplus += handled.saturating_sub(answered);
            }
            let open: u64 = asker
                .tally
                .failed
                .iter()
                .filter(|(kind, _)| is_open(kind))
                .map(|(_, n)| n)
                .sum();
            if surplus > open {
                broken.push(format!(
                    "{surplus} more were handled for {} than it has answers, and only {open} of its asks may have been",
                    asker.name
                ));
            }
        }
        self.law(
            "answered <= handled <= answered + failed asks that may have been handled",
            &broken,
        );
    }

    fn wire(&mut self, accounts: &[Account<'_>], killed: usize) {
        self.line("\nwhat went between peers:");
        for (number, account) in accounts.iter().enumerate() {
            let wire = account.books.wire;
            self.line(&format!(
                "  {:7}{:>10} sent, {} lost on the way, {} not sent after all;{:>10} arrived ={:>10} delivered + {} \
                 waiting + {} refused",
                mark(account.name, number == killed),
                grouped(wire.out),
                grouped(wire.lost),
                grouped(wire.dropped),
                grouped(wire.arrived),
                grouped(wire.delivered),
                grouped(wire.held),
                grouped(wire.refused),
            ));
        }
        let broken = others(accounts, killed).filter(|account| !account.books.wire.is_balanced());
        let broken: Vec<_> = broken.map(|account| account.name.to_owned()).collect();
        self.law("arrived = delivered + waiting + refused", &broken);
    }

    fn inside(&mut self, accounts: &[Account<'_>], killed: usize) {
        self.line("\ninside each process:");
        let mut broken = Vec::new();
        for account in others(accounts, killed) {
            match account.ended {
                Some(ended) => {
                    let report = ended.report.replace('\n', "\n          ");
                    self.line(&format!("  {:7} {report}", account.name));
                    if !ended.holds {
                        broken.push(account.name.to_owned());
                    }
                    if !ended.is_clean {
                        self.line(&format!(
                            "  {:7} not everything had ended in time",
                            account.name
                        ));
                    }
                }
                None => broken.push(format!("{} did not tell", account.name)),
            }
        }
        self.law(
            "offered = accepted + refused, accepted = handled + dead letters + dropped + queued",
            &broken,
        );
    }

    /// What the killed peer took with it.
    fn taken(&mut self, accounts: &[Account<'_>], killed: usize, silent_for: Duration) {
        let Some(gone) = accounts.get(killed) else {
            return;
        };
        let (tally, name) = (gone.tally, gone.name);
        self.line(&format!(
            "\n* {name} last told its figures {silent_for:.0?} before it was killed, and took with it:"
        ));
        self.line(&format!(
            "    {} entities, with all that the others had been told is placed there ({} answers)",
            grouped(gone.books.entities as u64),
            grouped(
                others(accounts, killed)
                    .map(|account| account.tally.answered.get(name).copied().unwrap_or(0))
                    .sum()
            ),
        ));
        let open = tally
            .offered
            .saturating_sub(tally.answers() + tally.failures());
        self.line(&format!(
            "    {} asks of its own that were under way at its last word, and those it began after that",
            grouped(open)
        ));
        let all = accounts.iter().fold(Wire::default(), |mut sum, account| {
            let wire = account.books.wire;
            sum.out += wire.out;
            sum.arrived += wire.arrived;
            sum.lost += wire.lost;
            sum.dropped += wire.dropped;
            sum
        });
        let known = i128::from(all.arrived) + i128::from(all.lost) + i128::from(all.dropped);
        let unknown = i128::from(all.out) - known;
        self.line(&match unknown {
            0.. => format!("    {unknown} messages to it that are in no book: sent to it after its last word"),
            _ => format!(
                "    {} messages that arrived from it, or were counted twice as lost, and are in no book of its own",
                -unknown
            ),
        });
    }
}

fn others<'a, 'b>(
    accounts: &'b [Account<'a>],
    killed: usize,
) -> impl Iterator<Item = &'b Account<'a>> {
    let all = accounts.iter().enumerate();
    all.filter(move |(number, _)| *number != killed)
        .map(|(_, account)| account)
}

fn mark(name: &str, is_killed: bool) -> String {
    if is_killed {
        format!("{name}*")
    } else {
        name.to_owned()
    }
}

/// A number with commas.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
