//! Draws the machine as the runtime sees it and where its workers are pinned, then starts a system there
//! and tells where its actors ran.
//!
//! ```text
//! cargo run --example topology
//! cargo run --example topology -- --plan
//! cargo run --example topology -- --pretend 2x4 --workers 6 --verify
//! cargo run --example topology -- --live --seconds 10
//! cargo run --example topology --features actor-core/hwloc -- --source hwloc
//! ```

#[path = "topology/live.rs"]
mod live;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use actor_core::id::{CpuId, NumaNodeId};
use actor_core::prelude::*;
use actor_core::topology::{
    PinError, Seat, Source, Topology, TopologyError, Workers, affinity, cpu_list, plan,
};

const USAGE: &str = "\
Draws the machine as the runtime sees it, where its workers would be pinned, and where actors run.

Usage: topology [OPTIONS]

  --pretend SHAPE        a machine that does not exist: NODESxCPUS[+MEMORY][@DISTANCE], such as 2x4
  --sysfs DIR            a recorded tree below DIR instead of the running machine
  --source sysfs|hwloc   ask only the kernel, or only hwloc (default: as a system would)
  --workers N            so many workers (default: one per CPU, within the CPU quota)
  --plan                 only draw, start nothing (so it is with --sysfs: that is another machine)
  --verify               pin a thread per worker and ask the kernel where it runs
  --live                 run a load and print its figures by NUMA node, each second
  --seconds N            end --live after so long (default: at Ctrl-C)
  --actors N             so many actors for --live, 1 to 1000000 (default: 4096)
  --help                 this text

The environment variable ACTOR_TOPOLOGY pretends a machine too, where no option says otherwise.";

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("topology: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read us has seen enough (`| head`).
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("topology: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether everything that was to be verified is so.
fn run(options: &Options, out: &mut impl Write) -> Result<bool, Box<dyn Error>> {
    let machine = options.machine()?;
    write!(out, "{machine}")?;

    let seats = plan(&machine, options.workers)?;
    let plural = if seats.len() == 1 { "" } else { "s" };
    writeln!(out, "\n{} worker{plural}", seats.len())?;
    for (numa, seats) in by_numa_node(&seats) {
        let workers = cpu_list::format(seats.iter().map(|seat| seat.worker.0.into()));
        let cpus = cpu_list::format(seats.iter().filter_map(|seat| seat.cpu).map(|cpu| cpu.0));
        let cpus = if cpus.is_empty() {
            "not pinned".to_owned()
        } else {
            format!("pinned to cpus {cpus}")
        };
        writeln!(out, "  {numa}: workers {workers}, {cpus}")?;
    }

    if options.live {
        let show = live::Show {
            seconds: options.seconds,
            actors: options.actors.unwrap_or(4096),
        };
        live::run(machine, options.workers, show, out)?;
        return Ok(true);
    }
    if !options.plan && options.sysfs.is_none() {
        run_system(machine.clone(), options.workers, out)?;
    }
    if !options.verify {
        return Ok(true);
    }
    writeln!(out, "\npinning a thread per worker")?;
    // A pretended NUMA node is near nothing real, and a recorded tree is another machine's.
    let near_counts = machine.source() != Source::Pretend && options.sysfs.is_none();
    let mut all_right = true;
    for seat in &seats {
        // One after the other, each in a thread of its own: a pin cannot outlive the check.
        let outcome = thread::scope(|scope| scope.spawn(|| verify(seat, near_counts)).join());
        let outcome = outcome.map_err(|_| "the thread that was to be pinned panicked")?;
        let verdict = match &outcome {
            Outcome::Pinned => "ok".to_owned(),
            Outcome::Unpinned => "ok, not to be pinned".to_owned(),
            Outcome::Refused(error) => format!("refused: {error}"),
            Outcome::Failed(why) => format!("FAILED: {why}"),
        };
        let cpu = seat
            .cpu
            .map_or_else(|| "-".to_owned(), |cpu| cpu.to_string());
        writeln!(
            out,
            "  {} of {} on {cpu}: {verdict}",
            seat.worker, seat.numa_node
        )?;
        all_right &= !matches!(outcome, Outcome::Failed(_));
    }
    Ok(all_right)
}

/// Says where it is.
#[derive(Actor)]
#[actor(placement = spread)]
struct Resident;

#[messages]
impl Resident {
    #[message]
    fn home(&self, cx: &ActorContext<Self>) -> (NumaNodeId, String) {
        let thread = thread::current();
        (cx.numa_node(), thread.name().unwrap_or("?").to_owned())
    }
}

/// Actors spread over the NUMA nodes, some of them stolen by idle workers.
const RESIDENTS: usize = 1000;

/// Starts a system on the machine, asks actors where they are, and checks the books.
fn run_system(
    machine: Topology,
    workers: Workers,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let system = ActorSystem::builder()
        .topology(machine)
        .workers(workers)
        .build()?;
    let mut homes = BTreeMap::<_, usize>::new();
    for _ in 0..RESIDENTS {
        let resident = system.spawn(Resident)?;
        *homes.entry(resident.home().blocking()?).or_default() += 1;
    }
    writeln!(
        out,
        "\na running system: {RESIDENTS} actors, each asked once"
    )?;
    for ((home, thread), count) in homes {
        writeln!(out, "  {count} of {home} answered on thread {thread}")?;
    }
    for (worker, why) in system.pin_failures() {
        writeln!(out, "  {worker} is not pinned: {why}")?;
    }
    writeln!(out, "{}", system.stats())?;
    let report = system.shutdown_blocking(Duration::from_secs(5));
    writeln!(out, "{report}")?;
    if report.conservation.holds_at_rest() {
        Ok(())
    } else {
        Err("the books do not balance".into())
    }
}

enum Outcome {
    Pinned,
    Unpinned,
    Refused(PinError),
    Failed(String),
}

/// Pins the calling thread and asks the kernel, by its mask and by where it runs.
fn verify(seat: &Seat, near_counts: bool) -> Outcome {
    let Some(cpu) = seat.cpu else {
        return Outcome::Unpinned;
    };
    if let Err(error) =
        affinity::pin_current_thread(cpu, affinity::process_cpus().unwrap_or_default())
    {
        return Outcome::Refused(error);
    }
    match affinity::current_thread_cpus() {
        Ok(mask) if mask == [cpu] => {}
        Ok(mask) => {
            let mask = cpu_list::format(mask.into_iter().map(|CpuId(cpu)| cpu));
            return Outcome::Failed(format!("its mask is {mask}"));
        }
        Err(error) => return Outcome::Failed(format!("its mask is unknown: {error}")),
    }
    let Some((runs_on, near)) = affinity::current_cpu() else {
        return Outcome::Failed("where it runs is unknown".to_owned());
    };
    if runs_on != cpu {
        return Outcome::Failed(format!("it runs on {runs_on}"));
    }
    if near_counts && near != seat.numa_node {
        return Outcome::Failed(format!("it runs near {near}"));
    }
    Outcome::Pinned
}

fn by_numa_node(seats: &[Seat]) -> BTreeMap<NumaNodeId, Vec<&Seat>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for seat in seats {
        groups.entry(seat.numa_node).or_default().push(seat);
    }
    groups
}

#[derive(Default)]
struct Options {
    pretend: Option<String>,
    sysfs: Option<PathBuf>,
    source: Option<Source>,
    workers: Workers,
    plan: bool,
    verify: bool,
    live: bool,
    seconds: Option<u64>,
    actors: Option<usize>,
}

impl Options {
    /// `None` for `--help`.
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--help" | "-h" => return Ok(None),
                "--plan" => options.plan = true,
                "--verify" => options.verify = true,
                "--live" => options.live = true,
                "--seconds" => options.seconds = Some(number(&arg, &value()?, 1, 86_400)?),
                "--actors" => {
                    let actors: u64 = number(&arg, &value()?, 1, 1_000_000)?;
                    options.actors = usize::try_from(actors).ok();
                }
                "--pretend" => options.pretend = Some(value()?),
                "--sysfs" => options.sysfs = Some(value()?.into()),
                "--source" => {
                    options.source = Some(match value()?.as_str() {
                        "sysfs" => Source::Sysfs,
                        "hwloc" => Source::Hwloc,
                        other => return Err(format!("--source is sysfs or hwloc, not `{other}`")),
                    });
                }
                "--workers" => {
                    let value = value()?;
                    let count = value.parse().map_err(|_| {
                        format!("--workers needs a number of 1 to 4096, not `{value}`")
                    })?;
                    options.workers = Workers::Count(count);
                }
                _ => return Err(format!("unknown argument `{arg}`")),
            }
        }
        if options.pretend.is_some() && (options.sysfs.is_some() || options.source.is_some()) {
            return Err("--pretend goes with neither --sysfs nor --source".to_owned());
        }
        if options.live && (options.plan || options.verify || options.sysfs.is_some()) {
            return Err("--live goes with none of --plan, --verify and --sysfs".to_owned());
        }
        if !options.live && (options.seconds.is_some() || options.actors.is_some()) {
            return Err("--seconds and --actors are for --live".to_owned());
        }
        Ok(Some(options))
    }

    fn machine(&self) -> Result<Topology, TopologyError> {
        if let Some(shape) = &self.pretend {
            return Topology::pretend(shape);
        }
        let root = self.sysfs.clone().unwrap_or_else(|| PathBuf::from("/"));
        match (self.source, &self.sysfs) {
            (Some(Source::Hwloc), _) => Topology::from_hwloc(&root),
            (Some(_), _) | (None, Some(_)) => Topology::from_sysfs(&root),
            (None, None) => Topology::detect(),
        }
    }
}

fn number(arg: &str, value: &str, least: u64, most: u64) -> Result<u64, String> {
    let parsed = value.parse().ok();
    parsed
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("{arg} needs a number of {least} to {most}, not `{value}`"))
}
