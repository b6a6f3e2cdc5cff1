//! The console over real HTTP: what it tells of a system and of a cluster.

use actor_core::prelude::*;
use actor_core::{ActorId, ActorSystem};
use actor_net::cluster::{Cluster, Seeds};
use actor_net::console::api;
use actor_net::sharding::Entity;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::console_kit::{PATIENCE, ask, builder, console, finish, get, short, system, until};

mod console_kit;

#[derive(Actor)]
struct Shop;

struct Open;
impl Message for Open {
    type Reply = ActorId;
}
impl SyncHandler<Open> for Shop {
    fn handle(&mut self, _: Open, cx: &mut ActorContext<Self>) -> ActorId {
        let clerk = cx.actor(|| Clerk).name("anna").spawn();
        clerk.expect("a running system spawns").id()
    }
}

#[derive(Actor)]
struct Clerk;

/// Waits for the answer of another one before it answers.
struct Pass(ActorRef<Clerk>);
impl Message for Pass {
    type Reply = ();
}
impl Handler<Pass> for Clerk {
    async fn handle(&mut self, Pass(to): Pass, _cx: &mut ActorContext<Self>) {
        // The other one ends without an answer.
        let _ = to.ask(Wait).await;
    }
}

/// Never answers.
struct Wait;
impl Message for Wait {
    type Reply = ();
}
impl Handler<Wait> for Clerk {
    async fn handle(&mut self, _: Wait, _cx: &mut ActorContext<Self>) {
        std::future::pending().await
    }
}

#[derive(Debug, Message, Serialize, Deserialize)]
#[message(remote = "console.count", reply = u64)]
struct Count;
impl SyncHandler<Count> for Clerk {
    fn handle(&mut self, _: Count, _cx: &mut ActorContext<Self>) -> u64 {
        1
    }
}

/// It is what the document says: no field is missing, and none is unknown.
fn fits<T: Serialize + DeserializeOwned>(told: &Value) {
    let read: T = serde_json::from_value(told.clone()).expect("it fits its type");
    assert_eq!(serde_json::to_value(read).expect("written"), *told);
}

#[test]
fn every_path_answers_what_the_document_says() {
    let system = system();
    let shop = system.actor(Shop).name("shop").spawn().expect("spawned");
    shop.ask_blocking(Open).expect("answered");
    let console = console(&system);
    fits::<api::Overview>(&get(&console, "/api/v1/overview"));
    fits::<api::History>(&get(&console, "/api/v1/history?seconds=10"));
    fits::<api::Machine>(&get(&console, "/api/v1/machine"));
    fits::<api::Actors>(&get(&console, "/api/v1/actors"));
    fits::<api::Types>(&get(&console, "/api/v1/types"));
    fits::<api::Traces>(&get(&console, "/api/v1/traces"));
    fits::<api::Asks>(&get(&console, "/api/v1/asks"));
    fits::<api::DeadLettersPage>(&get(&console, "/api/v1/dead-letters"));
    fits::<api::Failures>(&get(&console, "/api/v1/failures"));
    fits::<api::Stalls>(&get(&console, "/api/v1/stalls"));
    fits::<api::Leaks>(&get(&console, "/api/v1/leaks"));
    fits::<api::ClusterAnswer>(&get(&console, "/api/v1/cluster"));
    fits::<api::Shards>(&get(&console, "/api/v1/shards"));
    fits::<api::Session>(&get(&console, "/api/v1/session"));
    fits::<api::Healthz>(&get(&console, "/healthz"));
    fits::<api::Readyz>(&get(&console, "/readyz"));
    let page = format!("/api/v1/actors/{}", short(shop.id()));
    fits::<api::ActorPage>(&get(&console, &page));
    let page = format!("/api/v1/actors/{}", shop.id());
    assert_eq!(get(&console, &page)["actor"]["name"], "shop");
    finish(system);
}

#[test]
fn the_overview_and_the_history_tell_what_the_books_tell() {
    let system = system();
    let clerk = system.spawn(Clerk).expect("spawned");
    let console = builder(&system).name("a shop").start().expect("it starts");
    for _ in 0..10 {
        clerk.ask_blocking(Count).expect("answered");
    }
    let told = get(&console, "/api/v1/overview");
    assert_eq!(told["system"]["name"], "a shop");
    assert_eq!(told["actors"]["alive"], 1);
    assert_eq!(told["messages"]["accepted_total"], 10);
    assert_eq!(told["messages"]["handled_total"], 10);
    assert_eq!(told["workers"]["count"], 1);
    assert_eq!(told["health"]["ready"], true);
    assert_eq!(told["peers"], Value::Null);
    let history = until(&console, "/api/v1/history", |told| {
        told["samples"].as_u64() >= Some(1)
    });
    let samples = history["samples"].as_u64().expect("a number");
    let columns = history["series"].as_object().expect("columns");
    for (name, column) in columns {
        assert_eq!(
            column.as_array().map(|it| it.len() as u64),
            Some(samples),
            "{name}"
        );
    }
    assert_eq!(history["series"]["actors"][0], 1);
    finish(system);
}

#[test]
fn actors_are_paged_sorted_searched_and_shown_with_their_families() {
    let system = system();
    let shop = system.actor(Shop).name("shop").spawn().expect("spawned");
    let anna = shop.ask_blocking(Open).expect("answered");
    let others: Vec<_> = (0..5)
        .map(|_| system.spawn(Clerk).expect("spawned"))
        .collect();
    system.register("till", others[0]).expect("a free name");
    let console = console(&system);

    let ids = |told: &Value| -> Vec<String> {
        let items = told["items"].as_array().expect("items").iter();
        items
            .map(|it| it["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let first = get(&console, "/api/v1/actors?limit=4");
    assert_eq!(
        (first["total"].as_u64(), first["next"].as_u64()),
        (Some(7), Some(2))
    );
    let second = get(&console, "/api/v1/actors?limit=4&page=2");
    assert_eq!(
        (second["shown"].as_u64(), second["next"].as_u64()),
        (Some(3), None)
    );
    let mut all = ids(&first);
    all.extend(ids(&second));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 7);

    let top = get(&console, "/api/v1/actors?parent=root");
    assert_eq!(top["total"], 6);
    let below = get(
        &console,
        &format!("/api/v1/actors?parent={}", short(shop.id())),
    );
    assert_eq!(ids(&below), [short(anna)]);
    let row = &below["items"][0];
    assert_eq!(
        (row["name"].as_str(), row["path"].as_str()),
        (Some("anna"), Some("shop/anna"))
    );
    assert_eq!(row["phase"], "running");
    assert_eq!(row["busy"], false);

    for (question, found) in [
        ("q=anna", vec![short(anna)]),
        ("q=SHOP", vec![short(shop.id())]),
        ("q=till", vec![short(others[0].id())]),
        (&format!("q={}", short(anna)), vec![short(anna)]),
        ("q=nobody", vec![]),
    ] {
        // The type of all of them has the test's name in it, which none of these is.
        let told = get(&console, &format!("/api/v1/actors?{question}"));
        assert_eq!(ids(&told), found, "{question}: {told}");
        assert_eq!(told["complete"], true);
    }
    let clerk = get(&console, "/api/v1/actors?q=clerk&limit=2");
    assert_eq!(
        (clerk["total"].as_u64(), clerk["shown"].as_u64()),
        (Some(6), Some(2))
    );

    let page = get(&console, &format!("/api/v1/actors/{}", short(anna)));
    assert_eq!(page["ancestors"][0]["name"], "shop");
    assert_eq!(page["restart"], "transient");
    let types = get(&console, "/api/v1/types");
    assert_eq!(types["items"][0]["alive"], 6);
    finish(system);
}

#[test]
fn the_longest_mailboxes_and_who_waits_for_whom() {
    let system = system();
    let (one, two) = (
        system.spawn(Clerk).expect("spawned"),
        system.spawn(Clerk).expect("spawned"),
    );
    let idle = system.spawn(Clerk).expect("spawned");
    one.tell(Pass(two)).expect("accepted");
    let console = console(&system);
    let is_there = |told: &Value| told["total"] == 1 && told["items"][0]["message"].is_string();
    let asks = until(&console, "/api/v1/asks", is_there);
    let edge = &asks["items"][0];
    assert_eq!(edge["from"]["id"], short(one.id()).as_str());
    assert_eq!(edge["to"]["id"], short(two.id()).as_str());
    assert!(
        edge["message"]
            .as_str()
            .is_some_and(|it| it.ends_with("Pass")),
        "{edge}"
    );
    assert_eq!(asks["cycles"], serde_json::json!([]));
    let page = until(
        &console,
        &format!("/api/v1/actors/{}", short(two.id())),
        |told| told["asked_by"][0]["actor"]["id"] == short(one.id()).as_str(),
    );
    assert_eq!(page["actor"]["busy"], false);

    for _ in 0..3 {
        two.tell(Count).expect("accepted");
    }
    let longest = until(&console, "/api/v1/actors?sort=queued&limit=1", |told| {
        told["items"][0]["id"] == short(two.id()).as_str()
    });
    assert!(
        longest["items"][0]["queued"].as_u64() >= Some(3),
        "{longest}"
    );
    let one_page = get(&console, &format!("/api/v1/actors/{}", short(one.id())));
    assert_eq!(
        one_page["waits_for"]["actor"]["id"],
        short(two.id()).as_str()
    );
    for clerk in [one, two, idle] {
        clerk.stop_with(actor_core::StopMode::Kill);
        system.block_on(clerk.terminated());
    }
    let page = format!("/api/v1/actors/{}", short(two.id()));
    ask(&console, &page)
        .send()
        .is_refused(404, "there is no actor");
    finish(system);
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let system = system();
    let clerk = system.spawn(Clerk).expect("spawned");
    clerk.ask_blocking(Count).expect("answered");
    let console = console(&system);
    let answer = ask(&console, "/metrics").send();
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let value = |name: &str| -> f64 {
        let line = answer
            .body
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let number = line.and_then(|line| line.split(' ').next_back()?.parse().ok());
        number.unwrap_or_else(|| panic!("{name} in {}", answer.body))
    };
    assert_eq!(value("actor_messages_handled_total"), 1.0);
    assert_eq!(value("actor_actors"), 1.0);
    assert_eq!(value("actor_ready"), 1.0);
    assert_eq!(value("actor_type_actors{type=\"console::Clerk\"}"), 1.0);
    // Each family is introduced once, and each series is of one that was.
    let mut known = std::collections::HashSet::new();
    for line in answer.body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(
                known.insert(help.split(' ').next().expect("a name")),
                "twice: {line}"
            );
        } else if !line.starts_with('#') {
            let name = line.split([' ', '{']).next().expect("a name");
            // A histogram's lines have names of their own.
            let ends = ["", "_bucket", "_sum", "_count"];
            let mut of = ends.iter().filter_map(|end| name.strip_suffix(end));
            assert!(
                of.any(|family| known.contains(family)),
                "no family of {line}"
            );
        }
    }
    finish(system);
}

#[test]
fn a_cluster_is_shown_with_its_members_links_shards_and_names() {
    let (here, there) = (system(), system());
    let alone_metrics = here.metrics().prometheus();
    let peer = |system: &ActorSystem, name: &str| {
        let clerks = Entity::new("clerk", |_| Clerk).handles::<Count>();
        Cluster::builder(system.handle(), "shop")
            .peer(name)
            .entity(clerks)
    };
    let (one, two) = here.block_on(async {
        let one = peer(&here, "one").start().await.expect("it starts");
        let seeds = Seeds::none().endpoint(one.local_addr().into());
        let two = peer(&there, "two")
            .seeds(seeds)
            .start()
            .await
            .expect("it starts");
        two.until_up(2, PATIENCE).await.expect("two are up");
        one.until_up(2, PATIENCE).await.expect("two are up");
        let anna = two.entity::<Clerk>("anna").expect("a key");
        anna.ask(Count).within(PATIENCE).await.expect("answered");
        (one, two)
    });
    let console = builder(&here).cluster(&one).start().expect("it starts");
    let told = until(&console, "/api/v1/cluster", |told| {
        let members = told["cluster"]["members"].as_array().expect("members");
        told["cluster"]["leader"] == "one"
            && members
                .iter()
                .any(|it| it["peer"] == "two" && it["link"]["connected"] == true)
    });
    fits::<api::ClusterAnswer>(&told);
    assert_eq!(told["cluster"]["own"], "one");
    assert_eq!(told["cluster"]["status"], "running");
    let shards = until(&console, "/api/v1/shards", |told| {
        let owners = told["kinds"][0]["owners"].as_array();
        owners.is_some_and(|owners| owners.iter().any(Value::is_string))
    });
    fits::<api::Shards>(&shards);
    assert_eq!(shards["kinds"][0]["name"], "clerk");
    assert_eq!(get(&console, "/api/v1/overview")["peers"]["up"], 2);
    assert_eq!(ask(&console, "/readyz").send().status, 200);
    let clerk = here.spawn(Clerk).expect("spawned");
    one.groups().join("clerks", clerk).expect("a name");
    let metrics = ask(&console, "/metrics").send().body;
    for series in [
        "actor_cluster_members{state=\"up\"} 2",
        "actor_cluster_has_leader ",
        "actor_peer_connected{peer=\"two\"} 1",
        "actor_remote_messages_total{what=\"tells_out\"}",
        "actor_group_members{group=\"clerks\"} 1",
        "actor_shards{kind=\"clerk\",of=\"entity\",place=\"nowhere\"}",
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
    // One description for all: what is exported by OTLP has these too, without any console.
    let reading = here.metrics();
    for (name, unit) in [
        ("actor.cluster.members", "{peer}"),
        ("actor.peer.lanes", "{connection}"),
        ("actor.remote.messages", "{message}"),
        ("actor.group.members", "{actor}"),
        ("actor.shards", "{shard}"),
        ("actor.messages.handled", "{message}"),
    ] {
        let found = reading.families().iter().find(|it| it.name == name);
        assert_eq!(found.map(|it| it.unit), Some(unit), "{name}");
    }
    assert_eq!(reading.left_out(), 0);
    // All of it is in the document, word by word.
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let document = std::fs::read_to_string(document).expect("the document");
    for family in reading.families() {
        let begin = format!("| `{}` | `{}` | ", family.name, family.prometheus_name());
        let row = document.lines().find(|row| row.starts_with(&begin));
        let row = row.unwrap_or_else(|| panic!("{begin} in docs/metrics.md"));
        assert!(row.ends_with(&format!("| {} |", family.help)), "{row}");
        for (label, _) in family.series.iter().flat_map(|it| &it.labels) {
            assert!(row.contains(&format!("`{label}`")), "{label} in {row}");
        }
    }
    assert!(!alone_metrics.contains("actor_cluster_members"));
    here.block_on(two.leave(PATIENCE));
    let left = until(&console, "/api/v1/cluster", |told| {
        let events = told["cluster"]["events"].as_array().expect("events");
        events
            .iter()
            .any(|it| it["peer"] == "two" && it["change"] == "left")
    });
    fits::<api::ClusterAnswer>(&left);
    here.block_on(one.leave(PATIENCE));
    assert!(!here.metrics().prometheus().contains("actor_cluster_"));
    let readyz = ask(&console, "/readyz").send();
    assert_eq!(
        (readyz.status, readyz.json()["why"][0]["reason"].as_str()),
        (503, Some("no_view"))
    );
    finish(here);
    finish(there);
}

#[test]
fn what_the_workers_do_is_recorded_for_a_while() {
    let system = system();
    let clerk = system.spawn(Clerk).expect("spawned");
    let console = console(&system);
    let recording = std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&console, "/debug/schedule?seconds=0.05").send());
        clerk.ask_blocking(Count).expect("answered");
        asked.join().expect("no panic")
    });
    assert_eq!(recording.status, 200);
    assert!(
        recording
            .header("content-disposition")
            .is_some_and(|it| it.contains("attachment"))
    );
    assert!(recording.json().is_object() || recording.json().is_array());
    finish(system);
}

/// `cargo test --release -p actor-net --features console --test console -- --ignored --nocapture a_million`
#[test]
#[ignore = "a million actors need half a GiB and some seconds; prints how long each path takes"]
fn a_million_actors_are_paged_and_nothing_waits_for_them() {
    let system = system();
    let shop = system.actor(Shop).name("shop").spawn().expect("spawned");
    for _ in 0..1_000_000 {
        system.spawn(Clerk).expect("spawned");
    }
    let console = console(&system);
    let id = short(shop.id());
    let paths = [
        "/api/v1/overview",
        "/api/v1/machine",
        "/api/v1/actors",
        "/api/v1/actors?parent=root&page=3",
        "/api/v1/actors?sort=queued",
        "/api/v1/actors?sort=quiet",
        "/api/v1/actors?sort=type&page=200",
        "/api/v1/actors?q=shop",
        "/api/v1/actors?q=clerk&page=2",
        &format!("/api/v1/actors/{id}"),
        "/api/v1/types",
        "/api/v1/asks",
        "/api/v1/leaks",
        "/api/v1/history",
        "/metrics",
        "/healthz",
    ];
    for path in paths {
        let began = std::time::Instant::now();
        let answer = ask(&console, path).send();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let took = began.elapsed();
        println!("{path}: {took:.1?}, {} bytes", answer.body.len());
        assert!(answer.body.len() < 1 << 20, "{path} is bounded");
    }
    finish(system);
}
