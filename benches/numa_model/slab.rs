//! Blocks for messages: each worker's two magazines per arena, and the arenas' depots. Which block a sender
//! gets decides whose cache its line lies in.
//!
//! The rule of `memory::cache` (magazines of `MAGAZINE` blocks, a depot visit when both are empty or full);
//! a magazine's array is eight lines.

use actor_core::model::MAGAZINE;

use crate::lines::{Access, Holds, LineId, Lines};
use crate::machine::Machine;

/// A block of one line.
pub(crate) type Block = LineId;

#[derive(Debug)]
struct Magazine {
    array: [LineId; 8],
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Depot {
    lock: LineId,
    full: Vec<Magazine>,
    empty: Vec<Magazine>,
}

#[derive(Debug)]
struct Pair {
    loaded: Magazine,
    previous: Magazine,
}

/// All arenas, and all workers' caches.
#[derive(Debug)]
pub(crate) struct Slab {
    depots: Vec<Depot>,
    /// By worker, then arena; made on first use.
    pairs: Vec<Vec<Option<Pair>>>,
}

impl Slab {
    pub(crate) fn new(machine: &Machine, lines: &mut Lines) -> Self {
        let depot = |arena| Depot {
            lock: lines.add(arena, Holds::Other),
            full: Vec::new(),
            empty: Vec::new(),
        };
        Self {
            depots: (0..machine.sockets).map(depot).collect(),
            pairs: (0..machine.cores())
                .map(|_| (0..machine.sockets).map(|_| None).collect())
                .collect(),
        }
    }

    /// A block of that arena for a worker, and what getting it costs.
    pub(crate) fn alloc(
        &mut self,
        machine: &Machine,
        lines: &mut Lines,
        now: u64,
        core: usize,
        arena: usize,
    ) -> (Block, u64) {
        let pair = Self::pair(&mut self.pairs[core][arena], lines, machine.socket(core));
        if pair.loaded.blocks.is_empty() {
            std::mem::swap(&mut pair.loaded, &mut pair.previous);
        }
        if let Some(block) = pair.loaded.blocks.pop() {
            return (block, machine.costs.hit);
        }
        let depot = &mut self.depots[arena];
        let mut cost = lines.access(machine, now, core, depot.lock, Access::Rmw);
        match depot.full.pop() {
            Some(full) => {
                let empty = std::mem::replace(&mut pair.loaded, full);
                depot.empty.push(empty);
                for line in pair.loaded.array {
                    cost += lines.access(machine, now + cost, core, line, Access::Scan);
                }
            }
            None => pair
                .loaded
                .blocks
                .extend((0..MAGAZINE).map(|_| lines.add(arena, Holds::Message))),
        }
        let block = pair.loaded.blocks.pop().expect("just filled");
        (block, cost)
    }

    /// A worker gives a block back to the arena it is from; what that costs.
    pub(crate) fn free(
        &mut self,
        machine: &Machine,
        lines: &mut Lines,
        now: u64,
        core: usize,
        arena: usize,
        block: Block,
    ) -> u64 {
        let pair = Self::pair(&mut self.pairs[core][arena], lines, machine.socket(core));
        if pair.loaded.blocks.len() == MAGAZINE {
            std::mem::swap(&mut pair.loaded, &mut pair.previous);
        }
        let mut cost = machine.costs.hit;
        if pair.loaded.blocks.len() == MAGAZINE {
            let depot = &mut self.depots[arena];
            cost += lines.access(machine, now, core, depot.lock, Access::Rmw);
            let empty = depot
                .empty
                .pop()
                .unwrap_or_else(|| Self::magazine(lines, arena));
            let full = std::mem::replace(&mut pair.loaded, empty);
            depot.full.push(full);
        }
        let at = pair.loaded.blocks.len() / 8;
        let line = pair.loaded.array[at];
        cost += lines.access(machine, now + cost, core, line, Access::Store);
        pair.loaded.blocks.push(block);
        cost
    }

    fn pair<'a>(pair: &'a mut Option<Pair>, lines: &mut Lines, socket: usize) -> &'a mut Pair {
        pair.get_or_insert_with(|| Pair {
            loaded: Self::magazine(lines, socket),
            previous: Self::magazine(lines, socket),
        })
    }

    fn magazine(lines: &mut Lines, home: usize) -> Magazine {
        Magazine {
            array: std::array::from_fn(|_| lines.add(home, Holds::Other)),
            blocks: Vec::with_capacity(MAGAZINE),
        }
    }
}
