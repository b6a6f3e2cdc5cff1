//! Asking, and all that can come back instead of a reply.
//!
//! A deadline passes, a caller loses interest, a handler panics, an actor is gone, two actors ask each
//! other: each is an error of its own type, at once and with the message if it was not taken.
//!
//! ```text
//! cargo run --example ask
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use actor_core::prelude::*;

/// Answers questions, some of them slowly.
#[derive(Actor)]
struct Oracle {
    partner: Option<ActorRef<Self>>,
}

#[messages]
impl Oracle {
    #[message]
    fn square(&self, n: u64) -> u64 {
        n * n
    }

    /// Thinks for that long, unless nobody wants to know any more.
    #[message]
    async fn ponder(&mut self, time: Duration, cx: &mut ActorContext<Self>) -> &'static str {
        let began = Instant::now();
        while began.elapsed() < time {
            if cx.is_cancelled() {
                println!(
                    "  (the handler noticed that nobody waits, after {:.0?})",
                    began.elapsed()
                );
                return "never mind";
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        "42"
    }

    #[message]
    fn divide(&self, n: u64, by: u64) -> u64 {
        n / by
    }

    #[message]
    fn befriend(&mut self, partner: ActorRef<Self>) {
        self.partner = Some(partner);
    }

    /// Asks the partner the same question, which asks its partner, and so on.
    #[message]
    async fn consult(&mut self, depth: u32) -> Result<u32, String> {
        let Some(partner) = self.partner else {
            return Ok(depth);
        };
        match partner.consult(depth + 1).await {
            Ok(answer) => answer,
            Err(error) => Err(format!("at depth {depth}: {error}")),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // The panic below is on purpose; its message and backtrace would drown the rest.
    std::panic::set_hook(Box::new(|_| {}));

    let system = ActorSystem::new()?;
    let ms = Duration::from_millis;
    let oracle = system.spawn(|| Oracle { partner: None })?;
    let other = system.spawn(|| Oracle { partner: None })?;

    system.block_on(async {
        println!("a reply:      {}", oracle.square(12).await?);

        println!("a deadline of 20 ms for 10 s of work:");
        let late = oracle.ponder(ms(10_000)).within(ms(20)).await;
        println!("  {}", late.expect_err("20 ms are not enough"));

        // For the handler to notice before the next story begins.
        tokio::time::sleep(ms(20)).await;

        println!("a caller who loses interest after 20 ms:");
        let token = CancelToken::new();
        let (cancelled, ()) = tokio::join!(oracle.ponder(ms(10_000)).cancel(&token), async {
            tokio::time::sleep(ms(20)).await;
            token.cancel();
        });
        println!("  {}", cancelled.expect_err("it was cancelled"));
        tokio::time::sleep(ms(20)).await;

        let panicked = oracle.divide(1, 0).await.expect_err("it divides by zero");
        println!("a panic:      {panicked}");
        println!(
            "and after it: {} (restarted, same address)",
            oracle.square(13).await?
        );

        oracle.befriend(other).await?;
        other.befriend(oracle).await?;
        let circle = oracle.consult(0).await?.expect_err("they ask in a circle");
        println!("a circle:     {circle}");

        let gone = system.spawn(Oracle { partner: None })?;
        gone.stop();
        while gone.is_alive() {
            tokio::time::sleep(ms(1)).await;
        }
        let dead = gone.square(14).await.expect_err("it has stopped");
        println!("one who left: {dead}");
        if let Some(Square { n }) = dead.into_message() {
            println!("  the message came back: square({n})");
        }
        Ok::<(), Box<dyn Error>>(())
    })?;

    let report = system.shutdown_blocking(Duration::from_secs(5));
    println!("\n{report}");
    assert!(report.conservation.holds_at_rest());
    Ok(())
}
