//! The network layer that will bridge actor systems over TCP. **Nothing works here yet.**
//!
//! This crate is its map: what will stand on which floor, bottom first. A reference to an actor elsewhere
//! will be an ordinary `ActorRef`, whose cell forwards what it is sent.
//!
//! | floor | will hold |
//! |---|---|
//! | [`id`] | peers, incarnations |
//! | [`transport`] | framed bytes over TCP and TLS 1.3, reconnecting; an in-memory twin for tests |
//! | [`wire`] | what the bytes mean: pure state machines, no I/O, no clock |
//! | [`membership`] | who is there, who is suspected, who is gone |
//! | [`remote`] | the forwarding cell, message numbers, per-peer outboxes, remote watches |
//! | [`sharding`] | actors by key |
//! | [`cluster`] | the front door |

pub mod id {
    //! Newtypes for peers.

    use std::fmt;

    /// One life of a peer: a process that restarts on the same address is another one.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
    pub struct Incarnation(pub u64);

    impl fmt::Display for Incarnation {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "incarnation {}", self.0)
        }
    }
}

pub mod transport {
    //! Bytes from here to there. Nothing yet.
}

pub mod wire {
    //! What the bytes mean. Nothing yet.
}

pub mod membership {
    //! Who is there. Nothing yet.
}

pub mod remote {
    //! Actors over there. Nothing yet.
}

pub mod sharding {
    //! Actors by key. Nothing yet.
}

pub mod cluster {
    //! The front door. Nothing yet.
}
