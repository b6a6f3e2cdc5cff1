//! HTTP requests and the contexts of messages, with axum as the server.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_core::http::{RequestLayer, inject_current};
use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{SpanKind, SpanOutcome, SpanRecord, Trace, TraceId, TracingOptions};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::get;
use common::*;
use tower_service::Service;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;

/// What an actor saw of the request: the headers that it would send on, and whether there is a deadline.
#[derive(Clone, Default)]
struct Seen {
    headers: HeaderMap,
    has_deadline: bool,
}

struct Shop;
impl Actor for Shop {}
struct Order;
impl Message for Order {
    type Reply = Seen;
}
impl SyncHandler<Order> for Shop {
    fn handle(&mut self, _: Order, cx: &mut ActorContext<Self>) -> Seen {
        let mut headers = HeaderMap::new();
        inject_current(&mut headers);
        Seen {
            headers,
            has_deadline: cx.context().deadline().is_some(),
        }
    }
}

type Shared = (ActorRef<Shop>, Arc<Mutex<Seen>>);

async fn order(State((shop, seen)): State<Shared>) -> &'static str {
    let answer = shop.ask(Order).await.unwrap();
    *seen.lock().unwrap() = answer;
    "ordered"
}

struct Server {
    system: ActorSystem,
    app: Router,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    fn new(sample: f64, layer: impl FnOnce(RequestLayer) -> RequestLayer) -> Self {
        let tracing = TracingOptions::new().sample(sample);
        let builder = ActorSystem::builder().workers(Workers::Count(1));
        let system = builder.tracing(tracing).build().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shop = system.spawn(Shop).unwrap();
        let app = Router::new()
            .route("/order", get(order))
            .route("/fail", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .route("/hang", get(std::future::pending::<&'static str>))
            .layer(layer(RequestLayer::new(system.handle())))
            .with_state((shop, seen.clone()));
        Self { system, app, seen }
    }

    fn request(&self, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let mut app = self.app.clone();
        let answer = self.system.block_on(async move { app.call(request).await });
        answer.unwrap().status()
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    fn trace(&self, id: TraceId, spans: usize) -> Trace {
        let mut found = None;
        wait_until("the trace is there", || {
            self.system.flush_spans(PATIENCE);
            found = self.system.trace(id);
            found
                .as_ref()
                .is_some_and(|trace| trace.spans.len() >= spans)
        });
        found.unwrap()
    }

    /// The only trace there is.
    fn only_trace(&self, spans: usize) -> Trace {
        let mut id = None;
        wait_until("there is a trace", || {
            self.system.flush_spans(PATIENCE);
            let recent = self.system.traces(actor_core::TraceList::Recent, 10);
            id = recent.first().map(|summary| summary.trace_id);
            recent.len() == 1
        });
        self.trace(id.unwrap(), spans)
    }
}

fn one_of(trace: &Trace, kind: SpanKind) -> &SpanRecord {
    let mut of_kind = trace.spans.iter().filter(|span| span.kind == kind);
    let found = of_kind
        .next()
        .unwrap_or_else(|| panic!("no {kind} in {:#?}", trace.spans));
    assert!(of_kind.next().is_none(), "several {kind}");
    found
}

#[test]
fn a_request_goes_on_in_its_callers_trace_down_to_the_actor() {
    let server = Server::new(0.0, |layer| layer.timeout(Duration::from_secs(600)));
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("baggage", "user=7"),
    ];
    assert_eq!(server.request("/order?secret=1", &headers), StatusCode::OK);
    let seen = server.seen();
    assert!(seen.has_deadline);
    assert_eq!(seen.headers["tracestate"], "a=1");
    assert_eq!(seen.headers["baggage"], "user=7");
    let trace = server.trace(TraceId::new(TRACE).unwrap(), 1);
    let request = one_of(&trace, SpanKind::Request);
    assert_eq!(request.parent.unwrap().to_string(), "b7ad6b7169203331");
    // What the actor would send on belongs to the same trace.
    let onwards = seen.headers["traceparent"].to_str().unwrap();
    assert!(
        onwards.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
        "{onwards}"
    );
    let attribute = |key: &str| {
        let found = request.attributes.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value.to_string())
    };
    assert_eq!(attribute("http.request.method").as_deref(), Some("GET"));
    assert_eq!(attribute("url.path").as_deref(), Some("/order"));
    assert_eq!(
        attribute("http.response.status_code").as_deref(),
        Some("200")
    );
    finish(server.system);
}

#[test]
fn without_a_trace_the_system_decides() {
    let server = Server::new(1.0, |layer| layer.name("GET /order"));
    server.request("/order", &[("traceparent", "nonsense")]);
    let trace = server.only_trace(1);
    let request = one_of(&trace, SpanKind::Request);
    assert_eq!((request.parent, request.message), (None, "GET /order"));
    assert_eq!(request.outcome, SpanOutcome::Ok);
    assert!(!server.seen().has_deadline);
    finish(server.system);

    let server = Server::new(0.0, |layer| layer);
    server.request("/order", &[]);
    assert!(!server.seen().headers.contains_key("traceparent"));
    assert_eq!(server.system.stats().spans.offered, 0);
    finish(server.system);
}

#[test]
fn a_caller_that_does_not_record_is_heeded() {
    let server = Server::new(1.0, |layer| layer);
    let unsampled = PARENT.replace("-01", "-00");
    server.request("/order", &[("traceparent", &unsampled)]);
    let onwards = server.seen().headers["traceparent"].clone();
    assert!(
        onwards
            .to_str()
            .unwrap()
            .starts_with("00-0af7651916cd43dd8448eb211c80319c-")
    );
    assert_eq!(server.system.stats().spans.offered, 0);
    finish(server.system);
}

#[test]
fn strangers_are_linked_to_and_not_joined() {
    let server = Server::new(1.0, RequestLayer::public);
    server.request("/order", &[("traceparent", PARENT), ("baggage", "admin=1")]);
    let trace = server.only_trace(1);
    assert_ne!(trace.summary.trace_id.as_u128(), TRACE);
    let request = one_of(&trace, SpanKind::Request);
    assert_eq!(request.parent, None);
    assert_eq!(request.link.unwrap().trace_id.as_u128(), TRACE);
    assert!(!server.seen().headers.contains_key("baggage"));
    finish(server.system);
}

#[test]
fn failures_and_clients_that_go_away_are_told() {
    let server = Server::new(1.0, |layer| layer);
    assert_eq!(
        server.request("/fail", &[]),
        StatusCode::INTERNAL_SERVER_ERROR
    );
    let trace = server.only_trace(1);
    let outcome = &one_of(&trace, SpanKind::Request).outcome;
    assert!(
        matches!(outcome, SpanOutcome::Error(status) if &**status == "500"),
        "{outcome}"
    );

    let mut app = server.app.clone();
    let request = Request::get("/hang")
        .header("traceparent", PARENT)
        .body(Body::empty())
        .unwrap();
    server.system.block_on(async move {
        let mut hangs = Box::pin(app.call(request));
        let first =
            std::future::poll_fn(|cx| std::task::Poll::Ready(hangs.as_mut().poll(cx))).await;
        assert!(first.is_pending());
    });
    let trace = server.trace(TraceId::new(TRACE).unwrap(), 1);
    assert_eq!(
        one_of(&trace, SpanKind::Request).outcome,
        SpanOutcome::Abandoned
    );
    finish(server.system);
}

#[test]
fn what_is_decided_for_a_request_holds_for_all_it_causes() {
    // Of few traces that begin here, and none of these: with a share this small, the one in a row is far away.
    let server = Server::new(1e-12, |layer| layer);
    for headers in [
        &[][..],
        &[("traceparent", &PARENT.replace("-01", "-00")[..])],
    ] {
        assert_eq!(server.request("/order", headers), StatusCode::OK);
        let parent = server.seen().headers["traceparent"].clone();
        let parent = parent.to_str().unwrap();
        // What goes out says that it is not recorded.
        let flags = u8::from_str_radix(&parent[53..], 16).unwrap();
        assert_eq!(flags & 1, 0, "{parent}");
    }
    // Nor is it decided again on the way, though all that begins now is recorded.
    let context = server.system.begin_trace();
    assert!(context.trace().is_some_and(|trace| !trace.is_sampled()));
    server.system.set_sampling(1.0).unwrap();
    let shop = server.system.spawn(Shop).unwrap();
    context.run(|| shop.ask_blocking(Order)).unwrap();
    assert_eq!(server.system.stats().spans.offered, 0);
    finish(server.system);
}
