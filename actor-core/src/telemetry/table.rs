//! A system's figures by NUMA node, as a table for people: plain text, aligned, without colour.
//!
//! Either since the start, or per second between two looks ([`Stats::numa_table_since`]), which is what a
//! live display prints again and again. Figures are short (`12.3 k`), so that columns keep their places.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::Stats;
use crate::id::NumaNodeId;

/// The table of [`Stats::numa_table`]: print it.
#[derive(Clone, Copy, Debug)]
pub struct NumaTable<'a> {
    now: &'a Stats,
    before: Option<(&'a Stats, Duration)>,
}

impl Stats {
    /// The figures by NUMA node since the start, as a table to print.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// let system = ActorSystem::new()?;
    /// println!("{}", system.stats().numa_table());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn numa_table(&self) -> NumaTable<'_> {
        NumaTable {
            now: self,
            before: None,
        }
    }

    /// As [`numa_table`](Self::numa_table), but what is counted is told per second since an earlier look at
    /// the same system, `elapsed` ago. What stands there at a moment (queued actors, memory) is told as it is.
    pub fn numa_table_since<'a>(&'a self, earlier: &'a Self, elapsed: Duration) -> NumaTable<'a> {
        NumaTable {
            now: self,
            before: Some((earlier, elapsed)),
        }
    }
}

/// What is counted of one NUMA node.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    turns: u64,
    sent: u64,
    crossed: u64,
    steals_near: u64,
    steals_far: u64,
    freed_afar: u64,
}

impl Counted {
    fn of(stats: &Stats, node: NumaNodeId) -> Self {
        let mut counted = Self::default();
        for worker in stats.workers.iter().filter(|it| it.numa_node == node) {
            counted.turns += worker.turns;
            counted.steals_near += worker.steals_near;
            counted.steals_far += worker.steals_far;
        }
        let own = stats.dedicated.iter().filter(|it| it.numa_node == node);
        counted.turns += own.map(|own| own.turns).sum::<u64>();
        let memory = stats.numa_nodes.iter().filter(|it| it.numa_node == node);
        counted.freed_afar = memory.map(|numa| numa.memory.remote_frees).sum();
        for edge in stats.edges.iter().filter(|it| it.from == node) {
            counted.sent += edge.messages;
            counted.crossed += if edge.crosses() { edge.messages } else { 0 };
        }
        counted
    }

    /// A count may be lower than before where actors with threads of their own have gone.
    fn since(self, before: Self) -> Self {
        Self {
            turns: self.turns.saturating_sub(before.turns),
            sent: self.sent.saturating_sub(before.sent),
            crossed: self.crossed.saturating_sub(before.crossed),
            steals_near: self.steals_near.saturating_sub(before.steals_near),
            steals_far: self.steals_far.saturating_sub(before.steals_far),
            freed_afar: self.freed_afar.saturating_sub(before.freed_afar),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            turns: self.turns + other.turns,
            sent: self.sent + other.sent,
            crossed: self.crossed + other.crossed,
            steals_near: self.steals_near + other.steals_near,
            steals_far: self.steals_far + other.steals_far,
            freed_afar: self.freed_afar + other.freed_afar,
        }
    }
}

impl NumaTable<'_> {
    fn counted(&self, node: NumaNodeId) -> Counted {
        let now = Counted::of(self.now, node);
        match self.before {
            Some((before, _)) => now.since(Counted::of(before, node)),
            None => now,
        }
    }

    fn messages(&self, from: NumaNodeId, to: NumaNodeId) -> u64 {
        let of = |stats: &Stats| {
            let edges = stats.edges.iter();
            edges
                .filter(|edge| edge.from == from && edge.to == to)
                .map(|edge| edge.messages)
                .sum::<u64>()
        };
        let before = self.before.map_or(0, |(before, _)| of(before));
        of(self.now).saturating_sub(before)
    }

    fn stolen(&self, by: NumaNodeId, from: NumaNodeId) -> u64 {
        let of = |stats: &Stats| {
            let pairs = stats.steals_across.iter();
            pairs
                .filter(|pair| pair.by == by && pair.from == from)
                .map(|pair| pair.actors)
                .sum::<u64>()
        };
        let before = self.before.map_or(0, |(before, _)| of(before));
        of(self.now).saturating_sub(before)
    }

    /// A count, or so many of them per second.
    fn rate(&self, count: u64) -> String {
        match self.before {
            None => short(count as f64),
            Some((_, elapsed)) if elapsed.is_zero() => "-".to_owned(),
            Some((_, elapsed)) => short(count as f64 / elapsed.as_secs_f64()),
        }
    }

    fn row(&self, name: String, here: Here, counted: Counted) -> Vec<String> {
        vec![
            name,
            here.workers.to_string(),
            here.busy.to_string(),
            here.own.to_string(),
            short(here.queued as f64),
            self.rate(counted.turns),
            self.rate(counted.sent),
            share(counted.crossed, counted.sent),
            self.rate(counted.steals_near),
            self.rate(counted.steals_far),
            self.rate(counted.freed_afar),
            bytes(here.memory),
        ]
    }

    fn nodes(&self) -> Grid {
        let per_second = if self.before.is_some() { "/s" } else { "" };
        let head = [
            "".to_owned(),
            "workers".to_owned(),
            "busy".to_owned(),
            "own".to_owned(),
            "queued".to_owned(),
            format!("turns{per_second}"),
            format!("sent{per_second}"),
            "crossing".to_owned(),
            format!("near steals{per_second}"),
            format!("far{per_second}"),
            format!("freed afar{per_second}"),
            "memory".to_owned(),
        ];
        let mut grid = Grid(vec![head.into()]);
        let (mut all_here, mut all) = (Here::default(), Counted::default());
        for numa in &self.now.numa_nodes {
            let node = numa.numa_node;
            let workers = self.now.workers.iter().filter(|it| it.numa_node == node);
            let in_rings: usize = workers.clone().map(|worker| worker.queued).sum();
            let workers = workers.count();
            let own = self.now.dedicated.iter().filter(|it| it.numa_node == node);
            let here = Here {
                workers,
                busy: workers.saturating_sub(numa.asleep),
                own: own.count(),
                queued: numa.queued + in_rings,
                memory: numa.memory.slab_bytes
                    + numa.memory.cells * CELL_BYTES
                    + numa.memory.large_bytes,
            };
            let counted = self.counted(node);
            grid.0.push(self.row(node.to_string(), here, counted));
            all_here = all_here.plus(here);
            all = all.plus(counted);
        }
        if self.now.numa_nodes.len() > 1 {
            grid.0.push(self.row("all".to_owned(), all_here, all));
        }
        grid
    }

    /// A matrix of NUMA nodes.
    fn matrix(&self, title: &str, of: impl Fn(NumaNodeId, NumaNodeId) -> u64) -> Grid {
        let nodes: Vec<NumaNodeId> = (self.now.numa_nodes.iter())
            .map(|numa| numa.numa_node)
            .collect();
        let mut head = vec![title.to_owned()];
        head.extend(nodes.iter().map(ToString::to_string));
        let mut grid = Grid(vec![head]);
        for from in &nodes {
            let mut row = vec![from.to_string()];
            row.extend(nodes.iter().map(|to| self.rate(of(*from, *to))));
            grid.0.push(row);
        }
        grid
    }
}

/// What stands at one NUMA node at the moment.
#[derive(Clone, Copy, Debug, Default)]
struct Here {
    workers: usize,
    busy: usize,
    own: usize,
    queued: usize,
    memory: u64,
}

impl Here {
    fn plus(self, other: Self) -> Self {
        Self {
            workers: self.workers + other.workers,
            busy: self.busy + other.busy,
            own: self.own + other.own,
            queued: self.queued + other.queued,
            memory: self.memory + other.memory,
        }
    }
}

/// ```text
///        workers  busy  own  queued  turns/s  sent/s  crossing  near steals/s   far/s  freed afar/s    memory
/// numa0        2     1    0      64    112 k   116 k     5.7 %             81  1.11 k        7.32 k  3.26 MiB
/// numa1        2     1    0       0    110 k   113 k     7.2 %            106  2.48 k        9.10 k  3.25 MiB
/// all          4     2    0      64    222 k   229 k     6.4 %            187  3.58 k        16.4 k  6.51 MiB
///
/// messages/s from, to   numa0   numa1
/// numa0                2.98 M   418 k
/// numa1                 355 k  2.63 M
///
/// far steals/s by, from  numa0  numa1
/// numa0                      0     34
/// numa1                      0      0
/// ```
impl Display for NumaTable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.nodes().draw(f)?;
        if self.now.numa_nodes.len() > 1 {
            let per_second = if self.before.is_some() { "/s" } else { "" };
            let messages = self.matrix(&format!("messages{per_second} from, to"), |from, to| {
                self.messages(from, to)
            });
            f.write_str("\n\n")?;
            messages.draw(f)?;
            if !self.now.steals_across.is_empty() {
                let title = format!("far steals{per_second} by, from");
                f.write_str("\n\n")?;
                self.matrix(&title, |by, from| self.stolen(by, from))
                    .draw(f)?;
            }
        }
        let moves = self.now.actors.moves;
        if moves > 0 {
            write!(f, "\n\n{} moves of actors between NUMA nodes", moves)?;
        }
        if let Some(balancing) = &self.now.balancing {
            let state = if balancing.is_on { "on" } else { "off" };
            let percent = |share: Option<f64>| {
                share.map_or_else(|| "?".to_owned(), |it| format!("{:.1} %", it * 100.0))
            };
            write!(
                f,
                "\nbalancer {state}: {} moves, crossing {} before, {} now",
                balancing.moves,
                percent(balancing.crossing_before),
                percent(balancing.crossing_now)
            )?;
        }
        Ok(())
    }
}

/// Rows of cells; the first of each stands to the left, the others to the right.
struct Grid(Vec<Vec<String>>);

impl Grid {
    fn draw(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let columns = self.0.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (at, row) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(f, "{cell:<width$}")?;
                } else {
                    write!(f, "  {cell:>width$}")?;
                }
            }
        }
        Ok(())
    }
}

/// Three digits and a unit.
fn short(value: f64) -> String {
    scaled(value, 1000.0, &["", " k", " M", " G", " T"])
}

fn bytes(bytes: u64) -> String {
    scaled(
        bytes as f64,
        1024.0,
        &[" B", " KiB", " MiB", " GiB", " TiB"],
    )
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut at = 0;
    // What would be rounded up to the next unit is told in it.
    while value >= step - 0.5 && at + 1 < units.len() {
        value /= step;
        at += 1;
    }
    let digits = match (at, value) {
        (0, _) => 0,
        (_, value) if value < 9.995 => 2,
        (_, value) if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{}", units[at])
}

fn share(part: u64, all: u64) -> String {
    if all == 0 {
        return "-".to_owned();
    }
    format!("{:.1} %", part as f64 * 100.0 / all as f64)
}

/// As the memory floor cuts them.
const CELL_BYTES: u64 = crate::memory::CELL_SIZE as u64;

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
