//! A service for orders: HTTP in front, an actor per order behind, driven by its own load.
//!
//! ```text
//! cargo run --release --example orders                    # serves on 127.0.0.1:8080
//! cargo run --release --example orders -- --load          # drives itself for 10 s and checks the books
//! cargo run --release --example orders -- --load --input my.csv --seconds 30
//! cargo run --release --example orders -- --load --console          # ten minutes of it, to look at on 127.0.0.1:9600
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `orders/order.rs` | what an order is, and which are accepted |
//! | `orders/actors.rs` | the actors: the book, the orders, the payments desks |
//! | `orders/bank.rs` | something slow to call |
//! | `orders/console.rs` | the options of the console |
//! | `orders/http.rs` | routes, a context per request, errors as HTTP statuses |
//! | `orders/input.rs` | orders from a CSV file |
//! | `orders/load.rs` | the clients |

#[path = "orders/actors.rs"]
mod actors;
#[path = "orders/bank.rs"]
mod bank;
#[path = "orders/console.rs"]
mod console;
#[path = "orders/http.rs"]
mod http;
#[path = "orders/input.rs"]
mod input;
#[path = "orders/load.rs"]
mod load;
#[path = "orders/order.rs"]
mod order;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Topology;
use actor_core::{ShutdownReport, SpawnError, termination};
use axum::serve::ListenerExt;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use actors::{Orders, POISON, Payments};
use console::ConsoleOptions;
use http::App;
use input::Input;
use load::{Outcome, Plan};

/// A service for orders over HTTP: one actor per order, spread over the NUMA nodes.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen [default: 127.0.0.1:8080, with --load a free port of 127.0.0.1]
    #[arg(long, value_name = "IP:PORT")]
    addr: Option<SocketAddr>,

    /// Drive the service over HTTP, print what came of it, and exit; 1 if the books are wrong
    #[arg(long)]
    load: bool,

    /// Orders to place, a CSV file of order_id,customer,item,quantity,price_cents [default: the sample]
    #[arg(long, value_name = "FILE", requires = "load")]
    input: Option<PathBuf>,

    /// How long to drive, 1 to 86400 [default: 10, with --console 600]
    #[arg(long, value_name = "N", requires = "load",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,

    /// How many connections to drive, 1 to 4096
    #[arg(long, value_name = "N", requires = "load", default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,

    #[command(flatten)]
    console: ConsoleOptions,
}

/// How long what was accepted may take after the end was asked for.
const GRACE: Duration = Duration::from_secs(5);
/// Enough for 64 payments of 1 to 5 ms at a time.
const DESKS: usize = 64;

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = start_log(&options).and_then(|()| run(&options));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("orders: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    // Before anything runs: a wrong file is the most likely mistake.
    let input = options
        .load
        .then(|| Input::open(&options.input_path()))
        .transpose()?;
    shorten_poison_panics(options.load);

    let system = start_system(options)?;
    let console = options.console.start(&system, None)?;
    let server = Server::start(&system, options.addr())?;
    let outcome = match input {
        Some(input) => {
            let plan = Plan {
                server: server.address,
                duration: Duration::from_secs(options.seconds()),
                connections: options.connections.into(),
                input,
            };
            println!(
                "driving http://{} with {} connections for {} s",
                plan.server,
                plan.connections,
                options.seconds()
            );
            Some(drive(plan)?)
        }
        None => {
            server.print_what_to_try();
            let signal = system.block_on(termination())?;
            println!("{signal}: finishing what was accepted");
            None
        }
    };
    server.stop(&system);
    if let Some(console) = console {
        system.block_on(console.shutdown(GRACE));
    }
    let handle = system.handle();
    let report = system.shutdown_blocking(GRACE);
    Ok(print_books(&report, handle, outcome.as_ref()))
}

impl Options {
    /// Who looks at it needs some time.
    fn seconds(&self) -> u64 {
        let default = if self.console.console.is_some() {
            600
        } else {
            10
        };
        self.seconds.unwrap_or(default)
    }

    fn addr(&self) -> SocketAddr {
        let port = if self.load { 0 } else { 8080 };
        self.addr
            .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into())
    }

    fn input_path(&self) -> PathBuf {
        self.input.clone().unwrap_or_else(input::sample)
    }
}

/// The log of the runtime, on stderr: warnings and errors, or what `RUST_LOG` says.
fn start_log(options: &Options) -> Result<(), Box<dyn Error>> {
    // Under load some hundred orders fail on purpose, each with an error of the runtime. Of those the
    // panic hook shows the first; everything else the runtime has to say is shown.
    let default = if options.load {
        "warn,actor_core::cell::life=off"
    } else {
        "warn"
    };
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| default.to_owned());
    let filter: Targets = wanted.parse().map_err(|error| {
        format!(
            "RUST_LOG={wanted}: {error}; write levels per target, such as warn,actor_core=debug"
        )
    })?;
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(io::stderr))
        .with(filter)
        .try_init()?;
    Ok(())
}

/// A poison is no news: one line for each of the first three instead of a message and a backtrace, and
/// without load none, since the runtime logs each failure. Other panics are printed as ever.
fn shorten_poison_panics(load: bool) {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let other = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        let Some(text) = text.filter(|text| text.starts_with(POISON)) else {
            return other(panic);
        };
        // Relaxed: a number to count to three.
        match SEEN.fetch_add(1, Ordering::Relaxed) {
            0 | 1 if load => eprintln!("panicked on purpose: {text}"),
            2 if load => {
                eprintln!("panicked on purpose: {text}; from here on these are only counted")
            }
            _ => {}
        }
    }));
}

/// One reactor thread for two CPUs: as much of the work is sockets as is actors.
fn start_system(options: &Options) -> Result<ActorSystem, Box<dyn Error>> {
    let topology = Topology::detect()?;
    let cpus = thread::available_parallelism()?.get();
    let per_node = cpus / 2 / topology.numa_nodes().len().max(1);
    Ok(ActorSystem::builder()
        .topology(topology)
        .reactor_threads(per_node.clamp(1, 32))
        .tracing(options.console.tracing())
        .build()?)
}

/// The service as it listens.
struct Server {
    address: SocketAddr,
    serving: JoinHandle<io::Result<()>>,
    stop: oneshot::Sender<()>,
}

impl Server {
    fn start(system: &ActorSystem, address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let listener =
            system.block_on(TcpListener::bind(address)).map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => format!(
                    "{address} is taken by another program; choose another with --addr, such as \
                     --addr {}:0 for any free port",
                    address.ip()
                ),
                ErrorKind::PermissionDenied => format!(
                    "{address}: not permitted; ports below 1024 are for root, choose another with --addr"
                ),
                _ => format!("cannot listen on {address}: {error}"),
            })?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            eprintln!(
                "orders: warning: {address} can be reached from other machines, without any login"
            );
        }
        let orders = system.block_on(spawn_actors(system))?;
        // An answer is written at once, not when there is more to send.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                eprintln!("orders: a connection without TCP_NODELAY: {error}");
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = http::routes(App {
            system: system.handle(),
            orders,
        });
        let serving = system.tokio().spawn(
            axum::serve(listener, routes)
                .with_graceful_shutdown(async { _ = stopped.await })
                .into_future(),
        );
        Ok(Self {
            address,
            serving,
            stop,
        })
    }

    fn print_what_to_try(&self) {
        let address = self.address;
        let order =
            r#"{"order_id":"A1","customer":"Ada","item":"teapot","quantity":2,"price_cents":2450}"#;
        println!("orders: http://{address} (Ctrl-C ends it); try, from another terminal:");
        println!("  curl -H 'content-type: application/json' -d '{order}' http://{address}/orders");
        println!("  curl -X POST http://{address}/orders/A1/pay");
        println!(
            "  curl -X POST http://{address}/orders/A1/poison; curl http://{address}/orders/A1"
        );
    }

    /// Takes no new connections and lets the requests under way end.
    fn stop(self, system: &ActorSystem) {
        // The receiver is gone if the server has ended by itself, which is told below.
        let _ = self.stop.send(());
        match system.block_on(async { tokio::time::timeout(GRACE, self.serving).await }) {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => eprintln!("orders: the server failed: {error}"),
            Ok(Err(error)) => eprintln!("orders: the server failed: {error}"),
            Err(_) => {
                eprintln!("orders: requests were cut off, {GRACE:?} after the end was asked for")
            }
        }
    }
}

async fn spawn_actors(system: &ActorSystem) -> Result<ActorRef<Orders>, Box<dyn Error>> {
    let bank = bank::open().await?;
    let desks: Result<Arc<[_]>, SpawnError> = (0..DESKS)
        .map(|_| system.spawn(move || Payments::new(bank)))
        .collect();
    let desks = desks?;
    Ok(system
        .actor(move || Orders::new(desks.clone()))
        .name("orders")
        .spawn()?)
}

/// On a tokio runtime of its own: the clients are another program, in all but name.
fn drive(plan: Plan) -> io::Result<Outcome> {
    let clients = tokio::runtime::Builder::new_multi_thread()
        .thread_name("client")
        .worker_threads((thread::available_parallelism()?.get() / 2).clamp(1, 16))
        .enable_all()
        .build()?;
    clients.block_on(load::drive(plan, async {
        match termination().await {
            Ok(signal) => eprintln!("{signal}: ending early"),
            Err(error) => {
                eprintln!("orders: Ctrl-C will not end it early: {error}");
                std::future::pending().await
            }
        }
    }))
}

/// Prints the law of conservation with its numbers, and how the load went.
fn print_books(report: &ShutdownReport, system: SystemRef, outcome: Option<&Outcome>) -> ExitCode {
    let stats = system.stats();
    if let Some(outcome) = outcome {
        println!("{outcome}");
        println!(
            "restarts survived: {} ({} poison requests)",
            stats.actors.restarts, outcome.tally.poisons
        );
    }
    println!("{report}");
    let holds = report.conservation.holds_at_rest();
    println!("law holds: {}", if holds { "yes" } else { "no" });
    let worked = outcome.is_none_or(|outcome| outcome.successes() > 0);
    if !worked {
        eprintln!("orders: no request succeeded");
    }
    if holds && worked {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
