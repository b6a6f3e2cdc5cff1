//! Whom the console refuses, what it tells those who ask wrongly, what may be done through it, how it starts and ends.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actor_core::ShutdownPhase;
use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_net::console::{Console, ConsoleError};

use self::console_kit::{Answer, PATIENCE, ask, builder, console, finish, get, raw, short, system};

mod console_kit;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[derive(Actor)]
struct Clerk;

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
