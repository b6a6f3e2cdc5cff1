#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Borrows<'a, 'b: 'a> {
    text: &'a &'b str,
}

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
union Overlaid {
    one: u8,
    two: i8,
}

fn main() {}
