#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core)]
enum Borrows<'a> {
    Text(&'a str),
}

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core)]
union Overlaid {
    one: u8,
    two: i8,
}

fn main() {}
