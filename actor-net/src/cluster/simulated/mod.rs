//! Whole clusters in virtual time, as a seed decides: 3 to 7 peers, each with all that a peer has but sockets and
//! users' actors, and everything happens to them that happens to processes and networks.
//!
//! | file | holds |
//! |---|---|
//! | `seat` | one peer: the machines, joined as in production, and a consensus with its real engine |
//! | `hosted` | a kind of entity on it: its region, and actors that are as simple as can be |
//! | `world` | the peers, the network, the two clocks, and what is done to them |
//! | `ledger` | what really happens; the laws that hold at every moment |
//! | `laws` | tests over seeds: trouble, then calm, and then all must agree and work |
//!
//! **What is the same for the same seed: everything.** Every datagram, event and time goes into a trace, and
//! two runs of a seed have the same. That includes the consensus, though its engine is made of tasks: they run on one
//! thread and a paused clock, its election timeouts are fixed for each peer, and where it waits for several things
//! it looks at them in a fixed order. tokio promises none of this; `the_same_seed_is_the_same_trace` looks.
//!
//! **What is not simulated.** The engine's clocks are all the same: only the machines' run fast and slow. A peer that
//! stands still stands still with its machines; the tasks of its consensus go on, and nothing gets in or out. Sockets,
//! handshakes and the remote floor are below: `Seat` refuses lives that were declared down as a handshake does.

mod hosted;
mod laws;
mod ledger;
mod seat;
mod world;
