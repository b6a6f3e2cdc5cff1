//! All runs, as text, as a table for the docs, as CSV, and as charts.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::charts::{self, Chart};
use crate::engine;
use crate::lane::Layout;
use crate::machine::{Costs, Machine, assumptions};
use crate::options::Options;
use crate::policy::{self, Lanes, Policy};
use crate::result::Outcome;
use crate::workload::Workload;

/// One run, and what came out.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) machine: String,
    pub(crate) workload: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) outcome: Outcome,
}

struct Job {
    machine: Machine,
    workload: Workload,
    policy: Policy,
}

/// What all of the policies are compared on in small: ours, ours direct, and the three that know nothing.
const MAIN: [&str; 5] = [
    "ours",
    "ours, direct push",
    "random stealing",
    "random homes, direct push",
    "one global queue",
];

/// Runs, prints, and writes if asked to.
pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let costs = Costs {
        transfer: options.line_ns,
        ..Costs::DEFAULT
    };
    println!("Assumptions\n");
    for [what, how_much, source] in assumptions(&costs) {
        println!("  {what}: {how_much}; {source}");
    }
    let rows = rows(options, costs);
    if rows.is_empty() {
        return Err(format!("no workload is called like \"{}\"", options.workload).into());
    }
    let table = tables(&rows);
    println!("\n{table}");
    let lanes = lanes(options, costs);
    let lanes_table = lanes_table(&lanes);
    println!("{lanes_table}");
    if let Some(out) = &options.out {
        fs::create_dir_all(out)?;
        fs::write(out.join("results.csv"), csv(&rows, &lanes))?;
        let document = document(options, &costs, &table, &lanes_table);
        fs::write(out.join("model.md"), document)?;
        draw(out, &rows, &lanes)?;
    }
    Ok(())
}

/// All policies on the first machine, the main ones on the others.
pub(crate) fn rows(options: &Options, costs: Costs) -> Vec<Row> {
    let mut jobs = Vec::new();
    for (i, sockets) in options.sockets.iter().enumerate() {
        let machine = Machine::new(*sockets, options.cores_per_socket, costs);
        for workload in Workload::all(machine.cores()) {
            if !workload.name.contains(&options.workload) {
                continue;
            }
            for policy in policy::ALL {
                if i == 0 || MAIN.contains(&policy.name) {
                    jobs.push(Job {
                        machine: machine.clone(),
                        workload: workload.clone(),
                        policy,
                    });
                }
            }
        }
    }
    let is_whole = options.sockets.contains(&8) && options.cores_per_socket == 16;
    if is_whole {
        // The largest: 512 cores.
        let machine = Machine::new(8, 64, costs);
        for workload in Workload::all(machine.cores()) {
            if workload.name == "communities" && workload.name.contains(&options.workload) {
                for policy in policy::ALL
                    .iter()
                    .filter(|policy| MAIN.contains(&policy.name))
                {
                    jobs.push(Job {
                        machine: machine.clone(),
                        workload: workload.clone(),
                        policy: *policy,
                    });
                }
            }
        }
    }
    work(&jobs, options)
}

/// The 64-sender storm under each way to cross.
pub(crate) fn lanes(options: &Options, costs: Costs) -> Vec<Row> {
    let chunks = |name, entry| Policy {
        name,
        lanes: Lanes::Chunks(Layout::of(entry)),
        ..policy::OURS
    };
    let ways = [
        Policy {
            name: "direct push",
            ..policy::OURS.direct()
        },
        Policy {
            name: "lanes, linked nodes",
            ..policy::OURS
        },
        Policy {
            name: "lanes for everything",
            lanes: Lanes::Always,
            ..policy::OURS
        },
        Policy {
            name: "lanes, target unseen",
            lanes: Lanes::Unseen,
            ..policy::OURS
        },
        chunks("copied, 64 bytes", 64),
        chunks("copied, 16 bytes", 16),
    ];
    let mut jobs = Vec::new();
    for sockets in &options.sockets {
        let machine = Machine::new(*sockets, (64 / sockets).max(1), costs);
        for (burst, bursts) in [(1, 1024), (16, 64)] {
            for policy in ways {
                let mut workload = Workload::flood(burst, bursts);
                workload.name = match burst {
                    1 => "bursts of 1",
                    _ => "bursts of 16",
                };
                jobs.push(Job {
                    machine: machine.clone(),
                    workload,
                    policy,
                });
            }
        }
    }
    work(&jobs, options)
}

/// On all CPUs; the order is that of the jobs.
fn work(jobs: &[Job], options: &Options) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Row>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // Relaxed: each number is given out once, and that is all.
                while let Some((i, job)) = {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(i).map(|job| (i, job))
                } {
                    let Job {
                        machine,
                        workload,
                        policy,
                    } = job;
                    let outcome =
                        engine::run(machine, *policy, workload, options.messages, options.seed);
                    let row = Row {
                        machine: machine.to_string(),
                        workload: workload.name,
                        policy: policy.name,
                        outcome,
                    };
                    done.lock().expect("nothing panics under this lock")[i] = Some(row);
                }
            });
        }
    });
    let done = done.into_inner().expect("nothing panics under this lock");
    done.into_iter().flatten().collect()
}

fn tables(rows: &[Row]) -> String {
    let mut text = String::new();
    let same = |a: &Row, b: &Row| a.machine == b.machine && a.workload == b.workload;
    for group in rows.chunk_by(same) {
        let naive = group.iter().find(|row| row.policy == policy::NAIVE.name);
        let _ = writeln!(
            text,
            "### {}, {} (sockets x cores)\n\n\
             | policy | M msg/s | against random stealing | lines across per message | of messages | shared | \
             messages that crossed | wait p50 / p99, us | thefts near / far per 1000 | moves |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            group[0].workload, group[0].machine
        );
        for Row {
            policy, outcome, ..
        } in group
        {
            let gain = naive.map_or(1.0, |naive| outcome.throughput / naive.outcome.throughput);
            let _ = writeln!(
                text,
                "| {policy} | {:.1} | {gain:.2}x | {:.2} | {:.2} | {:.2} | {:.1} % | {:.1} / {:.1} | {:.1} / {:.1} | {} |",
                outcome.throughput,
                outcome.data,
                outcome.messages,
                outcome.shared,
                outcome.crossing,
                f64::from(outcome.p50) / 1e3,
                f64::from(outcome.p99) / 1e3,
                outcome.steals_near,
                outcome.steals_far,
                outcome.moves,
            );
        }
        text.push('\n');
    }
    text
}

fn lanes_table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| machine | storm | way | M msg/s | lines across per message | fewer | of messages | shared | fewer shared | messages per batch |\n\
         |---|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let same = |a: &Row, b: &Row| a.machine == b.machine && a.workload == b.workload;
    for group in rows.chunk_by(same) {
        let direct = &group[0].outcome;
        for Row {
            machine,
            workload,
            policy,
            outcome,
        } in group
        {
            let _ = writeln!(
                text,
                "| {machine} | {workload} | {policy} | {:.1} | {:.2} | {:.1}x | {:.2} | {:.2} | {:.1}x | {:.1} |",
                outcome.throughput,
                outcome.data,
                direct.data / outcome.data,
                outcome.messages,
                outcome.shared,
                direct.shared / outcome.shared,
                outcome.batch,
            );
        }
    }
    text
}

fn csv(rows: &[Row], lanes: &[Row]) -> String {
    let mut text = String::from(
        "machine,workload,policy,offered,handled,queued,mega_per_second,ns_per_message,lines_across,\
         message_lines,shared_lines,invalidations_across,lines_near,crossing_percent,p50_ns,p99_ns,\
         steals_near_per_1000,steals_far_per_1000,wakes_per_1000,batch,moves\n",
    );
    let storm = lanes.iter().map(|row| (row, "64 to one, "));
    for (row, prefix) in rows.iter().map(|row| (row, "")).chain(storm) {
        let Row {
            machine,
            workload,
            policy,
            outcome: o,
        } = row;
        let _ = writeln!(
            text,
            "{machine},\"{prefix}{workload}\",\"{policy}\",{},{},{},{:.3},{:.1},{:.4},{:.4},{:.4},{:.4},{:.4},{:.2},{},{},{:.2},{:.2},{:.2},{:.2},{}",
            o.offered,
            o.handled,
            o.queued,
            o.throughput,
            o.per_message,
            o.data,
            o.messages,
            o.shared,
            o.invalidations,
            o.near,
            o.crossing,
            o.p50,
            o.p99,
            o.steals_near,
            o.steals_far,
            o.wakes,
            o.batch,
            o.moves,
        );
    }
    text
}

fn document(options: &Options, costs: &Costs, table: &str, lanes: &str) -> String {
    let mut text = String::from(
        "# The NUMA model: every figure\n\n\
         Written by `cargo run --release -p benches --bin numa_model -- --out docs/numa`; what it means is in\n\
         [../numa.md](../numa.md). The same seed gives the same figures.\n\n## What is real, what is modelled\n\n\
         The rings, LIFO slots, injectors, the order of stealing, sleep and wake, placement by key, and the balancer\n\
         with its samples are the runtime's code, called step by step (feature `model` of actor-core). The turn, the\n\
         mailbox, the lanes and the magazines are followed line of cache by line of cache. Time, caches and cores\n\
         are modelled.\n\n## Assumptions\n\n| what | how much | from where |\n|---|---|---|\n",
    );
    for [what, how_much, source] in assumptions(costs) {
        let _ = writeln!(text, "| {what} | {how_much} | {source} |");
    }
    let _ = writeln!(
        text,
        "\n{} messages per run, the first quarter not counted; seed {}. Workloads:\n",
        options.messages, options.seed
    );
    for workload in Workload::all(32) {
        let _ = writeln!(text, "- {}: {}.", workload.name, workload.about);
    }
    text.push_str("\nPolicies:\n\n");
    for policy in policy::ALL {
        let _ = writeln!(text, "- {}: {}.", policy.name, policy.about);
    }
    text.push_str(WRONG);
    let _ = write!(
        text,
        "\n## Results\n\n{table}## The 64-sender storm\n\n\
         64 senders on 64 cores flood one receiver; those on its own NUMA node never cross. *Shared* lines are those of\n\
         mailboxes, lanes and queues.\n\n{lanes}"
    );
    text
}

const WRONG: &str = "
## Where it is wrong

- Links between sockets have no limit here, and memory no bandwidth. Where a real machine runs into them, what crosses costs more.
- Handlers do 20 to 500 ns of work. With more work all differences shrink.
- Loops are closed: the number of messages under way is given. Waits are those of a machine with nothing idle.
- An event is one message or one send, so two cores that fight for a line do so once per message, not at each retry; the lanes'
  rule is told of a lost race where the line was just being handed on.
- Mailboxes have no bound here, and states are not freed or moved while time is measured: the balancer has finished before.
- One worker per core, and nothing else runs. No SMT, no page faults, no TLB.
";

fn draw(out: &Path, rows: &[Row], lanes: &[Row]) -> Result<(), Box<dyn Error>> {
    let Some(first) = rows.first().map(|row| row.machine.clone()) else {
        return Ok(());
    };
    let of_first: Vec<&Row> = rows.iter().filter(|row| row.machine == first).collect();
    let by_workload = |value: fn(&Outcome) -> f64| {
        let same = |a: &&Row, b: &&Row| a.workload == b.workload;
        let groups = of_first.chunk_by(same).map(|group| {
            let values = MAIN
                .iter()
                .filter_map(|name| group.iter().find(|row| row.policy == *name))
                .map(|row| value(&row.outcome));
            (group[0].workload.to_owned(), values.collect())
        });
        groups.collect::<Vec<(String, Vec<f64>)>>()
    };
    charts::draw(
        &out.join("throughput.svg"),
        &Chart {
            title: &format!("Millions of messages per second, {first} cores (more is better)"),
            series: &MAIN,
            groups: by_workload(|outcome| outcome.throughput),
        },
    )?;
    charts::draw(
        &out.join("lines.svg"),
        &Chart {
            title: &format!(
                "Cache lines between sockets per message, {first} cores (fewer is better)"
            ),
            series: &MAIN,
            groups: by_workload(|outcome| outcome.data),
        },
    )?;
    let parts: Vec<(String, Vec<f64>)> = of_first
        .iter()
        .filter(|row| row.workload == "communities")
        .map(|row| (row.policy.to_owned(), vec![row.outcome.throughput]))
        .collect();
    if !parts.is_empty() {
        charts::draw(
            &out.join("parts.svg"),
            &Chart {
                title: &format!("Communities, {first} cores: with one part less (M msg/s)"),
                series: &["millions of messages per second"],
                groups: parts,
            },
        )?;
    }
    let of_machines: Vec<(String, Vec<f64>)> = rows
        .iter()
        .filter(|row| row.workload == "communities" && MAIN.contains(&row.policy))
        .collect::<Vec<_>>()
        .chunk_by(|a, b| a.machine == b.machine)
        .map(|group| {
            let values = MAIN
                .iter()
                .filter_map(|name| group.iter().find(|row| row.policy == *name))
                .map(|row| row.outcome.throughput);
            (format!("{} cores", group[0].machine), values.collect())
        })
        .collect();
    if of_machines.len() > 1 {
        charts::draw(
            &out.join("machines.svg"),
            &Chart {
                title: "Communities on larger machines (M msg/s)",
                series: &MAIN,
                groups: of_machines,
            },
        )?;
    }
    let storm: Vec<(String, Vec<f64>)> = lanes
        .chunk_by(|a, b| a.machine == b.machine && a.workload == b.workload)
        .map(|group| {
            let label = format!("{}, {}", group[0].machine, group[0].workload);
            (label, group.iter().map(|row| row.outcome.data).collect())
        })
        .collect();
    let ways: Vec<&str> = lanes.iter().take(6).map(|row| row.policy).collect();
    charts::draw(
        &out.join("storm.svg"),
        &Chart {
            title: "64 senders to one: cache lines between sockets per message",
            series: &ways,
            groups: storm,
        },
    )?;
    let shared: Vec<(String, Vec<f64>)> = lanes
        .chunk_by(|a, b| a.machine == b.machine && a.workload == b.workload)
        .map(|group| {
            let label = format!("{}, {}", group[0].machine, group[0].workload);
            (label, group.iter().map(|row| row.outcome.shared).collect())
        })
        .collect();
    charts::draw(
        &out.join("storm-shared.svg"),
        &Chart {
            title: "64 senders to one: of those, lines of mailboxes, lanes and queues",
            series: &ways,
            groups: shared,
        },
    )
}
