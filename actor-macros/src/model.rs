//! What the user said, once it is understood: plain data between `parse` and `expand`.
//!
//! `parse` fills these and is the only place that looks at the user's syntax; `expand` turns them
//! into tokens and never refuses anything. A value that was refused is simply absent here, so that
//! the rest still expands and the user sees the mistake and not its echoes. Every identifier and
//! type keeps the span of the token it came from.

use std::time::Duration;

use syn::{Attribute, Generics, Ident, ItemImpl, LitStr, Path, Type, Visibility, WherePredicate};

/// A `#[derive(Actor)]`.
pub(crate) struct Actor {
    pub(crate) krate: Path,
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) restart: Option<Ident>,
    pub(crate) backoff: Option<(Duration, Duration)>,
    pub(crate) supervise: Supervise,
    pub(crate) shutdown: Option<Shutdown>,
    pub(crate) significant: Option<bool>,
    /// A variant of `OnPanic`.
    pub(crate) on_panic: Option<Ident>,
    pub(crate) trap_links: Option<bool>,
    /// How many messages may be put aside.
    pub(crate) stash: Option<usize>,
    pub(crate) placement: Option<Placement>,
    pub(crate) started: Option<Ident>,
    pub(crate) stopped: Option<Ident>,
    pub(crate) terminated: Option<Ident>,
}

/// How much a mailbox holds, and what happens when it is full.
pub(crate) enum Mailbox {
    Unbounded,
    /// The overflow is a variant of `Overflow`; absent, it is the runtime's default.
    Bounded(usize, Option<Ident>),
}

/// How the actor supervises its children. All absent: the runtime's default.
#[derive(Default)]
pub(crate) struct Supervise {
    /// A constructor of `Supervision`.
    pub(crate) strategy: Option<Ident>,
    pub(crate) intensity: Option<u32>,
    pub(crate) period: Option<Duration>,
    /// A variant of `AutoShutdown`.
    pub(crate) auto_shutdown: Option<Ident>,
    pub(crate) keep_children: bool,
}

/// Where the actor lives.
pub(crate) enum Placement {
    /// A variant of `Placement` without a value.
    Variant(Ident),
    /// The NUMA node of this number.
    Node(u8),
    Key(u64),
}

/// How long the actor's end may take.
pub(crate) enum Shutdown {
    After(Duration),
    /// A variant of `Shutdown` without a time.
    Variant(Ident),
}

/// A `#[derive(Message)]`.
pub(crate) struct Message {
    pub(crate) krate: Path,
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    /// Absent: `()`.
    pub(crate) reply: Option<Type>,
    pub(crate) remote: Option<Remote>,
}

/// The message travels to actors on other peers.
pub(crate) struct Remote {
    /// The word itself, where mistakes about it are told.
    pub(crate) key: Ident,
    /// What the message is called between peers; absent, its path.
    pub(crate) name: Option<LitStr>,
}

/// A `#[messages] impl Account { .. }`.
pub(crate) struct Messages {
    pub(crate) krate: Path,
    /// The user's block without our attributes, to be given back as it was.
    pub(crate) block: ItemImpl,
    /// What follows `impl`, as written: `Account`, `Store<T>`.
    pub(crate) actor_type: Type,
    /// Its last name, for the generated names and docs: `Account`, `Store`.
    pub(crate) actor: Ident,
    /// The generics of the block, `Self` already replaced.
    pub(crate) generics: Generics,
    /// `#[cfg]`s of the block itself.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) trait_name: Ident,
    pub(crate) methods: Vec<Method>,
}

/// A method marked `#[message]`, and the message it becomes.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// The name of the message struct.
    pub(crate) message: Ident,
    pub(crate) vis: Visibility,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) deprecated: Option<Attribute>,
    pub(crate) derives: Vec<Path>,
    /// The actor's method that says whether the message is handled now or put aside.
    pub(crate) when: Option<Ident>,
    pub(crate) remote: Option<Remote>,
    pub(crate) kind: Kind,
    pub(crate) arguments: Vec<Argument>,
    /// `()` when the method returns nothing; `Self` already replaced.
    pub(crate) reply: Type,
    /// The method's own where clause.
    pub(crate) predicates: Vec<WherePredicate>,
}

/// How a method handles its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `fn`: its output is the reply.
    Plain,
    /// `async fn`: as `Plain`, and it may await.
    Async,
    /// `deferred`: a `fn` that answers through a `Reply`.
    Deferred,
    /// `reentrant`: an `async fn` without `self`, beside which others run.
    Reentrant,
    /// `blocking`: a `fn` that runs on a thread that may block, without the context.
    Blocking,
}

/// A parameter after `self`, in the order of the method.
pub(crate) enum Argument {
    /// Travels in the message.
    Field(Box<Field>),
    /// The actor's context, which the runtime passes.
    Context,
    /// The reply handle of a deferred method.
    Reply,
    /// The actor's handle of a reentrant method.
    This,
}

/// A field of a message struct.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    /// `Self` already replaced.
    pub(crate) ty: Type,
    pub(crate) docs: Vec<Attribute>,
    /// Helper attributes of the derives, such as `#[serde(default)]`.
    pub(crate) helpers: Vec<Attribute>,
}

impl Method {
    /// The parameters that travel in the message.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.arguments.iter().filter_map(|argument| match argument {
            Argument::Field(field) => Some(&**field),
            Argument::Context | Argument::Reply | Argument::This => None,
        })
    }

    /// Whether the method asks for the actor's context.
    pub(crate) fn takes_context(&self) -> bool {
        self.arguments
            .iter()
            .any(|argument| matches!(argument, Argument::Context))
    }
}
