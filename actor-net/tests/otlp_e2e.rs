//! One trace over two processes' worth of runtime, as a collector that is not ours has it: a request over HTTP into
//! one peer, whose handler asks an actor of another peer, over TCP. And the metrics of both.
//!
//! The collector is `otelite` (crates.io), whose program `ACTOR_OTELITE` names; `tools/otlp-e2e` installs it, runs this
//! test, and says so if it cannot. Without the variable there is nothing to test against, and the test says that.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use actor_core::TraceContext;
use actor_core::http::RequestLayer;
use actor_core::otlp::OtlpOptions;
use actor_core::prelude::*;
use actor_net::cluster::{Cluster, ClusterBuilder, Seeds};
use actor_net::remote::Exports;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::cluster_kit::{PATIENCE, finish, system};

mod cluster_kit;

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

/// A collector of somebody else's, in a process of its own.
struct Otelite {
    child: Child,
    api: SocketAddr,
    otlp: SocketAddr,
    data: PathBuf,
}

impl Otelite {
    fn start(program: &str) -> Self {
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let (api, otlp, grpc) = (free(), free(), free());
        let data =
            std::env::temp_dir().join(format!("otelite-{}-{}", std::process::id(), api.port()));
        std::fs::create_dir_all(&data).unwrap();
        let child = Command::new(program)
            .args(["serve", "--addr", &api.to_string()])
            .env("OTELITE_DATA_DIR", &data)
            .env("OTELITE_OTLP_HTTP_PORT", otlp.port().to_string())
            .env("OTELITE_OTLP_GRPC_PORT", grpc.port().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let otelite = Self {
            child,
            api,
            otlp,
            data,
        };
        for port in [api, otlp] {
            let began = Instant::now();
            while TcpStream::connect(port).is_err() {
                assert!(
                    began.elapsed() < PATIENCE,
                    "{program} does not listen on {port}"
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        otelite
    }

    /// The spans of a trace, by name, when there are that many.
    fn trace(&self, id: &str, spans: usize) -> Vec<Span> {
        let began = Instant::now();
        // Answers are kept for a while by what was asked, so each question is another one.
        for question in 0.. {
            let path = format!("/api/traces/{id}?question={question}");
            let (status, body) = fetch(self.api, &path, &[]);
            let trace: Value = serde_json::from_str(&body).unwrap_or_default();
            let found = trace["spans"].as_array().map_or(0, Vec::len);
            if status == 200 && found >= spans {
                let all = trace["spans"].as_array().unwrap().iter();
                return all.map(Span::of).collect();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{found} spans of {spans} have come; the answer was {status}: {body}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        unreachable!("the loop ends by an answer or for want of patience")
    }
}

impl Drop for Otelite {
    fn drop(&mut self) {
        // It may have ended by itself, and what is left of it is in a temporary place.
        _ = self.child.kill();
        _ = self.child.wait();
        _ = std::fs::remove_dir_all(&self.data);
    }
}

/// What the collector says of a span.
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: Option<String>,
    name: String,
    kind: String,
    all: Value,
}

impl Span {
    fn of(span: &Value) -> Self {
        let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
        Self {
            trace: text("trace_id"),
            id: text("span_id"),
            parent: span["parent_span_id"]
                .as_str()
                .map(str::to_owned)
                .filter(|it| !it.is_empty()),
            name: text("name"),
            kind: text("kind"),
            all: span.clone(),
        }
    }

    /// An attribute as text, whatever it is.
    fn attribute(&self, key: &str) -> Option<String> {
        let value = &self.all["attributes"][key];
        match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The name of the service that it comes from.
    fn service(&self) -> String {
        let resource = self.all["resource"].to_string();
        let is = |name: &&str| resource.contains(*name);
        ["peer-one", "peer-two"]
            .into_iter()
            .find(is)
            .unwrap_or("?")
            .to_owned()
    }
}

/// One GET by HTTP 1.0, whose answer ends with the connection: its status and body.
fn fetch(server: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    (status.unwrap_or(0), body.unwrap_or_default())
}

/// Exports until the collector has metrics of all sorts.
fn metrics_come(api: SocketAddr, systems: &[SystemRef]) {
    let wanted = [
        "actor.messages.handled",
        "actor.message.wait",
        "actor.handler.duration",
        "actor.mailbox.depth",
        "actor.arena.slab",
        "actor.messages.crossed",
        "actor.cluster.members",
        "actor.peer.lanes",
        "actor.remote.messages",
        "actor.otlp.exports",
    ];
    let began = Instant::now();
    for question in 0.. {
        for system in systems {
            assert!(system.flush_spans(PATIENCE), "it is exported");
        }
        let (status, names) = fetch(api, &format!("/api/metrics/names?question={question}"), &[]);
        let missing: Vec<_> = wanted
            .iter()
            .filter(|name| !names.contains(&format!("\"{name}\"")))
            .collect();
        if status == 200 && missing.is_empty() {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{missing:?} have not come; the answer was {status}: {names}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn deposit(State(account): State<ActorRef<Account>>) -> String {
    account.ask(Deposit { cents: 7 }).await.unwrap().to_string()
}

#[test]
fn a_request_into_one_peer_is_one_trace_with_its_ask_to_another() {
    let Ok(program) = std::env::var("ACTOR_OTELITE") else {
        eprintln!("SKIPPED: ACTOR_OTELITE does not name a collector; tools/otlp-e2e installs one");
        return;
    };
    let otelite = Otelite::start(&program);
    let (first, second) = (system(), system());
    let exported = |system: &ActorSystem, name: &str| {
        let options = OtlpOptions::new().endpoint(format!("http://{}", otelite.otlp));
        let options = options
            .service_name(name)
            .metrics_every(PATIENCE)
            .timeout(PATIENCE);
        system.export_otlp(options).unwrap()
    };
    let exports = [exported(&first, "peer-one"), exported(&second, "peer-two")];

    let caller = TraceContext::new_root(true);
    first.block_on(async {
        let one = peer(&first, "one").start().await.unwrap();
        let seeds = Seeds::none().endpoint(one.local_addr().into());
        let two = peer(&second, "two").seeds(seeds).start().await.unwrap();
        one.until_up(2, PATIENCE).await.unwrap();
        two.until_up(2, PATIENCE).await.unwrap();
        let account = second
            .actor(Account::default())
            .name("savings")
            .spawn()
            .unwrap();
        assert!(two.publish("account", account));
        let there = one.lookup::<Account>(two.peer(), "account").await.unwrap();

        let app = Router::new()
            .route("/deposit", get(deposit))
            .layer(RequestLayer::new(first.handle()).name("GET /deposit"))
            .with_state(there);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        let parent = caller.to_traceparent().to_string();
        let request = move || fetch(server, "/deposit", &[("traceparent", &parent)]);
        let answer = tokio::task::spawn_blocking(request).await.unwrap();
        assert_eq!(answer, (200, "7".to_owned()));
        serving.abort();
        // While there is a cluster, its figures go with the system's own.
        let (first, second, api) = (first.handle(), second.handle(), otelite.api);
        let told = tokio::task::spawn_blocking(move || metrics_come(api, &[first, second]));
        told.await.unwrap();
        two.leave(Duration::from_secs(10)).await;
        one.leave(Duration::from_secs(10)).await;
    });
    // The end of each sends what it still has.
    for system in [first, second] {
        finish(system);
    }
    for export in exports {
        let stats = export.stats();
        assert_eq!(
            (
                stats.spans_failed,
                stats.spans_dropped,
                stats.metrics_failed
            ),
            (0, 0, 0),
            "{stats:?}"
        );
    }

    let id = caller.trace_id().to_string();
    let spans = otelite.trace(&id, 3);
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    for span in &spans {
        assert_eq!(span.trace, id);
    }
    let named = |name: &str| {
        let mut found = spans.iter().filter(|span| span.name == name);
        let span = found
            .next()
            .unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
        assert!(found.next().is_none(), "several {name}");
        span
    };
    let request = named("GET /deposit");
    assert_eq!(
        request.parent.as_deref(),
        Some(&*caller.span_id().to_string())
    );
    assert_eq!(
        request.attribute("http.response.status_code").as_deref(),
        Some("200")
    );
    let ask = named("ask Deposit");
    assert_eq!(ask.parent.as_deref(), Some(&*request.id));
    let process = named("process Deposit");
    // Over what the runtime puts between, if anything: from the handling up to the ask.
    let mut above = process;
    while above.id != ask.id {
        let parent = above.parent.as_deref().and_then(|id| by_id.get(id));
        above =
            parent.unwrap_or_else(|| panic!("{} is not below the ask: {spans:#?}", process.name));
    }
    assert_eq!(
        (request.service(), ask.service()),
        ("peer-one".into(), "peer-one".into())
    );
    assert_eq!(process.service(), "peer-two");
    assert!(
        process.kind.to_lowercase().contains("consumer"),
        "{}",
        process.kind
    );
    let waited = process
        .attribute("actor.queue_wait_ns")
        .expect("how long it waited");
    assert!(waited.parse::<u64>().is_ok(), "{waited}");
    assert_eq!(process.attribute("actor.name").as_deref(), Some("savings"));
    assert!(process.attribute("actor.worker").is_some());
    assert!(process.attribute("actor.numa_node").is_some());
}
