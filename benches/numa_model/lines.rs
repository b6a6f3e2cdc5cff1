//! Cache lines: who holds them, what an access costs, and what crosses between sockets.
//!
//! MESI without its corners: a line is held by one core that may write it, or by several that may read it.
//! Two counts are kept apart: *data*, a line whose content goes from one socket to another (out of a cache
//! or of memory), and *invalidations*, a message across without content.

use crate::machine::Machine;

/// A line's number.
pub(crate) type LineId = u32;

/// How a line is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A load that the next step waits for.
    Load,
    /// One of several loads that do not wait for each other.
    Scan,
    /// A store: it goes through the store buffer.
    Store,
    /// A locked instruction: waits for the line.
    Rmw,
}

#[derive(Clone, Debug)]
struct Line {
    /// Cores that hold it.
    holders: [u64; 8],
    sockets: u8,
    last: u16,
    home: u8,
    holds: Holds,
    /// Accesses of the last core, and of its socket, until then.
    at_core: u64,
    at_socket: u64,
    /// Until when it is being handed on.
    busy_until: u64,
}

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Messages: blocks and chunks.
    Message,
    /// What many senders share: mailboxes, lanes, queues, sleepers.
    Shared,
    /// States, owners' lines, magazines.
    Other,
}

/// What crossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crossings {
    pub(crate) data: u64,
    /// Of those, lines of messages, and lines that senders share.
    pub(crate) messages: u64,
    pub(crate) shared: u64,
    pub(crate) invalidations: u64,
    /// Between cores of one socket, for comparison.
    pub(crate) near: u64,
}

impl Crossings {
    fn count(&mut self, holds: Holds) {
        self.data += 1;
        match holds {
            Holds::Message => self.messages += 1,
            Holds::Shared => self.shared += 1,
            Holds::Other => {}
        }
    }
}

/// All lines.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Vec<Line>,
    core_clock: Vec<u64>,
    socket_clock: Vec<u64>,
    pub(crate) crossings: Crossings,
}

enum From {
    Held,
    SharedCache,
    Near,
    Far(usize),
    Memory,
}

impl Lines {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self {
            lines: Vec::new(),
            core_clock: vec![0; machine.cores()],
            socket_clock: vec![0; machine.sockets],
            crossings: Crossings::default(),
        }
    }

    /// A line in the memory of that socket, in no cache.
    pub(crate) fn add(&mut self, home: usize, holds: Holds) -> LineId {
        self.lines.push(Line {
            holders: [0; 8],
            sockets: 0,
            last: 0,
            home: home as u8,
            holds,
            at_core: 0,
            at_socket: 0,
            busy_until: 0,
        });
        (self.lines.len() - 1) as LineId
    }

    /// Whether it is being handed on just now.
    pub(crate) fn is_wanted_elsewhere(&self, line: LineId, now: u64) -> bool {
        self.lines[line as usize].busy_until > now
    }

    /// The nanoseconds that an access takes a core.
    pub(crate) fn access(
        &mut self,
        machine: &Machine,
        now: u64,
        core: usize,
        line: LineId,
        access: Access,
    ) -> u64 {
        let costs = &machine.costs;
        let socket = machine.socket(core);
        self.core_clock[core] += 1;
        self.socket_clock[socket] += 1;
        let line = &mut self.lines[line as usize];
        let last = usize::from(line.last);
        let last_socket = machine.socket(last);
        let holds = line.holders[core / 64] >> (core % 64) & 1 != 0;
        let is_cached = line.sockets != 0
            && self.socket_clock[last_socket] - line.at_socket <= costs.socket_lines;
        let from = if !is_cached {
            From::Memory
        } else if holds
            && (last != core || self.core_clock[core] - line.at_core <= costs.core_lines)
        {
            From::Held
        } else if holds {
            From::SharedCache
        } else if line.sockets >> socket & 1 != 0 {
            From::Near
        } else {
            From::Far(last_socket)
        };
        let writes = matches!(access, Access::Store | Access::Rmw);
        let mut cost = match from {
            From::Held => costs.hit,
            From::SharedCache => costs.shared_cache,
            From::Near => {
                self.crossings.near += 1;
                costs.transfer
            }
            From::Far(other) => {
                self.crossings.count(line.holds);
                machine.scaled(costs.transfer, socket, other)
            }
            From::Memory => {
                let home = usize::from(line.home);
                if home != socket {
                    self.crossings.count(line.holds);
                }
                machine.scaled(costs.memory, socket, home)
            }
        };
        if writes && is_cached {
            // Every other holder has to let go of it.
            let mut others = line.holders;
            others[core / 64] &= !(1 << (core % 64));
            let elsewhere = line.sockets & !(1 << socket);
            if matches!(from, From::Held | From::SharedCache)
                && others.iter().any(|word| *word != 0)
            {
                if elsewhere == 0 {
                    self.crossings.near += 1;
                } else {
                    self.crossings.invalidations += 1;
                }
            }
            let farthest = (0..machine.sockets)
                .filter(|other| elsewhere >> other & 1 != 0)
                .map(|other| machine.scaled(costs.transfer, socket, other))
                .max();
            let near = others.iter().any(|word| *word != 0);
            cost = cost
                .max(farthest.unwrap_or(0))
                .max(if near { costs.transfer } else { 0 });
        }
        if writes || !is_cached {
            (line.holders, line.sockets) = ([0; 8], 0);
        }
        line.holders[core / 64] |= 1 << (core % 64);
        line.sockets |= 1 << socket;
        line.last = core as u16;
        line.at_core = self.core_clock[core];
        line.at_socket = self.socket_clock[socket];
        if cost <= costs.shared_cache {
            return cost;
        }
        let waits = line.busy_until.saturating_sub(now);
        line.busy_until = now + waits + cost;
        match access {
            Access::Load | Access::Rmw => waits + cost,
            Access::Scan | Access::Store => (waits + cost) / costs.overlap,
        }
    }
}
