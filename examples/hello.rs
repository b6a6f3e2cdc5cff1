//! The smallest program: one actor, one message told, one asked.
//!
//! ```text
//! cargo run --example hello
//! ```

use std::time::Duration;

use actor_core::prelude::*;

#[derive(Actor)]
struct Greeter {
    greeted: u32,
}

#[messages]
impl Greeter {
    #[message]
    fn greet(&mut self, name: &'static str) -> String {
        self.greeted += 1;
        format!("hello {name}, you are number {}", self.greeted)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let system = ActorSystem::new()?;
    let greeter = system.spawn(Greeter { greeted: 0 })?;

    greeter.tell(Greet {
        name: "nobody in particular",
    })?; // does not wait
    println!("{}", greeter.greet("world").blocking()?); // waits for the reply

    let report = system.shutdown_blocking(Duration::from_secs(5));
    println!("{report}");
    assert!(report.conservation.holds_at_rest());
    Ok(())
}
