//! Drives the service over real HTTP, as its clients would: keep-alive connections, one request at a
//! time on each, every answer looked at.
//!
//! Each order of the input is placed, looked at and paid; after every 500 requests or so comes a poison. The
//! orders stay for a while and are then removed, so that memory does not grow with time.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, BufReader};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, header};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::net::TcpStream;

use crate::input::{Input, Line};
use crate::order::Placed;

/// How to drive.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) server: SocketAddr,
    pub(crate) duration: Duration,
    pub(crate) connections: usize,
    pub(crate) input: Input<BufReader<File>>,
}

/// A poison after so many requests.
const POISON_EVERY: u64 = 500;
/// Orders that each connection keeps before it removes the oldest.
const ORDERS_KEPT: usize = 64;
/// Malformed lines that are printed; the rest is counted.
const MALFORMED_SHOWN: u64 = 20;
/// Longer ones are counted as so long.
const LATENCY_US_MAX: u64 = 60_000_000;

/// Drives until the time is up, the input ends or `stop` is ready.
pub(crate) async fn drive(plan: Plan, stop: impl Future<Output = ()>) -> io::Result<Outcome> {
    let bar = progress_bar(plan.duration);
    let shared = Arc::new(Shared {
        server: plan.server,
        input: Mutex::new(plan.input),
        bar: bar.clone(),
        requests: AtomicU64::new(0),
        poisons: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
    });
    let began = Instant::now();
    let drivers: Vec<_> = (0..plan.connections)
        .map(|_| tokio::spawn(Driver::new(shared.clone()).run()))
        .collect();

    let mut stop = std::pin::pin!(stop);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while began.elapsed() < plan.duration
        && !drivers.iter().all(tokio::task::JoinHandle::is_finished)
    {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = tick.tick() => {
                let elapsed = began.elapsed();
                let requests = shared.requests.load(Ordering::Relaxed);
                bar.set_position(elapsed.as_millis() as u64);
                bar.set_message(format!("{:.0} requests/s", requests as f64 / elapsed.as_secs_f64()));
            }
        }
    }
    // Relaxed: a driver that sees it one request later is no worse.
    shared.stopped.store(true, Ordering::Relaxed);
    let elapsed = began.elapsed();
    let mut total = Tally::new();
    for driver in drivers {
        total.add(driver.await.map_err(io::Error::other)??);
    }
    bar.finish_and_clear();
    let input = lock(&shared.input);
    Ok(Outcome {
        elapsed,
        tally: total,
        passes: input.passes(),
        malformed: input.malformed,
    })
}

/// Silent if stderr is no terminal.
fn progress_bar(duration: Duration) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}");
    ProgressBar::new(duration.as_millis() as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A driver that panicked while it held the lock leaves a usable reader behind.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Shared {
    server: SocketAddr,
    input: Mutex<Input<BufReader<File>>>,
    bar: ProgressBar,
    requests: AtomicU64,
    poisons: AtomicU64,
    stopped: AtomicBool,
}

impl Shared {
    /// The next valid order; the malformed lines before it are reported.
    fn next_order(&self) -> io::Result<Option<Placed>> {
        let mut input = lock(&self.input);
        loop {
            match input.next()? {
                Line::Order(order) => return Ok(Some(order)),
                Line::End => return Ok(None),
                Line::Malformed { line, why } => {
                    if input.malformed <= MALFORMED_SHOWN {
                        self.bar.suspend(|| eprintln!("line {line} skipped: {why}"));
                    } else if input.malformed == MALFORMED_SHOWN + 1 {
                        self.bar
                            .suspend(|| eprintln!("further malformed lines are only counted"));
                    }
                }
            }
        }
    }
}

/// One connection and who uses it.
struct Driver {
    shared: Arc<Shared>,
    connection: Option<SendRequest<Full<Bytes>>>,
    tally: Tally,
    kept: VecDeque<String>,
}

impl Driver {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            connection: None,
            tally: Tally::new(),
            kept: VecDeque::new(),
        }
    }

    async fn run(mut self) -> io::Result<Tally> {
        while !self.stopped() {
            let Some(order) = self.shared.next_order()? else {
                break;
            };
            self.one_order(order).await?;
        }
        Ok(self.tally)
    }

    fn stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Relaxed)
    }

    async fn one_order(&mut self, order: Placed) -> io::Result<()> {
        let path = format!("/orders/{}", order.order_id);
        let body = serde_json::to_vec(&order)?;
        if self.request(Method::POST, "/orders", body).await != Some(StatusCode::CREATED) {
            return Ok(());
        }
        self.request(Method::GET, &path, Vec::new()).await;
        self.request(Method::POST, &format!("{path}/pay"), Vec::new())
            .await;
        let poison_due = self.shared.requests.load(Ordering::Relaxed) / POISON_EVERY;
        // The first connection to come by when one is due.
        if self.shared.poisons.fetch_max(poison_due, Ordering::Relaxed) < poison_due {
            self.tally.poisons += 1;
            self.request(Method::POST, &format!("{path}/poison"), Vec::new())
                .await;
            // At the same address, and back in its first state.
            self.request(Method::GET, &path, Vec::new()).await;
        }
        self.kept.push_back(path);
        if self.kept.len() > ORDERS_KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            self.request(Method::DELETE, &oldest, Vec::new()).await;
        }
        Ok(())
    }

    /// Sends one request; `None` if there was no answer.
    async fn request(&mut self, method: Method, path: &str, body: Vec<u8>) -> Option<StatusCode> {
        let began = Instant::now();
        let answer = self.exchange(method, path, body).await;
        let micros = began.elapsed().as_micros().min(u128::from(LATENCY_US_MAX)) as u64;
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        self.tally.latency_us.saturating_record(micros.max(1));
        match answer {
            Ok(status) => {
                *self.tally.statuses.entry(status.as_u16()).or_default() += 1;
                Some(status)
            }
            Err(error) => {
                self.connection = None;
                self.tally.unanswered += 1;
                self.tally.last_error = Some(error.to_string());
                // A server that is not there would be asked as fast as the CPU goes.
                tokio::time::sleep(Duration::from_millis(10)).await;
                None
            }
        }
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            let stream = TcpStream::connect(self.shared.server).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // Its error comes out of the request as well.
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        let connection = self.connection.as_mut().ok_or("no connection")?;
        connection.ready().await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.shared.server.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-deadline-ms", "250")
            .body(Full::new(Bytes::from(body)))?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        // All of it, or the connection cannot be used again.
        response.into_body().collect().await?;
        Ok(status)
    }
}

/// What came of the requests of one connection, or of all.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Answers by HTTP status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Requests without an answer: the connection failed.
    pub(crate) unanswered: u64,
    pub(crate) last_error: Option<String>,
    /// Poisons sent.
    pub(crate) poisons: u64,
    pub(crate) latency_us: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        Self {
            statuses: BTreeMap::new(),
            unanswered: 0,
            last_error: None,
            poisons: 0,
            latency_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
                .expect("the bounds are those of the documentation"),
        }
    }

    fn add(&mut self, other: Self) {
        for (status, n) in other.statuses {
            *self.statuses.entry(status).or_default() += n;
        }
        self.unanswered += other.unanswered;
        self.poisons += other.poisons;
        self.last_error = self.last_error.take().or(other.last_error);
        self.latency_us
            .add(&other.latency_us)
            .expect("both have the same bounds");
    }
}

/// What came of a load.
#[derive(Debug)]
pub(crate) struct Outcome {
    elapsed: Duration,
    pub(crate) tally: Tally,
    passes: u64,
    malformed: u64,
}

impl Outcome {
    /// Requests that were answered with what they asked for.
    pub(crate) fn successes(&self) -> u64 {
        self.tally.statuses.range(200..300).map(|(_, n)| n).sum()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            elapsed,
            tally,
            passes,
            malformed,
        } = self;
        let latency = &tally.latency_us;
        let requests = latency.len();
        let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
        writeln!(
            f,
            "{requests} requests in {:.1} s: {:.0} requests/s",
            elapsed.as_secs_f64(),
            requests as f64 / elapsed.as_secs_f64()
        )?;
        writeln!(
            f,
            "latency: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, longest {:.2} ms",
            ms(0.5),
            ms(0.99),
            ms(0.999),
            latency.max() as f64 / 1000.0
        )?;
        write!(f, "answers:")?;
        for (i, (status, n)) in tally.statuses.iter().enumerate() {
            let name = StatusCode::from_u16(*status)
                .ok()
                .and_then(|status| status.canonical_reason());
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma} {n} x {status} {}", name.unwrap_or(""))?;
        }
        writeln!(
            f,
            "{}",
            if tally.statuses.is_empty() {
                " none"
            } else {
                ""
            }
        )?;
        if tally.unanswered > 0 {
            let last = tally.last_error.as_deref().unwrap_or("unknown");
            writeln!(f, "unanswered: {}, such as: {last}", tally.unanswered)?;
        }
        write!(
            f,
            "input: read to its end {passes} time(s), {malformed} malformed line(s) skipped"
        )
    }
}
