//! What cannot be is refused with an error that names the value and what is allowed. Never a panic.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{NumaNodeId, SpawnError, StartError};
use common::{finish, system};

struct Idle;
impl Actor for Idle {}

#[track_caller]
fn says(error: &dyn std::error::Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{text}` does not say `{word}`");
    }
}

#[test]
fn an_impossible_mailbox_is_refused() {
    let system = system();
    let sizes = [
        (Mailbox::bounded(0), "0", "60000"),
        (Mailbox::bounded(60_001), "60001", "60000"),
        (
            Mailbox::bounded(usize::MAX),
            "18446744073709551615",
            "60000",
        ),
        (
            Mailbox::bounded(0).overflow(Overflow::DropOldest),
            "0",
            "30000",
        ),
        (
            Mailbox::bounded(30_001).overflow(Overflow::DropOldest),
            "30001",
            "30000",
        ),
    ];
    for (mailbox, asked, max) in sizes {
        let error = system.actor(Idle).mailbox(mailbox).spawn().unwrap_err();
        assert!(
            matches!(error, SpawnError::MailboxCapacity { .. }),
            "{error:?}"
        );
        says(&error, &[asked, &format!("1 to {max}"), "unbounded"]);
    }
    for mailbox in [
        Mailbox::bounded(60_000),
        Mailbox::bounded(30_000).overflow(Overflow::DropOldest),
    ] {
        system.actor(Idle).mailbox(mailbox).spawn().unwrap();
    }
    finish(system);
}

#[test]
fn an_impossible_supervision_is_refused() {
    let system = system();
    let zero = Supervision::one_for_one().period(Duration::ZERO);
    let error = system.actor(Idle).supervision(zero).spawn().unwrap_err();
    assert!(matches!(error, SpawnError::Option(_)), "{error:?}");
    says(&error, &["0"]);
    finish(system);
}

#[test]
fn an_impossible_backoff_is_refused() {
    let system = system();
    for backoff in [
        Backoff::new(Duration::from_secs(2), Duration::from_secs(1)),
        Backoff::new(Duration::ZERO, Duration::from_secs(1)),
    ] {
        let error = system.actor(|| Idle).backoff(backoff).spawn().unwrap_err();
        assert!(matches!(error, SpawnError::Option(_)), "{error:?}");
        assert!(error.to_string().len() > 20, "{error}");
    }
    finish(system);
}

#[test]
fn an_unknown_numa_node_is_refused() {
    let system = system();
    let error = system
        .actor(Idle)
        .placement(Placement::Node(NumaNodeId(77)))
        .spawn()
        .unwrap_err();
    assert!(
        matches!(
            error,
            SpawnError::NoSuchNumaNode {
                asked: NumaNodeId(77),
                ..
            }
        ),
        "{error:?}"
    );
    says(&error, &["77", &system.numa_nodes()[0].to_string()]);
    finish(system);
}

#[test]
fn impossible_reactors_and_too_little_memory_are_refused() {
    for threads in [0, 1025] {
        let error = ActorSystem::builder()
            .reactor_threads(threads)
            .build()
            .unwrap_err();
        assert!(
            matches!(error, StartError::ReactorThreads { .. }),
            "{error:?}"
        );
        says(&error, &[&threads.to_string(), "1 to 1024"]);
    }
    for bytes in [0, (16 << 20) - 1] {
        let error = ActorSystem::builder()
            .message_memory(bytes)
            .build()
            .unwrap_err();
        assert!(
            matches!(error, StartError::MessageMemory { .. }),
            "{error:?}"
        );
        says(&error, &[&bytes.to_string(), "16777216"]);
    }
}

#[test]
fn nothing_is_spawned_after_the_shutdown() {
    let system = system();
    let handle = system.handle();
    let idle = handle.spawn(Idle).unwrap();
    assert!(system.shutdown_blocking(common::PATIENCE).is_clean());
    let error = handle.spawn(Idle).unwrap_err();
    assert_eq!(error, SpawnError::ShuttingDown);
    says(&error, &["shutting down"]);
    assert!(!idle.is_alive());
    assert!(handle.is_shutting_down());
    assert!(handle.stats().messages.holds_at_rest());
}

/// Spawns a child while it stops.
struct Parent(std::sync::mpsc::Sender<SpawnError>);
impl Actor for Parent {
    async fn stopped(&mut self, _reason: &StopReason, cx: &mut ActorContext<Self>) {
        _ = self.0.send(cx.spawn(Idle).unwrap_err());
    }
}

#[test]
fn a_stopping_parent_has_no_more_children() {
    let system = system();
    let (send, receive) = std::sync::mpsc::channel();
    system.spawn(Parent(send)).unwrap().stop();
    let error = receive.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(error, SpawnError::ParentStopping);
    says(&error, &["parent", "stopping"]);
    finish(system);
}

struct Ping;
impl Message for Ping {
    type Reply = ();
}
impl SyncHandler<Ping> for Idle {
    fn handle(&mut self, _: Ping, _cx: &mut ActorContext<Self>) {}
}

#[test]
fn a_deadline_in_the_past_is_expired() {
    let system = system();
    let idle = system.spawn(Idle).unwrap();
    let past = Instant::now() - Duration::from_micros(1);
    let error = idle.ask(Ping).deadline(past).blocking().unwrap_err();
    assert!(
        matches!(
            error,
            AskError::Expired {
                message: Some(Ping),
                ..
            }
        ),
        "{error:?}"
    );
    says(&error, &[&idle.to_string(), "deadline"]);
    finish(system);
}

/// The part of `a_bad_topology_in_the_environment` that runs in a process of its own.
#[test]
#[ignore = "run by a_bad_topology_in_the_environment"]
fn start_with_the_environment() {
    match ActorSystem::new() {
        Ok(_) => println!("started"),
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn a_bad_topology_in_the_environment_is_refused() {
    for bad in [
        "elephant",
        "0x4",
        "2x",
        "x",
        "2x0",
        "-1x2",
        "99999x99999",
        "2x2x2x2x2",
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "start_with_the_environment",
                "--ignored",
                "--nocapture",
            ])
            .env("ACTOR_TOPOLOGY", bad)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{bad}: {text}");
        assert!(
            text.contains("refused:") && text.contains(bad),
            "{bad}: {text}"
        );
    }
}
