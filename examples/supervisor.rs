//! A tree that is declared, checked, printed, broken and managed while it runs.
//!
//! A shop: a database that everything needs, a cache beside it, a pool of connections under a supervisor of
//! its own, and a front that is up only when all the others are. Each part says when it is started and
//! stopped, so that the order can be seen.
//!
//! ```text
//! cargo run --example supervisor
//! ```

use std::error::Error;
use std::time::Duration;

use actor_core::SupervisorSpec;
use actor_core::prelude::*;

/// Any part of the shop: it has a name, and fails when it is told to.
#[derive(Actor)]
#[actor(started = on_start, stopped = on_stop, shutdown = "2s")]
struct Part {
    name: &'static str,
}

impl Part {
    async fn on_start(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        println!("    {} is up", self.name);
        Ok(())
    }

    async fn on_stop(&mut self, why: &StopReason, _cx: &mut ActorContext<Self>) {
        println!("    {} goes: {why}", self.name);
    }
}

#[messages]
impl Part {
    #[message]
    fn fail(&mut self) {
        panic!("{} lost its connection", self.name);
    }

    #[message]
    fn ping(&self) -> &'static str {
        self.name
    }
}

/// A part without anything special.
fn part(name: &'static str) -> ChildSpec<Part> {
    ChildSpec::new(name, move || Part { name })
}

fn shop() -> SupervisorSpec {
    Supervisor::rest_for_one()
        .intensity(5)
        .period(Duration::from_secs(10))
        // Declared first, started last: it is of no use without the others.
        .child_with(part("front").after("cache").after("pool"))
        .child_with(
            part("db")
                .restart(Restart::Permanent)
                .backoff(Backoff::new(
                    Duration::from_millis(20),
                    Duration::from_secs(1),
                ))
                .shutdown(Shutdown::After(Duration::from_secs(10))),
        )
        .child_with(part("cache").after("db"))
        .supervisor(
            "pool",
            Supervisor::one_for_one()
                .intensity(100)
                .child_with(part("conn-1"))
                .child_with(part("conn-2")),
        )
}

fn main() -> Result<(), Box<dyn Error>> {
    // One line per panic instead of a message and a backtrace: they are part of the story.
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload().downcast_ref::<String>();
        println!("    panic: {}", text.map_or("?", String::as_str));
    }));
    let system = ActorSystem::new()?;

    println!("a tree with a mistake is refused before anything starts:");
    let mistake = Supervisor::one_for_one().supervisor(
        "pool",
        Supervisor::one_for_all()
            .child_with(part("a").after("b"))
            .child_with(part("b").after("a")),
    );
    if let Err(refused) = system.spawn(mistake) {
        println!("    {refused}");
    }

    println!("\nthe shop starts, each part when those before it are up:");
    let shop = system.actor(shop()).name("shop").spawn()?;
    let front: ActorRef<Part> = shop.child("front").blocking()??;
    let db: ActorRef<Part> = shop.child("db").blocking()??;
    front.ping().blocking()?;
    println!("{}", system.supervision_tree().blocking());

    println!("\nthe cache fails, and with it what was started after it (rest_for_one):");
    let cache: ActorRef<Part> = shop.child("cache").blocking()??;
    // Its asker is told of the panic; the restart is the supervisor's business.
    let told = cache.fail().blocking().expect_err("it panics");
    println!("    asker: {told}");
    cache.ping().blocking()?;
    // The same address as before, in its next life.
    front.ping().blocking()?;
    println!("{}", system.supervision_tree().blocking());

    println!("\na connection more, and one less, while all the rest goes on:");
    let pool: ActorRef<Supervisor> = shop.child("pool").blocking()??;
    let third = pool.start_child(part("conn-3")).blocking()??;
    third.ping().blocking()?;
    pool.terminate_child("conn-1").blocking()??;
    for child in pool.which_children().blocking()? {
        println!("    {child}");
    }
    pool.restart_child("conn-1").blocking()??;
    let first: ActorRef<Part> = pool.child("conn-1").blocking()??;
    first.ping().blocking()?;
    println!("{}", system.supervision_tree().blocking());
    assert_eq!(db.ping().blocking()?, "db", "nothing happened to it");

    println!("\nthe shop is stopped in reverse:");
    let report = system.shutdown_blocking(Duration::from_secs(5));
    println!("\n{report}");
    assert!(report.conservation.holds_at_rest());
    Ok(())
}
