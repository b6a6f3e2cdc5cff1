//! Export to an OpenTelemetry collector, as a service sees it: a collector that takes, refuses, hangs, is not
//! there. The receiver is a few lines of HTTP; what the bytes mean to a real one is `tools/otlp-e2e`'s.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actor_core::metrics::{Kind, Reading};
use actor_core::otlp::{OtlpExport, OtlpOptions, OtlpStats};
use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{SpanKind, SpanRecord, TraceContext, TracingOptions};
use common::*;
use opentelemetry::trace::TraceContextExt;

struct Echo;
impl Actor for Echo {}
struct Say(u32);
impl Message for Say {
    type Reply = u32;
}
impl SyncHandler<Say> for Echo {
    fn handle(&mut self, Say(n): Say, _cx: &mut ActorContext<Self>) -> u32 {
        n
    }
}

#[derive(Clone, Debug)]
struct Request {
    path: String,
    head: String,
    body: Vec<u8>,
}

/// Takes requests and answers with these codes, the last for ever; 0: never.
struct Collector {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Collector {
    fn start(codes: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let codes = Arc::new(Mutex::new(codes.to_vec()));
        let requests = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (requests, codes) = (requests.clone(), codes.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &requests, &codes));
            }
        });
        Self { url, seen }
    }

    fn requests(&self, path: &str) -> Vec<Request> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|it| it.path == path).cloned().collect()
    }
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<Request>>, codes: &Mutex<Vec<u16>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let from = head.len();
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
            let line = head[from..].trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let code = {
            let mut codes = codes.lock().unwrap();
            if codes.len() > 1 {
                codes.remove(0)
            } else {
                codes[0]
            }
        };
        seen.lock().unwrap().push(Request { path, head, body });
        if code == 0 {
            // Hangs until the client gives up.
            _ = reader.read(&mut [0]);
            return;
        }
        let mut to = stream;
        // Two spans are rejected, with a word on it, in a batch that is taken.
        let in_part = b"\x0a\x08\x08\x02\x12\x04full";
        let (code, body) = match code {
            IN_PART => (200, &in_part[..]),
            code => (code, &b""[..]),
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {code} x\r\ncontent-length: {length}\r\n\r\n");
        if to.write_all(&[answer.as_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

/// No code of HTTP's.
const IN_PART: u16 = 299;

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn system(flush_within: Duration) -> ActorSystem {
    let tracing = TracingOptions::new().flush_within(flush_within);
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    builder.tracing(tracing).build().unwrap()
}

fn options(url: &str) -> OtlpOptions {
    // Traces only: metrics have a test of their own.
    let options = OtlpOptions::new().endpoint(url).signals(true, false);
    options.service_name("test").timeout(PATIENCE)
}

/// Records so many spans, while the service does its work.
fn say(system: &ActorSystem, times: u32) {
    let echo = system.spawn(Echo).unwrap();
    for n in 0..times {
        assert_eq!(echo.ask_blocking(Say(n)).unwrap(), n);
        system.record_span(span(&TraceContext::new_root(true)));
    }
}

fn span(trace: &TraceContext) -> SpanRecord {
    let message = std::any::type_name::<Say>();
    let mut span = SpanRecord::new(trace.clone(), SpanKind::Handle, message, SystemTime::now());
    span.actor_name = Some(Arc::from("echo-by-name"));
    span.queue_wait = Duration::from_micros(3);
    span
}

fn adds_up(stats: &OtlpStats) {
    let ended = stats.spans_sent + stats.spans_dropped + stats.spans_failed;
    assert_eq!(stats.spans_offered, ended + stats.spans_queued, "{stats:?}");
}

/// Ends the system, and the books hold for what was exported too.
fn end(system: ActorSystem, export: &OtlpExport) -> OtlpStats {
    finish(system);
    let stats = export.stats();
    adds_up(&stats);
    stats
}

#[test]
fn spans_come_to_the_collector_with_their_trace_and_attributes() {
    let collector = Collector::start(&[200]);
    let system = system(PATIENCE);
    let options = options(&collector.url).header("api-key", "hidden");
    assert!(!format!("{options:?}").contains("hidden"));
    let export = system.export_otlp(options).unwrap();
    let trace = TraceContext::new_root(true);
    system.record_span(span(&trace));
    let id = trace.trace_id().as_u128().to_be_bytes();
    wait_until("it is exported", || {
        system.flush_spans(PATIENCE) && export.stats().spans_sent == 1
    });
    let requests = collector.requests("/v1/traces");
    let with_trace = requests.iter().find(|it| contains(&it.body, &id));
    let request = with_trace.unwrap_or_else(|| panic!("not in {} requests", requests.len()));
    assert!(
        request
            .head
            .to_ascii_lowercase()
            .contains("api-key: hidden")
    );
    let all: Vec<u8> = requests.iter().flat_map(|it| it.body.clone()).collect();
    for part in [
        "process Say",
        "actor.queue_wait_ns",
        "messaging.system",
        "echo-by-name",
        "service.name",
        "host.name",
    ] {
        assert!(contains(&all, part.as_bytes()), "{part} is missing");
    }
    let stats = end(system, &export);
    assert_eq!(
        (stats.spans_dropped, stats.spans_failed, stats.spans_queued),
        (0, 0, 0)
    );
}

#[test]
fn the_end_of_the_system_sends_what_waits() {
    let collector = Collector::start(&[200]);
    let system = system(PATIENCE);
    let patient = options(&collector.url).batches(10_000, 10_000, Duration::from_secs(3600));
    let export = system.export_otlp(patient).unwrap();
    say(&system, 100);
    let stats = end(system, &export);
    assert_eq!(stats.spans_sent, 100, "{stats:?}");
    assert_eq!(
        (stats.spans_dropped, stats.spans_failed, stats.spans_queued),
        (0, 0, 0)
    );
}

#[test]
fn a_collector_that_is_busy_is_tried_again() {
    let collector = Collector::start(&[503, 200]);
    let system = system(PATIENCE);
    let export = system.export_otlp(options(&collector.url)).unwrap();
    say(&system, 1);
    let stats = end(system, &export);
    assert!(stats.retries >= 1 && stats.spans_sent == 1, "{stats:?}");
    assert_eq!(stats.batches_failed, 0);
    assert!(stats.last_error.unwrap().contains("503"));
}

#[test]
fn a_collector_that_refuses_costs_its_spans_and_nothing_else() {
    let collector = Collector::start(&[400]);
    let system = system(PATIENCE);
    let export = system.export_otlp(options(&collector.url)).unwrap();
    say(&system, 10);
    let stats = end(system, &export);
    assert!(
        stats.spans_failed == 10 && stats.spans_sent == 0,
        "{stats:?}"
    );
    assert_eq!(stats.retries, 0, "400 does not become better");
}

#[test]
fn what_a_collector_rejects_of_a_batch_is_not_counted_as_sent() {
    let collector = Collector::start(&[IN_PART]);
    let system = system(PATIENCE);
    let whole = options(&collector.url).batches(100, 100, Duration::from_secs(3600));
    let export = system.export_otlp(whole).unwrap();
    say(&system, 10);
    assert!(system.flush_spans(PATIENCE));
    let spans = system.stats().spans;
    assert_eq!((spans.exported, spans.not_exported), (8, 2));
    let stats = end(system, &export);
    assert_eq!((stats.spans_sent, stats.spans_failed), (8, 2), "{stats:?}");
    assert!(stats.last_error.unwrap().contains("full"));
}

#[test]
fn a_collector_that_is_down_is_told_and_counted() {
    let (_held, gone) = nobody_listens();
    let system = system(PATIENCE);
    let options = options(&format!("http://{gone}")).timeout(Duration::from_millis(50));
    let export = system.export_otlp(options).unwrap();
    say(&system, 10);
    let stats = end(system, &export);
    assert!(
        stats.spans_failed == 10 && stats.spans_sent == 0,
        "{stats:?}"
    );
    let error = stats.last_error.expect("told");
    assert!(!error.is_empty());
}

#[test]
fn a_collector_that_hangs_holds_up_nobody() {
    let collector = Collector::start(&[0]);
    let system = system(Duration::from_millis(100));
    let eager = options(&collector.url).batches(64, 16, Duration::ZERO);
    let export = system.export_otlp(eager).unwrap();
    // The service answers while the collector does not, and the shutdown does not wait for it.
    say(&system, 500);
    wait_until("more came than may wait", || {
        export.stats().spans_dropped > 0
    });
    finish(system);
    let stats = export.stats();
    assert_eq!(stats.spans_sent, 0, "{stats:?}");
    adds_up(&stats);
}

/// The fields of a protobuf message: their numbers, and the bytes of those that have some.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                varint(&mut bytes);
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).expect("a length"),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        found.push((key >> 3, value));
        bytes = rest;
    }
    found
}

/// Name, unit, help and kind of each metric of a request.
fn metrics_of(body: &[u8]) -> Vec<(String, String, String, Kind)> {
    let inner = |bytes, number: u64| {
        let all = fields(bytes).into_iter();
        all.filter(move |(of, _)| *of == number)
            .map(|(_, bytes)| bytes)
    };
    let resources = inner(body, 1);
    let scopes = resources.flat_map(|resource| inner(resource, 2));
    let metrics = scopes.flat_map(|scope| inner(scope, 2));
    let told = metrics.map(|metric| {
        let text = |number| {
            let bytes = inner(metric, number).next().unwrap_or_default();
            String::from_utf8(bytes.to_vec()).expect("text")
        };
        let is_there = |number| inner(metric, number).next().is_some();
        let kind = if is_there(5) {
            Kind::Gauge
        } else if is_there(9) {
            Kind::Histogram
        } else {
            // Whether it is monotonic.
            let sum = inner(metric, 7).next().expect("a sum");
            match fields(sum).iter().any(|(of, _)| *of == 3) {
                true => Kind::Counter,
                false => Kind::UpDownCounter,
            }
        };
        (text(1), text(3), text(2), kind)
    });
    told.collect()
}

fn told_by(reading: &Reading) -> Vec<(String, String, String, Kind)> {
    let families = reading.families().iter();
    let told = families.map(|it| {
        let text = |of: &str| of.to_owned();
        (text(it.name), text(it.unit), text(it.help), it.kind)
    });
    told.collect()
}

#[test]
fn metrics_are_exported_as_prometheus_reads_them() {
    let collector = Collector::start(&[200]);
    let system = system(PATIENCE);
    let options = options(&collector.url).signals(true, true);
    let never = Duration::from_secs(3600);
    let export = system.export_otlp(options.metrics_every(never)).unwrap();
    let added = system.add_metrics(|reading| {
        let mut family = reading.gauge("test.own", "{thing}", "Of the program.");
        family.add(&[], 1.5);
    });
    // Messages from outside are measured now and then: until there are histograms too.
    wait_until("a message was measured", || {
        say(&system, 1);
        let reading = system.metrics();
        let mut families = reading.families().iter();
        families.any(|it| it.name == "actor.handler.duration")
    });
    let before = told_by(&system.metrics());
    wait_until("it is exported", || {
        system.flush_spans(PATIENCE) && export.stats().metrics_sent >= 1
    });
    let after = told_by(&system.metrics());
    let requests = collector.requests("/v1/metrics");
    let exported = metrics_of(&requests.last().expect("a request").body);
    for family in &before {
        assert!(exported.contains(family), "{family:?} in {exported:?}");
    }
    for family in &exported {
        assert!(after.contains(family), "{family:?} in {after:?}");
    }
    for (name, kind) in [
        ("actor.messages.handled", Kind::Counter),
        ("actor.message.wait", Kind::Histogram),
        ("actor.handler.duration", Kind::Histogram),
        ("actor.mailbox.depth", Kind::Histogram),
        ("actor.arena.slab", Kind::UpDownCounter),
        ("test.own", Kind::Gauge),
    ] {
        let found = exported.iter().find(|it| it.0 == name);
        assert_eq!(found.map(|it| it.3), Some(kind), "{name}");
    }
    drop(added);
    let sent = export.stats().metrics_sent;
    let stats = end(system, &export);
    assert!(stats.metrics_sent > sent, "a last export: {stats:?}");
    assert_eq!(stats.metrics_failed, 0, "{stats:?}");
}

#[test]
fn metrics_are_tried_again_and_what_is_refused_is_counted() {
    let collector = Collector::start(&[503, 200, 400]);
    let system = system(PATIENCE);
    let options = options(&collector.url).signals(false, true);
    let options = options.metrics_every(Duration::from_secs(3600));
    let export = system.export_otlp(options).unwrap();
    wait_until("it is exported", || {
        system.flush_spans(PATIENCE) && export.stats().metrics_sent == 1
    });
    let stats = export.stats();
    assert_eq!((stats.retries, stats.metrics_failed), (1, 0), "{stats:?}");
    // What became of it is among the system's own figures, as the document says.
    let reading = system.metrics();
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let document = std::fs::read_to_string(document).unwrap();
    let own = reading.families().iter();
    let own: Vec<_> = own
        .filter(|it| it.name.starts_with("actor.otlp."))
        .collect();
    assert_eq!(own.len(), 4);
    for family in own {
        let begin = format!("| `{}` | `{}` | ", family.name, family.prometheus_name());
        let mut rows = document.lines().filter(|row| row.starts_with(&begin));
        let end = format!("| {} |", family.help);
        assert!(rows.any(|row| row.ends_with(&end)), "{begin} {end}");
    }
    let text = reading.prometheus();
    let sent = "actor_otlp_exports_total{signal=\"metrics\",outcome=\"sent\"} 1\n";
    assert!(text.contains(sent), "{text}");
    // The last one, at the end, is refused.
    let stats = end(system, &export);
    assert_eq!((stats.metrics_sent, stats.metrics_failed), (1, 1));
    assert!(stats.last_error.unwrap().contains("400"));
}

#[test]
fn nothing_is_exported_if_it_is_switched_off_or_makes_no_sense() {
    let system = system(PATIENCE);
    let off = system
        .export_otlp(OtlpOptions::new().signals(false, false))
        .unwrap();
    assert!(!off.is_on() && off.warnings().is_empty());
    let wrong = OtlpOptions::new().signals(false, false).endpoint("ftp://x");
    let wrong = system.export_otlp(wrong).unwrap();
    let [warning] = wrong.warnings() else {
        panic!("{wrong:?}");
    };
    assert!(warning.to_string().contains("ftp://x"), "{warning}");
    say(&system, 1);
    finish(system);
}

/// Says in which span OpenTelemetry takes it to be, and in which we do: at the beginning, and after an await.
struct Joiner;
impl Actor for Joiner {}
struct Where;
type Spans = Vec<(String, Option<String>)>;
impl Message for Where {
    type Reply = Spans;
}
impl Handler<Where> for Joiner {
    async fn handle(&mut self, _: Where, _cx: &mut ActorContext<Self>) -> Spans {
        let here = || {
            let theirs = opentelemetry::Context::current();
            let theirs = theirs.span().span_context().clone();
            let theirs = format!("{} {}", theirs.span_id(), theirs.is_sampled());
            let ours = Context::current();
            (
                theirs,
                ours.trace()
                    .map(|trace| format!("{} {}", trace.span_id(), trace.is_sampled())),
            )
        };
        let first = here();
        tokio::time::sleep(Duration::from_millis(1)).await;
        vec![first, here()]
    }
}

#[test]
fn what_a_handler_records_by_opentelemetry_joins_its_trace() {
    let system = system(PATIENCE);
    let joiner = system.spawn(Joiner).unwrap();
    let ask = |sampled: bool| {
        let context = Context::empty().with_trace(TraceContext::new_root(sampled));
        joiner.ask(Where).context(context).blocking().unwrap()
    };
    for sampled in [true, false] {
        for (theirs, ours) in ask(sampled) {
            assert!(theirs.ends_with(&sampled.to_string()), "{theirs}");
            assert_eq!(Some(theirs), ours, "inside");
        }
    }
    for (theirs, ours) in joiner.ask_blocking(Where).unwrap() {
        assert_eq!((theirs.as_str(), ours), ("0000000000000000 false", None));
    }
    finish(system);
}

/// What OpenTelemetry has in force in the handlers of [`Seer`].
struct See;
impl Message for See {
    type Reply = Vec<(u128, u64, bool)>;
}
struct Seer(Option<ActorRef<Self>>);
impl Actor for Seer {}
impl Handler<See> for Seer {
    async fn handle(&mut self, _: See, _cx: &mut ActorContext<Self>) -> Vec<(u128, u64, bool)> {
        let seen = || {
            let theirs = opentelemetry::Context::current();
            let theirs = theirs.span().span_context().clone();
            (
                u128::from_be_bytes(theirs.trace_id().to_bytes()),
                u64::from_be_bytes(theirs.span_id().to_bytes()),
                theirs.is_sampled(),
            )
        };
        let mut all = vec![seen()];
        if let Some(next) = self.0 {
            all.extend(next.ask(See).await.expect("it lives"));
        }
        // After an await.
        all.push(seen());
        all
    }
}

#[test]
fn in_a_trace_that_is_not_recorded_opentelemetry_sees_that_trace() {
    let system = ActorSystem::builder()
        .tracing(TracingOptions::new())
        .build()
        .unwrap();
    let last = system.spawn(Seer(None)).unwrap();
    let first = system.spawn(Seer(Some(last))).unwrap();
    let see = |context: &Context| first.ask(See).context(context.clone()).blocking().unwrap();
    let of = |trace: &TraceContext| {
        let each = (trace.trace_id().as_u128(), trace.span_id().as_u64(), false);
        vec![each; 4]
    };
    let nothing = vec![(0, 0, false); 4];
    let one = TraceContext::new_root(false);
    let two = TraceContext::new_root(false);
    let context = Context::empty().with_trace(one.clone());
    // What is kept of a trace goes with it and not with others, whatever else is said beside it.
    for _ in 0..2 {
        assert_eq!(see(&context), of(&one));
        assert_eq!(see(&context.with_trace(two.clone())), of(&two));
        assert_eq!(see(&context.with_timeout(PATIENCE)), of(&one));
        assert_eq!(see(&Context::empty()), nothing);
        assert_eq!(see(&Context::empty().with_timeout(PATIENCE)), nothing);
    }
    let recorded = TraceContext::new_root(true);
    let seen = see(&context.with_trace(recorded.clone()));
    assert!(
        seen.iter()
            .all(|(trace, _, sampled)| *trace == recorded.trace_id().as_u128() && *sampled)
    );
    // Each handling's own span, before and after the await.
    assert!(seen[0] == seen[3] && seen[1] == seen[2] && seen[0] != seen[1]);
    assert_eq!(see(&context), of(&one));
    finish(system);
}

/// Serves until it is told to end, with spans that wait for much longer than that.
#[cfg(unix)]
fn serve_until_told(url: &str) -> ! {
    let system = system(PATIENCE);
    let patient = options(url).batches(10_000, 10_000, Duration::from_secs(3600));
    let export = system.export_otlp(patient).unwrap();
    say(&system, 1000);
    std::thread::spawn(|| {
        wait_until("signals are listened to", || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))
                .and_then(|caught| u64::from_str_radix(caught.trim(), 16).ok());
            caught.is_some_and(|caught| caught & 1 << (libc::SIGTERM - 1) != 0)
        });
        println!("child is ready");
    });
    let report = system.run_until_terminated(PATIENCE).unwrap();
    assert!(report.is_clean(), "{report}");
    let stats = export.stats();
    assert_eq!(stats.spans_sent, 1000, "{stats:?}");
    println!("all sent");
    std::process::exit(0)
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_that_is_told_to_end_by_sigterm_sends_what_waits() {
    use std::process::{Command, Stdio};
    const ME: &str = "a_service_that_is_told_to_end_by_sigterm_sends_what_waits";
    const ROLE: &str = "ACTOR_TEST_COLLECTOR";
    if let Ok(url) = std::env::var(ROLE) {
        serve_until_told(&url);
    }
    let collector = Collector::start(&[200]);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", ME, "--nocapture"])
        .env(ROLE, &collector.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(lines.any(|line| line.contains("child is ready")));
    assert!(collector.requests("/v1/traces").is_empty());
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: a signal to a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    let said: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said:#?}");
    assert!(said.iter().any(|line| line == "all sent"), "{said:#?}");
    assert!(!collector.requests("/v1/traces").is_empty());
}
