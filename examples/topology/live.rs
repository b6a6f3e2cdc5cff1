//! `--live`: a load to look at. Tokens wander among actors that live in communities, one community on one
//! NUMA node, and now and then leave it; each second the figures are printed, until the time is up or Ctrl-C.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::topology::{Topology, Workers};
use actor_core::{ActorOptions, ShutdownPhase};

/// What to show, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Show {
    /// `None`: until Ctrl-C.
    pub(crate) seconds: Option<u64>,
    pub(crate) actors: usize,
}

/// Actors of one community; one of them has a token.
const COMMUNITY: usize = 64;
/// Of a hundred hops, those that leave the community.
const LEAVING: u64 = 10;
/// Of the shutdown at the end.
const GRACE: Duration = Duration::from_secs(5);

/// A token, and where the next hops lead.
struct Hop(u64);

impl Message for Hop {
    type Reply = ();
}

/// Everybody, for who wants to send a token anywhere.
struct Acquaint(Arc<[ActorRef<Wanderer>]>);

impl Message for Acquaint {
    type Reply = ();
}

struct Wanderer {
    community: usize,
    all: Arc<[ActorRef<Self>]>,
    over: Arc<AtomicBool>,
}

impl Actor for Wanderer {
    fn options() -> ActorOptions {
        // There are no more messages than tokens.
        ActorOptions::new().mailbox(Mailbox::unbounded())
    }
}

impl SyncHandler<Acquaint> for Wanderer {
    fn handle(&mut self, Acquaint(all): Acquaint, _cx: &mut ActorContext<Self>) {
        self.all = all;
    }
}

impl SyncHandler<Hop> for Wanderer {
    fn handle(&mut self, Hop(random): Hop, _cx: &mut ActorContext<Self>) {
        if self.over.load(Ordering::Relaxed) || self.all.is_empty() {
            return;
        }
        // xorshift64, which must not start at 0.
        let mut random = random | 1;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let anywhere = random % 100 < LEAVING;
        let among = if anywhere {
            &self.all[..]
        } else {
            let end = (self.community + COMMUNITY).min(self.all.len());
            &self.all[self.community..end]
        };
        let next = among[(random >> 8) as usize % among.len()];
        // It may have stopped, at the end of the show.
        let _ = next.tell(Hop(random));
    }
}

/// Starts the load and prints until it is over.
pub(crate) fn run(
    machine: Topology,
    workers: Workers,
    show: Show,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let over = Arc::new(AtomicBool::new(false));
    let stop = over.clone();
    let system = ActorSystem::builder()
        .topology(machine)
        .workers(workers)
        .shutdown_phase(
            ShutdownPhase::new("collect the tokens")
                .before("drain-actors")
                .run(move || async move { stop.store(true, Ordering::Relaxed) }),
        )
        .build()?;
    let mut all = Vec::new();
    for index in 0..show.actors {
        let community = index / COMMUNITY * COMMUNITY;
        let wanderer = Wanderer {
            community,
            all: Arc::new([]),
            over: over.clone(),
        };
        let builder = system.actor(wanderer);
        all.push(
            builder
                .placement(Placement::Key(community as u64))
                .spawn()?,
        );
    }
    let all: Arc<[ActorRef<Wanderer>]> = all.into();
    for wanderer in all.iter() {
        wanderer.tell(Acquaint(all.clone()))?;
    }
    for (index, wanderer) in all.iter().enumerate().step_by(COMMUNITY) {
        wanderer.tell(Hop(index as u64 + 1))?;
    }
    let communities = show.actors.div_ceil(COMMUNITY);
    writeln!(
        out,
        "\n{} actors in {communities} communities, a token each; {LEAVING} % of the hops go anywhere",
        show.actors
    )?;
    let handle = system.handle();
    let report = std::thread::scope(|scope| -> Result<_, Box<dyn Error>> {
        let ended = scope.spawn(|| system.run_until_terminated(GRACE));
        let shown = print(handle, show.seconds, out);
        // Also if nobody reads us any more.
        handle.request_shutdown(GRACE)?;
        let report = ended.join().map_err(|_| "the system's thread panicked")??;
        shown?;
        Ok(report)
    })?;
    writeln!(out, "\n{report}")?;
    if report.conservation.holds_at_rest() {
        Ok(())
    } else {
        Err("the books do not balance".into())
    }
}

/// One block a second.
fn print(
    system: SystemRef,
    seconds: Option<u64>,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let (mut before, mut at) = (system.stats(), began);
    for second in 1.. {
        if seconds.is_some_and(|seconds| second > seconds) || !wait(system, at) {
            break;
        }
        let (now, this) = (system.stats(), Instant::now());
        writeln!(out, "\nsecond {second}")?;
        writeln!(out, "{}", now.numa_table_since(&before, this - at))?;
        out.flush()?;
        (before, at) = (now, this);
    }
    Ok(())
}

/// Until a second after `since`; `false` if the system is told to end before.
fn wait(system: SystemRef, since: Instant) -> bool {
    while since.elapsed() < Duration::from_secs(1) {
        if system.is_shutting_down() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    !system.is_shutting_down()
}
