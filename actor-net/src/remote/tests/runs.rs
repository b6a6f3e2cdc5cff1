//! What is told in one turn: it goes together, and each message is one to whoever looks.

use std::sync::atomic::Ordering;

use super::*;

/// Tells all of these in one handler. Fewer than half of what a proxy's mailbox holds: what its worker is just about
/// to take counts twice for a moment.
#[derive(Clone)]
enum Said {
    Add(u64),
    /// What cannot be read there (0), or panics there when it is read (2).
    Broken(u8),
    Bulk(u64, usize),
    /// In another context than what is before.
    InTrace(u64),
}

struct SayAll {
    whom: ActorRef<Sum>,
    what: Vec<Said>,
}

impl Message for SayAll {
    type Reply = ();
}

impl SyncHandler<SayAll> for Sum {
    fn handle(&mut self, all: SayAll, _: &mut ActorContext<Self>) {
        let whom = all.whom;
        for said in all.what {
            match said {
                Said::Add(n) => whom.tell(Add { n }).expect("room"),
                Said::Broken(n) => {
                    let broken = Unreadable(n);
                    whom.tell(Broken { broken }).expect("room");
                }
                Said::Bulk(n, len) => {
                    let bytes = vec![7; len];
                    whom.tell(Bulk { n, bytes }).expect("room");
                }
                Said::InTrace(n) => {
                    let trace = actor_core::TraceContext::new_root(true);
                    let context = Context::empty().with_trace(trace);
                    let call = whom.ask(Add { n }).context(context);
                    call.tell().expect("room");
                }
            }
        }
    }
}

/// What is said here arrives there in its order, and the books say so.
fn say(what: Vec<Said>, mailbox: Mailbox) -> (Vec<u64>, RemoteStats, u64) {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let (line, _back) = lanes(&here, &there, 1);
    let sum = Sum::default();
    let seen = sum.seen.clone();
    let actor = there.system.actor(sum).mailbox(mailbox).spawn().unwrap();
    assert!(there.end.remote.publish("sum", actor));
    let sum = here.find(&there, "sum");
    let speaker = here.system.spawn(Sum::default()).unwrap();
    speaker.ask_blocking(SayAll { whom: sum, what }).unwrap();
    check_books(&here, &there);
    // Behind all of it, when there is room: an ask does not wait for any over there.
    wait_until("an answer", || sum.ask_blocking(Add { n: 9999 }).is_ok());
    let seen = seen.lock().unwrap().clone();
    let (stats, runs) = (there.stats(), line.runs.load(Ordering::SeqCst));
    here.finish();
    there.finish();
    (seen, stats, runs)
}

#[test]
fn r01_what_is_told_in_one_turn_arrives_in_order_and_goes_together() {
    let what: Vec<_> = (0..400).map(Said::Add).collect();
    let (seen, stats, runs) = say(what, Mailbox::default());
    let expected: Vec<_> = (0..400).chain([9999]).collect();
    assert_eq!(seen, expected);
    assert_eq!(stats.tells_in, 400);
    assert!((1..100).contains(&runs), "{runs} runs");
}

#[test]
fn r01_other_types_contexts_and_sizes_between_keep_their_places() {
    let what: Vec<_> = (0..300)
        .map(|n| match n % 10 {
            3 => Said::Bulk(n, 100),
            5 => Said::Bulk(n, 40_000),
            6 => Said::Bulk(n, 3_000),
            8 => Said::InTrace(n),
            _ => Said::Add(n),
        })
        .collect();
    let (seen, stats, _) = say(what, Mailbox::default());
    let expected: Vec<_> = (0..300).chain([9999]).collect();
    assert_eq!(seen, expected);
    assert_eq!(stats.tells_in, 300);
}

#[test]
fn r07_one_of_a_run_that_cannot_be_read_is_refused_alone() {
    let what = vec![
        Said::Broken(1),
        Said::Broken(0),
        Said::Broken(2),
        Said::Broken(1),
    ];
    let (_, stats, _) = say(what, Mailbox::default());
    assert_eq!(stats.refused_malformed, 2);
    assert_eq!(stats.tells_in, 4);
}

#[test]
fn r10_a_run_for_a_mailbox_without_room_for_it_is_held_and_comes_in_order() {
    let what: Vec<_> = (0..400).map(Said::Add).collect();
    let (seen, stats, _) = say(what, Mailbox::bounded(3));
    let expected: Vec<_> = (0..400).chain([9999]).collect();
    assert_eq!(seen, expected);
    assert_eq!((stats.held, stats.tells_in), (0, 400));
}

#[test]
fn r_what_the_policy_of_a_mailbox_drops_or_refuses_of_a_run_is_counted() {
    use actor_core::Overflow;
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Reject] {
        let what: Vec<_> = (0..400).map(Said::Add).collect();
        let (here, there) = (Side::new("here"), Side::new("there"));
        let _lines = lanes(&here, &there, 1);
        let mailbox = Mailbox::bounded(2).overflow(overflow);
        let actor = there.system.actor(Sum::default()).mailbox(mailbox);
        let actor = actor.spawn().unwrap();
        assert!(there.end.remote.publish("sum", actor));
        let whom = here.find(&there, "sum");
        let speaker = here.system.spawn(Sum::default()).unwrap();
        speaker.ask_blocking(SayAll { whom, what }).unwrap();
        wait_until("all came", || there.stats().tells_in == 400);
        check_books(&here, &there);
        here.finish();
        there.finish();
    }
}
