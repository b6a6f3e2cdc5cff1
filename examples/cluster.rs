//! A cluster: some peers, ten thousand entities, a load with deadlines, and a peer that is killed under it.
//!
//! ```text
//! cargo run --release --example cluster              # three peers as processes of their own; kills one; ends by itself
//! cargo run --release --example cluster -- --quick   # the same with a tenth of the entities
//!
//! cargo run --release --example cluster -- --listen 127.0.0.1:4710 --name one             # a peer by hand,
//! cargo run --release --example cluster -- --listen 127.0.0.1:4711 --name two --join 127.0.0.1:4710 --load   # another
//! # ... and --console=127.0.0.1:0 with either, to look at it
//! ```
//!
//! Entities live in memory: what the killed peer had is gone, and its orders are placed anew on the others by the
//! next ask. A service would write them to a store, with the epoch beside (`docs/cluster.md`).
//!
//! | file | what is in it |
//! |---|---|
//! | `cluster/entity.rs` | the entity: an order by its number |
//! | `cluster/drive.rs` | asks with deadlines, and what came of them |
//! | `cluster/peer.rs` | one peer: by hand, or told what to do by the story |
//! | `cluster/story.rs` | starts the peers, kills one, tells what it sees |
//! | `cluster/process.rs` | the processes, and what they say |
//! | `cluster/talk.rs` | what the story and the peers say to each other |
//! | `cluster/books.rs` | the law of conservation over all peers |
//! | `cluster/keys.rs` | a certificate for each peer, made for this run |

#[path = "cluster/books.rs"]
mod books;
#[path = "orders/console.rs"]
mod console;
#[path = "cluster/drive.rs"]
mod drive;
#[path = "cluster/entity.rs"]
mod entity;
#[path = "orders/input.rs"]
mod input;
#[path = "cluster/keys.rs"]
mod keys;
#[path = "orders/order.rs"]
mod order;
#[path = "cluster/peer.rs"]
mod peer;
#[path = "cluster/process.rs"]
mod process;
#[path = "cluster/story.rs"]
mod story;
#[path = "cluster/talk.rs"]
mod talk;

use std::collections::HashSet;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use actor_net::transport::Endpoint;
use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use console::ConsoleOptions;
use input::{Input, Line};
use order::Placed;

/// Peers that share orders by their numbers. Without --listen it starts three, kills one under load, and says what
/// became of everything; with --listen it is one peer.
#[derive(Debug, Parser)]
struct Options {
    /// How many peers: to start (3 to 9), or, with --listen, to wait for before a first cluster is founded (1 to 99)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    peers: Option<u16>,

    /// Orders, a CSV file of order_id,customer,item,quantity,price_cents [default: the sample]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// How many orders of the file, each an entity, 1 to 1000000 [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    entities: Option<u32>,

    /// Asks per second of each peer that drives, 1 to 100000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,

    /// How long an ask may take, in ms, 1 to 60000
    #[arg(long, value_name = "MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    deadline: u64,

    /// A tenth of the entities and a shorter load
    #[arg(long, conflicts_with = "listen")]
    quick: bool,

    /// Be one peer, and listen here; beyond loopback only with keys
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,

    /// This peer's name, unique in the cluster [default: the host's name and the port]
    #[arg(long, value_name = "NAME", requires = "listen")]
    name: Option<String>,

    /// Peers to ask first; several with commas
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        requires = "listen"
    )]
    join: Vec<Endpoint>,

    /// A name that the DNS has the addresses of peers for
    #[arg(long, value_name = "HOST:PORT", requires = "listen")]
    join_dns: Option<Endpoint>,

    /// A file with a HOST:PORT a line of peers to ask first
    #[arg(long, value_name = "FILE", requires = "listen")]
    seed_file: Option<PathBuf>,

    /// Where others reach this peer, if not where it listens
    #[arg(long, value_name = "HOST:PORT", requires = "listen")]
    advertise: Option<Endpoint>,

    /// What it is good for, for others to see; may be said several times
    #[arg(long, value_name = "ROLE", requires = "listen")]
    role: Vec<String>,

    /// The key that all peers share: a file with what `openssl rand -hex 32` prints, mode 600
    #[arg(long, value_name = "FILE", requires = "listen", conflicts_with_all = ["ca", "cert", "key"])]
    key_file: Option<PathBuf>,

    /// Certificates instead: the authority's
    #[arg(long, value_name = "FILE", requires_all = ["listen", "cert", "key"])]
    ca: Option<PathBuf>,

    /// ... this peer's, with its name and `cluster.example` in it
    #[arg(long, value_name = "FILE", requires = "ca")]
    cert: Option<PathBuf>,

    /// ... and its private key, mode 600
    #[arg(long, value_name = "FILE", requires = "ca")]
    key: Option<PathBuf>,

    /// Exists while this peer takes part and sees more than half of --peers: for a readiness probe
    #[arg(long, value_name = "FILE", requires = "listen")]
    ready_file: Option<PathBuf>,

    /// Ask for orders all the time, and print what comes of it
    #[arg(long, requires = "listen")]
    load: bool,

    #[command(flatten)]
    console: ConsoleOptions,

    /// Told what to do over stdin, by the process that starts the peers
    #[arg(long, hide = true, requires = "listen")]
    driven: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = start_log(&options).and_then(|()| run(&options));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    if options.console.console.is_some() && options.listen.is_none() {
        return Err("--console is for a peer by hand: say --listen too".into());
    }
    // Before anything runs: a wrong file is the most likely mistake.
    let orders = read_orders(options)?;
    match options.listen {
        Some(listen) => peer::run(options, listen, orders),
        None => story::run(options, orders.len()),
    }
}

impl Options {
    fn entities(&self) -> usize {
        let default = if self.quick { 1_000 } else { 10_000 };
        self.entities.unwrap_or(default) as usize
    }

    fn input_path(&self) -> PathBuf {
        self.input.clone().unwrap_or_else(input::sample)
    }
}

/// The first so many orders of the file, or all if it has less.
fn read_orders(options: &Options) -> Result<Arc<[Placed]>, Box<dyn Error>> {
    let path = options.input_path();
    let mut input = Input::open(&path)?;
    let (mut orders, mut numbers) = (Vec::new(), HashSet::new());
    let mut skipped = 0_u64;
    while orders.len() < options.entities() {
        match input.next()? {
            // From the second time on the file's orders get other numbers.
            Line::Order(_) if input.passes() > 0 => break,
            Line::Order(order) if numbers.insert(order.order_id.clone()) => orders.push(order),
            Line::Order(order) => {
                skipped += 1;
                if !options.driven {
                    eprintln!(
                        "order {} is there twice; the second one is skipped",
                        order.order_id
                    );
                }
            }
            Line::Malformed { line, why } => {
                skipped += 1;
                if !options.driven {
                    eprintln!("line {line} skipped: {why}");
                }
            }
            Line::End => break,
        }
    }
    if skipped > 0 && !options.driven {
        eprintln!("{skipped} lines of {} were skipped", path.display());
    }
    Ok(orders.into())
}

/// The log, on stderr: warnings and errors, or what `RUST_LOG` says. Peers of the story only say errors: that one of
/// them does not answer is known there. What the engine of the consensus says to itself is left out, unless it is asked for.
fn start_log(options: &Options) -> Result<(), Box<dyn Error>> {
    let default = if options.driven { "error" } else { "warn" };
    let mut wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| default.to_owned());
    if !wanted.contains("openraft") {
        // It says refusals that belong to an election as errors.
        wanted.push_str(",openraft=off");
    }
    let filter: Targets = wanted.parse().map_err(|error| {
        format!("RUST_LOG={wanted}: {error}; write levels per target, such as warn,actor_net=debug")
    })?;
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    tracing_subscriber::registry()
        .with(layer)
        .with(filter)
        .try_init()?;
    Ok(())
}

#[cfg(test)]
#[path = "cluster/tests.rs"]
mod tests;
