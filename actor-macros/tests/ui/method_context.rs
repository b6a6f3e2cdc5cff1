#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

use support::actor_core::ActorContext;

type Ctx<A> = ActorContext<A>;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn owned(&mut self, cx: ActorContext<Self>) {}

    #[message]
    fn other(&mut self, cx: &mut Ctx<Self>) {}

    #[message]
    fn two(&mut self, one: &mut ActorContext<Self>, two: &ActorContext<Self>) {}
}

fn main() {}
