//! What cannot be is refused with an error that names the value and what is allowed. Never a panic.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::topology::{PlacementError, Topology, TopologyError, Workers};
use actor_core::{ActorOptions, CpuId, MoveError, NumaNodeId, SpawnError, StartError};
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

/// Two NUMA nodes with workers and one with memory only.
fn two_homes() -> ActorSystem {
    let machine = Topology::pretend("2x1+1").unwrap();
    ActorSystem::builder().topology(machine).build().unwrap()
}

/// What every refusal of a NUMA node says: the one that was asked for, those there are, and the way out.
fn names_the_homes(error: &dyn std::error::Error, asked: NumaNodeId) {
    says(
        error,
        &[&asked.to_string(), "numa0, numa1", "take one of these"],
    );
}

#[test]
fn a_numa_node_without_workers_is_refused_wherever_it_is_named() {
    let system = two_homes();
    // One that has no CPU, and one that is not there.
    for asked in [NumaNodeId(2), NumaNodeId(77)] {
        let there = Placement::Node(asked);
        let error = system.actor(Idle).placement(there).spawn().unwrap_err();
        names_the_homes(&error, asked);
        says(&error, &["not spawned", "Placement::Spread"]);

        let own_thread = system.actor(Idle).placement(there).dedicated(true);
        names_the_homes(&own_thread.spawn().unwrap_err(), asked);

        // What an actor says for those below it is looked at before there is anybody below it.
        let error = system
            .actor(Idle)
            .children_placement(there)
            .spawn()
            .unwrap_err();
        names_the_homes(&error, asked);

        let idle = system.spawn(Idle).unwrap();
        let error = idle.move_to(asked).unwrap_err();
        assert!(
            matches!(error, MoveError::NoSuchNumaNode { .. }),
            "{error:?}"
        );
        names_the_homes(&error, asked);
        says(&error, &["not moved"]);
    }
    finish(system);
}

/// Says of itself that it lives on a NUMA node that no machine has.
struct Elsewhere;
impl Actor for Elsewhere {
    fn options() -> ActorOptions {
        ActorOptions::new().placement(Placement::Node(NumaNodeId(99)))
    }
}

#[derive(Actor)]
#[actor(placement = node(98))]
struct ElsewhereByAttribute;

#[derive(Actor)]
#[actor(placement = key(7))]
struct ByKey;

#[test]
fn a_type_that_names_an_unknown_numa_node_is_refused_and_a_spawn_may_say_better() {
    let system = two_homes();
    names_the_homes(&system.spawn(Elsewhere).unwrap_err(), NumaNodeId(99));
    let error = system.spawn(ElsewhereByAttribute).unwrap_err();
    names_the_homes(&error, NumaNodeId(98));
    let there = Placement::Node(NumaNodeId(1));
    let other = system.actor(Elsewhere).placement(there).spawn().unwrap();
    assert_eq!(other.id().numa_node(), NumaNodeId(1));
    let by_key = [system.spawn(ByKey), system.spawn(ByKey)];
    let [one, two] = by_key.map(|actor| actor.unwrap().id().numa_node());
    assert_eq!(one, two);
    finish(system);
}

#[test]
fn a_thread_of_its_own_and_none_is_a_contradiction() {
    let system = two_homes();
    let error = system
        .actor(Idle)
        .placement(Placement::Dedicated)
        .dedicated(false)
        .spawn()
        .unwrap_err();
    assert!(matches!(error, SpawnError::Option(_)), "{error:?}");
    says(
        &error,
        &["dedicated", "Placement::Dedicated", "Placement::Inherit"],
    );
    system.actor(Idle).dedicated(false).spawn().unwrap();
    finish(system);

    let error = ActorSystem::builder()
        .dedicated_threads(65)
        .build()
        .unwrap_err();
    assert!(matches!(error, StartError::Setting { .. }), "{error:?}");
    says(&error, &["dedicated_threads", "65", "0 to 64"]);
}

#[test]
fn too_many_threads_of_their_own_name_the_limit_and_the_numa_node() {
    let system = ActorSystem::builder()
        .topology(Topology::pretend("2x1").unwrap())
        .dedicated_threads(1)
        .build()
        .unwrap();
    let on = |node| {
        let actor = system.actor(Idle).placement(Placement::Node(node));
        actor.dedicated(true).spawn()
    };
    on(NumaNodeId(1)).unwrap();
    let error = on(NumaNodeId(1)).unwrap_err();
    assert!(
        matches!(error, SpawnError::DedicatedThreads { .. }),
        "{error:?}"
    );
    says(&error, &["numa1", "all 1", "dedicated_threads"]);
    on(NumaNodeId(0)).unwrap();
    finish(system);
}

#[test]
fn near_an_actor_that_has_stopped_is_where_it_was_spawned() {
    let system = two_homes();
    for node in system.numa_nodes() {
        let there = Placement::Node(node);
        let gone = system.actor(Idle).placement(there).spawn().unwrap();
        gone.stop();
        common::wait_until("it has stopped", || !gone.is_alive());
        let near = Placement::Near(gone.id());
        let after = system.actor(Idle).placement(near).spawn().unwrap();
        assert_eq!(after.id().numa_node(), node);
    }
    finish(system);
}

#[test]
fn near_an_actor_of_a_system_elsewhere_is_refused() {
    let (system, wide) = (two_homes(), {
        let machine = Topology::pretend("4x1").unwrap();
        ActorSystem::builder().topology(machine).build().unwrap()
    });
    let far = Placement::Node(NumaNodeId(3));
    let stranger = wide.actor(Idle).placement(far).spawn().unwrap();
    let near = Placement::Near(stranger.id());
    let error = system.actor(Idle).placement(near).spawn().unwrap_err();
    names_the_homes(&error, NumaNodeId(3));
    finish(wide);
    finish(system);
}

#[test]
fn impossible_numbers_of_workers_are_refused() {
    let machine = Topology::pretend("2x4").unwrap();
    for (workers, words) in [
        (Workers::Count(0), ["Count(0)", "1 to 4096"]),
        (Workers::PerNumaNode(0), ["PerNumaNode(0)", "1 to 4096"]),
        (Workers::Count(4097), ["4097 workers", "1 to 4096"]),
        (Workers::PerNumaNode(3000), ["6000 workers", "1 to 4096"]),
    ] {
        let error = ActorSystem::builder()
            .topology(machine.clone())
            .workers(workers)
            .build()
            .unwrap_err();
        assert!(
            matches!(
                error,
                StartError::Placement(
                    PlacementError::NoWorkers { .. } | PlacementError::TooManyWorkers { .. }
                )
            ),
            "{error:?}"
        );
        says(&error, &words);
    }
}

#[test]
fn cpus_that_cannot_be_used_are_refused_by_number() {
    let machine = Topology::pretend("2x4+1").unwrap();
    let cpus = |numbers: &[u32]| -> Vec<CpuId> { numbers.iter().copied().map(CpuId).collect() };
    let error = machine.only_cpus(&cpus(&[1, 8, 9, 4000])).unwrap_err();
    assert!(
        matches!(error, TopologyError::CpusNotUsable { .. }),
        "{error:?}"
    );
    says(&error, &["8-9,4000", "does not exist", "0-7"]);
    says(&machine.only_cpus(&[]).unwrap_err(), &["no CPU", "0-7"]);

    // A mask that has been made smaller is a cpuset for the next one.
    let narrow = machine.only_cpus(&cpus(&[1, 5, 6])).unwrap();
    let error = narrow.only_cpus(&cpus(&[1, 2, 99])).unwrap_err();
    says(
        &error,
        &["CPU 99 does not exist", "CPU 2 is outside", "1,5-6"],
    );

    let nodes =
        |numbers: &[u8]| -> Vec<NumaNodeId> { numbers.iter().copied().map(NumaNodeId).collect() };
    let error = machine.only_numa_nodes(&nodes(&[0, 2, 3])).unwrap_err();
    assert!(
        matches!(error, TopologyError::NumaNodesNotUsable { .. }),
        "{error:?}"
    );
    says(
        &error,
        &[
            "NUMA node 3 does not exist",
            "NUMA node 2 has no CPU",
            "0-1",
        ],
    );
    says(
        &machine.only_numa_nodes(&[]).unwrap_err(),
        &["no NUMA node", "0-1"],
    );
    let second = machine.only_cpus(&cpus(&[4])).unwrap();
    let error = second.only_numa_nodes(&nodes(&[0])).unwrap_err();
    says(&error, &["NUMA node 0", "cpuset", "name some of 1"]);
}

#[test]
fn a_part_of_a_machine_has_workers_there_only() {
    let machine = Topology::pretend("2x4").unwrap();
    let part = machine.only_cpus(&[CpuId(6), CpuId(5), CpuId(5)]).unwrap();
    for cpu in part.allowed() {
        assert_eq!(part.real_cpu(*cpu), machine.real_cpu(*cpu));
    }
    let system = ActorSystem::builder().topology(part).build().unwrap();
    assert_eq!(system.numa_nodes(), [NumaNodeId(1)]);
    assert_eq!(system.seats().len(), 2);
    let away = Placement::Node(NumaNodeId(0));
    let error = system.actor(Idle).placement(away).spawn().unwrap_err();
    says(&error, &["numa0", "there are workers on numa1"]);
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
        // Where it comes from, and what would be right.
        let right = ["2x4", "must be a number", "must be 1 to "];
        assert!(
            text.contains("ACTOR_TOPOLOGY") && right.iter().any(|right| text.contains(right)),
            "{bad}: {text}"
        );
    }
}
