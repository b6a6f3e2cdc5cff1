//! The console over real HTTP: what it tells of a system and of a cluster, whom it refuses, and how it ends.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{ActorId, ActorSystem, ShutdownPhase};
use actor_net::cluster::{Cluster, Seeds};
use actor_net::console::{Console, ConsoleBuilder, ConsoleError, api};
use actor_net::sharding::Entity;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::console_kit::{Answer, PATIENCE, ask, get, raw, until};

mod console_kit;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

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

fn system() -> ActorSystem {
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    builder.build().expect("a system with one worker")
}

fn builder(system: &ActorSystem) -> ConsoleBuilder {
    Console::builder(system).listen(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn console(system: &ActorSystem) -> Console {
    builder(system).start().expect("it starts")
}

fn finish(system: ActorSystem) {
    let report = system.shutdown_blocking(PATIENCE);
    assert!(report.is_clean(), "{report}");
}

fn short(id: ActorId) -> String {
    id.to_string().replace("actor:", "")
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
fn questions_that_are_wrong_are_told_with_what_would_be_right() {
    let system = system();
    let console = console(&system);
    for (path, status, words) in [
        ("/nothing", 404, "there is nothing at \"/nothing\""),
        ("/api/v1/nothing", 404, "docs/console-api.md"),
        ("/api/v2/overview", 404, "there is nothing"),
        (
            "/api/v1/overview?x=1",
            400,
            "\"x\" is no parameter of this path: it takes none",
        ),
        ("/api/v1/actors?page=0", 400, "from 1 to"),
        ("/api/v1/actors?page=201", 400, "beyond the first 10000"),
        ("/api/v1/actors?limit=1000", 400, "from 1 to 200"),
        ("/api/v1/actors?sort=colour", 400, "one of id, queued"),
        ("/api/v1/actors?parent=x", 400, "is no actor's id"),
        (
            "/api/v1/actors?parent=0.4711.1",
            404,
            "there is no actor 0.4711.1",
        ),
        ("/api/v1/actors?q=%zz", 400, "cannot be read"),
        (
            "/api/v1/actors/0.4711.1",
            404,
            "it has stopped, or never was",
        ),
        ("/api/v1/actors/shop", 400, "is no actor's id"),
        ("/api/v1/history?seconds=601", 400, "from 1 to 600"),
        (
            "/api/v1/traces?kind=fast",
            400,
            "one of recent, slow, failed",
        ),
        ("/api/v1/traces/xyz", 400, "32 hexadecimal digits"),
        (
            "/api/v1/traces/0af7651916cd43dd8448eb211c80319c",
            404,
            "is not kept",
        ),
        ("/api/v1/dead-letters?reason=x", 400, "one of"),
        ("/debug/schedule?seconds=99", 400, "from 0.01 to 8"),
    ] {
        ask(&console, path).send().is_refused(status, words);
    }
    let wrong = ask(&console, "/api/v1/overview").method("DELETE").send();
    wrong.is_refused(405, "use GET");
    assert_eq!(wrong.header("allow"), Some("GET"));
    ask(&console, "/login").send().is_refused(405, "use POST");
    ask(&console, "/login")
        .post("{")
        .send()
        .is_refused(400, "does not fit");
    ask(&console, "/login")
        .post(&"x".repeat(20_000))
        .send()
        .is_refused(413, "16384 bytes");
    let form = ask(&console, "/login")
        .post("token=x")
        .header("Content-Type", "text/plain");
    form.send().is_refused(415, "application/json");
    assert_eq!(raw(console.local_addr(), b"no HTTP\r\n\r\n").status, 400);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert!(matches!(
        raw(console.local_addr(), long.as_bytes()).status,
        400 | 431
    ));
    finish(system);
}

#[test]
fn pages_of_others_are_refused_and_ours_is_hardened() {
    let system = system();
    let console = console(&system);
    let page = ask(&console, "/").send();
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let tag = page.header("etag").expect("a tag");
    let again = ask(&console, "/").header("If-None-Match", tag).send();
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let head = ask(&console, "/").method("HEAD").send();
    assert_eq!((head.status, head.body.as_str()), (200, ""));

    let rebound = ask(&console, "/api/v1/overview")
        .header("Host", "evil.example:9600")
        .send();
    rebound.is_refused(403, "the Host of this request");
    let cross = ask(&console, "/api/v1/overview")
        .header("Sec-Fetch-Site", "cross-site")
        .send();
    cross.is_refused(403, "another site");
    assert!(cross.header("access-control-allow-origin").is_none());
    // A probe may call by any name.
    assert_eq!(
        ask(&console, "/healthz")
            .header("Host", "pod.cluster")
            .send()
            .status,
        200
    );
    finish(system);
}

#[test]
fn a_token_is_needed_where_there_is_one() {
    let system = system();
    let console = builder(&system).token(TOKEN).start().expect("it starts");
    let overview = || ask(&console, "/api/v1/overview");
    overview().send().is_refused(401, "Bearer TOKEN");
    assert!(overview().send().header("www-authenticate").is_some());
    overview()
        .header("Authorization", "Bearer wrong")
        .send()
        .is_refused(401, "a token is needed");
    let right = format!("Bearer {TOKEN}");
    assert_eq!(
        overview().header("Authorization", &right).send().status,
        200
    );
    ask(&console, "/metrics")
        .send()
        .is_refused(401, "a token is needed");
    let metrics = ask(&console, "/metrics")
        .header("Authorization", &right)
        .header("Host", "any.name");
    assert_eq!(metrics.send().status, 200);
    for open in ["/", "/healthz", "/readyz", "/api/v1/session"] {
        assert_eq!(ask(&console, open).send().status, 200, "{open}");
    }
    assert_eq!(get(&console, "/api/v1/session")["authenticated"], false);

    let login = |token: &str| {
        ask(&console, "/login")
            .post(&format!("{{\"token\":\"{token}\"}}"))
            .send()
    };
    login("wrong").is_refused(401, "the token is wrong");
    let opened = login(TOKEN);
    assert_eq!(opened.status, 200);
    let cookie = opened.header("set-cookie").expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let with = |path: &str| ask(&console, path).header("Cookie", &pair);
    assert_eq!(with("/api/v1/overview").send().status, 200);
    assert_eq!(with("/api/v1/session").send().json()["authenticated"], true);
    assert_eq!(with("/logout").post("{}").send().status, 200);
    with("/api/v1/overview")
        .send()
        .is_refused(401, "a token is needed");
    finish(system);
}

#[test]
fn actions_are_for_who_may() {
    let system = system();
    let clerk = system.spawn(Clerk).expect("spawned");
    let stop = format!("{{\"actor\":\"{}\",\"mode\":\"now\"}}", short(clerk.id()));
    let act = |console: &Console, action: &str, body: &str| -> Answer {
        let path = format!("/api/v1/actions/{action}");
        ask(console, &path)
            .post(body)
            .header("x-console-action", "1")
            .send()
    };
    let looks_only = console(&system);
    act(&looks_only, "stop-actor", &stop).is_refused(403, "allow_actions(true)");
    assert_eq!(
        get(&looks_only, "/api/v1/session")["actions_allowed"],
        false
    );

    let console = builder(&system)
        .allow_actions(true)
        .start()
        .expect("it starts");
    let plain = ask(&console, "/api/v1/actions/stop-actor")
        .post(&stop)
        .send();
    plain.is_refused(403, "x-console-action: 1");
    act(&console, "fly", "{}").is_refused(404, "stop-actor, balancing");
    act(
        &console,
        "stop-actor",
        "{\"actor\":\"0.1.1\",\"mode\":\"hard\"}",
    )
    .is_refused(400, "now, drain, kill");
    act(&console, "stop-actor", "{\"actor\":\"x\",\"mode\":\"now\"}")
        .is_refused(400, "is no actor's id");
    act(&console, "stop-actor", "{\"actor\":\"0.1.1\"}").is_refused(400, "missing field");
    act(&console, "declare-down", "{\"peer\":\"one\"}").is_refused(404, "there is no cluster");
    let done = |answer: &Answer| answer.json()["done"] == true;
    assert!(!done(&act(&console, "balancing", "{\"on\":false}")));
    assert!(done(&act(&console, "sample-leaks", "{}")));
    act(&console, "sampling", "{\"share\":1.5}").is_refused(400, "1.5");
    assert!(done(&act(&console, "sampling", "{\"share\":0.25}")));
    assert_eq!(get(&console, "/api/v1/overview")["tracing"]["sample"], 0.25);
    assert!(done(&act(&console, "ready", "{\"ready\":false}")));
    let readyz = ask(&console, "/readyz").send();
    assert_eq!(
        (readyz.status, readyz.json()["why"][0]["reason"].as_str()),
        (503, Some("not_ready"))
    );
    assert!(done(&act(&console, "ready", "{\"ready\":true}")));
    assert_eq!(ask(&console, "/readyz").send().status, 200);
    assert!(done(&act(&console, "stop-actor", &stop)));
    system.block_on(clerk.terminated());
    assert!(!done(&act(&console, "stop-actor", &stop)));
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
fn a_console_that_cannot_start_says_why() {
    let system = system();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("an address");
    let error = Console::builder(&system)
        .listen(addr)
        .start()
        .expect_err("taken");
    assert!(matches!(error, ConsoleError::Listen { .. }));
    assert!(
        error
            .to_string()
            .contains("another program has it: choose another port"),
        "{error}"
    );
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = Console::builder(&system)
        .listen(everywhere)
        .start()
        .expect_err("no token");
    assert!(
        error.to_string().contains("set a token (.token(..)"),
        "{error}"
    );
    for (builder, words) in [
        (builder(&system).token("short"), "16 to 512"),
        (builder(&system).token("0123456789 abcdef"), "spaces"),
        (
            builder(&system).token_file("/nowhere/token"),
            "cannot be read from /nowhere/token",
        ),
        (builder(&system).host("http://x"), "is no host's name"),
        (builder(&system).connections_max(0), "1 to 4096"),
    ] {
        let text = format!("{builder:?}");
        assert!(
            !text.contains("0123456789"),
            "the token is nobody's: {text}"
        );
        let error = builder.start().expect_err(&text).to_string();
        assert!(error.contains(words), "{error}");
    }
    let open = Console::builder(&system)
        .listen(everywhere)
        .token(TOKEN)
        .start()
        .expect("a token");
    assert!(
        open.url().starts_with("http://127.0.0.1:"),
        "{}",
        open.url()
    );
    let handle = system.handle();
    finish(system);
    let error = Console::builder(&handle).start().expect_err("it has ended");
    assert!(matches!(error, ConsoleError::SystemEnded), "{error}");
}

#[test]
fn it_ends_when_it_is_told_and_says_that_the_system_drains_until_then() {
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let hold = ShutdownPhase::new("hold")
        .before("stop-intake")
        .timeout(PATIENCE)
        .run(move || async move {
            // Gone when the test has failed.
            let _ = released.await;
        });
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    let system = builder.shutdown_phase(hold).build().expect("a system");
    let console = console(&system);
    system.request_shutdown(PATIENCE).expect("a thread");
    let end = std::time::Instant::now() + PATIENCE;
    while !system.is_shutting_down() {
        assert!(std::time::Instant::now() < end, "it begins");
        std::thread::yield_now();
    }
    let readyz = ask(&console, "/readyz").send();
    let reason = readyz.json()["why"][0]["reason"].clone();
    assert_eq!((readyz.status, reason.as_str()), (503, Some("draining")));
    assert_eq!(ask(&console, "/healthz").send().status, 200);
    system.block_on(console.shutdown(Duration::from_secs(5)));
    let refused = std::net::TcpStream::connect(console.local_addr());
    assert!(refused.is_err(), "nobody listens any more");
    // Twice is once.
    system.block_on(console.shutdown(Duration::from_secs(5)));
    release.send(()).expect("the phase waits");
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
        members
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
