//! The modelled machine: sockets, cores, distances, and what things cost. Every number says where it is from.

use std::fmt;

use actor_core::topology::{Topology, Workers, plan};

/// A machine with one NUMA node per socket.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) sockets: usize,
    pub(crate) cores_per_socket: usize,
    /// As the firmware's SLIT: 10 is home.
    pub(crate) distances: Vec<Vec<u32>>,
    pub(crate) costs: Costs,
}

/// Nanoseconds, but for the last three.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// A line that the core holds.
    pub(crate) hit: u64,
    /// A line from the shared cache of the socket.
    pub(crate) shared_cache: u64,
    /// A line from another core of the same socket.
    pub(crate) transfer: u64,
    /// A line from the memory of the own NUMA node.
    pub(crate) memory: u64,
    /// What a message costs beside its lines.
    pub(crate) message: u64,
    /// What a turn costs beside its lines and messages.
    pub(crate) turn: u64,
    /// What a search costs beside its lines.
    pub(crate) search: u64,
    /// What waking a sleeper costs the waker.
    pub(crate) wake: u64,
    /// After which the woken worker runs.
    pub(crate) woken: u64,
    /// Transfers that overlap: of stores that nobody waits for, and of independent loads.
    pub(crate) overlap: u64,
    /// Lines that stay in a core's own caches, and in a socket's shared one.
    pub(crate) core_lines: u64,
    pub(crate) socket_lines: u64,
}

impl Costs {
    pub(crate) const DEFAULT: Self = Self {
        hit: 1,
        shared_cache: 20,
        transfer: 50,
        memory: 90,
        message: 20,
        turn: 10,
        search: 50,
        wake: 3_400,
        woken: 6_300,
        overlap: 4,
        core_lines: 16_384,
        socket_lines: 524_288,
    };
}

impl Machine {
    /// Sockets in pairs and fours are all neighbours; of eight, each has three neighbours (a cube), and the
    /// others are two hops away.
    pub(crate) fn new(sockets: usize, cores_per_socket: usize, costs: Costs) -> Self {
        let distance = |a: usize, b: usize| match (a ^ b).count_ones() {
            0 => 10,
            1 => 21,
            _ if sockets <= 4 => 21,
            _ => 31,
        };
        let row = |a| (0..sockets).map(|b| distance(a, b)).collect();
        Self {
            sockets,
            cores_per_socket,
            distances: (0..sockets).map(row).collect(),
            costs,
        }
    }

    pub(crate) fn cores(&self) -> usize {
        self.sockets * self.cores_per_socket
    }

    pub(crate) fn socket(&self, core: usize) -> usize {
        core / self.cores_per_socket
    }

    /// `near` at home, and as the distances say elsewhere.
    pub(crate) fn scaled(&self, near: u64, from: usize, to: usize) -> u64 {
        near * u64::from(self.distances[from][to]) / 10
    }

    /// The NUMA index of each worker, as the runtime would seat them: one per CPU.
    ///
    /// # Panics
    ///
    /// If the runtime would not seat them so; the model numbers cores by socket.
    pub(crate) fn seats(&self) -> Vec<usize> {
        let shape = format!("{}x{}", self.sockets, self.cores_per_socket);
        let machine = Topology::pretend(&shape).expect("options are checked");
        let seats = plan(&machine, Workers::PerCpu).expect("as many as CPUs");
        let seats: Vec<usize> = seats
            .iter()
            .map(|seat| usize::from(seat.numa_node.0))
            .collect();
        let numbered = |(core, &numa): (usize, &usize)| self.socket(core) == numa;
        assert!(seats.iter().enumerate().all(numbered), "{seats:?}");
        seats
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.sockets, self.cores_per_socket)
    }
}

/// The assumptions, as they are printed in front of every result: what, how much, from where.
pub(crate) fn assumptions(costs: &Costs) -> Vec<[String; 3]> {
    let row =
        |what: &str, how_much: String, source: &str| [what.to_owned(), how_much, source.to_owned()];
    vec![
        row(
            "line a core holds",
            format!("{} ns", costs.hit),
            "assumption (L1 to L2)",
        ),
        row(
            "line from the socket's shared cache",
            format!("{} ns", costs.shared_cache),
            "assumption",
        ),
        row(
            "line from another core of the socket",
            format!("{} ns", costs.transfer),
            "published: 44 to 51 ns on four Xeons (nviennot/core-to-core-latency); 105 to 140 ns between the \
             two virtual CPUs this project is measured on",
        ),
        row(
            "line from another socket",
            format!(
                "{} ns x distance / 10: {} at 21, {} at 31",
                costs.transfer,
                costs.transfer * 21 / 10,
                costs.transfer * 31 / 10
            ),
            "assumption, against published 108 to 136 ns (2.1 to 2.8 times) on the same four Xeons as pairs",
        ),
        row(
            "line from memory",
            format!("{} ns x distance / 10", costs.memory),
            "assumption; the distances are the firmware's idea of exactly this",
        ),
        row(
            "distances",
            "10 home, 21 neighbour, 31 two hops (8 sockets, a cube)".to_owned(),
            "what two-socket and eight-socket Xeons report",
        ),
        row(
            "message beside its lines",
            format!("{} ns", costs.message),
            "measured here (bursts of 32 to one actor)",
        ),
        row(
            "turn beside its lines and messages",
            format!("{} ns", costs.turn),
            "measured here (4.6 to 15.3 ns)",
        ),
        row(
            "search beside its lines",
            format!("{} ns", costs.search),
            "assumption",
        ),
        row(
            "wake-up",
            format!(
                "{} ns for the waker, {} ns until the other runs",
                costs.wake, costs.woken
            ),
            "measured here (medians)",
        ),
        row(
            "stores, and loads that do not wait for each other",
            format!("1/{} of a transfer", costs.overlap),
            "assumption (store buffers, several misses at once)",
        ),
        row(
            "caches",
            format!(
                "the last {} accesses of a core, {} of a socket",
                costs.core_lines, costs.socket_lines
            ),
            "assumption (1 MiB, 32 MiB)",
        ),
        row(
            "a line that many want",
            "is handed on one transfer at a time".to_owned(),
            "assumption; links have no other limit, and cores no other work",
        ),
    ]
}
