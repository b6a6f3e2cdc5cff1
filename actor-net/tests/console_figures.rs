//! The figures that the console tells: they are those of the books, and they add up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{ActorId, ActorSystem, TracingOptions};
use actor_net::cluster::{Cluster, Seeds};
use actor_net::sharding::Entity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::console_kit::{PATIENCE, ask, builder, console, finish, get, short, system, until};

mod console_kit;

#[derive(Actor)]
struct Clerk;

/// Answers, or panics.
struct Serve(bool);
impl Message for Serve {
    type Reply = ();
}
impl SyncHandler<Serve> for Clerk {
    fn handle(&mut self, Serve(well): Serve, _cx: &mut ActorContext<Self>) {
        assert!(well, "on purpose");
    }
}

/// Asks another one, which asks back.
#[derive(Actor)]
struct Ring(Option<ActorRef<Self>>);
struct Join(ActorRef<Ring>);
impl Message for Join {
    type Reply = ();
}
impl SyncHandler<Join> for Ring {
    fn handle(&mut self, Join(next): Join, _cx: &mut ActorContext<Self>) {
        self.0 = Some(next);
    }
}
struct Pass;
impl Message for Pass {
    type Reply = bool;
}
impl Handler<Pass> for Ring {
    async fn handle(&mut self, _: Pass, _cx: &mut ActorContext<Self>) -> bool {
        let next = self.0.expect("joined");
        let passed = next.ask(Pass).await;
        matches!(passed, Ok(true) | Err(AskError::Deadlock { .. }))
    }
}

#[derive(Debug, Message, Serialize, Deserialize)]
#[message(remote = "figures.count", reply = u64)]
struct Count;
impl SyncHandler<Count> for Clerk {
    fn handle(&mut self, _: Count, _cx: &mut ActorContext<Self>) -> u64 {
        1
    }
}

/// A series of `/metrics`.
fn series(metrics: &str, name: &str) -> f64 {
    let line = metrics
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    let number = line.and_then(|line| line.split(' ').next_back()?.parse().ok());
    number.unwrap_or_else(|| panic!("{name} in {metrics}"))
}

#[test]
fn asks_are_told_by_outcome_and_add_up() {
    let system = system();
    let clerk = system.actor(|| Clerk).restart(Restart::Permanent);
    let clerk = clerk.spawn().expect("spawned");
    let console = console(&system);
    for well in [true, false, true, true] {
        assert_eq!(clerk.ask_blocking(Serve(well)).is_ok(), well);
    }
    let asks = get(&console, "/api/v1/overview")["asks"].clone();
    let failures = serde_json::json!([{ "outcome": "panicked", "total": 1 }]);
    assert_eq!(asks["by_outcome"], failures);
    for (name, count) in [
        ("begun_total", 4),
        ("ok_total", 3),
        ("failed_total", 1),
        ("in_flight", 0),
    ] {
        assert_eq!(asks[name], count, "{name} in {asks}");
    }
    let metrics = ask(&console, "/metrics").send().body;
    assert_eq!(series(&metrics, "actor_asks_begun_total"), 4.0);
    assert_eq!(series(&metrics, "actor_asks_in_flight"), 0.0);
    let ended: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("actor_asks_total{outcome="))
        .filter_map(|line| line.split(' ').next_back()?.parse::<f64>().ok())
        .sum();
    assert_eq!(ended, 4.0);
    assert_eq!(
        series(&metrics, "actor_asks_total{outcome=\"panicked\"}"),
        1.0
    );
    // A sample that has seen them says so, and one more shows the columns filled.
    let history = until(&console, "/api/v1/history", |told| {
        let column = told["series"]["asks_ok_per_s"].as_array();
        column.is_some_and(|column| column.iter().any(Value::is_number))
    });
    assert!(
        history["series"]["asks_failed_per_s"][0].is_number(),
        "{history}"
    );
    finish(system);
}

#[test]
fn the_busiest_and_the_most_restarted_come_first() {
    let system = system();
    let spawn = || {
        let clerk = system.actor(|| Clerk).restart(Restart::Permanent);
        clerk.spawn().expect("spawned")
    };
    let (idle, busy, broken) = (spawn(), spawn(), spawn());
    let console = console(&system);
    for _ in 0..2 {
        assert!(broken.ask_blocking(Serve(false)).is_err());
        broken.ask_blocking(Serve(true)).expect("answered");
    }
    let first = get(&console, "/api/v1/actors?sort=restarts&limit=2");
    assert_eq!(first["items"][0]["id"], short(broken.id()).as_str());
    assert_eq!(first["items"][0]["restarts"], 2);
    assert_eq!(first["total"], 3);
    // One message in so many is measured.
    let first = until(&console, "/api/v1/actors?sort=rate", |told| {
        for _ in 0..200 {
            busy.ask_blocking(Serve(true)).expect("answered");
        }
        let first = &told["items"][0];
        first["id"] == short(busy.id()).as_str() && first["rate_per_s"].as_f64() > Some(0.0)
    });
    assert_eq!(
        first["items"].as_array().map(Vec::len),
        Some(3),
        "the others follow"
    );
    let of = |actor: ActorId| format!("{{actor=\"{actor}\",type=\"console_figures::Clerk\"}}");
    let name = format!("actor_busiest_message_rate{} ", of(busy.id()));
    let end = Instant::now() + PATIENCE;
    let metrics = loop {
        // It is of the last seconds.
        for _ in 0..200 {
            busy.ask_blocking(Serve(true)).expect("answered");
        }
        let metrics = ask(&console, "/metrics").send().body;
        if metrics.contains(&name) {
            break metrics;
        }
        assert!(Instant::now() < end, "{name} in {metrics}");
    };
    let name = format!("actor_most_restarted_restarts{}", of(broken.id()));
    assert_eq!(series(&metrics, &name), 2.0);
    assert!(idle.is_alive());
    finish(system);
}

#[test]
fn an_actors_page_tells_its_recent_messages_with_times_errors_and_traces() {
    let traced = ActorSystem::builder().workers(Workers::Count(1));
    let traced = traced.tracing(TracingOptions::new().sample(1.0));
    let system = traced.build().expect("a system");
    let clerk = system.actor(|| Clerk).restart(Restart::Permanent);
    let clerk = clerk.spawn().expect("spawned");
    let console = console(&system);
    clerk.ask_blocking(Serve(true)).expect("answered");
    assert!(clerk.ask_blocking(Serve(false)).is_err());
    let path = format!("/api/v1/actors/{}", short(clerk.id()));
    let page = until(&console, &path, |told| {
        told["recent"]
            .as_array()
            .is_some_and(|recent| recent.len() == 2)
    });
    let (failed, well) = (&page["recent"][0], &page["recent"][1]);
    assert_eq!(
        (failed["outcome"].as_str(), well["outcome"].as_str()),
        (Some("panicked"), Some("ok"))
    );
    for recent in [failed, well] {
        assert!(
            recent["wait_ns"].is_number() && recent["handle_ns"].is_number(),
            "{recent}"
        );
        let trace = recent["trace_id"].as_str().expect("a trace");
        let trace = get(&console, &format!("/api/v1/traces/{trace}"));
        let spans = trace["spans"].as_array().expect("spans");
        assert!(
            spans
                .iter()
                .any(|span| span["span_id"] == recent["span_id"]),
            "{trace}"
        );
    }
    let failure = &page["last_failure"];
    assert_eq!(failure["trace_id"], failed["trace_id"]);
    assert!(
        failure["error"]
            .as_str()
            .is_some_and(|it| it.contains("on purpose")),
        "{failure}"
    );
    finish(system);
}

#[test]
fn m13_actors_that_ask_each_other_in_a_circle_are_shown_as_one() {
    let system = system();
    let spawn = || system.spawn(Ring(None)).expect("spawned");
    let (one, two) = (spawn(), spawn());
    one.ask_blocking(Join(two)).expect("joined");
    two.ask_blocking(Join(one)).expect("joined");
    let console = console(&system);
    assert_eq!(
        get(&console, "/api/v1/asks")["refused_cycles"],
        serde_json::json!([])
    );
    assert!(one.ask_blocking(Pass).expect("answered"));
    let ids = |circle: &Value| -> Vec<String> {
        let actors = circle["actors"].as_array().expect("actors").iter();
        actors
            .map(|it| it["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    // The one whose ask would have closed it comes first.
    let circle = [short(two.id()), short(one.id())];
    let asks = get(&console, "/api/v1/asks");
    assert_eq!(ids(&asks["refused_cycles"][0]), circle);
    assert_eq!(asks["deadlocks_total"], 1);
    let page = get(&console, &format!("/api/v1/actors/{}", short(one.id())));
    assert_eq!(ids(&page["refused_cycles"][0]), circle);
    assert_eq!(
        page["refused_cycles"][0]["actors"][0]["type"],
        "console_figures::Ring"
    );
    let overview = get(&console, "/api/v1/overview");
    let attention = overview["attention"].as_array().expect("a list");
    assert!(
        attention.iter().any(|it| it["kind"] == "ask_cycle"),
        "{overview}"
    );
    // A member that has ended is told by its id.
    two.stop();
    system.block_on(two.terminated());
    let asks = get(&console, "/api/v1/asks");
    assert_eq!(ids(&asks["refused_cycles"][0]), circle);
    finish(system);
}

#[test]
fn where_no_trace_is_to_be_expected_the_console_says_so_and_can_change_it() {
    let system = system();
    let console = builder(&system)
        .allow_actions(true)
        .start()
        .expect("it starts");
    let hint = |path: &str| get(&console, path)["hint"].clone();
    let tracing = get(&console, "/api/v1/overview")["tracing"].clone();
    assert_eq!(
        (&tracing["enabled"], &tracing["sample"]),
        (&true.into(), &0.0.into())
    );
    assert!(
        tracing["hint"]
            .as_str()
            .is_some_and(|it| it.contains("sample(0.01)")),
        "{tracing}"
    );
    assert_eq!(hint("/api/v1/traces"), tracing["hint"]);
    let set = |share: &str| {
        ask(&console, "/api/v1/actions/sampling")
            .post(&format!("{{\"share\":{share}}}"))
            .header("x-console-action", "1")
            .send()
    };
    set("1.5").is_refused(400, "1.5");
    assert_eq!(set("0.5").json()["done"], true);
    assert_eq!(get(&console, "/api/v1/traces")["sample"], 0.5);
    assert_eq!(hint("/api/v1/traces"), Value::Null);
    finish(system);

    let off = ActorSystem::builder().workers(Workers::Count(1));
    let off = off
        .tracing(TracingOptions::off())
        .build()
        .expect("a system");
    let console = builder(&off)
        .allow_actions(true)
        .start()
        .expect("it starts");
    let told = get(&console, "/api/v1/overview");
    assert_eq!(
        (&told["features"]["tracing"], &told["tracing"]["enabled"]),
        (&false.into(), &false.into())
    );
    assert!(
        told["tracing"]["hint"]
            .as_str()
            .is_some_and(|it| it.contains("TracingOptions::off()"))
    );
    let refused = ask(&console, "/api/v1/actions/sampling")
        .post("{\"share\":0.5}")
        .header("x-console-action", "1")
        .send();
    assert_eq!(refused.json()["done"], false);
    finish(off);
}

#[test]
fn what_goes_between_peers_is_told_by_peer() {
    let (here, there) = (system(), system());
    let peer = |system: &ActorSystem, name: &str| {
        let clerks = Entity::new("clerk", |_| Clerk).handles::<Count>();
        let peer = Cluster::builder(system.handle(), "figures").peer(name);
        peer.entity(clerks)
    };
    let (one, two) = here.block_on(async {
        let one = peer(&here, "one").start().await.expect("it starts");
        let seeds = Seeds::none().endpoint(one.local_addr().into());
        let two = peer(&there, "two").seeds(seeds);
        let two = two.start().await.expect("it starts");
        two.until_up(2, PATIENCE).await.expect("two are up");
        one.until_up(2, PATIENCE).await.expect("two are up");
        (one, two)
    });
    let console = builder(&here).cluster(&one).start().expect("it starts");
    let link = |told: &Value| -> Value {
        let members = told["cluster"]["members"].as_array().expect("members");
        let two = members.iter().find(|it| it["peer"] == "two").expect("two");
        two["link"].clone()
    };
    // Wherever it lives, one of the two asks goes across, and its answer back.
    here.block_on(async {
        for peer in [&one, &two] {
            let clerk = peer.entity::<Clerk>("anna").expect("a key");
            clerk.ask(Count).within(PATIENCE).await.expect("answered");
        }
    });
    let told = until(&console, "/api/v1/cluster", |told| {
        let link = link(told);
        link["sent_total"].as_u64() > Some(0)
            && link["received_total"].as_u64() > Some(0)
            && link["sent_per_s"].is_number()
            && link["received_bytes_per_s"].is_number()
    });
    let told = link(&told);
    for bytes in ["sent_bytes_total", "received_bytes_total"] {
        assert!(told[bytes].as_u64() > Some(100), "{told}");
    }
    // What one has taken to send, or more by now, the other one has got.
    let sent = told["sent_total"].as_u64().expect("a number");
    let there_console = builder(&there).cluster(&two).start().expect("it starts");
    until(&there_console, "/api/v1/cluster", |told| {
        let members = told["cluster"]["members"].as_array().expect("members");
        let one = members.iter().find(|it| it["peer"] == "one").expect("one");
        one["link"]["received_total"].as_u64() >= Some(sent)
    });
    let metrics = ask(&console, "/metrics").send().body;
    for name in ["actor_peer_messages_total", "actor_peer_io_bytes_total"] {
        for direction in ["out", "in"] {
            let name = format!("{name}{{peer=\"two\",direction=\"{direction}\"}}");
            assert!(series(&metrics, &name) > 0.0, "{name}");
        }
    }
    here.block_on(two.leave(PATIENCE));
    here.block_on(one.leave(PATIENCE));
    finish(here);
    finish(there);
}

#[test]
fn who_does_not_read_loses_the_place_of_the_connection() {
    let system = system();
    let limited = builder(&system).connections_max(1);
    let limited = limited.write_timeout(Duration::from_millis(100));
    let console = limited.start().expect("it starts");
    // Asks for far more than the kernel keeps, and takes none of it.
    let mut deaf = TcpStream::connect(console.local_addr()).expect("connected");
    let mut asking = deaf.try_clone().expect("a handle");
    let asking = std::thread::spawn(move || {
        let request = b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
        // Until the other side has had enough.
        while asking.write_all(&request).is_ok() {}
    });
    // It has the only place: this one is served when it is cut off.
    assert_eq!(ask(&console, "/healthz").send().status, 200);
    asking.join().expect("no panic");
    // What the kernel has kept can be read, to the end.
    let mut rest = Vec::new();
    let end = deaf.read_to_end(&mut rest);
    assert!(end.is_err() || !rest.is_empty());
    for (limit, allowed) in [
        (Duration::ZERO, false),
        (Duration::from_secs(601), false),
        (Duration::from_secs(600), true),
    ] {
        let started = builder(&system).write_timeout(limit).start();
        assert_eq!(started.is_ok(), allowed, "{limit:?}");
    }
    finish(system);
}
