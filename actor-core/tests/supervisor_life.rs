//! A supervisor's own life: its failures, what becomes of its children then, and panics that cost only
//! a message.

mod common;
#[path = "common/life.rs"]
mod life;

use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{ChildPhase, Refused, StopMode};
use common::*;
use life::*;

const LONG: Duration = Duration::from_secs(3600);

/// Spawns its children only if it finds none: the way of those that keep them.
fn keeping(log: &Log, names: &[&str]) -> Spec {
    let mut spec = Spec::new("sup", log);
    spec.supervision = Supervision::one_for_one().keep_children();
    for name in names {
        spec = spec.child(Spec::new(name, log));
    }
    spec
}

/// A supervisor that keeps its children and is not to spawn them again.
struct Keeper {
    node: Spec,
    log: Log,
}

impl Actor for Keeper {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), actor_core::ActorError> {
        let found = cx.which_children();
        self.log.say(format!("keeper found {}", found.len()));
        if found.is_empty() {
            for child in self.node.children.clone() {
                cx.actor(child.factory()).name(&child.name).spawn()?;
            }
        }
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.log.say("keeper dropped");
    }
}

/// What a test has a keeper do.
type Act = Box<dyn FnOnce(&mut ActorContext<Keeper>) -> Vec<(String, ChildPhase)> + Send>;

struct Do(Act);

impl Message for Do {
    type Reply = Vec<(String, ChildPhase)>;
}

impl SyncHandler<Do> for Keeper {
    fn handle(&mut self, Do(act): Do, cx: &mut ActorContext<Self>) -> Vec<(String, ChildPhase)> {
        act(cx)
    }
}

fn spawn_keeper(system: &ActorSystem, spec: &Spec, backoff: Backoff) -> ActorRef<Keeper> {
    let (node, log) = (spec.clone(), spec.log.clone());
    system
        .actor(move || Keeper {
            node: node.clone(),
            log: log.clone(),
        })
        .supervision(spec.supervision)
        .backoff(backoff)
        .spawn()
        .unwrap()
}

fn children(keeper: ActorRef<Keeper>) -> Vec<(String, ChildPhase)> {
    keeper
        .ask_blocking(Do(Box::new(|cx| {
            let named = |child: actor_core::ChildInfo| {
                (child.name.as_deref().unwrap_or("?").to_owned(), child.phase)
            };
            cx.which_children().into_iter().map(named).collect()
        })))
        .unwrap()
}

fn fail(keeper: ActorRef<Keeper>) {
    let answer = keeper.ask_blocking(Do(Box::new(|_| boom())));
    assert!(matches!(answer, Err(AskError::Panicked { .. })));
}

#[test]
fn s15_children_are_kept_over_the_parents_restart_if_so_configured() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = keeping(&log, &["A", "B"]);
    let keeper = spawn_keeper(&system, &spec, Backoff::none());
    assert_eq!(children(keeper).len(), 2);
    wait_until("they are up", || log.starting("B started") == 1);
    for round in 1..=3 {
        fail(keeper);
        log.wait_count("keeper found 2", round);
    }
    let running = |name: &str| (name.to_owned(), ChildPhase::Running);
    wait_until("both are up", || {
        children(keeper) == [running("A"), running("B")]
    });
    assert_eq!(
        log.starting("A "),
        1,
        "neither stopped nor started: {:?}",
        log.lines()
    );
    // Its end is theirs all the same.
    keeper.stop();
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    assert!(log.at("B stopped") < log.at("A stopping: shut down"));
    finish(system);
}

#[test]
fn s15_kept_children_are_supervised_while_the_parent_is_down() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = keeping(&log, &["A"]);
    let keeper = spawn_keeper(&system, &spec, Backoff::new(LONG, LONG));
    wait_until("it is up", || log.starting("A started") == 1);
    let a = keeper
        .ask_blocking(Do(Box::new(|cx| {
            let child = cx.which_children().remove(0);
            assert!(child.name.is_some());
            vec![(child.id.to_string(), child.phase)]
        })))
        .unwrap();
    assert_eq!(a.len(), 1);
    // The child fails in its own time, for the rest of the parent's back-off.
    let mut own = spec.children[0].clone();
    own.name = "late".into();
    let late = keeper
        .ask_blocking(Do(Box::new(move |cx| {
            let late = cx.actor(own.factory()).name("late").spawn().unwrap();
            own.family_insert("late", late);
            Vec::new()
        })))
        .map(|_| spec.family.get("late"))
        .unwrap();
    assert_eq!(late.life(), 2, "the second of this specification");
    fail(keeper);
    log.wait("keeper dropped");
    late.crash();
    assert_eq!(late.life(), 3, "restarted by a parent that is down");
    // At the limit the parent goes, and they with it.
    for _ in 0..3 {
        late.crash();
    }
    wait_until(
        "all are gone, or the parent waits for its next life",
        || !late.is_alive(),
    );
    keeper.stop_with(StopMode::Kill);
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    finish(system);
}

#[test]
fn s15_kept_children_go_when_the_parent_is_stopped_between_two_lives() {
    quiet();
    for mode in [StopMode::Drain, StopMode::Now, StopMode::Kill] {
        let (system, log) = (system(), Log::new());
        let spec = keeping(&log, &["A", "B"]);
        let keeper = spawn_keeper(&system, &spec, Backoff::new(LONG, LONG));
        wait_until("they are up", || log.starting("B started") == 1);
        fail(keeper);
        log.wait("keeper dropped");
        assert!(!log.has("A dropped 1"));
        keeper.stop_with(mode);
        wait_until("all are gone", || system.stats().actors.alive() == 0);
        assert!(log.has("A dropped 1") && log.has("B dropped 1"), "{mode:?}");
        finish(system);
    }
}

#[test]
fn s18_resume_keeps_state_and_mailbox_and_drops_the_message() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = Spec::new("A", &log);
    spec.on_panic = OnPanic::Resume;
    let a = spec.spawn(&system);
    let gate = Gate::new();
    let held = gate.clone();
    a.tell(with(move |_, _| held.pass())).unwrap();
    for n in 0..30 {
        a.tell(Note(n)).unwrap();
        match n {
            9 => a.tell(Crash).unwrap(),
            19 => a
                .tell(CrashAsync {
                    after_await: false,
                    bomb: true,
                })
                .unwrap(),
            _ => {}
        }
    }
    a.tell(CrashAsync {
        after_await: true,
        bomb: false,
    })
    .unwrap();
    gate.open();
    a.crash();
    let (life, numbers) = a
        .ask_blocking(with(|node, _| (node.life, node.numbers.clone())))
        .unwrap();
    assert_eq!((life, numbers), (1, (0..30).collect()));
    assert_eq!((spec.lives(), log.starting("A dropped")), (1, 0));
    let actors = system.stats().actors;
    assert_eq!((actors.restarts, actors.panics), (0, 5));
    let books = finish(system);
    assert_eq!(
        books.dropped.panicked, 4,
        "each poison message once: {books}"
    );
}

#[test]
fn s18_resume_is_about_handlers_and_leaves_children_alone() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = Spec::new("A", &log).child(Spec::new("child", &log));
    spec.on_panic = OnPanic::Resume;
    let a = spec.spawn(&system);
    let child = spec.family.get("child");
    assert_eq!(child.life(), 1);
    for _ in 0..10 {
        a.crash();
    }
    assert_eq!(
        (a.life(), child.life()),
        (1, 1),
        "no limit counts what is resumed"
    );
    // Its own word is a failure all the same.
    a.ask_blocking(with(|_, cx| cx.fail("enough"))).unwrap();
    log.wait("A started 2");
    // A start cannot be resumed.
    let mut weak = Spec::new("weak", &log);
    (weak.on_panic, weak.on_start) = (OnPanic::Resume, Hook::Panic);
    weak.restart = Restart::Temporary;
    weak.spawn(&system).gone();
    finish(system);
}

#[test]
fn s20_a_full_mailbox_refuses_while_backing_off_and_what_fits_is_handled() {
    quiet();
    let (system, log) = (system(), Log::new());
    // Longer than this machine takes to send twenty messages: if not, once more with more time.
    for wait in [700, 2_000, 6_000, 20_000].map(Duration::from_millis) {
        if full_while_backing_off(&system, &log, wait) {
            finish(system);
            return;
        }
    }
    panic!("this machine is too slow");
}

/// Whether all was sent before the back-off was over.
fn full_while_backing_off(system: &SystemRef, log: &Log, wait: Duration) -> bool {
    let spec = Spec::new("A", log);
    let before = settle(system).refused.full;
    let a = system
        .actor(spec.factory())
        .mailbox(Mailbox::bounded(8).overflow(Overflow::Reject))
        .backoff(Backoff::new(wait, wait))
        .spawn()
        .unwrap();
    assert_eq!(a.life(), 1);
    let began = Instant::now();
    a.crash();
    let mut refused = 0;
    for n in 0..20 {
        match a.tell(Note(n)) {
            Ok(()) => {}
            Err(SendError::Full {
                message: Note(given_back),
                ..
            }) => {
                assert_eq!(given_back, n, "the message comes back");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    if began.elapsed() >= wait {
        a.stop();
        a.gone();
        return false;
    }
    assert!(refused >= 12, "{refused} of 20 found no room for 8");
    let Refused { full, .. } = system.stats().messages.refused;
    assert_eq!(full - before, refused as u64);
    wait_until("the next life is through with them", || {
        a.ask_blocking(with(|node, _| node.numbers.len()))
            .is_ok_and(|handled| handled == 20 - refused)
    });
    true
}

#[test]
fn s21_no_child_outlives_a_supervisor_whose_own_code_panics() {
    quiet();
    type Break = fn(&mut Spec);
    let breaks: [(&str, Break); 4] = [
        ("started", |spec| spec.on_start = Hook::Panic),
        ("started, later", |spec| spec.on_start = Hook::PanicLater),
        ("terminated", |spec| spec.on_terminated = Hook::Panic),
        ("terminated, later", |spec| {
            spec.on_terminated = Hook::PanicLater
        }),
    ];
    for (place, break_it) in breaks {
        for supervision in [
            Supervision::one_for_one(),
            Supervision::one_for_all(),
            Supervision::rest_for_one(),
            Supervision::simple_one_for_one(),
        ] {
            let (system, log) = (system(), Log::new());
            let mut spec = Spec::new("sup", &log)
                .child(Spec::new("A", &log))
                .child(Spec::new("B", &log).child(Spec::new("leaf", &log)));
            (spec.supervision, spec.restart) = (supervision, Restart::Temporary);
            break_it(&mut spec);
            let top = Spec::new("top", &log).spawn(&system);
            let inner = spec.clone();
            let sup = top
                .ask_blocking(with(move |_, cx| inner.spawn_in(cx).unwrap()))
                .unwrap();
            if place.starts_with("terminated") {
                let stranger = Spec::new("stranger", &log).spawn(&system);
                sup.watches(stranger, "stranger");
                stranger.kill();
            }
            sup.gone();
            wait_until("only the top is left", || {
                system.stats().actors.alive() == 1
            });
            for name in ["A", "B"] {
                assert_eq!(log.starting(&format!("{name} dropped")), 1, "{place}");
            }
            assert_eq!(top.life(), 1);
            finish(system);
        }
    }
}
