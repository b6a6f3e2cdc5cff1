//! Whole peers, each with an actor system of its own, over loopback: they find each other, talk, leave, are declared
//! down and come back as another life.

use std::time::Duration;

use actor_core::prelude::*;
use actor_net::cluster::{Cluster, ClusterBuilder, Seeds, Status};
use actor_net::id::PeerId;
use actor_net::membership::{MemberChange, MemberState};
use actor_net::remote::Exports;
use actor_net::transport::{Security, SharedKey};
use serde::{Deserialize, Serialize};

use self::cluster_kit::{PATIENCE, finish, system};

mod cluster_kit;

const GRACE: Duration = Duration::from_secs(10);

#[derive(Actor, Default)]
struct Account {
    cents: i64,
}

#[derive(Debug, Message, Serialize, Deserialize)]
#[message(remote = "bank.deposit", reply = i64)]
struct Deposit {
    cents: i64,
}

impl SyncHandler<Deposit> for Account {
    fn handle(&mut self, deposit: Deposit, _cx: &mut ActorContext<Self>) -> i64 {
        self.cents += deposit.cents;
        self.cents
    }
}

fn peer(system: &ActorSystem, name: &str) -> ClusterBuilder {
    Cluster::builder(system.handle(), "bank")
        .peer(name)
        .exports(Exports::new().handles::<Account, Deposit>())
}

fn seeds(of: &Cluster) -> Seeds {
    Seeds::none().endpoint(of.local_addr().into())
}

async fn state_of(at: &Cluster, name: &str, wanted: MemberState) {
    let mut views = at.views();
    let there = views.until(|view| {
        let member = view
            .members()
            .iter()
            .find(|member| member.peer().as_str() == name);
        member.is_some_and(|member| member.state() == wanted)
    });
    let there = tokio::time::timeout(PATIENCE, there).await;
    assert!(
        matches!(there, Ok(Some(_))),
        "{name} becomes {wanted}: {}",
        at.view()
    );
}

#[test]
fn g06_peers_find_each_other_talk_and_leave() {
    let (first, second, third) = (system(), system(), system());
    first.block_on(async {
        let one = peer(&first, "one").start().await.unwrap();
        let two = peer(&second, "two")
            .seeds(seeds(&one))
            .start()
            .await
            .unwrap();
        // Through the second it finds the first.
        let three = peer(&third, "three")
            .seeds(seeds(&two))
            .start()
            .await
            .unwrap();
        for peer in [&one, &two, &three] {
            peer.until_up(3, PATIENCE).await.unwrap();
        }

        let account = first.spawn(Account::default()).unwrap();
        assert!(one.publish("account", account));
        assert!(!one.publish("account", account), "the name is taken");
        let own = one.lookup::<Account>(one.peer(), "account").await.unwrap();
        assert_eq!(own, account, "also what is its own is found");
        let there = three
            .lookup::<Account>(one.peer(), "account")
            .await
            .unwrap();
        assert_eq!(there.ask(Deposit { cents: 7 }).await.unwrap(), 7);
        let unknown = three.lookup::<Account>(one.peer(), "no such name").await;
        assert!(unknown.unwrap_err().to_string().contains("no such name"));

        let mut events = one.events();
        three.leave(GRACE).await;
        assert_eq!(three.status(), Status::Left);
        assert!(
            three
                .lookup::<Account>(one.peer(), "account")
                .await
                .is_err()
        );
        state_of(&one, "three", MemberState::Left).await;
        state_of(&two, "three", MemberState::Left).await;
        while let Ok(event) = events.try_recv() {
            assert!(
                !matches!(
                    event.change,
                    MemberChange::Down(_) | MemberChange::Unreachable
                ),
                "who leaves is not suspected: {event:?}"
            );
        }
        two.leave(GRACE).await;
        one.leave(GRACE).await;
    });
    for system in [first, second, third] {
        finish(system);
    }
}

#[test]
fn g08_who_was_declared_down_comes_back_as_another_life() {
    let (first, second) = (system(), system());
    first.block_on(async {
        let one = peer(&first, "one").start().await.unwrap();
        let two = peer(&second, "two")
            .seeds(seeds(&one))
            .start()
            .await
            .unwrap();
        one.until_up(2, PATIENCE).await.unwrap();
        two.until_up(2, PATIENCE).await.unwrap();
        assert!(two.publish("account", second.spawn(Account::default()).unwrap()));
        let former = two.incarnation().unwrap();
        let old = one.lookup::<Account>(two.peer(), "account").await.unwrap();
        assert_eq!(old.ask(Deposit { cents: 1 }).await.unwrap(), 1);

        assert!(one.declare_down(two.peer()).await);
        let mut views = one.views();
        let back = views.until(|view| {
            let two = view.get(two.peer());
            two.is_some_and(|two| two.state() == MemberState::Up && two.incarnation() > former)
        });
        let back = tokio::time::timeout(PATIENCE, back).await;
        assert!(
            matches!(back, Ok(Some(_))),
            "{} {}",
            one.view(),
            two.status()
        );

        // What was held of the former life is gone; its actors are not, and have their names.
        assert!(old.ask(Deposit { cents: 1 }).await.is_err());
        let new = one.lookup::<Account>(two.peer(), "account").await.unwrap();
        assert_eq!(new.ask(Deposit { cents: 1 }).await.unwrap(), 2);
        two.leave(GRACE).await;
        one.leave(GRACE).await;
    });
    finish(first);
    finish(second);
}

/// Of two peers one votes. Who declares that one down is left with members that are all up, and nobody who decides.
#[test]
fn g08_when_nobody_can_lead_any_more_it_is_seen() {
    let (first, second) = (system(), system());
    first.block_on(async {
        let one = peer(&first, "one").start().await.unwrap();
        let two = peer(&second, "two")
            .seeds(seeds(&one))
            .start()
            .await
            .unwrap();
        one.until_up(2, PATIENCE).await.unwrap();
        leader_is(&two, Some("one")).await;
        leader_is(&one, Some("one")).await;
        has_leader(&second, "1").await;

        let former = one.incarnation().unwrap();
        assert!(two.declare_down(one.peer()).await);
        let mut views = two.views();
        let back = views.until(|view| {
            let one = view.get(one.peer());
            one.is_some_and(|one| one.state() == MemberState::Up && one.incarnation() > former)
        });
        let back = tokio::time::timeout(PATIENCE, back).await;
        assert!(
            matches!(back, Ok(Some(_))),
            "{} {}",
            two.view(),
            one.status()
        );
        leader_is(&two, None).await;
        leader_is(&one, None).await;
        has_leader(&second, "0").await;
    });
    finish(first);
    finish(second);
}

async fn leader_is(at: &Cluster, wanted: Option<&str>) {
    let there = async {
        while at.leader().as_ref().map(PeerId::as_str) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let there = tokio::time::timeout(PATIENCE, there).await;
    assert!(there.is_ok(), "{}: {:?}", at.peer(), at.leader());
}

/// The same in the figures. Waited for, too: on a busy machine a leader may be silent for long, and speak again.
async fn has_leader(system: &ActorSystem, wanted: &str) {
    let line = format!("\nactor_cluster_has_leader {wanted}\n");
    let there = async {
        while !system.metrics().prometheus().contains(&line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let there = tokio::time::timeout(PATIENCE, there).await;
    assert!(there.is_ok(), "{line} does not come about");
}

#[test]
fn what_cannot_be_started_says_why() {
    let system = system();
    system.block_on(async {
        let refused = |builder: ClusterBuilder| async {
            builder
                .start()
                .await
                .expect_err("it cannot start")
                .to_string()
        };
        let error = refused(peer(&system, "a b")).await;
        assert!(error.contains("' ' at byte 1"), "{error}");
        let beyond = peer(&system, "one").listen("0.0.0.0:0".parse().unwrap());
        let error = refused(beyond).await;
        assert!(error.contains("without authentication"), "{error}");
        let digits = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
        let key = SharedKey::from_hex(digits).unwrap();
        let everywhere = peer(&system, "one")
            .listen("0.0.0.0:0".parse().unwrap())
            .security(Security::shared_key(key));
        let error = refused(everywhere).await;
        assert!(error.contains("advertise"), "{error}");
        let role = peer(&system, "one").role("r".repeat(10_000));
        assert!(!refused(role).await.is_empty());

        let one = peer(&system, "one").start().await.unwrap();
        let error = refused(peer(&system, "two").listen(one.local_addr())).await;
        assert!(error.contains("in use"), "{error}");
        one.leave(GRACE).await;
    });
    finish(system);
}
