//! One peer: by hand, or told what to do over stdin by the process that tells the story.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::termination;
use actor_net::cluster::{Bootstrap, Cluster, Seeds, Status};
use actor_net::membership::{MemberEvent, MembershipSettings};
use actor_net::transport::{Mtls, Security};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::Options;
use crate::drive::Driver;
use crate::entity::{self, Desk};
use crate::keys::{self, CLUSTER_NAME};
use crate::order::Placed;
use crate::talk::{Books, Ended, Order, Sight, Tally, Wire, Word};

/// How long leaving may take, and after that what was accepted.
const GRACE: Duration = Duration::from_secs(10);
/// How often a driven peer tells what came of its asks.
const TELL_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(
    options: &Options,
    listen: SocketAddr,
    orders: Arc<[Placed]>,
) -> Result<ExitCode, Box<dyn Error>> {
    // Several peers on one machine are not to be pinned to the same CPUs.
    let system = ActorSystem::builder()
        .pinning(!options.driven)
        .tracing(options.console.tracing())
        .build()?;
    let desk = Arc::new(Desk::default());
    let cluster = system.block_on(start(options, listen, &system, &desk))?;
    options.console.start(&system, Some(&cluster))?;
    let peer = Peer {
        driver: Driver::new(
            cluster.clone(),
            orders,
            Duration::from_millis(options.deadline),
            options.rate,
        ),
        cluster,
        desk,
    };
    let outcome = system.block_on(async {
        let outcome = match options.driven {
            true => peer.be_driven().await,
            false => peer.by_hand(options).await,
        };
        peer.cluster.leave(GRACE).await;
        outcome
    });
    let tally = peer.driver.tally();
    let report = system.shutdown_blocking(GRACE);
    let ended = Ended {
        report: report.conservation.to_string(),
        holds: report.conservation.holds_at_rest(),
        is_clean: report.is_clean(),
    };
    let holds = ended.holds && tally.offered == tally.answers() + tally.failures();
    if options.driven {
        say(&Word::Ended(ended));
    } else {
        println!("asks: {}", line_of(&tally));
        println!("{report}");
        println!("law holds: {}", if holds { "yes" } else { "no" });
    }
    if !outcome? && let Some(key) = &options.key {
        keys::remove(key);
    }
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn start(
    options: &Options,
    listen: SocketAddr,
    system: &ActorSystem,
    desk: &Arc<Desk>,
) -> Result<Cluster, Box<dyn Error>> {
    let mut builder = Cluster::builder(system.handle(), "orders")
        .listen(listen)
        .security(security(options))
        .entity(entity::orders(desk.clone()));
    let mut seeds = Seeds::none();
    for endpoint in &options.join {
        seeds = seeds.endpoint(endpoint.clone());
    }
    if let Some(name) = &options.join_dns {
        seeds = seeds.dns(name.clone());
    }
    if let Some(path) = &options.seed_file {
        seeds = seeds.file(path);
    }
    builder = builder.seeds(seeds);
    if let Some(name) = &options.name {
        builder = builder.peer(name);
    }
    if let Some(endpoint) = &options.advertise {
        builder = builder.advertise(endpoint.clone());
    }
    for role in &options.role {
        builder = builder.role(role);
    }
    if options.driven {
        builder = builder.membership(quick());
    } else if let Some(peers) = options.peers {
        builder = builder.bootstrap(Bootstrap::Expect(peers));
    }
    let cluster = builder.start().await?;
    desk.opens_at(cluster.peer().as_str());
    Ok(cluster)
}

/// For a story of some seconds on one machine; the defaults wait longer before they take a peer for gone.
fn quick() -> MembershipSettings {
    let mut settings = MembershipSettings::default();
    settings.probe_interval = Duration::from_millis(500);
    settings.probe_timeout = Duration::from_millis(250);
    settings.reconnect_grace = Duration::from_millis(500);
    settings.stable_after = Duration::from_secs(2);
    settings
}

fn security(options: &Options) -> Security {
    match (&options.key_file, &options.ca, &options.cert, &options.key) {
        (Some(file), ..) => Security::shared_key_file(file),
        (_, Some(ca), Some(certificate), Some(key)) => {
            Security::mtls(Mtls::new(ca, certificate, key).cluster_name(CLUSTER_NAME))
        }
        _ => Security::insecure(),
    }
}

struct Peer {
    cluster: Cluster,
    driver: Driver,
    desk: Arc<Desk>,
}

impl Peer {
    /// Until it is told to leave, or nobody is there to tell it; whether it was told.
    async fn be_driven(&self) -> Result<bool, Box<dyn Error>> {
        let mut orders = listen_to_stdin()?;
        let mut views = self.cluster.views();
        let mut ticks = tokio::time::interval(TELL_EVERY);
        let mut ends = std::pin::pin!(termination());
        say(&Word::Listens(self.cluster.local_addr()));
        say(&Word::Sees(Sight::of(&views.latest())));
        let was_told = loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Sweep) => {
                        let driver = self.driver.clone();
                        tokio::spawn(async move {
                            let swept = driver.sweep().await;
                            say(&Word::Asked(driver.tally()));
                            say(&Word::Swept(swept));
                        });
                    }
                    Some(Order::Drive) => {
                        let driver = self.driver.clone();
                        tokio::spawn(async move { driver.drive().await });
                    }
                    Some(Order::Rest) => {
                        let driver = self.driver.clone();
                        tokio::spawn(async move {
                            driver.rest().await;
                            say(&Word::Rests(driver.tally()));
                        });
                    }
                    Some(Order::Leave) => break true,
                    None => break false,
                },
                Some(view) = views.changed() => say(&Word::Sees(Sight::of(&view))),
                _ = ticks.tick() => {
                    say(&Word::Asked(self.driver.tally()));
                    say(&Word::Books(self.books().await));
                }
                signal = &mut ends => {
                    _ = signal?;
                    break true;
                }
            }
        };
        self.driver.rest().await;
        Ok(was_told)
    }

    async fn books(&self) -> Books {
        let kinds = self.cluster.entities().await;
        Books {
            handled: self.desk.handled(),
            shards: kinds.iter().map(|kind| kind.shards).sum(),
            entities: kinds.iter().map(|kind| kind.entities).sum(),
            wire: self
                .cluster
                .stats()
                .map_or_else(Wire::default, |stats| Wire::of(&stats)),
        }
    }

    /// Until Ctrl-C or SIGTERM.
    async fn by_hand(&self, options: &Options) -> Result<bool, Box<dyn Error>> {
        let mut ends = std::pin::pin!(termination());
        let (mut events, mut statuses) = (self.cluster.events(), self.cluster.statuses());
        let ready = Ready::new(options);
        let began = Instant::now();
        println!(
            "{} of cluster {} listens on {}, {}; Ctrl-C leaves",
            self.cluster.peer(),
            self.cluster.cluster(),
            self.cluster.local_addr(),
            match security(options).mode() {
                actor_net::transport::Mode::Insecure => "without keys".to_owned(),
                mode => format!("{mode:?}"),
            }
        );
        if options.load {
            let driver = self.driver.clone();
            tokio::spawn(async move { driver.drive().await });
        }
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let mut before = Tally::default();
        statuses.latest();
        loop {
            ready.look(&self.cluster)?;
            tokio::select! {
                event = events.recv() => match event {
                    Ok(MemberEvent { member, change, .. }) => println!(
                        "{:>7.1} s  {} {change:?}; {}",
                        began.elapsed().as_secs_f32(), member.peer(), Sight::of(&self.cluster.view())
                    ),
                    Err(RecvError::Lagged(missed)) => println!("{missed} events missed: {}", self.cluster.view()),
                    Err(RecvError::Closed) => return Err("the cluster is over".into()),
                },
                Some(status) = statuses.changed() => {
                    println!("{:>7.1} s  {status}", began.elapsed().as_secs_f32());
                    if let Status::Ended { why } = status {
                        return Err(format!("this peer takes no part any more: {why}").into());
                    }
                }
                _ = seconds.tick(), if options.load => {
                    let now = self.driver.tally();
                    println!("{:>7.1} s  {}", began.elapsed().as_secs_f32(), line_of(&since(&before, &now)));
                    before = now;
                }
                signal = &mut ends => {
                    println!("{}: leaving", signal?);
                    break;
                }
            }
        }
        drop(ready);
        self.driver.rest().await;
        Ok(true)
    }
}

/// A file that is there while this peer can be of use.
struct Ready<'a> {
    file: Option<&'a std::path::Path>,
    peers: usize,
}

impl<'a> Ready<'a> {
    fn new(options: &'a Options) -> Self {
        Self {
            file: options.ready_file.as_deref(),
            peers: options.peers.map_or(1, usize::from),
        }
    }

    fn look(&self, cluster: &Cluster) -> Result<(), String> {
        let Some(file) = self.file else { return Ok(()) };
        let enough = cluster.view().up().count() > self.peers / 2;
        let is_ready = enough && matches!(cluster.status(), Status::Running { .. });
        let done = match is_ready {
            true => fs::write(file, b""),
            false => fs::remove_file(file).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        };
        done.map_err(|error| format!("--ready-file {}: {error}", file.display()))
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file {
            // It may not be there.
            _ = fs::remove_file(file);
        }
    }
}

/// What has been added.
pub(crate) fn since(before: &Tally, now: &Tally) -> Tally {
    let less = |now: &std::collections::BTreeMap<String, u64>,
                before: &std::collections::BTreeMap<String, u64>| {
        let added = now
            .iter()
            .map(|(key, n)| (key.clone(), n - before.get(key).unwrap_or(&0)));
        added.filter(|(_, n)| *n > 0).collect()
    };
    Tally {
        offered: now.offered - before.offered,
        answered: less(&now.answered, &before.answered),
        failed: less(&now.failed, &before.failed),
        placed: now.placed - before.placed,
    }
}

/// A tally in a line.
pub(crate) fn line_of(tally: &Tally) -> String {
    let list = |counts: &std::collections::BTreeMap<String, u64>| {
        let each: Vec<_> = counts.iter().map(|(key, n)| format!("{n} {key}")).collect();
        each.join(", ")
    };
    let mut line = format!("{} answered", tally.answers());
    if tally.answers() > 0 {
        line += &format!(" ({})", list(&tally.answered));
    }
    if tally.failures() > 0 {
        line += &format!(", {} failed ({})", tally.failures(), list(&tally.failed));
    }
    if tally.placed > 0 {
        line += &format!(", {} of them newly placed", tally.placed);
    }
    line
}

/// A line to the story. When that is gone, standard input ends too, and so does this process.
fn say(word: &Word) {
    let line = serde_json::to_string(word).expect("words are plain data");
    let mut out = io::stdout().lock();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// On a thread, which ends with the process: a read of standard input cannot be given up.
fn listen_to_stdin() -> io::Result<mpsc::UnboundedReceiver<Order>> {
    let (tell, orders) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("orders".to_owned())
        .spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                match serde_json::from_str(&line) {
                    Ok(order) => _ = tell.send(order),
                    Err(error) => eprintln!("cluster: {line:?} is no order: {error}"),
                }
            }
        })?;
    Ok(orders)
}
