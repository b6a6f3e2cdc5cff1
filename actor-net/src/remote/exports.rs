//! What peers may send here: pairs of a type of actor and a type of message, names to begin with, and types
//! of actors that they may spawn.
//!
//! Nothing arrives that is not listed. A message comes with the number of its type and the address of an
//! actor; here that is looked up in a table of functions, one for each pair, made by the compiler for just
//! that actor and that message. No type is found by its name, and nothing is reflected upon.
//!
//! Numbers are those of `wire::table`: types in the order of their names. With each goes a number for its
//! shape (`schema.rs`), and only where both sides have the same it is sent.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use actor_core::remote::{self, CodecError};
use actor_core::{Actor, ActorId, ActorRef, Context, Handler, Message, SendError, SystemRef};
use serde::de::DeserializeOwned;

use super::answer::Answer;
use super::export::read;
use crate::wire::limits::NAME_MAX;
use crate::wire::run::Items;
use crate::wire::table::{MessageTable, TYPE_NAME_MAX};

/// Which messages of peers arrive, and at which types of actors; which actors have a name for peers; which
/// types peers may spawn.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::{Actor, Message};
/// use actor_net::remote::Exports;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Actor, Default)]
/// struct Account { cents: i64 }
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(remote = "bank.deposit", reply = i64)]
/// struct Deposit { cents: i64 }
///
/// impl SyncHandler<Deposit> for Account {
///     fn handle(&mut self, deposit: Deposit, _cx: &mut ActorContext<Self>) -> i64 {
///         self.cents += deposit.cents;
///         self.cents
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let account = system.spawn(Account::default())?;
/// let exports = Exports::new()
///     .handles::<Account, Deposit>()
///     .publish("the account", account)
///     .spawns("account", |cents: i64| Account { cents });
/// assert!(exports.check().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Exports {
    types: BTreeMap<&'static str, Exported>,
    names: BTreeMap<String, ActorId>,
    spawns: BTreeMap<String, Spawn>,
    wrong: Option<ExportError>,
}

#[derive(Clone)]
struct Exported {
    message: TypeId,
    message_name: &'static str,
    schema: u64,
    takers: Vec<Taker>,
}

/// Makes an actor of the bytes of its arguments.
type Spawn = Arc<dyn Fn(&SystemRef, &[u8]) -> Result<ActorId, String> + Send + Sync>;

/// How one type of actor takes one type of message.
#[derive(Clone, Copy)]
pub(super) struct Taker {
    actor: fn() -> TypeId,
    pub(super) tell: fn(&SystemRef, u64, &[u8], Context) -> Told,
    pub(super) tell_run: fn(&SystemRef, u64, &mut Items<'_>, &Context, &mut Tally) -> Told,
    pub(super) ask: fn(&SystemRef, u64, &[u8], Context, Answer) -> Asked,
    /// Whether it may keep the right to answer when its handler is done.
    pub(super) answers_later: bool,
}

/// What became of messages of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) unreadable: u64,
    /// Why the last one was that.
    pub(super) error: Option<CodecError>,
}

/// What became of a message that was told.
pub(super) enum Told {
    /// It is in the mailbox, or its policy has dropped it and counted it.
    Done,
    /// There is no such actor of that type.
    NotThis,
    Unreadable(CodecError),
    /// The mailbox is full: it waits for room when polled.
    Full(Waiting),
    Refused(Refusal),
}

/// A message that waits for room in a mailbox.
pub(super) type Waiting = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Dead,
    Overloaded,
    Expired,
    Cancelled,
}

/// What became of an ask.
pub(super) enum Asked {
    /// It will be answered.
    Done,
    NotThis(Answer),
    Unreadable(CodecError, Answer),
}

/// Exports that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportError {
    /// Two types of messages have one name.
    NameTaken {
        /// The name between peers.
        name: &'static str,
        /// The Rust type that was there first.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// A name is empty or too long.
    Name {
        /// What it is the name of: `message`, `actor` or `spawn`.
        what: &'static str,
        /// The name.
        name: String,
        /// How many bytes it may have.
        max: usize,
    },
    /// A name was given twice.
    Twice {
        /// What it is the name of: `actor` or `spawn`.
        what: &'static str,
        /// The name.
        name: String,
    },
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken {
                name,
                first,
                second,
            } => write!(
                f,
                "the messages {first} and {second} both travel as {name:?}; give one another name with \
                 #[message(remote = \"..\")]"
            ),
            Self::Name { what, name, max } => write!(
                f,
                "the {what} name {name:?} has {} bytes; it may have 1 to {max}",
                name.len()
            ),
            Self::Twice { what, name } => {
                write!(
                    f,
                    "the {what} name {name:?} was given twice; choose another"
                )
            }
        }
    }
}

impl std::error::Error for ExportError {}

impl Exports {
    /// Nothing arrives.
    pub fn new() -> Self {
        Self::default()
    }

    /// Messages of type `M` arrive at actors of type `A`. Saying it twice is saying it once.
    ///
    /// That `M` is marked `#[message(remote)]` is checked when this is compiled.
    #[must_use]
    pub fn handles<A, M>(mut self) -> Self
    where
        A: Handler<M>,
        M: Message,
    {
        const {
            assert!(
                M::EXPORT.is_some(),
                "this type of message does not travel: mark it #[message(remote)]"
            );
        }
        let Some(export) = M::EXPORT else {
            return self;
        };
        let name = export.name;
        if !(1..=TYPE_NAME_MAX).contains(&name.len()) {
            return self.but(ExportError::Name {
                what: "message",
                name: name.to_owned(),
                max: TYPE_NAME_MAX,
            });
        }
        let exported = self.types.entry(name).or_insert_with(|| Exported {
            message: TypeId::of::<M>(),
            message_name: type_name::<M>(),
            schema: (export.schema)(),
            takers: Vec::new(),
        });
        if exported.message != TypeId::of::<M>() {
            let (first, second) = (exported.message_name, type_name::<M>());
            return self.but(ExportError::NameTaken {
                name,
                first,
                second,
            });
        }
        let actor = TypeId::of::<A>;
        if exported
            .takers
            .iter()
            .all(|taker| (taker.actor)() != actor())
        {
            exported.takers.push(Taker {
                actor,
                tell: tell::<A, M>,
                tell_run: tell_run::<A, M>,
                ask: ask::<A, M>,
                answers_later: <A as Handler<M>>::DEFERRED,
            });
        }
        self
    }

    /// Peers find this actor by a name, to begin with; 1 to 255 bytes. It takes what its type
    /// [`handles`](Self::handles). The name stays when the actor ends; who looks it up then is told so.
    #[must_use]
    pub fn publish<A: Actor>(mut self, name: impl Into<String>, actor: ActorRef<A>) -> Self {
        let name = name.into();
        if let Err(error) = named("actor", &name, self.names.contains_key(&name)) {
            return self.but(error);
        }
        self.names.insert(name, actor.id());
        self
    }

    /// Peers may spawn actors of this type here, with arguments of theirs; 1 to 255 bytes of a name.
    ///
    /// They stand under the root, as those that `system.spawn` makes. A panic in `make` is told to the peer
    /// as a refusal.
    #[must_use]
    pub fn spawns<A, T>(
        mut self,
        name: impl Into<String>,
        make: impl Fn(T) -> A + Send + Sync + 'static,
    ) -> Self
    where
        A: Actor,
        T: DeserializeOwned,
    {
        let name = name.into();
        if let Err(error) = named("spawn", &name, self.spawns.contains_key(&name)) {
            return self.but(error);
        }
        let label = name.clone();
        let spawn = move |system: &SystemRef, bytes: &[u8]| {
            let arguments = read::<T>(bytes).map_err(|error| error.to_string())?;
            let spawned = system.actor(make(arguments)).name(&label).spawn();
            spawned
                .map(|actor| actor.id())
                .map_err(|error| error.to_string())
        };
        self.spawns.insert(name, Arc::new(spawn));
        self
    }

    /// Whether all of it can be; what uses exports checks them as well.
    ///
    /// # Errors
    ///
    /// The first thing that cannot.
    pub fn check(&self) -> Result<(), ExportError> {
        self.wrong.clone().map_or(Ok(()), Err)
    }

    fn but(mut self, error: ExportError) -> Self {
        self.wrong.get_or_insert(error);
        self
    }

    /// What peers are told.
    pub(crate) fn table(&self) -> MessageTable {
        MessageTable::new(self.types.iter().map(|(name, of)| (*name, of.schema)))
    }

    /// Who takes messages, by the number of the type.
    pub(super) fn takers(&self) -> Vec<(&'static str, Box<[Taker]>)> {
        // In the order of the names, as the table.
        self.types
            .iter()
            .map(|(name, of)| (*name, of.takers.clone().into()))
            .collect()
    }

    pub(super) fn names(&self) -> &BTreeMap<String, ActorId> {
        &self.names
    }

    pub(super) fn spawn(&self, name: &str) -> Option<Spawn> {
        self.spawns.get(name).cloned()
    }
}

fn named(what: &'static str, name: &str, is_taken: bool) -> Result<(), ExportError> {
    let name = name.to_owned();
    if !(1..=NAME_MAX).contains(&name.len()) {
        let max = NAME_MAX;
        return Err(ExportError::Name { what, name, max });
    }
    if is_taken {
        return Err(ExportError::Twice { what, name });
    }
    Ok(())
}

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exports")
            .field("types", &self.types.keys())
            .field("names", &self.names)
            .field("spawns", &self.spawns.keys())
            .finish_non_exhaustive()
    }
}

fn tell<A: Handler<M>, M: Message>(
    system: &SystemRef,
    number: u64,
    payload: &[u8],
    context: Context,
) -> Told {
    let Some(target) = system.resolve::<A>(number) else {
        return Told::NotThis;
    };
    let message = match decode::<M>(payload) {
        Ok(message) => message,
        Err(error) => return Told::Unreadable(error),
    };
    let told = if context.is_empty() {
        target.tell(message)
    } else {
        target.ask(message).context(context.clone()).tell()
    };
    match told {
        Ok(()) => Told::Done,
        Err(SendError::Full { message, .. }) => Told::Full(Box::pin(async move {
            let sent = target.ask(message).context(context).send().await;
            sent.map_err(|error| refusal(&error))
        })),
        Err(error) => Told::Refused(refusal(&error)),
    }
}

/// Until all are told, or one is not: what is told of the outcome is told of that one, and `items` has the rest.
fn tell_run<A: Handler<M>, M: Message>(
    system: &SystemRef,
    number: u64,
    items: &mut Items<'_>,
    context: &Context,
    tally: &mut Tally,
) -> Told {
    let Some(target) = system.resolve::<A>(number) else {
        return Told::NotThis;
    };
    let (unreadable, error) = (&mut tally.unreadable, &mut tally.error);
    let messages = items.filter_map(|item| match decode::<M>(item) {
        Ok(message) => Some(message),
        Err(why) => {
            *unreadable += 1;
            *error = Some(why);
            None
        }
    });
    let (delivered, refused) = remote::tell_all(target, context, messages);
    tally.delivered += delivered as u64;
    match refused {
        None => Told::Done,
        Some(SendError::Full { message, .. }) => {
            let context = context.clone();
            Told::Full(Box::pin(async move {
                let sent = target.ask(message).context(context).send().await;
                sent.map_err(|error| refusal(&error))
            }))
        }
        Some(error) => Told::Refused(refusal(&error)),
    }
}

fn ask<A: Handler<M>, M: Message>(
    system: &SystemRef,
    number: u64,
    payload: &[u8],
    context: Context,
    answer: Answer,
) -> Asked {
    let Some(target) = system.resolve::<A>(number) else {
        return Asked::NotThis(answer);
    };
    match decode::<M>(payload) {
        Ok(message) => {
            remote::ask(target, message, context, move |outcome| {
                answer.give::<M>(outcome);
            });
            Asked::Done
        }
        Err(error) => Asked::Unreadable(error, answer),
    }
}

fn decode<M: Message>(payload: &[u8]) -> Result<M, CodecError> {
    let Some(export) = M::EXPORT else {
        return Err(CodecError::new("it does not travel"));
    };
    // The user's code.
    contained(|| (export.decode)(payload))
        .unwrap_or_else(|| Err(CodecError::new("reading it panicked")))
}

/// Runs what may be a user's code; `None` if it panicked.
pub(super) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|payload| {
            // A payload whose drop panics as well is left where it is.
            if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(worse);
            }
        })
        .ok()
}

const fn refusal<M>(error: &SendError<M>) -> Refusal {
    match error {
        SendError::Full { .. } => Refusal::Full,
        SendError::Dead { .. } => Refusal::Dead,
        SendError::Overloaded { .. } => Refusal::Overloaded,
        SendError::Expired { .. } => Refusal::Expired,
        _ => Refusal::Cancelled,
    }
}
