//! `#[messages]`: what each method becomes, and that a call arrives where it should.

mod support;

use std::any::TypeId;

use actor_macros::{Actor, messages};
use support::actor_core::{ActorContext, ActorRef, Call, Handler, Message};
use support::{reply_of, start};

fn replies_with<M: Message, R: 'static>() -> bool {
    TypeId::of::<M::Reply>() == TypeId::of::<R>()
}

// ---- One of each --------------------------------------------------------------------------------

#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account {
    balance: i64,
    log: Vec<String>,
}

#[messages(crate = crate::support::actor_core)]
impl Account {
    const LIMIT: i64 = 1_000;

    /// Not a message.
    fn open() -> Self {
        Self {
            balance: 0,
            log: Vec::new(),
        }
    }

    /// Puts money in.
    #[message]
    fn deposit(&mut self, cents: i64) {
        self.balance += cents;
    }

    #[message]
    fn balance(&self) -> i64 {
        self.balance
    }

    #[message(name = Take, derive(Clone, Debug, PartialEq))]
    async fn withdraw(
        &mut self,
        cents: i64,
        cx: &mut ActorContext<Self>,
        reason: String,
    ) -> Result<i64, Self> {
        let _: &mut ActorContext<Self> = cx;
        std::future::ready(()).await;
        self.log.push(reason);
        if cents > self.balance {
            return Err(Self::open());
        }
        self.balance -= cents;
        Ok(self.balance)
    }

    #[message]
    fn note(
        &mut self,
        _: &ActorContext<Self>,
        /// What to write down.
        mut text: String,
        #[allow(unused_variables, reason = "kept on the parameter")] ignored: [u8; Self::LEN],
    ) -> usize {
        text.push('!');
        self.log.push(text);
        self.log.len()
    }

    #[message]
    fn r#move(&mut self, r#type: u8, _unused: &'static str) -> u8 {
        r#type
    }

    #[message]
    async fn merge(&mut self, other: Self, also: Option<Box<Self>>) -> Option<Self> {
        self.balance += other.balance + also.map_or(0, |also| also.balance);
        None
    }
}

impl Account {
    const LEN: usize = 2;
}

#[test]
fn a_method_of_the_ref_arrives_at_the_method_of_the_actor() {
    let account = start(Account::open());
    reply_of(account.deposit(500));
    assert_eq!(reply_of(account.balance()), 500);
    assert_eq!(
        reply_of(account.withdraw(200, "rent".to_owned())).ok(),
        Some(300)
    );
    assert!(reply_of(account.withdraw(Account::LIMIT, "car".to_owned())).is_err());
    assert_eq!(reply_of(account.note("done".to_owned(), [0; 2])), 3);
    assert_eq!(reply_of(account.r#move(7, "")), 7);
    assert!(reply_of(account.merge(Account::open(), None)).is_none());
}

#[test]
fn a_message_is_a_struct_with_the_parameters_as_fields() {
    let take = Take {
        cents: 1,
        reason: "tea".to_owned(),
    };
    assert_eq!(take.clone(), take);
    assert_eq!(format!("{take:?}"), "Take { cents: 1, reason: \"tea\" }");
    let account: ActorRef<Account> = start(Account::open());
    let call: Call<Account, Deposit> = account.ask(Deposit { cents: 5 });
    reply_of(call);
    assert_eq!(reply_of(account.ask(Balance)), 5);
    let Move { r#type, _unused } = Move {
        r#type: 1,
        _unused: "",
    };
    assert_eq!((r#type, _unused), (1, ""));
}

#[test]
fn the_reply_is_what_the_method_returns() {
    assert!(replies_with::<Deposit, ()>());
    assert!(replies_with::<Balance, i64>());
    assert!(replies_with::<Take, Result<i64, Account>>());
    assert!(replies_with::<Merge, Option<Account>>());
}

#[test]
fn a_plain_method_is_handled_without_a_future() {
    const {
        assert!(<Account as Handler<Deposit>>::IS_SYNC);
        assert!(!<Account as Handler<Take>>::IS_SYNC);
    }
}

#[test]
fn an_async_handler_adds_nothing_to_the_methods_future() {
    let mut account = Account::open();
    let cx = &mut support::context();
    let of_method = std::mem::size_of_val(&account.withdraw(1, cx, String::new()));
    let message = Take {
        cents: 1,
        reason: String::new(),
    };
    let of_handler = std::mem::size_of_val(&account.handle(message, cx));
    assert_eq!(of_handler, of_method);
}

// ---- Generics -----------------------------------------------------------------------------------

#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
struct Store<K, V, const N: usize> {
    slots: [Option<(K, V)>; N],
}

#[messages(crate = crate::support::actor_core, trait_name = Slots)]
impl<K: PartialEq, V, const N: usize> Store<K, V, N>
where
    V: Clone,
{
    #[message]
    fn put(&mut self, slot: usize, key: K, value: V) -> Option<(K, V)> {
        self.slots[slot].replace((key, value))
    }

    #[message]
    async fn find(&self, key: K) -> Option<V>
    where
        K: Sync,
        V: Sync,
    {
        self.slots
            .iter()
            .flatten()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value.clone())
    }

    #[message]
    fn all(&self) -> Vec<V> {
        self.slots
            .iter()
            .flatten()
            .map(|(_, value)| value.clone())
            .collect()
    }

    #[message]
    fn used(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    #[message]
    fn clear(&mut self, only: [bool; N]) {
        for (slot, clear) in self.slots.iter_mut().zip(only) {
            if clear {
                *slot = None;
            }
        }
    }

    #[message]
    fn merge_slots(&mut self, other: Self) {
        self.slots = other.slots;
    }
}

fn store() -> Store<u8, String, 3> {
    Store {
        slots: [const { None }; 3],
    }
}

#[test]
fn a_generic_actor_gets_generic_messages() {
    let store_ref = start(store());
    assert_eq!(reply_of(store_ref.put(0, 1, "one".to_owned())), None);
    assert_eq!(reply_of(store_ref.put(2, 2, "two".to_owned())), None);
    assert_eq!(reply_of(store_ref.find(2)), Some("two".to_owned()));
    assert_eq!(reply_of(store_ref.all()), ["one", "two"]);
    reply_of(store_ref.clear([true, false, false]));
    assert_eq!(reply_of(store_ref.used()), 1);
    reply_of(store_ref.merge_slots(store()));
    assert_eq!(reply_of(store_ref.used()), 0);
}

#[test]
fn a_message_has_only_the_parameters_it_uses() {
    let _: Used = Used;
    let _: Clear<3> = Clear { only: [true; 3] };
    let _: Put<u8, String> = Put {
        slot: 0,
        key: 1,
        value: String::new(),
    };
}

#[test]
fn a_parameter_of_the_reply_alone_needs_the_constructor() {
    const ALL: All<String> = All::new();
    let store_ref = start(store());
    assert_eq!(reply_of(store_ref.ask(ALL)), Vec::<String>::new());
    assert_eq!(reply_of(store_ref.ask(Find::new(9))), None);
    assert_eq!(std::mem::size_of::<Find<u8, String>>(), 1);
}

/// Calls through the trait compile where the types are still parameters.
fn count<K, V>(store: ActorRef<Store<K, V, 3>>) -> Call<Store<K, V, 3>, Used>
where
    K: PartialEq + Send + 'static,
    V: Clone + Send + 'static,
{
    store.used()
}

#[test]
fn the_trait_works_in_generic_code() {
    assert_eq!(reply_of(count(start(store()))), 0);
}

/// A lookup behind a parameter, with the bound that gives it meaning.
#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
struct Decoder<I: Iterator<Item: Send + 'static>> {
    items: I,
    last: Option<I::Item>,
}

#[messages(crate = crate::support::actor_core)]
impl<I> Decoder<I>
where
    I: Iterator<Item: Send + 'static>,
{
    #[message]
    fn next_item(&mut self) -> Option<I::Item> {
        self.items.next()
    }

    #[message]
    fn keep(&mut self, item: <I as Iterator>::Item) -> bool {
        self.last.replace(item).is_none()
    }
}

#[test]
fn associated_types_of_parameters_travel() {
    let decoder = start(Decoder {
        items: [1_u8, 2].into_iter(),
        last: None,
    });
    assert_eq!(reply_of(decoder.next_item()), Some(1));
    assert!(reply_of(decoder.keep(2)));
}

// ---- Visibility ---------------------------------------------------------------------------------

mod bank {
    use super::support;
    use actor_macros::{Actor, messages};

    #[derive(Actor, Default)]
    #[actor(crate = crate::support::actor_core)]
    pub(crate) struct Vault {
        ticks: u8,
    }

    #[messages(crate = crate::support::actor_core)]
    impl Vault {
        #[message]
        fn tick(&mut self) -> u8 {
            self.ticks += 1;
            self.ticks
        }

        #[message]
        pub(super) fn audit(&mut self, _by: String) -> u8 {
            self.ticks
        }

        #[message]
        pub(crate) fn open_with(&mut self, key: u8) -> u8 {
            key
        }
    }

    pub(crate) fn private_calls() -> u8 {
        // The private trait is in scope here without an import.
        support::reply_of(support::start(Vault::default()).tick())
    }

    // The names of the traits.
    #[expect(unused_imports, reason = "naming them is the test")]
    use self::{VaultApi as _, VaultApiPrivate as _, VaultApiSuper as _};
}

mod elsewhere {
    pub(crate) fn crate_wide_calls() -> u8 {
        use super::bank::{OpenWith, Vault, VaultApi};
        let vault = super::support::start(Vault::default());
        super::support::reply_of(vault.ask(OpenWith { key: 3 }))
            + super::support::reply_of(vault.open_with(4))
    }
}

#[test]
fn each_visibility_has_its_own_trait() {
    use bank::VaultApiSuper;
    assert_eq!(bank::private_calls(), 1);
    assert_eq!(elsewhere::crate_wide_calls(), 7);
    let vault = start(bank::Vault::default());
    assert_eq!(reply_of(vault.audit("me".to_owned())), 0);
}

// ---- Attributes ---------------------------------------------------------------------------------

#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
struct Configured;

#[messages(crate = crate::support::actor_core)]
impl Configured {
    #[cfg(not(any()))]
    #[message]
    fn here(&self) -> u8 {
        1
    }

    #[cfg(any())]
    #[message]
    fn here(&self) -> u8 {
        2
    }

    #[cfg_attr(all(), cfg(any()), inline)]
    #[message]
    fn gone(&self, argument: DoesNotExist) -> AlsoNot {
        argument.0
    }

    #[message]
    #[deprecated(note = "use `here`")]
    #[must_use]
    #[inline]
    fn old(&self) -> u8 {
        3
    }
}

#[messages(crate = crate::support::actor_core, trait_name = NeverApi)]
#[cfg(any())]
impl Configured {
    #[message]
    fn never(&self, argument: DoesNotExist) {}
}

/// Would clash if the `#[cfg]`s were not carried to everything generated.
struct Gone;
struct Never;

#[test]
fn cfgs_are_carried_to_everything_generated() {
    let (_gone, _never) = (Gone, Never);
    assert_eq!(reply_of(start(Configured).here()), 1);
}

#[test]
fn a_deprecated_method_is_deprecated_on_the_ref() {
    #[expect(deprecated, reason = "the warning is the test")]
    let call = start(Configured).old();
    assert_eq!(reply_of(call), 3);
}

// ---- Several blocks, other actors ---------------------------------------------------------------

#[messages(crate = crate::support::actor_core, trait_name = AccountReports)]
impl self::Account {
    #[message]
    fn report(&self) -> String {
        format!("{} after {} notes", self.balance, self.log.len())
    }
}

#[messages(crate = crate::support::actor_core, trait_name = ByteStore)]
impl Store<u8, u8, 1> {
    #[message]
    fn sum(&self) -> u8 {
        self.slots
            .iter()
            .flatten()
            .map(|(key, value)| key + value)
            .sum()
    }
}

#[test]
fn an_actor_may_have_several_blocks() {
    let account = start(Account::open());
    assert_eq!(reply_of(account.report()), "0 after 0 notes");
    let bytes = start(Store {
        slots: [Some((1, 2))],
    });
    assert_eq!(reply_of(bytes.sum()), 3);
}

/// The block and its types come out of a macro of the user's.
macro_rules! counter {
    ($actor:ident, $trait_name:ident, $message:ident, $method:ident: $ty:ty) => {
        #[derive(Actor, Default)]
        #[actor(crate = crate::support::actor_core)]
        struct $actor {
            total: $ty,
        }

        #[messages(crate = crate::support::actor_core, trait_name = $trait_name)]
        impl $actor {
            #[message(name = $message)]
            fn $method(&mut self, more: $ty, cx: &mut ActorContext<Self>) -> $ty {
                let _ = cx;
                self.total += more;
                self.total
            }
        }
    };
}

counter!(Small, SmallApi, AddSmall, add: u8);
counter!(Large, LargeApi, AddLarge, add: u64);

#[test]
fn a_block_may_come_out_of_a_macro() {
    assert_eq!(reply_of(start(Small::default()).add(7)), 7);
    let large = start(Large::default());
    reply_of(large.add(1 << 40));
    assert_eq!(reply_of(large.ask(AddLarge { more: 1 })), (1 << 40) + 1);
}

/// Method names that generated code uses, too.
#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
struct Awkward;

#[messages(crate = crate::support::actor_core)]
impl Awkward {
    #[message]
    fn handle(&mut self, message: u8, context: u8, cx: &mut ActorContext<Self>) -> u8 {
        let _ = cx;
        message + context
    }

    #[message]
    async fn started(&mut self, __marker: u8) -> u8 {
        __marker
    }

    #[expect(
        clippy::needless_arbitrary_self_type,
        reason = "this spelling is allowed, too"
    )]
    #[message]
    fn options(self: &mut Self) -> u8 {
        5
    }
}

#[test]
fn names_that_generated_code_uses_are_free() {
    let awkward = start(Awkward);
    assert_eq!(reply_of(awkward.handle(1, 2)), 3);
    assert_eq!(reply_of(awkward.started(4)), 4);
    assert_eq!(reply_of(awkward.options()), 5);
}

/// A block inside a function.
#[test]
fn an_actor_may_live_in_a_function() {
    #[derive(Actor)]
    #[actor(crate = crate::support::actor_core)]
    struct Local;

    #[messages(crate = crate::support::actor_core)]
    impl Local {
        #[message]
        fn ping(&self) -> &'static str {
            "pong"
        }
    }

    assert_eq!(reply_of(start(Local).ping()), "pong");
}
