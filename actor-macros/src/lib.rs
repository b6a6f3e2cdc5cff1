//! The macros of `actor-core`, which re-exports them: `#[derive(Actor)]`, `#[derive(Message)]` and
//! `#[messages]`.
//!
//! They write what one could write by hand with the traits of `actor-core`, and nothing else: no
//! registration, no boxing, no code at run time. Read top to bottom: an entry point below parses
//! into the `model`, expands from it, and puts all `errors` at the end.

// Floor 0. Mistakes, collected.
mod errors;

// Floor 1. What the user said, as data.
mod model;

// Floor 2. Looking into types.
mod types;

// Floor 3. Tokens to model.
mod parse;

// Floor 4. Model to tokens.
mod expand;

use errors::Errors;
use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `Actor` for a struct or an enum, with the options and hooks given in `#[actor(..)]`.
///
/// Every key is optional, and what is left out is the runtime's default. Keys may be spread over
/// several `#[actor(..)]`.
///
/// | key | value | meaning |
/// |---|---|---|
/// | `mailbox` | `1` to `60000`, or `unbounded` | how many messages may wait; an unbounded mailbox grows with its senders until memory ends |
/// | `overflow` | `wait`, `reject`, `drop_newest`, `drop_oldest` | what becomes of a message that finds the mailbox full; needs a `mailbox` with a size |
/// | `restart` | `permanent`, `transient`, `temporary` | whether a supervisor starts the actor again: always, after a failure, or never |
/// | `backoff` | `"10ms..5s"` | the first and the longest wait before a restart |
/// | `supervise` | a list, see below | how it supervises its children |
/// | `intensity` | `0` to `10000` | short for `supervise(intensity = ..)` |
/// | `period` | `"10s"` | short for `supervise(period = ..)` |
/// | `shutdown` | `"5s"`, `kill`, `infinity` | how long its end may take when its supervisor stops it: that long and then it is cut off, no time at all, or as long as it takes |
/// | `significant` | nothing, or `true`, `false` | whether its end counts for the `auto_shutdown` of its supervisor; not with `restart = permanent` |
/// | `on_panic` | `restart`, `resume` | whether a panic in a handler ends this life, or costs the message alone |
/// | `trap_links` | nothing, or `true`, `false` | whether a broken link is told to its `terminated` hook, and does not end its life |
/// | `stash` | `0` to `1000000` | how many messages it may put aside |
/// | `placement` | `inherit`, `spread`, `least_loaded`, `dedicated`, `node(0)`, `key(42)` | the NUMA home: its spawner's, each in turn, the one with the least to do, its spawner's with a thread of its own, the one of that number (the spawn fails where there is none), or that of a key |
/// | `started` | a method | called before the first message and after each restart |
/// | `stopped` | a method | called after the last message |
/// | `terminated` | a method | called when a watched actor has ended, or with `trap_links` a linked one |
/// | `crate` | a path | where `actor_core` is found, if not at `::actor_core` |
///
/// The keys of `supervise(..)`:
///
/// | key | value | meaning |
/// |---|---|---|
/// | `strategy` | `one_for_one`, `one_for_all`, `rest_for_one`, `simple_one_for_one` | which children are restarted with the one that failed |
/// | `intensity` | `0` to `10000` | how many restarts of its children within `period` the actor puts up with before it fails itself; `0` for none |
/// | `period` | `"10s"` | the time within which `intensity` counts, `1ms` or longer |
/// | `auto_shutdown` | `never`, `any`, `all` | whether it ends itself with the first, or the last, of its significant children |
/// | `keep_children` | nothing, or `true`, `false` | whether its children live on when it is restarted itself |
///
/// Durations are a whole number and one of the units `ns`, `us`, `ms`, `s`, `m`, `h`.
///
/// The hooks name inherent `async` methods of the actor:
///
/// ```text
/// async fn on_start(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError>
/// async fn on_stop(&mut self, reason: &StopReason, cx: &mut ActorContext<Self>)
/// async fn on_terminated(&mut self, who: Terminated, cx: &mut ActorContext<Self>)
/// ```
///
/// A type parameter `T` gets the bound `T: Send + 'static`, on the impl and not on the type.
/// Lifetime parameters are refused: an actor outlives every borrow.
///
/// # Examples
///
/// ```
/// use actor_core::{Actor, ActorContext, ActorError, StopReason};
///
/// #[derive(Actor)]
/// #[actor(mailbox = 1024, overflow = reject, restart = transient, backoff = "10ms..5s")]
/// #[actor(started = on_start, stopped = on_stop)]
/// struct Cache<V> {
///     entries: Vec<(u64, V)>,
///     capacity: usize,
/// }
///
/// #[derive(Actor)]
/// #[actor(supervise(strategy = rest_for_one, intensity = 5, period = "1m", auto_shutdown = any))]
/// #[actor(shutdown = "30s", on_panic = restart)]
/// struct Shop;
///
/// impl<V: Send + 'static> Cache<V> {
///     async fn on_start(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
///         self.entries.reserve(self.capacity);
///         Ok(())
///     }
///
///     async fn on_stop(&mut self, reason: &StopReason, _cx: &mut ActorContext<Self>) {
///         println!("{} entries dropped: {reason:?}", self.entries.len());
///     }
/// }
/// ```
#[proc_macro_derive(Actor, attributes(actor))]
pub fn derive_actor(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut errors = Errors::default();
    let actor = parse::actor::actor(input, &mut errors);
    let mut output = actor.as_ref().map(expand::actor::actor).unwrap_or_default();
    output.extend(errors.into_tokens());
    output.into()
}

/// Implements `Message` for a struct or an enum.
///
/// `#[message(reply = Type)]` names what the handler answers with; without it the reply is `()`.
/// `#[message(remote)]` lets it travel to actors on other peers, under its path or, with
/// `remote = "bank.deposit"`, under that name; it and its reply are then `serde`'s `Serialize` and
/// `Deserialize`, and the crate `actor-net` is at `::actor_net`.
/// `#[message(crate = path)]` says where `actor_core` is found, if not at `::actor_core`.
///
/// A type parameter `T` gets the bound `T: Send + 'static`, on the impl and not on the type.
/// Lifetime parameters, and replies that borrow, are refused: both travel.
///
/// The derive is for messages whose handlers are written by hand, as `impl SyncHandler<M>` (a plain
/// `fn`) or `impl Handler<M>` (an `async fn`). [`macro@messages`] makes the messages itself.
///
/// # Examples
///
/// ```
/// use actor_core::{Actor, ActorContext, Message, SyncHandler};
///
/// #[derive(Message)]
/// #[message(reply = Option<V>)]
/// struct Insert<V> {
///     key: u64,
///     value: V,
/// }
///
/// #[derive(Actor)]
/// struct Cache<V>(std::collections::HashMap<u64, V>);
///
/// impl<V: Send + 'static> SyncHandler<Insert<V>> for Cache<V> {
///     fn handle(&mut self, message: Insert<V>, _cx: &mut ActorContext<Self>) -> Option<V> {
///         self.0.insert(message.key, message.value)
///     }
/// }
/// ```
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut errors = Errors::default();
    let message = parse::message::message(input, &mut errors);
    let mut output = message
        .as_ref()
        .map(expand::message::message)
        .unwrap_or_default();
    output.extend(errors.into_tokens());
    output.into()
}

/// Makes messages out of the methods of an impl block, and methods of the ref out of the messages.
///
/// Each method marked `#[message]` becomes
///
/// - a struct named after it in camel case (`deposit` becomes `Deposit`), with its parameters as
///   fields, its docs and its visibility; a unit struct if it has no parameters;
/// - an `impl Message`, whose reply is what the method returns;
/// - an `impl SyncHandler` for a `fn`, an `impl Handler` for an `async fn`. The first builds no
///   future; the second hands the method's own future on, without a box;
/// - a method of `ActorRef`, through a trait: `account.deposit(500)` is `account.ask(Deposit {
///   cents: 500 })`.
///
/// The methods themselves, and those without the mark, stay as they are.
///
/// # The trait
///
/// It is called after the actor, `AccountApi` for `Account`, and `#[messages(trait_name = Ledger)]`
/// names it otherwise; a second block of the same actor has to. To call a message through the ref
/// elsewhere, import the trait.
///
/// All methods of a trait are as visible as the trait. So the methods with the widest visibility
/// are in `AccountApi`, and those of any other are in a trait of their own: `AccountApiCrate` for
/// `pub(crate)`, `AccountApiSuper` for `pub(super)`, `AccountApiCrateBank` for `pub(in
/// crate::bank)` and `AccountApiPrivate` for private ones, which needs no import where it can be
/// used. A private `tick` beside public messages stays private.
///
/// # Parameters
///
/// A parameter of type `&mut ActorContext<Self>` or `&ActorContext<Self>`, known by its last name
/// and at any place, is the actor's context and no field. `Self` stands for the actor's type. A doc
/// comment on a parameter becomes the field's, and so do attributes of derives, such as
/// `#[serde(default)]`.
///
/// Refused, because an envelope cannot carry it: `self` by value and methods without `self`;
/// parameters and replies that borrow (`&'static` may stay) or are `impl Trait`; patterns; type and
/// lifetime parameters of the method; `const`, `unsafe` and `extern`. Also refused are the names of
/// `ActorRef`'s own methods (`tell`, `send`, `ask`, `stop`, `watch`, ..), which would hide the
/// message.
///
/// An `async fn` with `&self` needs the actor to be `Sync`, since its future holds the reference
/// across threads; `&mut self` does not.
///
/// # Answering later
///
/// `#[message(deferred)]` goes on a `fn` that answers through a handle, now or at any time later: its
/// parameter of type `Reply<Value>` is the handle, no field, and `Value` the reply.
///
/// `#[message(reentrant)]` goes on an `async fn` beside which other messages are handled while it awaits.
/// It has `this: Reentrant<Self>` in place of `self`, and borrows the actor between two awaits:
/// `this.with(|actor, cx| ..)`.
///
/// ```
/// use actor_core::{Actor, ActorRef, Reentrant, Reply, messages};
///
/// #[derive(Actor, Default)]
/// struct Door {
///     waiting: Vec<Reply<u32>>,
///     upstream: Option<ActorRef<Door>>,
/// }
///
/// #[messages]
/// impl Door {
///     /// Answered when the door opens.
///     #[message(deferred)]
///     fn pass(&mut self, reply: Reply<u32>) {
///         self.waiting.push(reply);
///     }
///
///     #[message]
///     fn open(&mut self) {
///         for (n, reply) in (1..).zip(self.waiting.drain(..)) {
///             reply.send(n);
///         }
///     }
///
///     /// Others come and go meanwhile.
///     #[message(reentrant)]
///     async fn pass_upstream(this: Reentrant<Self>) -> Option<u32> {
///         let upstream = this.with(|door, _cx| door.upstream)?;
///         upstream.pass().await.ok()
///     }
/// }
/// ```
///
/// # Handled later
///
/// `#[message(when = is_open)]`, on a method of any kind: the message is handled while the actor's method
/// `fn is_open(&self) -> bool` says `true`, and put aside otherwise, with its asker, until
/// `cx.unstash_all()` gives it back.
///
/// ```
/// use actor_core::{Actor, ActorContext, messages};
///
/// #[derive(Actor, Default)]
/// struct Shop { open: bool, sold: u32 }
///
/// #[messages]
/// impl Shop {
///     #[message(when = is_open)]
///     fn sell(&mut self, amount: u32) -> u32 {
///         self.sold += amount;
///         self.sold
///     }
///
///     #[message]
///     fn open(&mut self, cx: &mut ActorContext<Self>) {
///         self.open = true;
///         cx.unstash_all();
///     }
///
///     fn is_open(&self) -> bool {
///         self.open
///     }
/// }
/// ```
///
/// # Generics
///
/// On `impl<K, V> Store<K, V>` a message takes over the type parameters its fields and its reply
/// use, with their bounds, and `Send + 'static` for each: `put(&mut self, key: K)` becomes
/// `Put<K>`, `len(&self)` becomes plain `Len`. A parameter that only the reply uses is kept in a
/// hidden field; such a message is made with `Get::new(..)`, whose arguments are the fields in
/// order. Lifetime parameters are refused.
///
/// # Attributes
///
/// `#[message(name = Put)]` names the struct, `#[message(derive(Clone, Debug))]` derives for it.
///
/// `#[message(blocking)]` is for a plain `fn` that blocks, or computes for long: it runs on a thread that
/// may, with `&mut self` and all, while the actor waits and its worker serves others. It takes no
/// context. A panic in it is the actor's, as in any handler; a kill waits until it has come back.
///
/// `#[cfg]` on a method or on the block holds for everything generated from it, `#[deprecated]` for
/// the message and the method of the ref. Lint attributes stay where they are.
/// `#[messages(crate = path)]` says where `actor_core` is found, if not at `::actor_core`.
///
/// # Examples
///
/// ```
/// use actor_core::{Actor, ActorContext, ActorRef, messages};
///
/// #[derive(Actor)]
/// pub struct Account {
///     balance: i64,
/// }
///
/// #[derive(Debug)]
/// pub struct Insufficient {
///     pub balance: i64,
/// }
///
/// #[messages]
/// impl Account {
///     /// Puts money in.
///     #[message(derive(Clone, Debug))]
///     pub fn deposit(&mut self, cents: i64) {
///         self.balance += cents;
///     }
///
///     #[message]
///     pub fn balance(&self) -> i64 {
///         self.balance
///     }
///
///     /// Takes money out, or says what there is.
///     #[message]
///     pub async fn withdraw(
///         &mut self,
///         cents: i64,
///         _cx: &mut ActorContext<Self>,
///     ) -> Result<i64, Insufficient> {
///         if cents > self.balance {
///             return Err(Insufficient { balance: self.balance });
///         }
///         self.balance -= cents;
///         Ok(self.balance)
///     }
/// }
///
/// async fn spend(account: ActorRef<Account>) -> Result<(), Box<dyn std::error::Error>> {
///     account.deposit(500).await?;
///     account.ask(Deposit { cents: 250 }).await?;
///     match account.withdraw(700).await? {
///         Ok(left) => println!("{left} left"),
///         Err(Insufficient { balance }) => println!("only {balance}"),
///     }
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn messages(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut output = match parse::messages::messages(arguments.into(), item.into(), &mut errors) {
        Ok(messages) => expand::messages::messages(&messages),
        Err(given_back) => given_back,
    };
    output.extend(errors.into_tokens());
    output.into()
}
