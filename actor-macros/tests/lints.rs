//! Generated code is silent under every lint a careful crate turns on, and stands on its own names.

mod support;

/// A module in which every name of the prelude means something else.
#[deny(
    warnings,
    missing_copy_implementations,
    missing_debug_implementations,
    missing_docs,
    nonstandard_style,
    rust_2018_idioms,
    single_use_lifetimes,
    trivial_casts,
    unnameable_types,
    unreachable_pub,
    unused,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    clippy::allow_attributes_without_reason
)]
pub mod shadowed {
    use actor_macros::{Actor, Message, messages};

    /// Not the type of the prelude.
    #[derive(Clone, Copy, Debug)]
    pub struct Result;
    /// Not the type of the prelude.
    #[derive(Clone, Copy, Debug)]
    pub struct Option;
    /// Not the type of the prelude.
    #[derive(Clone, Copy, Debug)]
    pub struct String;
    /// Not the type of the prelude.
    #[derive(Clone, Copy, Debug)]
    pub struct PhantomData;
    /// Not the type of the runtime.
    #[derive(Clone, Copy, Debug)]
    pub struct ActorRef;
    /// Not the type of the runtime.
    #[derive(Clone, Copy, Debug)]
    pub struct Duration;
    /// Not the trait of the prelude.
    pub trait Future {}
    /// Not the trait of the prelude.
    pub trait Send {}
    /// Not the trait of the prelude.
    pub trait Sized {}
    /// Not the trait of the runtime.
    pub trait Handler {}
    /// Not the crate.
    pub mod core {}
    /// Not the crate.
    pub mod std {}

    use super::support::actor_core::ActorContext;

    /// An actor with every option.
    #[derive(Actor, Debug)]
    #[actor(
        crate = crate::support::actor_core,
        mailbox = 16,
        overflow = reject,
        restart = permanent,
        backoff = "1ms..1s",
        intensity = 3,
        period = "1m",
        placement = inherit,
        started = on_start,
        stopped = on_stop,
        terminated = on_end
    )]
    pub struct Shop<T> {
        pub(crate) item: T,
    }

    impl<T: ::core::marker::Send> Shop<T> {
        #[expect(clippy::unused_async, reason = "a hook is async")]
        async fn on_start(
            &mut self,
            _cx: &mut ActorContext<Self>,
        ) -> ::core::result::Result<(), super::support::actor_core::ActorError> {
            Ok(())
        }
        #[expect(clippy::unused_async, reason = "a hook is async")]
        async fn on_stop(
            &mut self,
            _reason: &super::support::actor_core::StopReason,
            _cx: &mut ActorContext<Self>,
        ) {
        }
        #[expect(clippy::unused_async, reason = "a hook is async")]
        async fn on_end(
            &mut self,
            _who: super::support::actor_core::Terminated,
            _cx: &mut ActorContext<Self>,
        ) {
        }
    }

    /// A message by hand.
    #[derive(Message, Clone, Copy, Debug)]
    #[message(crate = crate::support::actor_core, reply = T)]
    pub struct Echo<T> {
        /// What comes back.
        pub value: T,
    }

    #[messages(crate = crate::support::actor_core)]
    impl<T> Shop<T>
    where
        T: Clone,
    {
        /// Documented, and its twins with it: [`Self::item_of`], [`Self`].
        #[message]
        pub fn sell(&mut self, item: T) {
            self.item = item;
        }

        #[expect(missing_docs, reason = "an undocumented method has documented twins")]
        #[message]
        #[must_use]
        pub fn item_of(&self) -> T {
            self.item.clone()
        }

        // Never called, not documented, and all names are taken.
        #[message(name = CloseAt)]
        async fn close(&mut self, result: Result, option: Option, cx: &mut ActorContext<Self>) {
            let _ = (result, option, cx);
            ::core::future::ready(()).await;
        }
    }
}

#[test]
fn generated_code_is_silent_and_stands_on_its_own_names() {
    use shadowed::{Shop, ShopApi};
    let shop = support::start(Shop { item: 1_u8 });
    support::reply_of(shop.sell(2));
    assert_eq!(support::reply_of(shop.item_of()), 2);
}
