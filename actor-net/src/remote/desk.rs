//! The actor that every peer can reach at first contact: it knows the names that are published here, and spawns
//! what may be spawned.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;

use actor_core::remote::{Address, Export};
use actor_core::{Actor, ActorContext, ActorOptions, AskError, Mailbox, Message, SyncHandler};
use serde::{Deserialize, Serialize};

use super::export::export;
use super::own::Own;

/// What it is called between peers.
pub(super) const DESK: &str = "actor-net desk";

pub(super) struct Desk(pub(super) Weak<Own>);

impl Actor for Desk {
    fn options() -> ActorOptions {
        ActorOptions::new().mailbox(Mailbox::bounded(4096))
    }
}

/// Who is called that?
#[derive(Serialize, Deserialize)]
pub(super) struct Find {
    pub(super) name: String,
}

impl Message for Find {
    type Reply = Option<Address>;
    const EXPORT: Option<Export<Self>> = Some(export("actor-net.find"));
}

impl SyncHandler<Find> for Desk {
    fn handle(&mut self, find: Find, _: &mut ActorContext<Self>) -> Option<Address> {
        let own = self.0.upgrade()?;
        own.named(&find.name).map(|actor| own.address_of(actor))
    }
}

/// Make one of these.
#[derive(Serialize, Deserialize)]
pub(super) struct Spawn {
    pub(super) name: String,
    pub(super) arguments: Vec<u8>,
}

/// Why not.
#[derive(Serialize, Deserialize)]
pub(super) enum NotSpawned {
    NotExported,
    Failed(String),
}

impl Message for Spawn {
    type Reply = Result<Address, NotSpawned>;
    const EXPORT: Option<Export<Self>> = Some(export("actor-net.spawn"));
}

impl SyncHandler<Spawn> for Desk {
    fn handle(&mut self, spawn: Spawn, _: &mut ActorContext<Self>) -> Result<Address, NotSpawned> {
        let own = self.0.upgrade().ok_or(NotSpawned::NotExported)?;
        let make = own
            .exports
            .spawn(&spawn.name)
            .ok_or(NotSpawned::NotExported)?;
        // The user's code; the desk is for all.
        let made = catch_unwind(AssertUnwindSafe(|| make(&own.system, &spawn.arguments)));
        match made {
            Ok(Ok(actor)) => Ok(own.address_of(actor)),
            Ok(Err(error)) => Err(NotSpawned::Failed(error)),
            Err(payload) => {
                let text = panic_text(&*payload);
                if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                    std::mem::forget(worse);
                }
                Err(NotSpawned::Failed(format!("making it panicked: {text}")))
            }
        }
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_default()
}

/// Why an actor of a peer was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupError {
    /// There is no connection to that peer, and there was none.
    Unknown {
        /// The peer.
        peer: String,
    },
    /// No actor of it has that name.
    NotFound {
        /// The peer.
        peer: String,
        /// The name.
        name: String,
    },
    /// The peer did not answer.
    Ask(AskError<()>),
    /// More references are known here than may be.
    TooMany(String),
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { peer } => write!(
                f,
                "peer {peer} is not known here; connect to it, or wait until it is up"
            ),
            Self::NotFound { peer, name } => write!(
                f,
                "peer {peer} has published no actor as {name:?}; publish it there"
            ),
            Self::Ask(error) => error.fmt(f),
            Self::TooMany(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for LookupError {}

/// Why an actor was not spawned on a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteSpawnError {
    /// There is no connection to that peer, and there was none.
    Unknown {
        /// The peer.
        peer: String,
    },
    /// The peer does not let others spawn anything of that name.
    NotExported {
        /// The peer.
        peer: String,
        /// The name.
        name: String,
    },
    /// The arguments cannot be written down.
    Arguments(String),
    /// The peer tried; why it failed there.
    Failed(String),
    /// The peer did not answer: the actor may be there or not.
    Ask(AskError<()>),
    /// More references are known here than may be; the actor is there.
    TooMany(String),
}

impl fmt::Display for RemoteSpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { peer } => write!(
                f,
                "peer {peer} is not known here; connect to it, or wait until it is up"
            ),
            Self::NotExported { peer, name } => write!(
                f,
                "peer {peer} lets nobody spawn {name:?}; export it there with Exports::spawns"
            ),
            Self::Arguments(text) => write!(f, "the arguments: {text}"),
            Self::Failed(text) => write!(f, "not spawned by the peer: {text}"),
            Self::Ask(error) => error.fmt(f),
            Self::TooMany(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RemoteSpawnError {}
