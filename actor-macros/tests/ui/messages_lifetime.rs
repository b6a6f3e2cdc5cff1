#[path = "../support/mod.rs"]
mod support;

struct Account<'a>(&'a str);

#[actor_macros::messages(crate = crate::support::actor_core)]
impl<'a> Account<'a> {
    #[message]
    fn length(&self) -> usize {
        self.0.len()
    }

    fn text(&self) -> &'a str {
        self.0
    }
}

/// The block is given back as it was.
fn uses(account: &Account<'_>) -> (usize, usize) {
    (account.length(), account.text().len())
}

fn main() {
    uses(&Account(""));
}
