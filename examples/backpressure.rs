//! A fast sender and a slow actor, with each of the four things that can happen at a full mailbox.
//!
//! A mailbox holds 16 messages and handling one takes a millisecond or two, while 8 come every two
//! milliseconds.
//!
//! ```text
//! cargo run --release --example backpressure
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use actor_core::prelude::*;

const CAPACITY: usize = 16;
const MESSAGES: u32 = 400;
const BURST: u32 = 8;

/// Handles one job per millisecond and remembers the last.
#[derive(Actor, Default)]
struct Slow {
    handled: u32,
    last: Option<u32>,
}

#[messages]
impl Slow {
    #[message]
    async fn job(&mut self, number: u32) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.handled += 1;
        self.last = Some(number);
    }

    /// How many jobs were handled, and the last one's number.
    #[message]
    fn done(&self) -> (u32, Option<u32>) {
        (self.handled, self.last)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{MESSAGES} messages, {BURST} every 2 ms, for an actor that needs 1 to 2 ms each; mailbox of {CAPACITY}\n"
    );
    println!("policy        sender took    handled  given back  dropped  last handled");
    for overflow in [
        Overflow::Wait,
        Overflow::Reject,
        Overflow::DropNewest,
        Overflow::DropOldest,
    ] {
        row(overflow)?;
    }
    println!(
        "\nwait slows the sender down to the actor's pace; reject lets it decide; drop_newest keeps what\n\
         was first, drop_oldest what is fresh (while a handler runs it lets as many again pile up, and\n\
         gives back what comes then). No message is lost without being counted."
    );
    Ok(())
}

/// Each policy in a system of its own, whose books then tell of nothing else.
fn row(overflow: Overflow) -> Result<(), Box<dyn Error>> {
    let system = ActorSystem::new()?;
    let slow = system
        .actor(Slow::default())
        .mailbox(Mailbox::bounded(CAPACITY).overflow(overflow))
        .spawn()?;

    let began = Instant::now();
    let given_back = system.block_on(async {
        let mut given_back = 0_u32;
        for number in 1..=MESSAGES {
            if number % BURST == 1 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // Waits for room if that is the policy, and only then.
            match slow.send(Job { number }).await {
                Ok(()) => {}
                Err(SendError::Full {
                    message: Job { .. },
                    ..
                }) => given_back += 1,
                Err(other) => return Err(other),
            }
        }
        Ok(given_back)
    })?;
    let took = began.elapsed();

    while slow.queue_len() > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (handled, last) = slow.done().blocking()?;
    let report = system.shutdown_blocking(Duration::from_secs(5));
    let books = report.conservation;
    assert!(books.holds_at_rest(), "{report}");
    // One more message than the jobs was sent: the question what was done.
    assert_eq!(books.offered, u64::from(MESSAGES) + 1, "{report}");
    assert_eq!(
        u64::from(handled) + u64::from(given_back) + books.dropped.total(),
        u64::from(MESSAGES)
    );
    println!(
        "{:<12}  {:>8.1} ms  {handled:>9}  {given_back:>10}  {:>7}  {:>12}",
        format!("{overflow:?}"),
        took.as_secs_f64() * 1000.0,
        books.dropped.total(),
        last.map_or_else(|| "-".to_owned(), |number| number.to_string()),
    );
    Ok(())
}
