//! `#[derive(Actor)]`: each key becomes the option it names, and each hook calls its method.

mod support;

use std::fmt::Debug;
use std::time::Duration;

use actor_macros::Actor;
use support::actor_core::{
    Actor, ActorContext, ActorError, ActorOptions, AutoShutdown, Backoff, Mailbox, NumaNodeId,
    OnPanic, Overflow, Placement, Restart, Shutdown, StopReason, Supervision, Terminated,
};

/// Options have no equality; what they show is all there is to them.
fn assert_same(left: impl Debug, right: impl Debug) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
struct Plain;

#[test]
fn no_key_is_the_default() {
    assert_same(Plain::options(), ActorOptions::new());
}

#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
#[actor(mailbox = 1024, overflow = drop_oldest)]
#[actor(
    restart = transient,
    backoff = "10ms..5s",
    intensity = 5,
    period = "10s",
    placement = spread,
)]
enum Everything {
    _One,
    _Two(u8),
}

#[test]
fn all_keys_together_in_several_attributes() {
    assert_same(
        Everything::options(),
        ActorOptions::new()
            .mailbox(Mailbox::bounded(1024).overflow(Overflow::DropOldest))
            .restart(Restart::Transient)
            .backoff(Backoff::new(
                Duration::from_millis(10),
                Duration::from_secs(5),
            ))
            .supervision(
                Supervision::one_for_one()
                    .intensity(5)
                    .period(Duration::from_secs(10)),
            )
            .placement(Placement::Spread),
    );
}

#[derive(Actor)]
#[actor(crate = crate::support::actor_core, placement = node(255), stash = 1)]
struct OnANode;

#[derive(Actor)]
#[actor(crate = crate::support::actor_core, placement = key(18446744073709551615))]
struct ByKey;

#[test]
fn placements_with_a_number() {
    assert_same(
        OnANode::options(),
        ActorOptions::new()
            .placement(Placement::Node(NumaNodeId(255)))
            .stash(1),
    );
    assert_same(
        ByKey::options(),
        ActorOptions::new().placement(Placement::Key(u64::MAX)),
    );
}

/// One actor per row: the keys, and the options they stand for.
macro_rules! each_key {
    ($($test:ident: $($key:ident = $value:tt),+ => $expected:expr;)+) => { $(
        #[test]
        fn $test() {
            #[derive(Actor)]
            #[actor(crate = crate::support::actor_core, $($key = $value),+)]
            struct One;
            assert_same(One::options(), $expected);
        }
    )+ };
}

each_key! {
    mailbox_smallest: mailbox = 1 => ActorOptions::new().mailbox(Mailbox::bounded(1));
    mailbox_largest: mailbox = 60_000 => ActorOptions::new().mailbox(Mailbox::bounded(60_000));
    mailbox_typed: mailbox = 8usize => ActorOptions::new().mailbox(Mailbox::bounded(8));
    mailbox_unbounded: mailbox = unbounded => ActorOptions::new().mailbox(Mailbox::unbounded());
    overflow_wait: mailbox = 8, overflow = wait
        => ActorOptions::new().mailbox(Mailbox::bounded(8).overflow(Overflow::Wait));
    overflow_reject: overflow = reject, mailbox = 8
        => ActorOptions::new().mailbox(Mailbox::bounded(8).overflow(Overflow::Reject));
    overflow_drop_newest: mailbox = 8, overflow = drop_newest
        => ActorOptions::new().mailbox(Mailbox::bounded(8).overflow(Overflow::DropNewest));
    restart_permanent: restart = permanent => ActorOptions::new().restart(Restart::Permanent);
    restart_temporary: restart = temporary => ActorOptions::new().restart(Restart::Temporary);
    placement_inherit: placement = inherit
        => ActorOptions::new().placement(Placement::Inherit);
    backoff_constant: backoff = "1s..1s"
        => ActorOptions::new().backoff(Backoff::new(Duration::from_secs(1), Duration::from_secs(1)));
    intensity_alone: intensity = 0
        => ActorOptions::new().supervision(Supervision::one_for_one().intensity(0));
    period_alone: period = "1h"
        => ActorOptions::new()
            .supervision(Supervision::one_for_one().period(Duration::from_secs(3_600)));
    shutdown_after: shutdown = "2s"
        => ActorOptions::new().shutdown(Shutdown::After(Duration::from_secs(2)));
    shutdown_kill: shutdown = kill => ActorOptions::new().shutdown(Shutdown::Kill);
    shutdown_infinity: shutdown = infinity => ActorOptions::new().shutdown(Shutdown::Infinity);
    on_panic_resume: on_panic = resume => ActorOptions::new().on_panic(OnPanic::Resume);
    on_panic_restart: on_panic = restart => ActorOptions::new().on_panic(OnPanic::Restart);
    trap_links_said: trap_links = true => ActorOptions::new().trap_links(true);
    stash_none: stash = 0 => ActorOptions::new().stash(0);
    stash_largest: stash = 1_000_000 => ActorOptions::new().stash(1_000_000);
    significant_said: significant = true => ActorOptions::new().significant(true);
    significant_denied: restart = permanent, significant = false
        => ActorOptions::new().restart(Restart::Permanent).significant(false);
}

#[test]
fn trap_links_alone_says_yes() {
    #[derive(Actor)]
    #[actor(crate = crate::support::actor_core, trap_links)]
    struct One;
    assert_same(One::options(), ActorOptions::new().trap_links(true));
}

#[test]
fn significant_alone_says_yes() {
    #[derive(Actor)]
    #[actor(crate = crate::support::actor_core, significant)]
    struct One;
    assert_same(One::options(), ActorOptions::new().significant(true));
}

/// One actor per row: what stands in `supervise(..)`, and the supervision it stands for.
macro_rules! each_supervise {
    ($($test:ident: ($($list:tt)*) => $expected:expr;)+) => { $(
        #[test]
        fn $test() {
            #[derive(Actor)]
            #[actor(crate = crate::support::actor_core, supervise($($list)*))]
            struct One;
            assert_same(One::options(), ActorOptions::new().supervision($expected));
        }
    )+ };
}

each_supervise! {
    supervise_one_for_one: (strategy = one_for_one) => Supervision::one_for_one();
    supervise_one_for_all: (strategy = one_for_all) => Supervision::one_for_all();
    supervise_rest_for_one: (strategy = rest_for_one,) => Supervision::rest_for_one();
    supervise_simple_one_for_one: (strategy = simple_one_for_one)
        => Supervision::simple_one_for_one();
    supervise_numbers: (intensity = 10_000, period = "1ms")
        => Supervision::one_for_one().intensity(10_000).period(Duration::from_millis(1));
    supervise_auto_shutdown: (strategy = one_for_all, auto_shutdown = any)
        => Supervision::one_for_all().auto_shutdown(AutoShutdown::Any);
    supervise_keep_children: (keep_children) => Supervision::one_for_one().keep_children();
    supervise_everything: (
        auto_shutdown = all, period = "5s", intensity = 3, strategy = rest_for_one, keep_children = true
    ) => Supervision::rest_for_one()
        .intensity(3)
        .period(Duration::from_secs(5))
        .auto_shutdown(AutoShutdown::All)
        .keep_children();
}

#[test]
fn the_short_keys_go_with_the_list() {
    #[derive(Actor)]
    #[actor(crate = crate::support::actor_core, intensity = 7)]
    #[actor(supervise(strategy = one_for_all), period = "1m")]
    struct One;
    let expected = Supervision::one_for_all()
        .intensity(7)
        .period(Duration::from_secs(60));
    assert_same(One::options(), ActorOptions::new().supervision(expected));
}

#[derive(Actor, Default)]
#[actor(
    crate = crate::support::actor_core,
    started = on_start,
    stopped = on_stop,
    terminated = on_end,
)]
struct Hooked {
    refuse: bool,
    calls: Vec<String>,
}

impl Hooked {
    async fn on_start(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        self.calls.push("start".to_owned());
        if self.refuse {
            Err(support::actor_error("not today"))
        } else {
            Ok(())
        }
    }

    async fn on_stop(&mut self, reason: &StopReason, _cx: &mut ActorContext<Self>) {
        self.calls.push(format!("stop {reason:?}"));
    }

    async fn on_end(&mut self, who: Terminated, _cx: &mut ActorContext<Self>) {
        self.calls.push(format!("end {who:?}"));
    }
}

#[test]
fn hooks_call_the_methods_they_name() {
    let mut actor = Hooked::default();
    let cx = &mut support::context();
    let reason = support::stop_reason();
    assert!(support::block_on(actor.started(cx)).is_ok());
    support::block_on(actor.terminated(support::terminated(), cx));
    support::block_on(actor.stopped(&reason, cx));
    assert_eq!(
        actor.calls,
        [
            "start".to_owned(),
            format!("end {:?}", support::terminated()),
            format!("stop {reason:?}")
        ]
    );
}

#[test]
fn a_refusal_to_start_is_handed_on() {
    let mut actor = Hooked {
        refuse: true,
        ..Hooked::default()
    };
    let refusal = support::block_on(actor.started(&mut support::context()));
    assert_same(refusal, Err::<(), _>(support::actor_error("not today")));
}

/// A hook named like the trait's method is not itself.
#[derive(Actor)]
#[actor(crate = crate::support::actor_core, started = started)]
struct SameName(u8);

impl SameName {
    async fn started(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        self.0 += 1;
        Ok(())
    }
}

#[test]
fn a_hook_may_be_named_like_the_traits() {
    let mut actor = SameName(0);
    let hook = <SameName as Actor>::started;
    assert!(support::block_on(hook(&mut actor, &mut support::context())).is_ok());
    assert_eq!(actor.0, 1);
}

#[derive(Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 4)]
struct Generic<T: ?Sized, const N: usize, K = u8>
where
    K: Clone,
{
    _key: [K; N],
    _value: Box<T>,
}

#[test]
fn type_parameters_get_the_bounds_an_actor_needs() {
    // The bounds are the impl's and not the struct's: this is well-formed and no actor.
    let _not_an_actor: Option<Generic<std::rc::Rc<u8>, 1>> = None;
    fn options<K: Clone + Send + 'static>() -> ActorOptions {
        Generic::<str, 3, K>::options()
    }
    assert_same(
        options::<String>(),
        ActorOptions::new().mailbox(Mailbox::bounded(4)),
    );
}
