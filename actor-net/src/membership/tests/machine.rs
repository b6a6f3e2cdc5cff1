//! The machine in small clusters: G01 to G08, B08 to B10.

use std::time::Duration;

use super::super::downing::Downing;
use super::super::event::{Event, MemberChange, RestartReason};
use super::super::profile::Profile;
use super::super::settings::MembershipSettings;
use super::super::view::{DownReason, MemberState};
use super::cluster::{Cluster, SECOND, endpoint, name};
use crate::id::Incarnation;
use crate::simulation::Weather;

fn settings() -> MembershipSettings {
    MembershipSettings::default()
}

fn with(downing: Downing) -> MembershipSettings {
    MembershipSettings {
        downing,
        ..settings()
    }
}

#[test]
fn a_peer_alone_is_a_cluster_of_one() {
    let mut cluster = Cluster::new(1, Weather::fair(), settings());
    cluster.start(&name(0));
    cluster.run_for(60 * SECOND);
    let view = cluster.view(&name(0));
    assert_eq!(view.members().len(), 1);
    assert_eq!(view.up().count(), 1);
    assert_eq!(cluster.log, []);
}

#[test]
fn peers_find_each_other_by_a_seed_and_know_their_profiles() {
    let mut cluster = Cluster::formed(2, 5, settings());
    for at in 0..5 {
        let view = cluster.view(&name(at));
        for member in view.members() {
            let profile = member.profile().expect("a profile");
            assert_eq!(profile.endpoints(), [endpoint(member.peer())]);
            assert!(profile.has_role("tests"));
        }
    }
}

#[test]
fn g01_a_false_suspicion_is_refuted_at_once_and_costs_health() {
    let mut cluster = Cluster::formed(3, 4, settings());
    cluster.log.clear();
    // Its connection to one peer breaks for longer than the grace; the others reach it.
    let (a, b) = (name(1), name(2));
    cluster.network.cut(&a, &b);
    cluster.network.cut(&b, &a);
    cluster.network.break_connection(&a, &b);
    let mut worst = 0;
    for _ in 0..100 {
        cluster.run_for(Duration::from_millis(100));
        let score = cluster
            .network
            .with(&b, |machine, _| machine.health_score());
        worst = worst.max(score);
    }
    assert!(worst >= 1, "it was suspected and knows it");
    assert_eq!(cluster.changes(), [], "and nobody believed it");
    cluster.network.heal();
    cluster.run_for(20 * SECOND);
    let score = cluster
        .network
        .with(&b, |machine, _| machine.health_score());
    assert_eq!(score, 0, "it is well again");
    assert!(cluster.all_see_all());
}

#[test]
fn g02_an_older_incarnation_is_ignored_and_what_is_down_stays_down() {
    let mut cluster = Cluster::formed(4, 3, settings());
    cluster.network.crash(&name(2));
    let down = |c: &mut Cluster| c.state(2, 0) == Some(MemberState::Down);
    assert!(cluster.run_until(60 * SECOND, down));
    // The same life talks again: it is not listened to.
    let old = cluster.network.with(&name(1), |machine, _| machine.view());
    let gone = old.get(&name(2)).expect("known").incarnation();
    assert_eq!(gone, Incarnation(1));
    cluster.restart(&name(2));
    assert!(cluster.run_until(30 * SECOND, Cluster::all_see_all));
    let view = cluster.view(&name(0));
    assert_eq!(
        view.get(&name(2)).expect("known").incarnation(),
        Incarnation(2)
    );
    // Declaring the old life down once more changes nothing (the law of the cluster checks that none returns).
    cluster.run_for(60 * SECOND);
    assert!(cluster.all_see_all());
}

#[test]
fn g04_a_peer_that_slept_accuses_nobody() {
    for seed in 0..10 {
        let mut cluster = Cluster::formed(seed, 4, settings());
        cluster.log.clear();
        cluster.network.pause(&name(1));
        cluster.run_for(Duration::from_millis(4500));
        cluster.network.resume(&name(1));
        cluster.run_for(30 * SECOND);
        let wrong: Vec<_> = cluster
            .changes()
            .into_iter()
            .filter(|(_, about, _)| *about != name(1))
            .collect();
        assert_eq!(wrong, [], "seed {seed}");
        assert!(cluster.all_see_all(), "{}", cluster.views());
    }
}

#[test]
fn g04_its_health_shows_that_it_slept() {
    let mut cluster = Cluster::formed(5, 4, settings());
    cluster.network.pause(&name(1));
    cluster.run_for(3 * SECOND);
    cluster.network.resume(&name(1));
    cluster.run_for(Duration::from_millis(200));
    let score = cluster
        .network
        .with(&name(1), |machine, _| machine.health_score());
    assert!(score >= 1, "{score}");
}

#[test]
fn g05_who_is_reached_by_any_way_stays() {
    // No datagram passes between two of five in one direction; the connection to others stands.
    let mut cluster = Cluster::formed(6, 5, settings());
    cluster.log.clear();
    cluster.network.cut(&name(3), &name(4));
    cluster.run_for(60 * SECOND);
    assert_eq!(cluster.changes(), []);
    assert!(cluster.all_see_all());
}

#[test]
fn g06_who_leaves_is_left_not_down_and_nobody_suspects_it() {
    let mut cluster = Cluster::formed(7, 5, settings());
    cluster.log.clear();
    cluster
        .network
        .with(&name(3), |machine, now| machine.leave(now));
    let leaving = |c: &mut Cluster| c.state(3, 0) == Some(MemberState::Leaving);
    assert!(cluster.run_until(5 * SECOND, leaving));
    cluster
        .network
        .with(&name(3), |machine, _| machine.depart());
    cluster.run_for(60 * SECOND);
    for at in [0, 1, 2, 4] {
        assert_eq!(cluster.state(3, at), Some(MemberState::Left));
        let seen: Vec<_> = cluster
            .changes()
            .into_iter()
            .filter(|(who, _, _)| *who == name(at))
            .map(|(_, about, change)| (about, change))
            .collect();
        let expected = [MemberChange::Leaving, MemberChange::Left].map(|c| (name(3), c));
        assert_eq!(seen, expected);
    }
    // It may come back, as another life.
    cluster.restart(&name(3));
    assert!(cluster.run_until(30 * SECOND, Cluster::all_see_all));
}

#[test]
fn g06_one_whose_last_word_is_lost_is_left_by_hearsay() {
    let mut cluster = Cluster::formed(8, 4, settings());
    cluster.log.clear();
    cluster
        .network
        .with(&name(3), |machine, now| machine.leave(now));
    cluster.run_for(2 * SECOND);
    // Only one peer hears it.
    cluster.network.cut(&name(3), &name(0));
    cluster.network.cut(&name(3), &name(1));
    cluster
        .network
        .with(&name(3), |machine, _| machine.depart());
    cluster.run_for(60 * SECOND);
    for at in [0, 1, 2] {
        assert_eq!(cluster.state(3, at), Some(MemberState::Left));
    }
}

#[test]
fn g07_versions_of_views_grow() {
    let mut cluster = Cluster::formed(9, 3, settings());
    let first = cluster.view(&name(0));
    let same = cluster.view(&name(0));
    assert_eq!(first.version(), same.version());
    cluster.network.crash(&name(2));
    let down = |c: &mut Cluster| c.state(2, 0) == Some(MemberState::Down);
    assert!(cluster.run_until(60 * SECOND, down));
    let later = cluster.view(&name(0));
    assert!(later.version() > first.version());
    // A view does not change.
    assert_eq!(first.get(&name(2)).expect("known").state(), MemberState::Up);
}

#[test]
fn g08_the_minority_gives_up_its_life_and_comes_back_as_another() {
    let mut cluster = Cluster::formed(10, 5, settings());
    cluster.log.clear();
    let minority = vec![name(0), name(1)];
    let majority = vec![name(2), name(3), name(4)];
    cluster.network.partition(&[minority, majority]);
    cluster.run_for(40 * SECOND);
    let restarted = cluster.restarted();
    assert!(!restarted.is_empty());
    for (peer, why) in &restarted {
        assert!(*peer == name(0) || *peer == name(1), "{peer} {why}");
        assert_eq!(*why, RestartReason::LostSplit);
    }
    for at in [2, 3, 4] {
        for gone in [0, 1] {
            assert_eq!(cluster.state(gone, at), Some(MemberState::Down));
        }
        assert_eq!(cluster.network.incarnation(&name(at)), Incarnation(1));
    }
    cluster.network.heal();
    assert!(
        cluster.run_until(30 * SECOND, Cluster::all_see_all),
        "{}",
        cluster.views()
    );
    for at in [2, 3, 4] {
        assert_eq!(cluster.network.incarnation(&name(at)), Incarnation(1));
    }
}

#[test]
fn g08_one_that_only_slept_learns_that_it_was_declared_down() {
    let mut cluster = Cluster::formed(11, 5, settings());
    cluster.log.clear();
    cluster.network.pause(&name(4));
    let down = |c: &mut Cluster| c.state(4, 0) == Some(MemberState::Down);
    assert!(cluster.run_until(60 * SECOND, down));
    cluster.network.resume(&name(4));
    assert!(
        cluster.run_until(60 * SECOND, Cluster::all_see_all),
        "{}",
        cluster.views()
    );
    let why = [(name(4), RestartReason::DeclaredDown)];
    assert_eq!(cluster.restarted(), why);
}

#[test]
fn g08_one_whose_connection_is_refused_as_dead_gives_up() {
    let mut cluster = Cluster::formed(20, 3, settings());
    cluster.restarts = false;
    cluster.log.clear();
    let own = cluster.network.with(&name(1), |machine, now| {
        machine.handle_declared_dead();
        assert!(machine.is_over());
        // Nothing wakes it any more.
        machine.handle_timeout(now + 60 * SECOND);
        machine.handle_datagram(&name(0), &[8], now);
        assert_eq!(machine.poll_timeout(), None);
        machine.view().get(&name(1)).map(|own| own.state())
    });
    assert_eq!(own, Some(MemberState::Down));
    cluster.run_for(SECOND);
    let why = [(name(1), RestartReason::DeclaredDown)];
    assert_eq!(cluster.restarted(), why);
}

#[test]
fn unreachable_is_not_down_and_may_end() {
    let mut cluster = Cluster::formed(12, 5, with(Downing::Manual));
    cluster.log.clear();
    cluster.network.pause(&name(4));
    let unreachable = |c: &mut Cluster| c.state(4, 0) == Some(MemberState::Unreachable);
    assert!(cluster.run_until(60 * SECOND, unreachable));
    cluster.run_for(60 * SECOND);
    assert_eq!(cluster.state(4, 0), Some(MemberState::Unreachable));
    cluster.network.resume(&name(4));
    assert!(cluster.run_until(30 * SECOND, Cluster::all_see_all));
    let changes = cluster.changes();
    let again = (name(0), name(4), MemberChange::ReachableAgain);
    assert!(changes.contains(&again), "{changes:?}");
    assert_eq!(cluster.restarted(), []);
    // And somebody may ask for it.
    let asked = cluster
        .network
        .with(&name(0), |machine, now| machine.declare_down(&name(4), now));
    assert!(asked);
    cluster.run_for(SECOND);
    let changes = cluster.changes();
    let down = MemberChange::Down(DownReason::Asked);
    assert!(changes.contains(&(name(0), name(4), down)), "{changes:?}");
}

#[test]
fn a_dead_process_is_unreachable_soon_and_then_down() {
    let mut cluster = Cluster::formed(13, 5, settings());
    let died = cluster.network.now();
    cluster.network.crash(&name(4));
    let unreachable = |c: &mut Cluster| c.state(4, 0) == Some(MemberState::Unreachable);
    assert!(cluster.run_until(60 * SECOND, unreachable));
    let noticed = cluster.network.now() - died;
    assert!(noticed < 8 * SECOND, "{noticed:?}");
    let down = |c: &mut Cluster| c.state(4, 0) == Some(MemberState::Down);
    assert!(cluster.run_until(60 * SECOND, down));
    let downed = cluster.network.now() - died;
    assert!(downed < 14 * SECOND, "{downed:?}");
}

#[test]
fn metadata_that_changes_is_told_to_all() {
    let mut cluster = Cluster::formed(14, 5, settings());
    cluster.log.clear();
    cluster.network.with(&name(2), |machine, now| {
        let profile = Profile::new(1_002)
            .with_endpoint(endpoint(&name(2)))
            .and_then(|profile| profile.with_metadata("zone", "west"))
            .expect("within limits");
        machine.set_profile(profile, now);
    });
    let known = |cluster: &mut Cluster| {
        [0, 1, 3, 4].into_iter().all(|at| {
            let view = cluster.view(&name(at));
            let profile = view.get(&name(2)).and_then(|m| m.profile()).cloned();
            profile.is_some_and(|profile| profile.metadata_of("zone") == Some("west"))
        })
    };
    assert!(cluster.run_until(10 * SECOND, known));
    let mut told: Vec<_> = cluster.changes();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let changed = [0, 1, 3, 4].map(|at| (name(at), name(2), MemberChange::MetadataChanged));
    assert_eq!(told, changed);
}

#[test]
fn half_of_the_peers_out_of_sight_is_isolation() {
    let mut cluster = Cluster::formed(15, 4, with(Downing::Manual));
    let others = (1..4).map(name).collect();
    cluster.network.partition(&[vec![name(0)], others]);
    cluster.run_for(30 * SECOND);
    let isolated = |c: &Cluster| c.network.machine(&name(0)).is_isolated();
    assert!(isolated(&cluster));
    assert!(!cluster.network.machine(&name(1)).is_isolated());
    cluster.network.heal();
    assert!(cluster.run_until(30 * SECOND, Cluster::all_see_all));
    assert!(!isolated(&cluster));
}

#[test]
fn two_processes_of_one_name_the_earlier_gives_way() {
    let mut cluster = Cluster::formed(16, 3, settings());
    cluster.restarts = false;
    // What the others tell about a later life of it reaches the earlier one.
    cluster.network.with(&name(2), |machine, now| {
        let mut later = super::super::machine::Membership::new(
            name(2),
            Incarnation(9),
            Profile::new(1),
            settings(),
            1,
            now,
        );
        later.handle_connected(&name(0), Incarnation(1), now);
        while let Some(datagram) = later.poll_transmit() {
            machine.handle_datagram(&name(0), &datagram.bytes, now);
        }
    });
    cluster.run_for(SECOND);
    let by = Incarnation(9);
    assert_eq!(
        cluster.restarted(),
        [(name(2), RestartReason::Replaced { by })]
    );
}

#[test]
fn b08_what_keeps_changing_ends_all() {
    let settings = MembershipSettings {
        unstable_after: Some(8 * SECOND),
        stable_after: 6 * SECOND,
        ..settings()
    };
    let mut cluster = Cluster::formed(17, 5, settings);
    cluster.log.clear();
    cluster.restarts = false;
    // One after the other is cut off, each before the stability time is over.
    let mut apart = vec![];
    for gone in [4, 3, 2] {
        apart.push(vec![name(gone)]);
        let rest = (0..gone).map(name).collect();
        let mut groups = apart.clone();
        groups.push(rest);
        cluster.network.partition(&groups);
        cluster.run_for(5 * SECOND);
    }
    cluster.run_for(20 * SECOND);
    let restarted = cluster.restarted();
    let why = |peer: usize| restarted.iter().find(|(who, _)| *who == name(peer));
    for peer in [0, 1] {
        assert_eq!(
            why(peer),
            Some(&(name(peer), RestartReason::Unstable)),
            "{restarted:?}"
        );
    }
}

fn lease(cluster: &mut Cluster, peers: &[usize], granted: bool) {
    for peer in peers {
        cluster.network.with(&name(*peer), |machine, now| {
            machine.handle_lease(granted, now)
        });
    }
}

#[test]
fn b09_the_side_without_the_lease_goes_and_the_other_stays() {
    let mut cluster = Cluster::formed(18, 5, with(Downing::Lease));
    cluster.log.clear();
    cluster.restarts = false;
    let groups = [(0..2).map(name).collect(), (2..5).map(name).collect()];
    cluster.network.partition(&groups);
    cluster.run_for(60 * SECOND);
    let asked: Vec<_> = cluster
        .log
        .iter()
        .filter_map(|(at, who, event)| match event {
            Event::AcquireLease { side } => Some((*at, who.clone(), side.len())),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 5, "{asked:?}");
    let first = |side: usize| asked.iter().filter(|a| a.2 == side).map(|a| a.0).min();
    assert!(first(3) < first(2), "the majority asks first: {asked:?}");
    // The minority gets it, nevertheless.
    lease(&mut cluster, &[0, 1], true);
    lease(&mut cluster, &[2, 3, 4], false);
    cluster.run_for(SECOND);
    let mut gone: Vec<_> = cluster
        .restarted()
        .into_iter()
        .map(|(who, _)| who)
        .collect();
    gone.sort();
    assert_eq!(gone, [2, 3, 4].map(name));
    for at in [0, 1] {
        assert_eq!(cluster.state(4, at), Some(MemberState::Down));
    }
}

#[test]
fn b10_what_heals_before_the_decision_downs_nobody() {
    let mut cluster = Cluster::formed(19, 5, settings());
    cluster.log.clear();
    let groups = [(0..2).map(name).collect(), (2..5).map(name).collect()];
    cluster.network.partition(&groups);
    let unreachable = |c: &mut Cluster| c.state(4, 0) == Some(MemberState::Unreachable);
    assert!(cluster.run_until(60 * SECOND, unreachable));
    cluster.network.heal();
    cluster.run_for(60 * SECOND);
    assert!(cluster.all_see_all(), "{}", cluster.views());
    assert_eq!(cluster.restarted(), []);
    for peer in 0..5 {
        assert_eq!(cluster.network.incarnation(&name(peer)), Incarnation(1));
    }
}
